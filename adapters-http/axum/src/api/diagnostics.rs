//! Why requests of a connector fail, and a test of the connector, for its editors. No token, no secret and no text of a provider.

use axum::Json;
use axum::extract::State;
use grantry_domain::ports::{Anomaly, AnomalyKind, ConnectorFailure, Diagnostics};
use grantry_domain::time::Timestamp;
use grantry_domain::usecase::{ConnectorTest, DiagnosticsView, TestResult, TestedPart};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{ConnectorPath, User};
use crate::format::rfc3339;
use crate::problem::{Problem, Problems};
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read)).routes(routes!(test))
}

/// Why requests of a connector fail.
#[derive(Debug, Serialize, ToSchema)]
struct ConnectorDiagnostics {
    /// The last failed request to the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<LastFailure>,
    /// Deviations of responses that did not prevent their use, newest first, each once.
    anomalies: Vec<RecentAnomaly>,
    /// Since when the provider refuses the client id or the client secret. Absent if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    client_refused_since: Option<String>,
}

/// A failed request to the provider.
#[derive(Debug, Serialize, ToSchema)]
struct LastFailure {
    /// `exchange`, `refresh`, `discovery`, `revocation`, `client_credentials`, `userinfo`, `authorization` or `settings`.
    operation: &'static str,
    /// Class of the error, such as `client_refused` or `malformed`.
    code: &'static str,
    /// Status of the response, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    /// OAuth error code, if it is a registered one or one of the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    oauth_error: Option<String>,
    /// Host of the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint_host: Option<String>,
    /// What was not understood, and what to do where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Id of the request that failed, in its response and in the log. Absent for background work.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    /// When it was recorded.
    #[schema(format = DateTime)]
    at: String,
}

/// A deviation of a response of the provider. The member is interpreted or ignored.
#[derive(Debug, Serialize, ToSchema)]
struct RecentAnomaly {
    /// Name of the member of the token response, `body` for the whole of it, or `userinfo` for the response of the userinfo
    /// endpoint.
    member: String,
    /// How it deviates, such as `wrong_type`.
    #[schema(schema_with = kind_schema)]
    kind: &'static str,
    /// When it was last recorded.
    #[schema(format = DateTime)]
    at: String,
}

/// The kinds, for the `OpenAPI` document.
fn kind_schema() -> Object {
    let names = AnomalyKind::ALL.iter().map(|kind| kind.as_str());
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names))
        .description(Some("How it deviates, such as `wrong_type`."))
        .build()
}

/// The results of a test of a connector.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectorTest)]
struct TestReport {
    /// One of each check, in the order in which they are done.
    results: Vec<CheckResult>,
    /// The redirect URI to register at the provider. Absent while the settings cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_uri: Option<String>,
}

/// The result of one check of a connector.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectorTestResult)]
struct CheckResult {
    /// What was checked: `settings`, `endpoints`, `client`, `api` or `redirect_uri`.
    #[schema(schema_with = part_schema)]
    name: &'static str,
    /// Whether it is in order. Absent if the test cannot show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    ok: Option<bool>,
    /// What was found out: `complete`, `missing`, `invalid`, `host_not_allowed`, `resolved`, `reached`, `accepted`,
    /// `token_accepted`, `api_refused`, `api_failed`,
    /// `api_unreachable`, `unexpected_tokens`, `not_tested` or `to_register`; for a request that failed the class of the error, as in
    /// `getConnectorDiagnostics`.
    detail: &'static str,
    /// The field that is missing or cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Status of the response, if there was one and the request failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    /// OAuth error code, if it is a registered one or one of the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    oauth_error: Option<String>,
    /// Host of the endpoint that a failed request was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint_host: Option<String>,
    /// What was not understood or not allowed, and what to do where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// The checks, for the `OpenAPI` document.
fn part_schema() -> Object {
    let names = TestedPart::ALL.iter().map(|part| part.as_str());
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).description(Some("What was checked.")).build()
}

impl From<ConnectorTest> for TestReport {
    fn from(test: ConnectorTest) -> Self {
        Self { results: test.results.into_iter().map(CheckResult::from).collect(), redirect_uri: test.redirect_uri }
    }
}

impl From<TestResult> for CheckResult {
    fn from(result: TestResult) -> Self {
        let diagnosis = result.diagnosis;
        Self {
            name: result.part.as_str(),
            ok: result.ok,
            detail: result.detail.as_str(),
            field: result.field,
            http_status: diagnosis.http_status,
            oauth_error: diagnosis.oauth_error.map(Into::into),
            endpoint_host: diagnosis.endpoint_host,
            hint: diagnosis.problem.map(Into::into),
        }
    }
}

impl From<(ConnectorFailure, Timestamp)> for LastFailure {
    fn from((failure, at): (ConnectorFailure, Timestamp)) -> Self {
        Self {
            operation: failure.operation.as_str(),
            code: failure.code.as_str(),
            http_status: failure.http_status,
            oauth_error: failure.oauth_error,
            endpoint_host: failure.endpoint_host,
            hint: failure.hint,
            correlation_id: failure.correlation_id,
            at: rfc3339(at),
        }
    }
}

impl From<(Anomaly, Timestamp)> for RecentAnomaly {
    fn from((anomaly, at): (Anomaly, Timestamp)) -> Self {
        Self { member: anomaly.member.as_str().to_owned(), kind: anomaly.kind.as_str(), at: rfc3339(at) }
    }
}

impl From<DiagnosticsView> for ConnectorDiagnostics {
    fn from(view: DiagnosticsView) -> Self {
        let Diagnostics { last_failure, anomalies, client_refused: _ } = view.recorded;
        Self {
            last_failure: last_failure.map(LastFailure::from),
            anomalies: anomalies.into_iter().map(RecentAnomaly::from).collect(),
            client_refused_since: view.client_refused_since.map(rfc3339),
        }
    }
}

/// The last failure of a connector and recent anomalies. Editors only.
#[utoipa::path(get, path = "/api/actions/connector/{id}/diagnostics", operation_id = "getConnectorDiagnostics", tag = "connectors",
    params(("id" = String, Path)), responses((status = 200, body = ConnectorDiagnostics), Problems))]
async fn read(
    State(app): State<App>,
    user: User,
    ConnectorPath(key): ConnectorPath,
) -> Result<Json<ConnectorDiagnostics>, Problem> {
    Ok(Json(app.api.connections.connector_diagnostics(&user.actor(), &key).await?.into()))
}

/// Tests a connector: its settings, its endpoints, and with the exchange of a code that does not exist whether the provider
/// accepts client id and client secret. For a shared connector its token is requested, and sent to the API where the type has a request for it. Nothing is recorded. Editors only.
#[utoipa::path(post, path = "/internal/actions/connector/{id}/_test", operation_id = "testConnector", tag = "connectors",
    params(("id" = String, Path)), responses((status = 200, body = TestReport), Problems))]
async fn test(State(app): State<App>, user: User, ConnectorPath(key): ConnectorPath) -> Result<Json<TestReport>, Problem> {
    Ok(Json(app.api.connections.test_connector(&user.actor(), &key).await?.into()))
}

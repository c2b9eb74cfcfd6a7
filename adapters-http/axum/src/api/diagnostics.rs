//! Why requests of a connector fail, for its editors. No token, no secret and no text of a provider.

use axum::Json;
use axum::extract::State;
use grantry_domain::ports::{Anomaly, AnomalyKind, ConnectorFailure, Diagnostics};
use grantry_domain::time::Timestamp;
use grantry_domain::usecase::DiagnosticsView;
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
    OpenApiRouter::new().routes(routes!(read))
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

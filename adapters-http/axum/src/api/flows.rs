//! Starting, watching and cancelling a flow.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use grantry_domain::authorization::{AuthorizationId, FlowStatus};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{CancelKey, ConsentVersion, FlowAccounts, StartRequest, Started};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::consent::{ConsentFacts, consent_of};
use crate::extract::{ConnectorPath, JsonBody, PathParams, SecretText, SpacePath, User, connection_name};
use crate::format::{self, rfc3339};
use crate::guard::checks::is_json;
use crate::problem::{Code, Problem, ProblemDetails, Problems};
use crate::return_url;
use crate::state::App;
use crate::urls::may_be_opened;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(consent)).routes(routes!(start)).routes(routes!(cancel)).routes(routes!(read))
}

/// Options of a new flow.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StartFlowBody {
    /// Where the callback redirects to: a path, or an absolute URL of the public origin. A fragment is kept. Default: the
    /// result page.
    return_url: Option<String>,
    /// Accept another account at the provider than the connected one.
    allow_account_change: Option<bool>,
    /// Ask the provider to let the user choose the account. Default: `false`.
    select_account: Option<bool>,
    /// Name of the connection. Default: `default`.
    connection: Option<String>,
    /// `version` of what the user was shown: of `getConsent`, or without an issuer of the connector's `consent`. The start is
    /// refused with `connector_changed` if it is not the present one. Default: it is not compared.
    consent_version: Option<String>,
}

/// A flow that is waiting for its callback.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StartedFlow {
    /// The authorization request. Prefer the launch page, which checks user and browser first.
    #[serde(serialize_with = "format::secret")]
    #[schema(value_type = String)]
    authorization_url: Secret,
    /// The `state` parameter in it.
    #[serde(serialize_with = "format::secret")]
    #[schema(value_type = String)]
    state: Secret,
    /// Id of the flow.
    flow_id: String,
    /// When the flow expires.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// A flow, for the user who started it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "names of the contract")]
pub(crate) struct Flow {
    /// Id of the flow.
    flow_id: String,
    /// Its connector.
    connector_id: String,
    /// Name of its connection.
    connection: String,
    /// `awaiting`, `authorized`, `failed`, `expired` or `cancelled`. All but `awaiting` are final.
    #[schema(value_type = FlowStatusName)]
    status: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// For `account_mismatch`: the account that was last connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    connected_account: Option<String>,
    /// For `account_mismatch` and `account_already_connected`: the account that was used at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    used_account: Option<String>,
    /// With `usedAccount`: a name that none of the user's connections at the connector has, made of that account.
    #[serde(skip_serializing_if = "Option::is_none")]
    unused_name: Option<String>,
    /// Scopes that the connector requests or requires and the provider did not grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_scopes: Option<Vec<String>>,
    /// When the flow expires, or would have expired.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// The status of a flow.
#[derive(ToSchema)]
#[schema(as = FlowStatus, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the values, which come from the domain")]
pub(crate) enum FlowStatusName {
    /// Not finished.
    Awaiting,
    /// It became a grant.
    Authorized,
    /// It failed.
    Failed,
    /// Its deadline passed.
    Expired,
    /// It was cancelled, or a newer flow replaced it.
    Cancelled,
}

/// Every host that receives something in a flow of this connector, to be shown before the redirect to the provider. With an
/// issuer, its metadata is read.
#[utoipa::path(get, path = "/internal/actions/connector/{id}/_consent", operation_id = "getConsent", tag = "flows",
    params(("id" = String, Path)), responses((status = 200, body = ConsentFacts), Problems))]
async fn consent(
    State(app): State<App>,
    user: User,
    ConnectorPath(key): ConnectorPath,
) -> Result<Json<ConsentFacts>, Problem> {
    Ok(Json(ConsentFacts::from(&consent_of(&app, &user, &key).await?)))
}

/// Starts a flow for the signed-in user and binds it to this browser by a cookie.
#[utoipa::path(post, path = "/internal/actions/connector/{id}/_start_oauth_flow", operation_id = "startFlow", tag = "flows",
    params(("id" = String, Path)), request_body = StartFlowBody, responses((status = 200, body = StartedFlow), Problems))]
async fn start(
    State(app): State<App>,
    user: User,
    ConnectorPath(key): ConnectorPath,
    headers: HeaderMap,
    JsonBody(body): JsonBody<StartFlowBody>,
) -> Result<Response, Problem> {
    // A cross-site form cannot send this header, so it is required even for an empty body.
    if !is_json(&headers) {
        return Err(Problem::new(Code::UnsupportedMediaType));
    }
    let return_path = match body.return_url {
        Some(url) => Some(
            return_url::reduced(&url, &app.api.public)
                .ok_or_else(|| Problem::new(Code::ReturnUrlRefused).at("returnUrl", "must be a path on this origin"))?,
        ),
        None => None,
    };
    let shown = body.consent_version.map(|text| version_of(&text)).transpose()?;
    let request = StartRequest {
        shown,
        actor: user.actor(),
        connector: key,
        connection: connection_name(body.connection)?.unwrap_or_default(),
        return_path,
        allow_account_change: body.allow_account_change.unwrap_or(false),
        select_account: body.select_account.unwrap_or(false),
    };
    let started = app.api.connections.start(request).await?;
    started_response(&app, &headers, started)
}

/// The version of a consent, from its text.
fn version_of(text: &str) -> Result<ConsentVersion, Problem> {
    ConsentVersion::parse(text).ok_or_else(|| Problem::invalid("consentVersion", "is not the version of a consent"))
}

/// The response to a start: the flow and its cookie.
fn started_response(app: &App, headers: &HeaderMap, started: Started) -> Result<Response, Problem> {
    if !started.authorization_url.expose_text().is_some_and(may_be_opened) {
        return Err(Problem::new(Code::ProviderMisconfigured));
    }
    let cookies = &app.cookies;
    let cookie = cookies.flow_cookie(started.flow_id, &started.flow_cookie, started.expires_in);
    let body = StartedFlow {
        authorization_url: started.authorization_url,
        state: started.state,
        flow_id: started.flow_id.to_string(),
        expires_at: rfc3339(started.expires_at),
    };
    let mut response = Json(body).into_response();
    cookie.append_to(response.headers_mut());
    for surplus in cookies.surplus_flows(headers) {
        cookies.without_flow(surplus).append_to(response.headers_mut());
    }
    Ok(response)
}

/// The flow to cancel: exactly one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CancelFlowBody {
    /// Its id.
    flow_id: Option<String>,
    /// Its `state`.
    #[schema(value_type = Option<String>)]
    state: Option<SecretText>,
}

/// Cancels a flow of the signed-in user. Idempotent.
#[utoipa::path(post, path = "/internal/actions/connector/{id}/_oauth_cancel", operation_id = "cancelFlow", tag = "flows",
    params(("id" = String, Path)), request_body = CancelFlowBody,
    responses((status = 204), (status = 403, description = "A flow of another user", body = ProblemDetails), Problems))]
async fn cancel(
    State(app): State<App>,
    user: User,
    ConnectorPath(key): ConnectorPath,
    JsonBody(body): JsonBody<CancelFlowBody>,
) -> Result<Response, Problem> {
    let flow = body
        .flow_id
        .map(|text| AuthorizationId::parse(&text).ok_or_else(|| Problem::invalid("flowId", "is not a flow id")))
        .transpose()?;
    let cancelled = match (flow, body.state) {
        (Some(flow), None) => CancelKey::Flow(flow),
        (None, Some(SecretText(state))) => CancelKey::State(state),
        (Some(_), Some(_)) | (None, None) => return Err(Problem::invalid("body", "must name either flowId or state")),
    };
    let stored = app.api.connections.cancel(&user.actor(), &key, cancelled).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(flow) = stored.or(flow) {
        app.cookies.without_flow(flow).append_to(response.headers_mut());
    }
    Ok(response)
}

/// The status of a flow, for the user who started it.
#[utoipa::path(get, path = "/internal/actions/oauth_flow/{flowId}", operation_id = "flowStatus", tag = "flows",
    params(("flowId" = String, Path)), responses((status = 200, body = Flow), Problems))]
async fn read(
    State(app): State<App>,
    user: User,
    SpacePath(space): SpacePath,
    params: PathParams,
) -> Result<Json<Flow>, Problem> {
    let id = params.read("flowId", AuthorizationId::parse)?;
    let flow = app.api.connections.flow_status(&user.actor(), Some(&space), id).await?;
    let (connected_account, used_account, unused_name) = match flow.accounts {
        Some(FlowAccounts { used, connected, unused_name }) => (connected, Some(used), Some(unused_name)),
        None => (None, None, None),
    };
    Ok(Json(Flow {
        flow_id: flow.flow_id.to_string(),
        connector_id: flow.connector.id.as_str().to_owned(),
        connection: flow.connection.as_str().to_owned(),
        status: flow.status.as_str(),
        code: failure_code(flow.status),
        connected_account,
        used_account,
        unused_name: unused_name.map(|name| name.as_str().to_owned()),
        missing_scopes: (!flow.missing_scopes.is_empty()).then(|| flow.missing_scopes.iter().map(str::to_owned).collect()),
        expires_at: rfc3339(flow.expires_at),
    }))
}

/// The code of a flow that ended without a grant.
fn failure_code(status: FlowStatus) -> Option<&'static str> {
    match status {
        FlowStatus::Failed(failure) => Some(Code::of(failure.code()).as_str()),
        FlowStatus::Expired => Some(Code::FlowExpired.as_str()),
        FlowStatus::Awaiting | FlowStatus::Authorized | FlowStatus::Cancelled => None,
    }
}

//! The connections of the signed-in user: their status, the default one, and disconnecting.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use grantry_domain::authorization::{ConnectionStatus, ConnectorStatus, ProviderNote, Reason, UserAuthStatus};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{ConnectorPath, JsonBody, SpacePath, User, connection_name};
use crate::format::{rfc3339, rfc3339_day};
use crate::problem::{Problem, Problems};
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(mine)).routes(routes!(set_default)).routes(routes!(disconnect))
}

/// The status of a user at a connector.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "names of the contract")]
pub(crate) struct AuthStatus {
    /// Whether the user is connected.
    #[schema(value_type = UserAuthStatusName)]
    pub(super) user_auth_status: &'static str,
    /// The connection to show: the user's default, else `default`, else the first. Absent for a shared connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connection: Option<Connection>,
    /// All connections, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connections: Option<Vec<Connection>>,
    /// Name of the connection that the user set as default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) default_connection: Option<String>,
}

/// One connection of a user at a connector.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Connection {
    /// Its name.
    #[schema(example = "default")]
    name: String,
    /// Its status.
    #[schema(value_type = ConnectionStatusName)]
    status: &'static str,
    /// Why consent is needed again.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Since when the status holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    since: Option<String>,
    /// The account at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// Granted scopes.
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<String>>,
    /// Scopes that the connector requests and the grant does not have. They block nothing unless the connector requires them.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_scopes: Option<Vec<String>>,
    /// Day of last use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
    /// `provider_unreachable`, `refresh_refused`, `client_refused`, `revocation_pending`, `revocation_abandoned` or
    /// `revocation_not_supported`.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_note: Option<&'static str>,
    /// Since when the provider has been unreachable or has refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    provider_note_since: Option<String>,
    /// Whether a reconnect is waiting beside a grant.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reconnecting: bool,
    /// The flow that is waiting, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_flow: Option<PendingFlow>,
}

/// A flow of the user that is waiting for the provider.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct PendingFlow {
    /// Its id.
    flow_id: String,
    /// When it expires.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// Whether a user is connected to a connector.
#[derive(ToSchema)]
#[schema(as = UserAuthStatus, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the values, which come from the domain")]
pub(crate) enum UserAuthStatusName {
    /// There is a usable grant.
    Connected,
    /// There is no usable grant; see `connection`.
    NotConnected,
    /// A shared connector: there is nothing to connect.
    NotApplicable,
}

/// The status of a connection.
#[derive(ToSchema)]
#[schema(as = ConnectionStatus, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the values, which come from the domain")]
pub(crate) enum ConnectionStatusName {
    /// No grant, and no flow.
    NotConnected,
    /// A first flow is waiting.
    Connecting,
    /// There is a usable grant.
    Connected,
    /// There was a usable grant, and the user must consent again.
    NeedsReauthorization,
}

impl From<ConnectorStatus> for AuthStatus {
    fn from(status: ConnectorStatus) -> Self {
        let is_applicable = status.user_auth_status != UserAuthStatus::NotApplicable;
        let connection = is_applicable.then(|| status.shown().into());
        let has_several = status.connections.len() > 1;
        Self {
            user_auth_status: status.user_auth_status.as_str(),
            connection,
            connections: has_several.then(|| status.connections.into_iter().map(Connection::from).collect()),
            default_connection: status.default_connection.map(|name| name.as_str().to_owned()),
        }
    }
}

impl From<ConnectionStatus> for Connection {
    fn from(status: ConnectionStatus) -> Self {
        let reconnecting = status.is_reconnecting();
        let (provider_note, provider_note_since) = match status.provider_note {
            None => (None, None),
            Some(ProviderNote::UnreachableSince(since)) => (Some("provider_unreachable"), Some(rfc3339(since))),
            Some(ProviderNote::RefreshRefusedSince(since)) => (Some("refresh_refused"), Some(rfc3339(since))),
            Some(ProviderNote::ClientRefusedSince(since)) => (Some("client_refused"), Some(rfc3339(since))),
            Some(ProviderNote::RevocationPending) => (Some("revocation_pending"), None),
            Some(ProviderNote::RevocationAbandoned) => (Some("revocation_abandoned"), None),
            Some(ProviderNote::RevocationNotSupported) => (Some("revocation_not_supported"), None),
        };
        let texts = |scopes: &grantry_domain::provider::Scopes| scopes.iter().map(str::to_owned).collect();
        Self {
            name: status.connection.as_str().to_owned(),
            status: status.kind.as_str(),
            reason: status.reason.map(Reason::as_str),
            since: status.since.map(rfc3339),
            account: status.account,
            scopes: status.scopes.as_ref().map(texts),
            missing_scopes: status.missing_scopes.as_ref().map(texts),
            last_used_at: status.last_used_day.map(rfc3339_day),
            provider_note,
            provider_note_since,
            reconnecting,
            pending_flow: status
                .flow
                .map(|flow| PendingFlow { flow_id: flow.id.to_string(), expires_at: rfc3339(flow.expires_at) }),
        }
    }
}

/// A body without members.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoMembers {}

/// The status of the signed-in user at every connector of the space, by connector id. The body is empty or an object without
/// members.
#[utoipa::path(post, path = "/internal/actions/connectors/_me/auth_status", operation_id = "myAuthStatus", tag = "connections",
    responses((status = 200, body = BTreeMap<String, AuthStatus>), Problems))]
async fn mine(
    State(app): State<App>,
    user: User,
    SpacePath(space): SpacePath,
    JsonBody(NoMembers {}): JsonBody<NoMembers>,
) -> Result<Json<BTreeMap<String, AuthStatus>>, Problem> {
    let statuses = app.api.connections.statuses(&user.actor(), &space).await?;
    let statuses = statuses.into_iter().map(|(connector, status)| (connector.key.id.as_str().to_owned(), status.into()));
    Ok(Json(statuses.collect()))
}

/// The default connection of a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DefaultConnectionBody {
    /// Name of the connection; null removes the default.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required)]
    connection: Option<String>,
}

/// Sets the connection that is used if the user has several and names none, or removes the default.
#[utoipa::path(put, path = "/internal/actions/connector/{id}/_default_connection", operation_id = "setDefaultConnection", tag = "connections",
    params(("id" = String, Path)), request_body = DefaultConnectionBody, responses((status = 204), Problems))]
async fn set_default(
    State(app): State<App>,
    user: User,
    ConnectorPath(key): ConnectorPath,
    JsonBody(body): JsonBody<DefaultConnectionBody>,
) -> Result<StatusCode, Problem> {
    let connection = connection_name(body.connection)?;
    app.api.connections.set_default_connection(&user.actor(), &key, connection).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The connection to end. The body may also be empty.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DisconnectBody {
    /// Name of the connection. Default: the only one, or the user's default.
    connection: Option<String>,
}

/// Ends a connection of the signed-in user. Idempotent. A durable job revokes the tokens at the provider afterwards.
#[utoipa::path(post, path = "/internal/actions/connector/{id}/_oauth_disconnect", operation_id = "disconnect", tag = "connections",
    params(("id" = String, Path)), request_body = DisconnectBody, responses((status = 204), Problems))]
async fn disconnect(
    State(app): State<App>,
    user: User,
    ConnectorPath(key): ConnectorPath,
    JsonBody(body): JsonBody<DisconnectBody>,
) -> Result<StatusCode, Problem> {
    let connection = connection_name(body.connection)?;
    app.api.connections.disconnect(&user.actor(), &key, connection).await?;
    Ok(StatusCode::NO_CONTENT)
}

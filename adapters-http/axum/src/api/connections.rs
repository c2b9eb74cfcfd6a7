//! The connections of the signed-in user: their status, and disconnecting.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use grantry_domain::authorization::{AuthStatus as Status, ProviderNote};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{ConnectorPath, SpacePath, User};
use crate::format::{rfc3339, rfc3339_day};
use crate::problem::{Problem, Problems};
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(mine)).routes(routes!(disconnect))
}

/// The status of a user at a connector.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "names of the contract")]
pub(crate) struct AuthStatus {
    /// The status.
    #[schema(value_type = UserAuthStatus)]
    user_auth_status: &'static str,
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
    /// `provider_unreachable`, `revocation_pending`, `revocation_abandoned` or `revocation_not_supported`.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_note: Option<&'static str>,
    /// Since when the provider has been unreachable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    provider_note_since: Option<String>,
    /// Whether a reconnect is waiting beside a grant.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pending: bool,
    /// The flow that is waiting, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_flow: Option<PendingFlow>,
    /// Day of last use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
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
pub(crate) enum UserAuthStatus {
    /// A shared connector: there is nothing to connect.
    NotApplicable,
    /// No grant, and no flow.
    NotConnected,
    /// A first flow is waiting.
    Connecting,
    /// There is a usable grant.
    Connected,
    /// There was a usable grant, and the user must consent again.
    NeedsReauthorization,
}

impl From<Status> for AuthStatus {
    fn from(status: Status) -> Self {
        let (note, note_since) = match status.provider_note {
            None => (None, None),
            Some(ProviderNote::UnreachableSince(since)) => (Some("provider_unreachable"), Some(rfc3339(since))),
            Some(ProviderNote::RevocationPending) => (Some("revocation_pending"), None),
            Some(ProviderNote::RevocationUnconfirmed) => (Some("revocation_abandoned"), None),
            Some(ProviderNote::RevocationNotSupported) => (Some("revocation_not_supported"), None),
        };
        Self {
            user_auth_status: status.kind.as_str(),
            reason: status.reason.map(grantry_domain::authorization::Reason::as_str),
            since: status.since.map(rfc3339),
            account: status.account,
            provider_note: note,
            provider_note_since: note_since,
            pending: status.pending,
            pending_flow: status
                .flow
                .map(|flow| PendingFlow { flow_id: flow.id.to_string(), expires_at: rfc3339(flow.expires_at) }),
            last_used_at: status.last_used_day.map(rfc3339_day),
        }
    }
}

/// The status of the signed-in user at every connector of the space, by connector id.
#[utoipa::path(post, path = "/internal/actions/connectors/_me/auth_status", operation_id = "myAuthStatus", tag = "connections",
    responses((status = 200, body = BTreeMap<String, AuthStatus>), Problems))]
async fn mine(
    State(app): State<App>,
    user: User,
    SpacePath(space): SpacePath,
) -> Result<Json<BTreeMap<String, AuthStatus>>, Problem> {
    let statuses = app.api.connections.statuses(&user.actor(), &space).await?;
    let statuses = statuses.into_iter().map(|(connector, status)| (connector.key.id.as_str().to_owned(), status.into()));
    Ok(Json(statuses.collect()))
}

/// Disconnects the signed-in user. Idempotent. A durable job revokes the tokens at the provider afterwards.
#[utoipa::path(post, path = "/internal/actions/connector/{id}/_oauth_disconnect", operation_id = "disconnect", tag = "connections",
    params(("id" = String, Path)), responses((status = 204), Problems))]
async fn disconnect(State(app): State<App>, user: User, ConnectorPath(key): ConnectorPath) -> Result<StatusCode, Problem> {
    app.api.connections.disconnect(&user.actor(), &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Where a person stands, and taking a connection away.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use grantry_domain::authorization::{AuthStatus as Status, ProviderNote};
use grantry_domain::ports::Operation;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::{rfc3339, rfc3339_day};
use crate::extract::{AtConnector, InSpace, Person};
use crate::openapi::Problems;
use crate::problem::Problem;
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(mine)).routes(routes!(disconnect))
}

/// One person's status at one connector.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "names of the contract")]
pub(crate) struct AuthStatus {
    /// The status.
    #[schema(value_type = UserAuthStatus)]
    user_auth_status: &'static str,
    /// Why consent is needed again.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Since when it has been so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    since: Option<String>,
    /// The account at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// `provider_unreachable`, `revocation_pending`, `revocation_unconfirmed` or `revocation_not_supported`.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_note: Option<&'static str>,
    /// Since when the provider has not been reachable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    provider_note_since: Option<String>,
    /// A reconnect is under way beside a working grant.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pending: bool,
    /// The flow that is under way, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_flow: Option<PendingFlow>,
    /// Day of last use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
}

/// A flow of this person that waits for the provider.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct PendingFlow {
    /// Its id.
    flow_id: String,
    /// When it ends by itself.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// Whether a person is connected to a connector.
#[derive(ToSchema)]
#[schema(as = UserAuthStatus, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the values; they are written by the domain's own names")]
pub(crate) enum UserAuthStatus {
    /// A shared connector: nothing to connect.
    NotApplicable,
    /// No grant, and none in the making.
    NotConnected,
    /// A first attempt is under way.
    Connecting,
    /// There is a usable grant.
    Connected,
    /// There was one, and the person must consent again.
    NeedsReauthorization,
}

impl From<Status> for AuthStatus {
    fn from(status: Status) -> Self {
        let (note, note_since) = match status.provider_note {
            None => (None, None),
            Some(ProviderNote::UnreachableSince(since)) => (Some("provider_unreachable"), Some(rfc3339(since))),
            Some(ProviderNote::RevocationPending) => (Some("revocation_pending"), None),
            Some(ProviderNote::RevocationUnconfirmed) => (Some("revocation_unconfirmed"), None),
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

/// One's own status at every connector of the space, by connector id.
#[utoipa::path(post, path = "/internal/actions/connectors/_me/auth_status", operation_id = "myAuthStatus", tag = "connections",
    responses((status = 200, body = BTreeMap<String, AuthStatus>), Problems))]
async fn mine(
    State(app): State<App>,
    person: Person,
    InSpace(space): InSpace,
) -> Result<Json<BTreeMap<String, AuthStatus>>, Problem> {
    app.api.connections.ports().limiter.take(&format!("user:{}", person.user), Operation::Status).await?;
    let statuses = app.api.connections.statuses(&person.actor(), &space).await?;
    let answer = statuses.into_iter().map(|(connector, status)| (connector.key.id.as_str().to_owned(), status.into()));
    Ok(Json(answer.collect()))
}

/// Ends one's own connection. Idempotent. The provider is told afterwards, by a durable job.
#[utoipa::path(post, path = "/internal/actions/connector/{id}/_oauth_disconnect", operation_id = "disconnect", tag = "connections",
    params(("id" = String, Path)), responses((status = 204), Problems))]
async fn disconnect(State(app): State<App>, person: Person, AtConnector(key): AtConnector) -> Result<StatusCode, Problem> {
    app.api.connections.disconnect(&person.actor(), &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

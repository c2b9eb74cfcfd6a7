//! Grants of all users, for administrators. No response contains a token.

use axum::Json;
use axum::extract::State;
use grantry_domain::authorization::{AuthorizationId, StatusKind, TerminalCause};
use grantry_domain::connector::ConnectorId;
use grantry_domain::identity::UserId;
use grantry_domain::provider::Scopes;
use grantry_domain::usecase::{GrantFilter, GrantView};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::connections::ConnectionStatusName;
use crate::extract::{PathParams, Query, SpacePath, User};
use crate::format::{rfc3339, rfc3339_day};
use crate::problem::{Problem, Problems};
use crate::state::App;

/// Grants per page.
const PAGE: u32 = 50;

pub(super) fn routes_in_space() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(revoke))
}

pub(super) fn global_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(deprovision_user))
}

/// A connection of a user, present or former.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "names of the contract")]
pub(crate) struct Grant {
    /// Its id.
    grant_id: String,
    /// Its connector.
    connector_id: String,
    /// Name of the connector, while it exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    connector_name: Option<String>,
    /// Its space.
    space_id: String,
    /// Its user.
    user_id: String,
    /// Name of the connection.
    connection: String,
    /// Status of the connection.
    #[schema(value_type = ConnectionStatusName)]
    status: &'static str,
    /// Why it is not usable, or why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The account at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// Granted scopes; empty for a former grant.
    scopes: Vec<String>,
    /// When the grant was committed.
    #[schema(format = DateTime)]
    connected_at: String,
    /// Day of last use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    ended_at: Option<String>,
}

/// One page of grants, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GrantPage {
    /// The grants.
    grants: Vec<Grant>,
    /// `cursor` of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// The effect of deprovisioning a user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Deprovisioned {
    /// Number of grants that ended.
    revoked: u64,
    /// Number of revocations that are pending at providers.
    queued: u64,
}

impl From<GrantView> for Grant {
    fn from(grant: GrantView) -> Self {
        Self {
            grant_id: grant.id.to_string(),
            connector_id: grant.connector.as_str().to_owned(),
            connector_name: grant.connector_name.map(|name| name.as_str().to_owned()),
            space_id: grant.space.as_str().to_owned(),
            user_id: grant.user.as_str().to_owned(),
            connection: grant.connection.as_str().to_owned(),
            status: grant.status.kind.as_str(),
            reason: grant
                .status
                .reason
                .map(|reason| reason.as_str().to_owned())
                .or(grant.cause.map(TerminalCause::to_record)),
            account: grant.status.account,
            scopes: grant.status.scopes.iter().flat_map(Scopes::iter).map(str::to_owned).collect(),
            connected_at: rfc3339(grant.connected_at),
            last_used_at: grant.status.last_used_day.map(rfc3339_day),
            ended_at: grant.ended_at.map(rfc3339),
        }
    }
}

/// Grants and former grants of the space. Admins only.
#[utoipa::path(get, path = "/internal/actions/grants", operation_id = "listGrants", tag = "grants",
    params(("connector" = Option<String>, Query), ("user" = Option<String>, Query),
        ("status" = Option<String>, Query, description = "`connected`, `needs_reauthorization` or `not_connected`"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the previous page")),
    responses((status = 200, body = GrantPage), Problems))]
async fn list(
    State(app): State<App>,
    user: User,
    SpacePath(space): SpacePath,
    mut query: Query,
) -> Result<Json<GrantPage>, Problem> {
    let filter = filter_of(&mut query)?;
    let cursor = query.take("cursor")?;
    let cursor = cursor
        .map(|text| AuthorizationId::parse(&text).ok_or_else(|| Problem::invalid("cursor", "is not a cursor")))
        .transpose()?;
    query.finish()?;
    let page = app.api.connections.list_grants(&user.actor(), &space, filter, cursor, PAGE).await?;
    Ok(Json(GrantPage {
        grants: page.grants.into_iter().map(Grant::from).collect(),
        next_cursor: page.next.map(|id| id.to_string()),
    }))
}

fn filter_of(query: &mut Query) -> Result<GrantFilter, Problem> {
    let connector = query.take("connector")?.map(ConnectorId::new).transpose();
    let user = query.take("user")?.map(UserId::new).transpose();
    let status = query.take("status")?.map(|text| match StatusKind::parse(&text) {
        Some(status @ (StatusKind::Connected | StatusKind::NotConnected | StatusKind::NeedsReauthorization)) => Ok(status),
        Some(StatusKind::Connecting) | None => {
            Err(Problem::invalid("status", "must be connected, needs_reauthorization or not_connected"))
        }
    });
    Ok(GrantFilter {
        connector: connector.map_err(|invalid| Problem::invalid("connector", invalid.problem))?,
        user: user.map_err(|invalid| Problem::invalid("user", invalid.problem))?,
        status: status.transpose()?,
    })
}

/// Ends a grant of any user. Admins only.
#[utoipa::path(delete, path = "/internal/actions/grants/{grantId}", operation_id = "revokeGrant", tag = "grants",
    params(("grantId" = String, Path)), responses((status = 204), Problems))]
async fn revoke(
    State(app): State<App>,
    user: User,
    SpacePath(space): SpacePath,
    params: PathParams,
) -> Result<StatusCode, Problem> {
    let id = params.read("grantId", AuthorizationId::parse)?;
    app.api.connections.revoke_grant(&user.actor(), &space, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deprovisions a user: ends their grants and flows in every space. For users who are admin of every space.
#[utoipa::path(delete, path = "/internal/actions/users/{user}/grants", operation_id = "deprovisionUser", tag = "grants",
    params(("user" = String, Path)), responses((status = 200, body = Deprovisioned), Problems))]
async fn deprovision_user(State(app): State<App>, caller: User, params: PathParams) -> Result<Json<Deprovisioned>, Problem> {
    let user = params.read("user", |text| UserId::new(text).ok())?;
    let spaces = app.api.users.spaces().await?;
    let done = app.api.connections.deprovision_user(&caller.actor(), &spaces, &user).await?;
    Ok(Json(Deprovisioned { revoked: done.revoked, queued: done.queued }))
}

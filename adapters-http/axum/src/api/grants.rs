//! Grants of all users, for administrators. No response contains a token.

use axum::Json;
use axum::extract::State;
use grantry_domain::authorization::{AuthorizationId, TerminalCause};
use grantry_domain::connector::ConnectorId;
use grantry_domain::identity::{Actor, UserId};
use grantry_domain::provider::Scopes;
use grantry_domain::usecase::{GrantFilter, GrantStatus, GrantView};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{PathParams, Query, SpacePath, User};
use crate::format::{rfc3339, rfc3339_day};
use crate::problem::{Problem, Problems};
use crate::state::App;

/// Grants per page.
const PAGE: u32 = 50;

pub(super) fn routes_in_space() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(revoke))
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
    /// Its status.
    #[schema(value_type = GrantStatusName)]
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
    /// Who ended it: the id of a user, or `system` where time or the provider did.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_by: Option<String>,
    /// Whether its tokens are stored, so that revoking it has an effect.
    revocable: bool,
}

/// The status of a grant or former grant.
#[derive(ToSchema)]
#[schema(as = GrantStatus, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the values, which come from the domain")]
pub(crate) enum GrantStatusName {
    /// A usable grant.
    Connected,
    /// Its user must consent again.
    NeedsReauthorization,
    /// An administrator revoked it.
    Revoked,
    /// Ended otherwise.
    NotConnected,
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

impl From<GrantView> for Grant {
    fn from(grant: GrantView) -> Self {
        Self {
            grant_id: grant.id.to_string(),
            connector_id: grant.connector.as_str().to_owned(),
            connector_name: grant.connector_name.map(|name| name.as_str().to_owned()),
            space_id: grant.space.as_str().to_owned(),
            user_id: grant.user.as_str().to_owned(),
            connection: grant.connection.as_str().to_owned(),
            status: grant.status.as_str(),
            reason: grant
                .connection_status
                .reason
                .map(|reason| reason.as_str().to_owned())
                .or(grant.cause.map(TerminalCause::to_record)),
            account: grant.connection_status.account,
            scopes: grant.connection_status.scopes.iter().flat_map(Scopes::iter).map(str::to_owned).collect(),
            connected_at: rfc3339(grant.connected_at),
            last_used_at: grant.connection_status.last_used_day.map(rfc3339_day),
            ended_at: grant.ended_at.map(rfc3339),
            ended_by: grant.ended_by.map(|actor| id_of(&actor)),
            revocable: grant.has_tokens,
        }
    }
}

/// The id of a user, the name of an agent, or `system`.
fn id_of(actor: &Actor) -> String {
    match actor {
        Actor::Person(user) => user.as_str().to_owned(),
        Actor::Agent(name) => name.clone(),
        Actor::System => "system".to_owned(),
    }
}

/// Grants and former grants of the space. Admins only.
#[utoipa::path(get, path = "/internal/actions/grants", operation_id = "listGrants", tag = "grants",
    params(("connector" = Option<String>, Query), ("user" = Option<String>, Query),
        ("status" = Option<String>, Query, description = "`connected`, `needs_reauthorization`, `revoked` or `not_connected`"),
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
    let status = query.take("status")?.map(|text| {
        let unknown = || Problem::invalid("status", "must be connected, needs_reauthorization, revoked or not_connected");
        GrantStatus::parse(&text).ok_or_else(unknown)
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

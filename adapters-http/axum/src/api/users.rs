//! Users, for users who are admin of every space: listing, deprovisioning, reinstating.

use axum::Json;
use axum::extract::State;
use grantry_domain::identity::UserId;
use grantry_domain::usecase::{OpenAuthorization, OpenKind, UserDetails, UserSummary};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{PathParams, User};
use crate::format::rfc3339;
use crate::problem::{Problem, Problems};
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read)).routes(routes!(deprovision)).routes(routes!(reinstate))
}

/// A user of the host, or a user with connections.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserSummary)]
pub(crate) struct Summary {
    /// The immutable id.
    id: String,
    /// Name for display.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Whether the user is disabled at the host.
    disabled: bool,
    /// When the user was deprovisioned.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    deprovisioned_at: Option<String>,
}

impl From<UserSummary> for Summary {
    fn from(user: UserSummary) -> Self {
        Self {
            id: user.id.as_str().to_owned(),
            name: user.name,
            disabled: user.disabled,
            deprovisioned_at: user.deprovisioned_at.map(rfc3339),
        }
    }
}

/// A user, and what deprovisioning would end.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserDetails)]
pub(crate) struct Details {
    #[serde(flatten)]
    user: Summary,
    /// Number of grants that would end.
    grants: usize,
    /// Number of former grants, which need a new consent, that would end.
    former_grants: usize,
    /// Number of flows that would end.
    flows: usize,
    /// Everything that would end, in every space.
    connections: Vec<OpenConnection>,
}

/// A grant, former grant or flow that deprovisioning would end.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenConnection {
    /// Its space.
    space_id: String,
    /// Its connector.
    connector_id: String,
    /// Name of the connector, while it exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    connector_name: Option<String>,
    /// Name of the connection.
    connection: String,
    /// The account at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// `grant`, `needs_consent` or `flow`.
    #[schema(value_type = OpenConnectionState)]
    state: &'static str,
}

/// What deprovisioning would end.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the values")]
pub(crate) enum OpenConnectionState {
    /// A grant.
    Grant,
    /// A former grant that needs a new consent.
    NeedsConsent,
    /// A flow.
    Flow,
}

impl From<OpenAuthorization> for OpenConnection {
    fn from(open: OpenAuthorization) -> Self {
        Self {
            space_id: open.space.as_str().to_owned(),
            connector_id: open.connector.as_str().to_owned(),
            connector_name: open.connector_name.map(|name| name.as_str().to_owned()),
            connection: open.connection.as_str().to_owned(),
            account: open.account,
            state: match open.kind {
                OpenKind::Grant => "grant",
                OpenKind::NeedsConsent => "needs_consent",
                OpenKind::Flow => "flow",
            },
        }
    }
}

impl From<UserDetails> for Details {
    fn from(details: UserDetails) -> Self {
        Self {
            grants: details.count(OpenKind::Grant),
            former_grants: details.count(OpenKind::NeedsConsent),
            flows: details.count(OpenKind::Flow),
            user: details.user.into(),
            connections: details.open.into_iter().map(OpenConnection::from).collect(),
        }
    }
}

/// The effect of deprovisioning a user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Deprovisioned {
    /// Number of grants that ended.
    revoked: u64,
    /// Number of revocations that are pending at providers.
    queued: u64,
}

/// The users of the host and the users with connections, by id. A host that does not list its users is represented by the
/// latter.
#[utoipa::path(get, path = "/internal/actions/users", operation_id = "listUsers", tag = "users",
    responses((status = 200, body = [Summary]), Problems))]
async fn list(State(app): State<App>, caller: User) -> Result<Json<Vec<Summary>>, Problem> {
    let spaces = app.api.users.spaces().await?;
    let listing = app.api.connections.list_users(&caller.actor(), &spaces).await?;
    Ok(Json(listing.users.into_iter().map(Summary::from).collect()))
}

/// A user, and what deprovisioning would end.
#[utoipa::path(get, path = "/internal/actions/users/{user}", operation_id = "getUser", tag = "users",
    params(("user" = String, Path)), responses((status = 200, body = Details), Problems))]
async fn read(State(app): State<App>, caller: User, params: PathParams) -> Result<Json<Details>, Problem> {
    let user = user_of(&params)?;
    let spaces = app.api.users.spaces().await?;
    let details = app.api.connections.user_details(&caller.actor(), &spaces, &user).await?;
    Ok(Json(details.into()))
}

/// Deprovisions a user: ends their grants and flows in every space, and prevents new ones until the user is reinstated. An
/// unknown user is not found.
#[utoipa::path(delete, path = "/internal/actions/users/{user}/grants", operation_id = "deprovisionUser", tag = "users",
    params(("user" = String, Path)), responses((status = 200, body = Deprovisioned), Problems))]
async fn deprovision(State(app): State<App>, caller: User, params: PathParams) -> Result<Json<Deprovisioned>, Problem> {
    let user = user_of(&params)?;
    let spaces = app.api.users.spaces().await?;
    let done = app.api.connections.deprovision_user(&caller.actor(), &spaces, &user).await?;
    Ok(Json(Deprovisioned { revoked: done.revoked, queued: done.queued }))
}

/// Reinstates a deprovisioned user, who can connect again. Idempotent.
#[utoipa::path(post, path = "/internal/actions/users/{user}/_reinstate", operation_id = "reinstateUser", tag = "users",
    params(("user" = String, Path)), responses((status = 204), Problems))]
async fn reinstate(State(app): State<App>, caller: User, params: PathParams) -> Result<StatusCode, Problem> {
    let user = user_of(&params)?;
    let spaces = app.api.users.spaces().await?;
    app.api.connections.reinstate_user(&caller.actor(), &spaces, &user).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn user_of(params: &PathParams) -> Result<UserId, Problem> {
    params.read("user", |text| UserId::new(text).ok())
}

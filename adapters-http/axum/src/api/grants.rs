//! Other people's grants, for administrators: who is connected to what, never a token.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use grantry_domain::authorization::{
    AuthStatus, Authorization, AuthorizationId, AuthorizationRecord, RequiredBinding, StateKind, StatusKind, StatusView,
    status,
};
use grantry_domain::connector::{ConnectorId, Incarnation};
use grantry_domain::identity::UserId;
use grantry_domain::ports::AuthorizationFilter;
use grantry_domain::provider::BindingDigest;
use grantry_domain::time::Timestamp;
use grantry_domain::usecase::ConnectorView;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::statuses::UserAuthStatus;
use crate::api::{rfc3339, rfc3339_day};
use crate::extract::{InSpace, PathParams, Person, Query};
use crate::openapi::Problems;
use crate::problem::{Code, Problem};
use crate::state::App;

/// Grants on one page, at least, while there are more.
const PAGE: u32 = 50;
/// How often the store is asked for one page at most, when most of what it has is not wanted.
const MOST_READS: u32 = 20;

pub(super) fn routes_in_space() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(revoke))
}

pub(super) fn routes_everywhere() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(deprovision_user))
}

/// Somebody's connection, present or former.
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
    /// Whose it is.
    user_id: String,
    /// Where that person stands with it.
    #[schema(value_type = UserAuthStatus)]
    status: &'static str,
    /// Why it is not usable, or how it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The account at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// Granted scopes.
    scopes: Vec<String>,
    /// When consent was committed.
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
pub(crate) struct AuthorizationPage {
    /// The grants.
    grants: Vec<Grant>,
    /// `cursor` of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What an off-boarding did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Deprovisioned {
    /// Grants ended.
    revoked: u64,
    /// Revocations that wait for their providers.
    queued: u64,
}

/// Grants and former grants of the space. Admins only.
#[utoipa::path(get, path = "/internal/actions/grants", operation_id = "listGrants", tag = "grants",
    params(("connector" = Option<String>, Query), ("user" = Option<String>, Query),
        ("status" = Option<String>, Query, description = "`connected`, `needs_reauthorization` or `not_connected`"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before")),
    responses((status = 200, body = AuthorizationPage), Problems))]
async fn list(
    State(app): State<App>,
    person: Person,
    InSpace(space): InSpace,
    mut query: Query,
) -> Result<Json<AuthorizationPage>, Problem> {
    let Wanted { filter, status, mut after } = Wanted::read(&mut query)?;
    query.finish()?;
    let actor = person.actor();
    let now = app.api.connections.ports().authorizations.now().await.map_err(|_| Problem::new(Code::StoreUnavailable))?;
    let views = app.api.connections.connectors(&actor, &space).await?;
    let connectors: HashMap<Incarnation, ConnectorView> =
        views.into_iter().map(|view| (view.connector.incarnation, view)).collect();
    let mut grants = Vec::new();
    for _ in 0..MOST_READS {
        let page = app.api.connections.list_grants(&actor, &space, filter.clone(), after, PAGE).await?;
        let found = page.records.into_iter().filter_map(|record| {
            let connector = connectors.get(&record.owner.incarnation);
            shown(&app, record, connector, now)
        });
        grants.extend(found.filter(|grant| status.is_none_or(|status| grant.status == status.as_str())));
        after = page.next;
        if grants.len() >= PAGE as usize || after.is_none() {
            break;
        }
    }
    Ok(Json(AuthorizationPage { grants, next_cursor: after.map(|id| id.to_string()) }))
}

/// What the query asks for.
struct Wanted {
    filter: AuthorizationFilter,
    /// Judged record by record: which state has it depends on the connector.
    status: Option<StatusKind>,
    after: Option<AuthorizationId>,
}

impl Wanted {
    fn read(query: &mut Query) -> Result<Self, Problem> {
        let connector = query
            .take("connector")?
            .map(|text| ConnectorId::new(text).map_err(|invalid| Problem::invalid("connector", invalid.problem)));
        let user =
            query.take("user")?.map(|text| UserId::new(text).map_err(|invalid| Problem::invalid("user", invalid.problem)));
        let status = query.take("status")?.map(|text| match StatusKind::parse(&text) {
            Some(StatusKind::Connected) => Ok((StatusKind::Connected, Some(StateKind::Authorized))),
            Some(StatusKind::NotConnected) => Ok((StatusKind::NotConnected, None)),
            Some(StatusKind::NeedsReauthorization) => Ok((StatusKind::NeedsReauthorization, None)),
            Some(StatusKind::NotApplicable | StatusKind::Connecting) | None => {
                Err(Problem::invalid("status", "must be connected, needs_reauthorization or not_connected"))
            }
        });
        let (status, state) = status.transpose()?.unzip();
        let cursor = query
            .take("cursor")?
            .map(|text| AuthorizationId::parse(&text).ok_or_else(|| Problem::invalid("cursor", "is not a cursor")));
        let filter =
            AuthorizationFilter { connector: connector.transpose()?, user: user.transpose()?, state: state.flatten() };
        Ok(Self { filter, status, after: cursor.transpose()? })
    }
}

/// `None` for records that are no grant and never were.
fn shown(app: &App, record: AuthorizationRecord, connector: Option<&ConnectorView>, now: Timestamp) -> Option<Grant> {
    let connected_at = record.authorized_at?;
    let judged = judged(app, &record, connector, now);
    Some(Grant {
        grant_id: record.id.to_string(),
        connector_id: record.owner.connector.as_str().to_owned(),
        connector_name: connector.map(|view| view.connector.name.as_str().to_owned()),
        space_id: record.owner.space.as_str().to_owned(),
        user_id: record.owner.user.as_str().to_owned(),
        status: judged.kind.as_str(),
        reason: judged.reason.map(|reason| reason.as_str().to_owned()).or(record.cause),
        account: record.account,
        scopes: record.scopes.iter().map(str::to_owned).collect(),
        connected_at: rfc3339(connected_at),
        last_used_at: record.last_used_day.map(rfc3339_day),
        ended_at: record.since.map(rfc3339),
    })
}

/// The one status function, asked about this record alone. A connector that is gone has no status left.
fn judged(app: &App, record: &AuthorizationRecord, connector: Option<&ConnectorView>, now: Timestamp) -> AuthStatus {
    let (Some(connector), Ok(grant)) = (connector, Authorization::restore(record.clone())) else {
        return AuthStatus::plain(StatusKind::NotConnected);
    };
    let demands = connector.settings.as_ref().ok().map(|settings| RequiredBinding {
        digest: BindingDigest(app.api.connections.ports().vault.fingerprint(&settings.binding_bytes())),
        required_scopes: settings.required_scopes.clone(),
    });
    let (grant, former) = if record.state == StateKind::Authorized { (Some(grant), None) } else { (None, Some(grant)) };
    let view = StatusView { connector: connector.connector.clone(), grant, former, pending: None };
    // Whether an envelope opens is found out by its owner's own status, not by opening everybody's for a list.
    status(&view, demands.as_ref(), |_| true, now)
}

/// Ends somebody's grant. Admins only.
#[utoipa::path(delete, path = "/internal/actions/grants/{grantId}", operation_id = "revokeGrant", tag = "grants",
    params(("grantId" = String, Path)), responses((status = 204), Problems))]
async fn revoke(
    State(app): State<App>,
    person: Person,
    InSpace(space): InSpace,
    params: PathParams,
) -> Result<StatusCode, Problem> {
    let id = params.read("grantId", AuthorizationId::parse)?;
    app.api.connections.revoke_grant(&person.actor(), &space, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends everything a person has, in every space. For admins of all spaces.
#[utoipa::path(delete, path = "/internal/actions/users/{user}/grants", operation_id = "offBoard", tag = "grants",
    params(("user" = String, Path)), responses((status = 200, body = Deprovisioned), Problems))]
async fn deprovision_user(
    State(app): State<App>,
    person: Person,
    params: PathParams,
) -> Result<Json<Deprovisioned>, Problem> {
    let user = params.read("user", |text| UserId::new(text).ok())?;
    let spaces = app.api.people.spaces().await?;
    let done = app.api.connections.deprovision_user(&person.actor(), &spaces, &user).await?;
    Ok(Json(Deprovisioned { revoked: done.revoked, queued: done.queued }))
}

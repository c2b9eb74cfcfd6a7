//! Connectors and their types: list, read, create, edit, delete. No response contains a client secret.

use axum::Json;
use axum::extract::State;
use grantry_domain::connector::ConnectorId;
use grantry_domain::identity::Role;
use grantry_domain::usecase::ConnectorView;
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::connections::{AuthStatus, Connection, UserAuthStatusName};
use crate::api::connector_body::{ConnectorBody, config_of};
use crate::connector_types::{AuthModeName, ListedConnectorType};
use crate::consent::ConsentFacts;
use crate::extract::{ConnectorPath, Editor, JsonBody, PathParams, Query, SpacePath, User};
use crate::format::rfc3339;
use crate::problem::{Code, Problem, ProblemDetails, Problems};
use crate::state::App;

pub(super) fn routes_in_space() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(list_internal))
        .routes(routes!(create))
        .routes(routes!(read, create_with_id, update, delete))
        .routes(routes!(list_types))
        .routes(routes!(list_types_internal))
}

/// A connector in a response.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, clippy::struct_excessive_bools, reason = "names of the contract")]
pub(crate) struct Connector {
    /// Its id within its space.
    id: String,
    /// Its space.
    space_id: String,
    /// Display name.
    name: String,
    /// Profile id, or `.oauth2` for hand-written endpoints.
    connector_type_id: String,
    /// `per-user`: every user connects an account. `shared`: the service account of the connector.
    auth_mode: AuthModeName,
    /// Settings of the profile, and `authType`: `oauth_authorization_code`, or `oauth_client_credentials` for a shared
    /// connector.
    #[schema(value_type = Object)]
    config: Box<RawValue>,
    /// Whether client id or client secret must still be entered.
    is_missing_secrets: bool,
    /// The exact string to register at the provider. Absent for a connector with `is_tampered`.
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_uri: Option<String>,
    /// Whether the stored connector is not authentic, because another program changed it or its key is not configured. It is
    /// not used, its settings are not shown, and it can only be deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_tampered: bool,
    /// Whether `tryConnection` is possible: there is a request that succeeds with every valid token.
    can_be_tried: bool,
    /// When it was created.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was last edited.
    #[schema(format = DateTime)]
    updated_at: String,
    /// Increases with every edit. Send it back to detect a concurrent edit.
    revision: u64,
    /// Whether the signed-in user is connected.
    #[schema(value_type = UserAuthStatusName)]
    user_auth_status: &'static str,
    /// The connection to show: the user's default, else `default`, else the first. Absent for a shared connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<Connection>,
    /// All connections of the user, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<Vec<Connection>>,
    /// Name of the connection that the user set as default.
    #[serde(skip_serializing_if = "Option::is_none")]
    default_connection: Option<String>,
    /// Number of users that an edit disconnected. Only in the response to an edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnected_users: Option<u64>,
    /// Number of users who need a new consent after an edit: those disconnected, and those whose grants lack a scope that is
    /// newly required. Only in the response to an edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    affected_users: Option<u64>,
    /// Information to show before the redirect to the provider, without the hosts that an issuer's metadata names: `getConsent`
    /// has them. Absent while the settings are invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    consent: Option<ConsentFacts>,
    /// Always false. For front ends of an earlier API.
    is_preconfigured: bool,
    /// Always false.
    is_deprecated: bool,
    /// Always false. For front ends of an earlier API.
    is_system_action: bool,
    /// Whether the sunset of the connector type has passed.
    is_connector_type_deprecated: bool,
    /// Always 0. For front ends of an earlier API.
    referenced_by_count: u32,
}

/// Numbers of users that an edit would disconnect or affect.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DryRun {
    /// How many it would disconnect.
    disconnected_users: u64,
    /// How many would need a new consent: those disconnected, and those whose grants lack a scope that is newly required.
    affected_users: u64,
}

/// The effect of an edit, or with `dry_run=true` of a possible one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EditedConnector)]
#[serde(untagged)]
pub(crate) enum Edited {
    /// The connector after the edit.
    Done(Box<Connector>),
    /// Nothing was changed.
    DryRun(DryRun),
}

impl Connector {
    fn of(app: &App, view: ConnectorView) -> Self {
        let is_tampered = view.is_tampered();
        let consent = view.settings.as_deref().ok().map(ConsentFacts::of_settings);
        let can_be_tried = view.settings.as_deref().is_ok_and(|settings| settings.can_be_tried);
        let AuthStatus { user_auth_status, connection, connections, default_connection } = view.status.into();
        let connector = view.connector;
        let now = app.api.clock.now();
        let kind = app.api.connector_types.iter().find(|kind| kind.id == connector.config.profile.as_str());
        Self {
            id: connector.key.id.as_str().to_owned(),
            space_id: connector.key.space.as_str().to_owned(),
            name: connector.name.as_str().to_owned(),
            connector_type_id: connector.config.profile.as_str().to_owned(),
            auth_mode: connector.auth_mode.into(),
            config: config_of(connector.config.settings, connector.auth_mode),
            is_missing_secrets: view.is_missing_secrets,
            redirect_uri: view.redirect_uri,
            is_tampered,
            can_be_tried,
            created_at: rfc3339(connector.created_at),
            updated_at: rfc3339(connector.updated_at),
            revision: connector.revision,
            user_auth_status,
            connection,
            connections,
            default_connection,
            disconnected_users: None,
            affected_users: None,
            consent,
            is_preconfigured: false,
            is_deprecated: false,
            is_system_action: false,
            is_connector_type_deprecated: kind.is_some_and(|kind| kind.is_deprecated(now)),
            referenced_by_count: 0,
        }
    }
}

/// The connectors of the space.
#[utoipa::path(get, path = "/api/actions/connectors", operation_id = "listConnectors", tag = "connectors",
    responses((status = 200, body = Vec<Connector>), Problems))]
async fn list(State(app): State<App>, user: User, SpacePath(space): SpacePath) -> Result<Json<Vec<Connector>>, Problem> {
    let views = app.api.connections.connectors(&user.actor(), &space).await?;
    Ok(Json(views.into_iter().map(|view| Connector::of(&app, view)).collect()))
}

/// The same as `listConnectors`.
#[utoipa::path(get, path = "/internal/actions/connectors", operation_id = "listConnectorsInternal", tag = "connectors",
    responses((status = 200, body = Vec<Connector>), Problems))]
async fn list_internal(app: State<App>, user: User, space: SpacePath) -> Result<Json<Vec<Connector>>, Problem> {
    list(app, user, space).await
}

/// One connector.
#[utoipa::path(get, path = "/api/actions/connector/{id}", operation_id = "getConnector", tag = "connectors",
    params(("id" = String, Path)), responses((status = 200, body = Connector), Problems))]
async fn read(State(app): State<App>, user: User, ConnectorPath(key): ConnectorPath) -> Result<Json<Connector>, Problem> {
    let view = app.api.connections.connector(&user.actor(), &key).await?;
    Ok(Json(Connector::of(&app, view)))
}

/// Creates a connector with an id from the server. Editors only.
#[utoipa::path(post, path = "/api/actions/connector", operation_id = "createConnector", tag = "connectors",
    request_body = ConnectorBody, responses((status = 200, body = Connector), Problems))]
async fn create(
    app: State<App>,
    editor: Editor,
    space: SpacePath,
    body: JsonBody<ConnectorBody>,
) -> Result<Json<Connector>, Problem> {
    created(app, editor, space, None, body).await
}

/// Creates a connector with this id. Editors only.
#[utoipa::path(post, path = "/api/actions/connector/{id}", operation_id = "createConnectorWithId", tag = "connectors",
    params(("id" = String, Path)), request_body = ConnectorBody,
    responses((status = 200, body = Connector), (status = 409, description = "The id is taken", body = ProblemDetails), Problems))]
async fn create_with_id(
    app: State<App>,
    editor: Editor,
    space: SpacePath,
    params: PathParams,
    body: JsonBody<ConnectorBody>,
) -> Result<Json<Connector>, Problem> {
    let id = ConnectorId::new(params.get("id").unwrap_or_default());
    let id = id.map_err(|invalid| Problem::invalid("id", invalid.problem))?;
    created(app, editor, space, Some(id), body).await
}

async fn created(
    State(app): State<App>,
    Editor(actor): Editor,
    SpacePath(space): SpacePath,
    id: Option<ConnectorId>,
    JsonBody(body): JsonBody<ConnectorBody>,
) -> Result<Json<Connector>, Problem> {
    if body.revision.is_some() {
        return Err(Problem::invalid("revision", "is only for edits"));
    }
    let draft = body.into_draft()?;
    let view = app.api.connections.create_connector(&actor, &space, id, draft).await?;
    Ok(Json(Connector::of(&app, view)))
}

/// Edits a connector. A security-relevant edit ends all grants; `disconnected_users` counts the users, and `affected_users`
/// also those who need a new consent because of `requiredScopes`. Editors only.
#[utoipa::path(put, path = "/api/actions/connector/{id}", operation_id = "updateConnector", tag = "connectors",
    params(("id" = String, Path), ("dry_run" = Option<bool>, Query, description = "Return the numbers and change nothing")),
    request_body = ConnectorBody, responses((status = 200, body = Edited), Problems))]
async fn update(
    State(app): State<App>,
    Editor(actor): Editor,
    ConnectorPath(key): ConnectorPath,
    mut query: Query,
    JsonBody(body): JsonBody<ConnectorBody>,
) -> Result<Json<Edited>, Problem> {
    let dry_run = query.take_flag("dry_run")?;
    query.finish()?;
    let current = app.api.connections.connector(&actor, &key).await?.connector;
    let (draft, revision) = body.into_edit(&current)?;
    let outcome = app.api.connections.update_connector(&actor, &key, draft, revision, dry_run).await?;
    let (disconnected_users, affected_users) = (outcome.disconnected_users, outcome.affected_users);
    if dry_run {
        return Ok(Json(Edited::DryRun(DryRun { disconnected_users, affected_users })));
    }
    let connector = Connector {
        disconnected_users: Some(disconnected_users),
        affected_users: Some(affected_users),
        ..Connector::of(&app, outcome.view)
    };
    Ok(Json(Edited::Done(Box::new(connector))))
}

/// Deletes a connector and ends all its grants and flows. Editors only.
#[utoipa::path(delete, path = "/api/actions/connector/{id}", operation_id = "deleteConnector", tag = "connectors",
    params(("id" = String, Path)), responses((status = 204), Problems))]
async fn delete(State(app): State<App>, user: User, ConnectorPath(key): ConnectorPath) -> Result<StatusCode, Problem> {
    app.api.connections.delete_connector(&user.actor(), &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Provider profiles that can be used, with their fields. The list is the same in every space.
#[utoipa::path(get, path = "/api/actions/connector_types", operation_id = "listConnectorTypes", tag = "connectors",
    responses((status = 200, body = Vec<ListedConnectorType>), Problems))]
async fn list_types(
    State(app): State<App>,
    user: User,
    params: PathParams,
    SpacePath(space): SpacePath,
) -> Result<Json<Vec<ListedConnectorType>>, Problem> {
    let view = app.api.users.describe(&user.id).await?.ok_or_else(|| Problem::new(Code::NotSignedIn))?;
    let mut usable = view.spaces.iter().filter(|space| space.role >= Role::Viewer);
    // Without a space in the path, a space in which the list can be used is enough.
    let (is_allowed, refused) = match params.get("space") {
        Some(_) => (usable.any(|usable| usable.id == space), Code::NotFound),
        None => (usable.next().is_some(), Code::Forbidden),
    };
    if !is_allowed {
        return Err(Problem::new(refused));
    }
    let now = app.api.clock.now();
    Ok(Json(app.api.connector_types.iter().map(|kind| ListedConnectorType::of(kind, now)).collect()))
}

/// The same as `listConnectorTypes`.
#[utoipa::path(get, path = "/internal/actions/connector_types", operation_id = "listConnectorTypesInternal", tag = "connectors",
    responses((status = 200, body = Vec<ListedConnectorType>), Problems))]
async fn list_types_internal(
    app: State<App>,
    user: User,
    params: PathParams,
    space: SpacePath,
) -> Result<Json<Vec<ListedConnectorType>>, Problem> {
    list_types(app, user, params, space).await
}

//! Connectors and their types: list, read, create, edit, delete. No response contains a client secret.

use axum::Json;
use axum::extract::State;
use grantry_domain::connector::{AuthMode, ConnectorId, ConnectorName, ProfileId};
use grantry_domain::identity::Role;
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{ConnectorDraft, ConnectorView};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::connections::{AuthStatus, Connection, UserAuthStatusName};
use crate::connector_types::{AuthModeName, ConnectorType};
use crate::consent::ConsentFacts;
use crate::extract::{ConnectorPath, JsonBody, PathParams, Query, SecretText, SpacePath, User, optional_object};
use crate::format::rfc3339;
use crate::problem::{Code, Problem, ProblemDetails, Problems};
use crate::state::App;

/// Longest `config`, in bytes of its text.
const LONGEST_CONFIG: usize = 16 * 1024;

pub(super) fn routes_in_space() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(create)).routes(routes!(read, create_with_id, update, delete))
}

pub(super) fn global_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_types))
}

/// A connector in a response.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "names of the contract")]
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
    /// Settings of the profile.
    #[schema(value_type = Object)]
    config: Box<RawValue>,
    /// Whether client id or client secret must still be entered.
    is_missing_secrets: bool,
    /// The exact string to register at the provider.
    redirect_uri: String,
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
    /// Information to show before the redirect to the provider. Absent while the settings are invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    consent: Option<ConsentFacts>,
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

/// A connector as it is sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConnectorBody {
    /// Display name: 1 to 200 characters.
    name: String,
    /// Profile id. An edit may omit it and cannot change it.
    connector_type_id: Option<String>,
    /// `per-user` (default) or `shared`. An edit may omit it and cannot change it.
    auth_mode: Option<AuthModeName>,
    /// Settings of the profile.
    #[schema(value_type = Object)]
    config: Box<RawValue>,
    /// Client id and secret. An edit keeps the ones that are absent.
    #[serde(default, deserialize_with = "optional_object")]
    secrets: Option<ConnectorSecrets>,
    /// Only for an edit: the revision it is based on. 409 if the connector has a newer one.
    revision: Option<u64>,
}

/// The client's registration at the provider. Write-only.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConnectorSecrets {
    /// Client id.
    client_id: Option<String>,
    /// Client secret.
    #[schema(value_type = Option<String>, write_only)]
    client_secret: Option<SecretText>,
}

impl ConnectorBody {
    fn profile(&self) -> Result<Option<ProfileId>, Problem> {
        let id = self.connector_type_id.as_deref().map(ProfileId::new).transpose();
        id.map_err(|invalid| Problem::invalid("connector_type_id", invalid.problem))
    }

    fn into_draft(self, profile: ProfileId, auth_mode: AuthMode) -> Result<ConnectorDraft, Problem> {
        let name = ConnectorName::new(self.name).map_err(|invalid| Problem::invalid("name", invalid.problem))?;
        let config = String::from(Box::<str>::from(self.config));
        if !config.starts_with('{') {
            return Err(Problem::invalid("config", "must be an object"));
        }
        if config.len() > LONGEST_CONFIG {
            return Err(Problem::invalid("config", format!("is longer than {LONGEST_CONFIG} bytes")));
        }
        let ConnectorSecrets { client_id, client_secret } = self.secrets.unwrap_or_default();
        let client_secret = client_secret.map(|SecretText(secret)| secret);
        let is_empty = [
            ("secrets.clientId", client_id.as_ref().is_some_and(String::is_empty)),
            ("secrets.clientSecret", client_secret.as_ref().is_some_and(Secret::is_empty)),
        ];
        if let Some((field, _)) = is_empty.into_iter().find(|(_, is_empty)| *is_empty) {
            return Err(Problem::invalid(field, "must not be empty; omit it to keep the current one"));
        }
        Ok(ConnectorDraft { name, profile, auth_mode, settings: config, client_id, client_secret })
    }
}

impl From<ConnectorView> for Connector {
    fn from(view: ConnectorView) -> Self {
        let consent = view.settings.as_ref().ok().map(ConsentFacts::of);
        let AuthStatus { user_auth_status, connection, connections, default_connection } = view.status.into();
        let connector = view.connector;
        Self {
            id: connector.key.id.as_str().to_owned(),
            space_id: connector.key.space.as_str().to_owned(),
            name: connector.name.as_str().to_owned(),
            connector_type_id: connector.config.profile.as_str().to_owned(),
            auth_mode: connector.auth_mode.into(),
            // Only objects are stored.
            config: RawValue::from_string(connector.config.settings).unwrap_or_default(),
            is_missing_secrets: view.is_missing_secrets,
            redirect_uri: view.redirect_uri,
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
        }
    }
}

/// The connectors of the space.
#[utoipa::path(get, path = "/api/actions/connectors", operation_id = "listConnectors", tag = "connectors",
    responses((status = 200, body = Vec<Connector>), Problems))]
async fn list(State(app): State<App>, user: User, SpacePath(space): SpacePath) -> Result<Json<Vec<Connector>>, Problem> {
    let views = app.api.connections.connectors(&user.actor(), &space).await?;
    Ok(Json(views.into_iter().map(Connector::from).collect()))
}

/// One connector.
#[utoipa::path(get, path = "/api/actions/connector/{id}", operation_id = "getConnector", tag = "connectors",
    params(("id" = String, Path)), responses((status = 200, body = Connector), Problems))]
async fn read(State(app): State<App>, user: User, ConnectorPath(key): ConnectorPath) -> Result<Json<Connector>, Problem> {
    Ok(Json(app.api.connections.connector(&user.actor(), &key).await?.into()))
}

/// Creates a connector with an id from the server. Editors only.
#[utoipa::path(post, path = "/api/actions/connector", operation_id = "createConnector", tag = "connectors",
    request_body = ConnectorBody, responses((status = 200, body = Connector), Problems))]
async fn create(
    app: State<App>,
    user: User,
    space: SpacePath,
    body: JsonBody<ConnectorBody>,
) -> Result<Json<Connector>, Problem> {
    created(app, user, space, None, body).await
}

/// Creates a connector with this id. Editors only.
#[utoipa::path(post, path = "/api/actions/connector/{id}", operation_id = "createConnectorWithId", tag = "connectors",
    params(("id" = String, Path)), request_body = ConnectorBody,
    responses((status = 200, body = Connector), (status = 409, description = "The id is taken", body = ProblemDetails), Problems))]
async fn create_with_id(
    app: State<App>,
    user: User,
    space: SpacePath,
    params: PathParams,
    body: JsonBody<ConnectorBody>,
) -> Result<Json<Connector>, Problem> {
    let id = ConnectorId::new(params.get("id").unwrap_or_default());
    let id = id.map_err(|invalid| Problem::invalid("id", invalid.problem))?;
    created(app, user, space, Some(id), body).await
}

async fn created(
    State(app): State<App>,
    user: User,
    SpacePath(space): SpacePath,
    id: Option<ConnectorId>,
    JsonBody(body): JsonBody<ConnectorBody>,
) -> Result<Json<Connector>, Problem> {
    if body.revision.is_some() {
        return Err(Problem::invalid("revision", "is only for edits"));
    }
    let profile = body.profile()?.ok_or_else(|| Problem::invalid("connector_type_id", "is missing"))?;
    let auth_mode = body.auth_mode.map_or(AuthMode::PerUser, AuthMode::from);
    let draft = body.into_draft(profile, auth_mode)?;
    let view = app.api.connections.create_connector(&user.actor(), &space, id, draft).await?;
    Ok(Json(view.into()))
}

/// Edits a connector. A security-relevant edit ends all grants; `disconnected_users` counts the users, and `affected_users`
/// also those who need a new consent because of `requiredScopes`. Editors only.
#[utoipa::path(put, path = "/api/actions/connector/{id}", operation_id = "updateConnector", tag = "connectors",
    params(("id" = String, Path), ("dry_run" = Option<bool>, Query, description = "Return the numbers and change nothing")),
    request_body = ConnectorBody, responses((status = 200, body = Edited), Problems))]
async fn update(
    State(app): State<App>,
    user: User,
    ConnectorPath(key): ConnectorPath,
    mut query: Query,
    JsonBody(body): JsonBody<ConnectorBody>,
) -> Result<Json<Edited>, Problem> {
    let actor = user.actor();
    let dry_run = match query.take("dry_run")?.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Problem::invalid("dry_run", "must be true or false")),
    };
    query.finish()?;
    let revision = body.revision;
    let (profile, auth_mode) = match (body.profile()?, body.auth_mode.map(AuthMode::from)) {
        (Some(profile), Some(auth_mode)) => (profile, auth_mode),
        (profile, auth_mode) => {
            let current = app.api.connections.connector(&actor, &key).await?.connector;
            (profile.unwrap_or(current.config.profile), auth_mode.unwrap_or(current.auth_mode))
        }
    };
    let draft = body.into_draft(profile, auth_mode)?;
    let outcome = app.api.connections.update_connector(&actor, &key, draft, revision, dry_run).await?;
    let (disconnected_users, affected_users) = (outcome.disconnected_users, outcome.affected_users);
    if dry_run {
        return Ok(Json(Edited::DryRun(DryRun { disconnected_users, affected_users })));
    }
    let connector = Connector {
        disconnected_users: Some(disconnected_users),
        affected_users: Some(affected_users),
        ..outcome.view.into()
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

/// Provider profiles that can be used, with their fields.
#[utoipa::path(get, path = "/api/actions/connector_types", operation_id = "listConnectorTypes", tag = "connectors",
    responses((status = 200, body = Vec<ConnectorType>), Problems))]
async fn list_types(State(app): State<App>, user: User) -> Result<Json<Vec<ConnectorType>>, Problem> {
    // The list is the same for all users, but requires a space in which it can be used.
    match app.api.users.describe(&user.id).await? {
        Some(view) if view.spaces.iter().any(|space| space.role >= Role::Viewer) => {
            Ok(Json(app.api.connector_types.clone()))
        }
        Some(_) => Err(Problem::new(Code::Forbidden)),
        None => Err(Problem::new(Code::NotSignedIn)),
    }
}

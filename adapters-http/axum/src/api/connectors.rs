//! Connectors: list, read, create, edit, delete. A client secret goes in and never comes out (R64).

use axum::Json;
use axum::extract::State;
use grantry_domain::connector::{AuthMode, ConnectorId, ConnectorName, ProfileId};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{ConnectorDraft, ConnectorView};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::rfc3339;
use crate::api::statuses::UserAuthStatus;
use crate::connector_types::AuthModeName;
use crate::consent::ConsentFacts;
use crate::extract::{AtConnector, InSpace, JsonBody, PathParams, Person, Query, SecretText, optional_object};
use crate::openapi::Problems;
use crate::problem::Problem;
use crate::state::App;

/// Longest `config`, in bytes of its text.
const LONGEST_CONFIG: usize = 16 * 1024;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(create)).routes(routes!(read, create_with_id, update, delete))
}

/// A connector as it is answered. It never holds a secret.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "names of the contract")]
pub(crate) struct Connector {
    /// Its id within its space.
    id: String,
    /// The space it lives in.
    space_id: String,
    /// Name for people.
    name: String,
    /// Profile id, or `.oauth2` for hand-written endpoints.
    connector_type_id: String,
    /// Whose account it runs with: `per-user` or `shared`.
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
    /// Raised by every edit; send it back to notice that somebody else was quicker.
    revision: u64,
    /// Where the asking person stands.
    #[schema(value_type = UserAuthStatus)]
    user_auth_status: &'static str,
    /// How many people an edit disconnected; only in the answer to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnected_users: Option<u64>,
    /// What a person should know before leaving for the provider (R19). Absent while the settings cannot be understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    consent: Option<ConsentFacts>,
}

/// How many people an edit would disconnect.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DryRun {
    /// The number.
    disconnected_users: u64,
}

/// What an edit did, or with `dry_run=true` would do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EditedConnector)]
#[serde(untagged)]
pub(crate) enum Edited {
    /// The connector afterwards.
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
            return Err(Problem::invalid(field, "must not be empty; omit it to keep the present one"));
        }
        Ok(ConnectorDraft { name, profile, auth_mode, config, client_id, client_secret })
    }
}

impl From<ConnectorView> for Connector {
    fn from(view: ConnectorView) -> Self {
        let consent = view.settings.as_ref().ok().map(ConsentFacts::of);
        let connector = view.connector;
        Self {
            id: connector.key.id.as_str().to_owned(),
            space_id: connector.key.space.as_str().to_owned(),
            name: connector.name.as_str().to_owned(),
            connector_type_id: connector.config.profile.as_str().to_owned(),
            auth_mode: connector.auth_mode.into(),
            // It was an object when it was stored.
            config: RawValue::from_string(connector.config.settings).unwrap_or_default(),
            is_missing_secrets: view.is_missing_secrets,
            redirect_uri: view.redirect_uri,
            created_at: rfc3339(connector.created_at),
            updated_at: rfc3339(connector.updated_at),
            revision: connector.revision,
            user_auth_status: view.status.kind.as_str(),
            disconnected_users: None,
            consent,
        }
    }
}

/// The connectors of the space.
#[utoipa::path(get, path = "/api/actions/connectors", operation_id = "listConnectors", tag = "connectors",
    responses((status = 200, body = Vec<Connector>), Problems))]
async fn list(State(app): State<App>, person: Person, InSpace(space): InSpace) -> Result<Json<Vec<Connector>>, Problem> {
    let views = app.api.connections.connectors(&person.actor(), &space).await?;
    Ok(Json(views.into_iter().map(Connector::from).collect()))
}

/// One connector.
#[utoipa::path(get, path = "/api/actions/connector/{id}", operation_id = "getConnector", tag = "connectors",
    params(("id" = String, Path)), responses((status = 200, body = Connector), Problems))]
async fn read(State(app): State<App>, person: Person, AtConnector(key): AtConnector) -> Result<Json<Connector>, Problem> {
    Ok(Json(app.api.connections.connector(&person.actor(), &key).await?.into()))
}

/// Creates a connector under an id that the server picks. Editors only.
#[utoipa::path(post, path = "/api/actions/connector", operation_id = "createConnector", tag = "connectors",
    request_body = ConnectorBody, responses((status = 200, body = Connector), Problems))]
async fn create(
    app: State<App>,
    person: Person,
    space: InSpace,
    body: JsonBody<ConnectorBody>,
) -> Result<Json<Connector>, Problem> {
    created(app, person, space, None, body).await
}

/// Creates a connector under this id. Editors only.
#[utoipa::path(post, path = "/api/actions/connector/{id}", operation_id = "createConnectorWithId", tag = "connectors",
    params(("id" = String, Path)), request_body = ConnectorBody,
    responses((status = 200, body = Connector), (status = 409, description = "The id is taken", body = crate::problem::ProblemDetails), Problems))]
async fn create_with_id(
    app: State<App>,
    person: Person,
    space: InSpace,
    params: PathParams,
    body: JsonBody<ConnectorBody>,
) -> Result<Json<Connector>, Problem> {
    let id = ConnectorId::new(params.get("id").unwrap_or_default());
    let id = id.map_err(|invalid| Problem::invalid("id", invalid.problem))?;
    created(app, person, space, Some(id), body).await
}

async fn created(
    State(app): State<App>,
    person: Person,
    InSpace(space): InSpace,
    id: Option<ConnectorId>,
    JsonBody(body): JsonBody<ConnectorBody>,
) -> Result<Json<Connector>, Problem> {
    if body.revision.is_some() {
        return Err(Problem::invalid("revision", "is only for edits"));
    }
    let profile = body.profile()?.ok_or_else(|| Problem::invalid("connector_type_id", "is missing"))?;
    let auth_mode = body.auth_mode.map_or(AuthMode::PerUser, AuthMode::from);
    let draft = body.into_draft(profile, auth_mode)?;
    let view = app.api.connections.create_connector(&person.actor(), &space, id, draft).await?;
    Ok(Json(view.into()))
}

/// Edits a connector. A security-relevant edit ends every grant of it; `disconnected_users` says how many. Editors only.
#[utoipa::path(put, path = "/api/actions/connector/{id}", operation_id = "updateConnector", tag = "connectors",
    params(("id" = String, Path), ("dry_run" = Option<bool>, Query, description = "Answer the number and change nothing")),
    request_body = ConnectorBody, responses((status = 200, body = Edited), Problems))]
async fn update(
    State(app): State<App>,
    person: Person,
    AtConnector(key): AtConnector,
    mut query: Query,
    JsonBody(body): JsonBody<ConnectorBody>,
) -> Result<Json<Edited>, Problem> {
    let actor = person.actor();
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
            let present = app.api.connections.connector(&actor, &key).await?.connector;
            (profile.unwrap_or(present.config.profile), auth_mode.unwrap_or(present.auth_mode))
        }
    };
    let draft = body.into_draft(profile, auth_mode)?;
    let outcome = app.api.connections.update_connector(&actor, &key, draft, revision, dry_run).await?;
    let disconnected_users = outcome.disconnected_users;
    if dry_run {
        return Ok(Json(Edited::DryRun(DryRun { disconnected_users })));
    }
    let connector = Connector { disconnected_users: Some(disconnected_users), ..outcome.view.into() };
    Ok(Json(Edited::Done(Box::new(connector))))
}

/// Deletes a connector and ends everything connected through it. Editors only.
#[utoipa::path(delete, path = "/api/actions/connector/{id}", operation_id = "deleteConnector", tag = "connectors",
    params(("id" = String, Path)), responses((status = 204), Problems))]
async fn delete(State(app): State<App>, person: Person, AtConnector(key): AtConnector) -> Result<StatusCode, Problem> {
    app.api.connections.delete_connector(&person.actor(), &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Connectors: list, read, create, edit, delete. A client secret goes in and never comes out (R64).

use axum::Json;
use axum::extract::State;
use grantry_domain::connector::{AuthMode, ConnectorId, ConnectorName, ProfileId};
use grantry_domain::usecase::{ConnectorDraft, ConnectorView};
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::rfc3339;
use crate::api::statuses::UserAuthStatus;
use crate::connector_types::AuthModeName;
use crate::consent::ConsentFacts;
use crate::extract::{AtConnector, Body, Fields, InSpace, PathParams, Person, Query};
use crate::openapi::Problems;
use crate::problem::{Code, Problem};
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
    #[schema(value_type = AuthModeName)]
    auth_mode: &'static str,
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
#[derive(ToSchema)]
#[schema(as = ConnectorBody)]
#[expect(dead_code, reason = "describes the body; the fields are read one by one, so that errors can name them")]
struct ConnectorBody {
    /// Name for people: 1 to 200 characters.
    name: String,
    /// Profile id; on an edit it may be absent, and cannot change.
    connector_type_id: Option<String>,
    /// `per-user` (default) or `shared`; cannot change.
    #[schema(value_type = Option<AuthModeName>)]
    auth_mode: Option<String>,
    /// Settings of the profile.
    #[schema(value_type = Object)]
    config: serde_json::Value,
    /// Client id and secret. What is absent on an edit is kept.
    secrets: Option<ConnectorSecrets>,
    /// On an edit: the revision it is based on. 409 if the connector has a newer one.
    revision: Option<u64>,
}

/// The client's registration at the provider. Write-only.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body; the fields are read one by one, so that errors can name them")]
struct ConnectorSecrets {
    /// Client id.
    #[schema(rename = "clientId")]
    client_id: Option<String>,
    /// Client secret.
    #[schema(rename = "clientSecret", write_only)]
    client_secret: Option<String>,
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
            auth_mode: connector.auth_mode.as_str(),
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
async fn create(app: State<App>, person: Person, space: InSpace, body: Body) -> Result<Json<Connector>, Problem> {
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
    body: Body,
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
    Body(mut fields): Body,
) -> Result<Json<Connector>, Problem> {
    let profile = read_profile(&mut fields)?.ok_or_else(|| fields.missing("connector_type_id"))?;
    let auth_mode = read_mode(&mut fields)?.unwrap_or(AuthMode::PerUser);
    let draft = read_draft(fields, profile, auth_mode)?;
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
    Body(mut fields): Body,
) -> Result<Json<Edited>, Problem> {
    let actor = person.actor();
    let dry_run = match query.take("dry_run")?.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Problem::invalid("dry_run", "must be true or false")),
    };
    query.finish()?;
    let revision = fields.optional_count("revision")?;
    let (profile, auth_mode) = match (read_profile(&mut fields)?, read_mode(&mut fields)?) {
        (Some(profile), Some(auth_mode)) => (profile, auth_mode),
        (profile, auth_mode) => {
            let present = app.api.connections.connector(&actor, &key).await?.connector;
            (profile.unwrap_or(present.config.profile), auth_mode.unwrap_or(present.auth_mode))
        }
    };
    let draft = read_draft(fields, profile, auth_mode)?;
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

fn read_profile(fields: &mut Fields) -> Result<Option<ProfileId>, Problem> {
    let text = fields.optional_text("connector_type_id")?;
    text.map(|text| ProfileId::new(text.as_str()).map_err(|invalid| Problem::invalid("connector_type_id", invalid.problem)))
        .transpose()
}

fn read_mode(fields: &mut Fields) -> Result<Option<AuthMode>, Problem> {
    let text = fields.optional_text("auth_mode")?;
    text.map(|text| AuthMode::parse(&text).ok_or_else(|| Problem::invalid("auth_mode", "must be per-user or shared")))
        .transpose()
}

fn read_draft(mut fields: Fields, profile: ProfileId, auth_mode: AuthMode) -> Result<ConnectorDraft, Problem> {
    let name =
        ConnectorName::new(fields.text("name")?.as_str()).map_err(|invalid| Problem::invalid("name", invalid.problem))?;
    let config = fields.object("config")?.into_json().to_text().ok_or_else(|| Problem::new(Code::Internal))?;
    if config.len() > LONGEST_CONFIG {
        return Err(Problem::invalid("config", format!("is longer than {LONGEST_CONFIG} bytes")));
    }
    let (client_id, client_secret) = match fields.optional_object("secrets")? {
        None => (None, None),
        Some(mut secrets) => {
            let id = secrets.optional_text("clientId")?.map(|id| id.as_str().to_owned());
            let secret = secrets.optional_secret("clientSecret")?;
            for (field, is_empty) in [
                ("clientId", id.as_ref().is_some_and(String::is_empty)),
                ("clientSecret", secret.as_ref().is_some_and(grantry_domain::secret::Secret::is_empty)),
            ] {
                if is_empty {
                    return Err(Problem::invalid(
                        secrets.name(field),
                        "must not be empty; leave it out to keep the present one",
                    ));
                }
            }
            secrets.finish()?;
            (id, secret)
        }
    };
    fields.finish()?;
    Ok(ConnectorDraft { name, profile, auth_mode, config, client_id, client_secret })
}

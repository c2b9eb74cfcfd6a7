//! The root of a space: the console, or without one the connectors with their start links.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use grantry_domain::authorization::StatusKind;
use grantry_domain::connector::AuthMode;
use grantry_domain::identity::SpaceId;
use grantry_domain::usecase::ConnectorView;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::PersonView;
use crate::extract::{InSpace, Person};
use crate::guard::CorrelationId;
use crate::launch;
use crate::openapi::Pages;
use crate::pages::{console, failure, page, person_or, root_path};
use crate::problem::{Code, Problem};
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(home)).routes(routes!(home_of_space)).routes(routes!(without_slash))
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    style: String,
    script: String,
    session: String,
    person: String,
    can_log_out: bool,
    spaces: Vec<SpaceLink>,
    connectors: Vec<Row>,
}

struct SpaceLink {
    href: String,
    name: String,
    is_current: bool,
}

struct Row {
    name: String,
    status: String,
    connect: Option<String>,
    connect_label: &'static str,
    disconnect: Option<String>,
}

/// The console of the default space.
#[utoipa::path(get, path = "/", operation_id = "home", tag = "pages", responses(Pages))]
async fn home(State(app): State<App>, person: Result<Person, Problem>, correlation: CorrelationId) -> Response {
    shown(&app, person, SpaceId::default_space(), &correlation).await
}

/// The console of a space.
#[utoipa::path(get, path = "/s/{space}/", operation_id = "homeInSpace", tag = "pages", params(("space" = String, Path)),
    responses(Pages))]
async fn home_of_space(
    State(app): State<App>,
    person: Result<Person, Problem>,
    space: Result<InSpace, Problem>,
    correlation: CorrelationId,
) -> Response {
    match space {
        Ok(InSpace(space)) => shown(&app, person, space, &correlation).await,
        Err(problem) => failure(&app, &problem, &correlation),
    }
}

/// The same without its slash.
#[utoipa::path(get, path = "/s/{space}", operation_id = "homeInSpaceWithoutSlash", tag = "pages", params(("space" = String, Path)),
    responses((status = 303, description = "To the same with a slash"), Pages))]
async fn without_slash(State(app): State<App>, space: Result<InSpace, Problem>, correlation: CorrelationId) -> Response {
    match space {
        Ok(InSpace(space)) => Redirect::to(&format!("{}/s/{space}/", app.api.public)).into_response(),
        Err(problem) => failure(&app, &problem, &correlation),
    }
}

async fn shown(app: &App, person: Result<Person, Problem>, space: SpaceId, correlation: &CorrelationId) -> Response {
    if let Some(page) = console::page(app, "index.html") {
        return page;
    }
    let person = match person_or(app, person, &root_path(app, &space), correlation) {
        Ok(person) => person,
        Err(response) => return *response,
    };
    match listed(app, &person, &space).await {
        Ok(template) => page(StatusCode::OK, &template, &app.pages.page_policy),
        Err(problem) => failure(app, &problem, correlation),
    }
}

async fn listed(app: &App, person: &Person, space: &SpaceId) -> Result<HomePage, Problem> {
    let described = app.api.people.describe(&person.user).await?.ok_or_else(|| Problem::new(Code::NotSignedIn))?;
    let views = app.api.connections.connectors(&person.actor(), space).await?;
    let PersonView { username, display_name, spaces } = described;
    Ok(HomePage {
        style: app.pages.style.url(),
        script: app.pages.page_script.url(),
        session: format!("{}/api/session", app.api.public),
        person: display_name.or(username).unwrap_or_else(|| person.user.as_str().to_owned()),
        can_log_out: app.api.identity.has_log_in(),
        spaces: spaces
            .into_iter()
            .map(|one| SpaceLink {
                href: format!("{}{}", app.api.public.origin(), root_path(app, &one.id)),
                is_current: one.id == *space,
                name: one.name.unwrap_or_else(|| one.id.as_str().to_owned()),
            })
            .collect(),
        connectors: views.iter().map(|view| row(app, view)).collect(),
    })
}

fn row(app: &App, view: &ConnectorView) -> Row {
    let key = &view.connector.key;
    let (status, connect_label, is_connected) = match view.status.kind {
        StatusKind::NotApplicable => ("Shared: nothing to connect", "", false),
        StatusKind::NotConnected => ("Not connected", "Connect", false),
        StatusKind::Connecting => ("Connecting", "Connect", false),
        StatusKind::Connected => ("Connected", "Reconnect", true),
        StatusKind::NeedsReauthorization => ("Needs to be connected again", "Reconnect", true),
    };
    let status = match &view.status.account {
        Some(account) => format!("{status} as {account}"),
        None => status.to_owned(),
    };
    let per_user = view.connector.auth_mode == AuthMode::PerUser;
    let disconnect = || {
        format!("{}{}/internal/actions/connector/{}/_oauth_disconnect", app.api.public, launch::space_prefix(key), key.id)
    };
    Row {
        name: view.connector.name.as_str().to_owned(),
        status,
        connect: per_user.then(|| app.api.connections.start_link(key)),
        connect_label,
        disconnect: is_connected.then(disconnect),
    }
}

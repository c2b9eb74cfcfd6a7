//! The root of a space: the console, or without a console a list of the connectors with their start links.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use grantry_domain::authorization::{ConnectionStatus, StatusKind};
use grantry_domain::connector::AuthMode;
use grantry_domain::identity::{ConnectionName, SpaceId};
use grantry_domain::usecase::ConnectorView;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::UserView;
use crate::extract::{SpacePath, User};
use crate::pages::console;
use crate::pages::context::PageContext;
use crate::pages::message::{Frame, Pages, error_texts, page, problem_page, user_or_response};
use crate::pages::texts::{Texts, fill};
use crate::problem::{Code, Problem};
use crate::state::App;
use crate::urls;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(home)).routes(routes!(home_of_space)).routes(routes!(without_slash))
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    frame: Frame,
    texts: &'static Texts,
    errors: String,
    session: String,
    user: String,
    can_log_out: bool,
    spaces: Vec<SpaceLink>,
    connectors: Vec<ConnectorRow>,
}

struct SpaceLink {
    href: String,
    name: String,
    is_current: bool,
}

struct ConnectorRow {
    name: String,
    status: String,
    connection: String,
    connect: Option<String>,
    connect_label: &'static str,
    disconnect: Option<String>,
}

/// The console of the default space.
#[utoipa::path(get, path = "/", operation_id = "home", tag = "pages", responses(Pages))]
async fn home(State(app): State<App>, user: Result<User, Problem>, context: PageContext) -> Response {
    home_page(&app, user, SpaceId::default_space(), &context).await
}

/// The console of a space.
#[utoipa::path(get, path = "/s/{space}/", operation_id = "homeInSpace", tag = "pages", params(("space" = String, Path)),
    responses(Pages))]
async fn home_of_space(
    State(app): State<App>,
    user: Result<User, Problem>,
    space: Result<SpacePath, Problem>,
    context: PageContext,
) -> Response {
    match space {
        Ok(SpacePath(space)) => home_page(&app, user, space, &context).await,
        Err(problem) => problem_page(&app, &problem, &context),
    }
}

/// The same without the slash.
#[utoipa::path(get, path = "/s/{space}", operation_id = "homeInSpaceWithoutSlash", tag = "pages", params(("space" = String, Path)),
    responses((status = 303, description = "To the same with a slash"), Pages))]
async fn without_slash(State(app): State<App>, space: Result<SpacePath, Problem>, context: PageContext) -> Response {
    match space {
        Ok(SpacePath(space)) => Redirect::to(&format!("{}/s/{space}/", app.api.public)).into_response(),
        Err(problem) => problem_page(&app, &problem, &context),
    }
}

async fn home_page(app: &App, user: Result<User, Problem>, space: SpaceId, context: &PageContext) -> Response {
    if let Some(page) = console::page(app, "index.html", context) {
        return page;
    }
    let user = match user_or_response(app, user, &urls::root_path(&app.api.public, &space), context) {
        Ok(user) => user,
        Err(response) => return *response,
    };
    match connector_list(app, &user, &space, context).await {
        Ok(template) => page(StatusCode::OK, &template, &app.pages.page_policy, context),
        Err(problem) => problem_page(app, &problem, context),
    }
}

async fn connector_list(app: &App, user: &User, space: &SpaceId, context: &PageContext) -> Result<HomePage, Problem> {
    let texts = context.texts();
    let described = app.api.users.describe(&user.id).await?.ok_or_else(|| Problem::new(Code::NotSignedIn))?;
    let views = app.api.connections.connectors(&user.actor(), space).await?;
    let UserView { username, display_name, spaces } = described;
    Ok(HomePage {
        frame: Frame::new(app, context, &app.pages.page_script),
        texts,
        errors: error_texts(texts),
        session: format!("{}/api/session", app.api.public),
        user: display_name.or(username).unwrap_or_else(|| user.id.as_str().to_owned()),
        can_log_out: app.api.identity.has_log_in(),
        spaces: spaces
            .into_iter()
            .map(|item| SpaceLink {
                href: format!("{}{}", app.api.public.origin(), urls::root_path(&app.api.public, &item.id)),
                is_current: item.id == *space,
                name: item.name.unwrap_or_else(|| item.id.as_str().to_owned()),
            })
            .collect(),
        connectors: views.iter().flat_map(|view| rows(app, view, texts)).collect(),
    })
}

/// One row per connection; a single row for a connector without one.
fn rows(app: &App, view: &ConnectorView, texts: &'static Texts) -> Vec<ConnectorRow> {
    if view.connector.auth_mode == AuthMode::Shared && !view.is_tampered() {
        return vec![shared_row(view, texts)];
    }
    match view.status.connections.as_slice() {
        [] | [_] => vec![connection_row(app, view, view.status.shown(), texts)],
        several => several.iter().map(|connection| connection_row(app, view, connection.clone(), texts)).collect(),
    }
}

fn shared_row(view: &ConnectorView, texts: &'static Texts) -> ConnectorRow {
    ConnectorRow {
        name: view.connector.name.as_str().to_owned(),
        status: texts.shared_connector.to_owned(),
        connection: String::new(),
        connect: None,
        connect_label: "",
        disconnect: None,
    }
}

fn connection_row(app: &App, view: &ConnectorView, status: ConnectionStatus, texts: &'static Texts) -> ConnectorRow {
    let key = &view.connector.key;
    let (text, connect_label, is_connected) = match status.kind {
        StatusKind::NotConnected => (texts.not_connected, texts.connect, false),
        StatusKind::Connecting => (texts.connecting, texts.connect, false),
        StatusKind::Connected => (texts.is_connected, texts.reconnect, true),
        StatusKind::NeedsReauthorization => (texts.must_connect_again, texts.reconnect, true),
    };
    let is_tampered = view.is_tampered();
    let text = if is_tampered { texts.tampered_connector } else { text };
    let name = view.connector.name.as_str();
    let is_default = status.connection == ConnectionName::default();
    ConnectorRow {
        name: if is_default { name.to_owned() } else { format!("{name} ({})", status.connection) },
        status: status
            .account
            .map_or_else(|| text.to_owned(), |account| fill(texts.with_account, &[("status", text), ("account", &account)])),
        connect: (!is_tampered).then(|| app.api.connections.start_link(key, &status.connection)),
        connect_label,
        // A changed row can hide the grants that a disconnect ends.
        disconnect: (is_connected || is_tampered).then(|| urls::internal_action(&app.api.public, key, "_oauth_disconnect")),
        connection: status.connection.as_str().to_owned(),
    }
}

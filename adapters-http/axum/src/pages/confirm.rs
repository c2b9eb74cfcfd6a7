//! The confirm page: what a start link opens. It starts nothing by itself; its button does (R04).

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use grantry_domain::connector::ConnectorKey;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{AtConnector, Person};
use crate::guard::CorrelationId;
use crate::launch;
use crate::openapi::Pages;
use crate::pages::facts::Facts;
use crate::pages::{failure, page, person_or};
use crate::problem::Problem;
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(confirm))
}

/// Also the launch page, which differs in what its script does.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(super) struct ConfirmPage {
    style: String,
    script: String,
    page: &'static str,
    start: String,
    launch: String,
    facts: Facts,
}

impl ConfirmPage {
    pub(super) fn new(app: &App, page: &'static str, key: &ConnectorKey, facts: Facts) -> Self {
        Self {
            style: app.pages.style.url(),
            script: app.pages.page_script.url(),
            page,
            start: format!(
                "{}{}/internal/actions/connector/{}/_start_oauth_flow",
                app.api.public,
                launch::space_prefix(key),
                key.id
            ),
            launch: format!("{}{}", app.api.public, launch::path_of(key)),
            facts,
        }
    }
}

/// A page whose button starts a flow: a link for chat and mail.
#[utoipa::path(get, path = "/api/actions/connector/{id}/oauth/start", operation_id = "confirmPage", tag = "pages",
    params(("id" = String, Path)), responses(Pages))]
async fn confirm(
    State(app): State<App>,
    connector: Result<AtConnector, Problem>,
    person: Result<Person, Problem>,
    OriginalUri(uri): OriginalUri,
    correlation: CorrelationId,
) -> Response {
    shown(&app, "confirm", connector, person, uri.path(), &correlation).await
}

/// A page about a connector, for the person it would be connected for.
pub(super) async fn shown(
    app: &App,
    kind: &'static str,
    connector: Result<AtConnector, Problem>,
    person: Result<Person, Problem>,
    path: &str,
    correlation: &CorrelationId,
) -> Response {
    let person = match person_or(app, person, path, correlation) {
        Ok(person) => person,
        Err(response) => return *response,
    };
    let AtConnector(key) = match connector {
        Ok(connector) => connector,
        Err(problem) => return failure(app, &problem, correlation),
    };
    match Facts::of(app, &person, &key).await {
        Ok(facts) => page(StatusCode::OK, &ConfirmPage::new(app, kind, &key, facts), &app.pages.page_policy),
        Err(problem) => failure(app, &problem, correlation),
    }
}

//! The confirm page, which a start link opens. A flow starts only when the user presses its button.

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use grantry_domain::connector::ConnectorKey;
use grantry_domain::identity::ConnectionName;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::consent::ConsentSummary;
use crate::correlation::CorrelationId;
use crate::extract::{ConnectorPath, Query, User, connection_name};
use crate::mount::public_path;
use crate::pages::message::{Pages, page, problem_page, user_or_response};
use crate::problem::Problem;
use crate::state::App;
use crate::urls;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(confirm))
}

/// Also the launch page, which differs in the behaviour of its script.
#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage {
    style: String,
    script: String,
    page: &'static str,
    start: String,
    launch: String,
    connection: ConnectionName,
    consent: ConsentSummary,
}

/// A page whose button starts a flow: a link for chat and mail.
#[utoipa::path(get, path = "/api/actions/connector/{id}/oauth/start", operation_id = "confirmPage", tag = "pages",
    params(("id" = String, Path), ("connection" = Option<String>, Query, description = "Name of the connection")),
    responses(Pages))]
async fn confirm(
    State(app): State<App>,
    connector: Result<ConnectorPath, Problem>,
    user: Result<User, Problem>,
    query: Query,
    OriginalUri(uri): OriginalUri,
    correlation: CorrelationId,
) -> Response {
    consent_page(&app, "confirm", connector, user, query, &public_path(&app.api.public, uri.path()), &correlation).await
}

/// The confirm or launch page of a connector for the signed-in user.
pub(super) async fn consent_page(
    app: &App,
    kind: &'static str,
    connector: Result<ConnectorPath, Problem>,
    user: Result<User, Problem>,
    mut query: Query,
    path: &str,
    correlation: &CorrelationId,
) -> Response {
    let connection = match query.take("connection").and_then(connection_name) {
        Ok(connection) => connection.unwrap_or_default(),
        Err(problem) => return problem_page(app, &problem, correlation),
    };
    let next = urls::with_connection(path.to_owned(), &connection);
    let user = match user_or_response(app, user, &next, correlation) {
        Ok(user) => user,
        Err(response) => return *response,
    };
    let ConnectorPath(key) = match connector {
        Ok(connector) => connector,
        Err(problem) => return problem_page(app, &problem, correlation),
    };
    match ConsentSummary::of(app, &user, &key).await {
        Ok(consent) => page(StatusCode::OK, &page_of(app, kind, &key, connection, consent), &app.pages.page_policy),
        Err(problem) => problem_page(app, &problem, correlation),
    }
}

fn page_of(
    app: &App,
    page: &'static str,
    key: &ConnectorKey,
    connection: ConnectionName,
    consent: ConsentSummary,
) -> ConfirmPage {
    ConfirmPage {
        style: app.pages.style.url(),
        script: app.pages.page_script.url(),
        page,
        start: urls::internal_action(&app.api.public, key, "_start_oauth_flow"),
        launch: urls::launch_page(&app.api.public, key),
        connection,
        consent,
    }
}

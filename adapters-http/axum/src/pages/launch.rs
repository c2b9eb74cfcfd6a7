//! The launch page of the new-tab mode.
//!
//! It is opened in the click, before the flow exists. The page that opened it hands the flow over in the fragment; the script
//! here cuts the opener and comes back with `?flow=`, and the server, having checked person and browser, redirects (R17).

use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Redirect, Response};
use grantry_domain::authorization::AuthorizationId;
use grantry_domain::connector::ConnectorKey;
use http::HeaderMap;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{AtConnector, PathParams, Person, Query};
use crate::guard::CorrelationId;
use crate::launch;
use crate::openapi::Pages;
use crate::pages::{confirm, console, failure, person_or};
use crate::problem::{Code, Problem};
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(launch_page))
}

/// Waits for its flow; with `flow`, redirects to the provider.
#[utoipa::path(get, path = "/connect/{connectorId}", operation_id = "launchPage", tag = "pages",
    params(("connectorId" = String, Path), ("flow" = Option<String>, Query, description = "The flow to launch")),
    responses((status = 303, description = "To the provider"), Pages))]
async fn launch_page(
    State(app): State<App>,
    params: PathParams,
    person: Result<Person, Problem>,
    mut query: Query,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    correlation: CorrelationId,
) -> Response {
    let connector = params.connector("connectorId");
    let flow = match query.take("flow") {
        Ok(flow) => flow,
        Err(problem) => return failure(&app, &problem, &correlation),
    };
    let Some(flow) = flow else {
        if let Some(page) = console::page(&app, "connect.html") {
            return page;
        }
        return confirm::shown(&app, "launch", connector.map(AtConnector), person, uri.path(), &correlation).await;
    };
    let person = match person_or(&app, person, uri.path(), &correlation) {
        Ok(person) => person,
        Err(response) => return *response,
    };
    match (connector, AuthorizationId::parse(&flow)) {
        (Ok(key), Some(flow)) => leave(&app, &person, &key, flow, &headers, &correlation).await,
        (Err(problem), _) => failure(&app, &problem, &correlation),
        (Ok(_), None) => failure(&app, &Problem::new(Code::FlowNotFound), &correlation),
    }
}

async fn leave(
    app: &App,
    person: &Person,
    key: &ConnectorKey,
    flow: AuthorizationId,
    headers: &HeaderMap,
    correlation: &CorrelationId,
) -> Response {
    let launched = app.api.connections.launch(&person.actor(), &key.space, flow, &app.cookies.flow_secrets(headers)).await;
    match launched {
        Ok(url) => match url.expose_text().filter(|url| launch::may_be_opened(url)) {
            Some(url) => Redirect::to(url).into_response(),
            None => failure(app, &Problem::new(Code::ProviderMisconfigured), correlation),
        },
        Err(error) => failure(app, &Problem::new(Code::of(error.code())), correlation),
    }
}

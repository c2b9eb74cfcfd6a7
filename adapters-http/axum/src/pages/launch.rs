//! The launch page, for flows in a new tab.
//!
//! The tab opens on the click, before the flow exists. The opening page passes the flow in the fragment. The script here
//! removes the opener and loads the page again with `?flow=`; the server checks user and browser and redirects to the provider.

use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Redirect, Response};
use grantry_domain::authorization::AuthorizationId;
use grantry_domain::connector::ConnectorKey;
use http::HeaderMap;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{ConnectorPath, PathParams, Query, User};
use crate::mount::public_path;
use crate::pages::context::PageContext;
use crate::pages::message::{Pages, problem_page, user_or_response};
use crate::pages::{confirm, console};
use crate::problem::{Code, Problem};
use crate::state::App;
use crate::urls::may_be_opened;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(launch_page))
}

/// Waits for a flow; with `flow`, redirects to the provider.
#[utoipa::path(get, path = "/connect/{connectorId}", operation_id = "launchPage", tag = "pages",
    params(("connectorId" = String, Path), ("flow" = Option<String>, Query, description = "The flow to launch"),
        ("connection" = Option<String>, Query, description = "Name of the connection to start")),
    responses((status = 303, description = "To the provider"), Pages))]
async fn launch_page(
    State(app): State<App>,
    params: PathParams,
    user: Result<User, Problem>,
    mut query: Query,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    context: PageContext,
) -> Response {
    let connector = params.connector("connectorId");
    let flow = match query.take("flow") {
        Ok(flow) => flow,
        Err(problem) => return problem_page(&app, &problem, &context),
    };
    let Some(flow) = flow else {
        if let Some(page) = console::page(&app, "connect.html", &context) {
            return page;
        }
        let connector = connector.map(ConnectorPath);
        let here = public_path(&app.api.public, uri.path());
        return confirm::consent_page(&app, "launch", connector, user, query, &here, &context).await;
    };
    let user = match user_or_response(&app, user, &public_path(&app.api.public, uri.path()), &context) {
        Ok(user) => user,
        Err(response) => return *response,
    };
    let redirect = match (connector, AuthorizationId::parse(&flow)) {
        (Ok(key), Some(flow)) => redirect_to_provider(&app, &user, &key, flow, &headers).await,
        (Err(problem), _) => Err(problem),
        (Ok(_), None) => Err(Problem::new(Code::FlowNotFound)),
    };
    redirect.unwrap_or_else(|problem| problem_page(&app, &problem, &context))
}

async fn redirect_to_provider(
    app: &App,
    user: &User,
    key: &ConnectorKey,
    flow: AuthorizationId,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let cookies = app.cookies.flow_secrets(headers);
    let url = app.api.connections.launch(&user.actor(), &key.space, flow, &cookies).await?;
    let url = url.expose_text().filter(|url| may_be_opened(url)).ok_or_else(|| Problem::new(Code::ProviderMisconfigured))?;
    Ok(Redirect::to(url).into_response())
}

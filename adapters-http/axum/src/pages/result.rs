//! The result page: of a flow, for the user who started it, or of a code.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use grantry_domain::authorization::{AuthorizationId, FlowStatus};
use grantry_domain::connector::ConnectorKey;
use grantry_domain::usecase::FlowView;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::correlation::CorrelationId;
use crate::extract::{PathParams, User};
use crate::pages::message::{CLOCK, CROSS, Link, Message, Pages, TICK, message_page, problem_page, user_or_response};
use crate::problem::{Code, Problem};
use crate::state::App;
use crate::urls;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(result))
}

/// Redirects the callback to the page of a finished flow.
pub(super) fn redirect_to_flow(app: &App, flow: AuthorizationId) -> Response {
    Redirect::to(&format!("{}{}/{flow}", app.api.public, urls::RESULT)).into_response()
}

/// Redirects the callback to the page of a code.
pub(super) fn redirect_to_code(app: &App, code: Code) -> Response {
    Redirect::to(&format!("{}{}/{}", app.api.public, urls::RESULT, code.as_str())).into_response()
}

/// The result of a flow, for the user who started it; or the page of a code.
#[utoipa::path(get, path = "/api/actions/connector/_oauth_callback_result/{flowId}", operation_id = "callbackResult", tag = "pages",
    params(("flowId" = String, Path)), responses(Pages))]
async fn result(
    State(app): State<App>,
    user: Result<User, Problem>,
    params: PathParams,
    correlation: CorrelationId,
) -> Response {
    let id = params.get("flowId").unwrap_or_default();
    if let Some(code) = Code::parse(id) {
        return message_page(&app, StatusCode::OK, Message::of_code(&app, code, &correlation));
    }
    let Some(flow) = AuthorizationId::parse(id) else {
        return problem_page(&app, &Problem::new(Code::NotFound), &correlation);
    };
    let next = format!("{}{}/{flow}", app.api.public.path_prefix(), urls::RESULT);
    let user = match user_or_response(&app, user, &next, &correlation) {
        Ok(user) => user,
        Err(response) => return *response,
    };
    match app.api.connections.flow_status(&user.actor(), None, flow).await {
        Ok(flow) => {
            let connector = app.api.connections.connector(&user.actor(), &flow.connector).await.ok();
            let name = connector.map(|view| view.connector.name.as_str().to_owned());
            message_page(&app, StatusCode::OK, message_of(&app, &flow, name, &correlation))
        }
        Err(error) => problem_page(&app, &error.into(), &correlation),
    }
}

/// `connector_name` is absent if the connector is gone or the user has lost access to it.
fn message_of(app: &App, flow: &FlowView, connector_name: Option<String>, correlation: &CorrelationId) -> Message {
    let failed = |code: Code| Message { status: "error", error: code.as_str(), ..Message::of_code(app, code, correlation) };
    let message = match flow.status {
        FlowStatus::Authorized => {
            Message { tone: "is-good", status: "success", ..Message::plain("Connected", "Your account is connected.", TICK) }
        }
        FlowStatus::Failed(failure) => failed(Code::of(failure.code())),
        FlowStatus::Expired => failed(Code::FlowExpired),
        FlowStatus::Awaiting => {
            Message::plain("Not finished yet", "This attempt is waiting for the provider's response.", CLOCK)
        }
        FlowStatus::Cancelled => Message::plain(
            "Cancelled",
            "This attempt was cancelled or replaced by a newer one. It did not connect anything.",
            CROSS,
        ),
    };
    let retry = || Link {
        href: app.api.connections.start_link(&flow.connector, &flow.connection),
        label: "Try again",
        quiet: false,
        new_tab: false,
    };
    let list =
        || Link { href: connectors_page(app, &flow.connector), label: "Show connectors", quiet: true, new_tab: false };
    let link = connector_name.is_some().then(|| if message.status == "error" { retry() } else { list() });
    Message {
        flow_id: flow.flow_id.to_string(),
        connector_id: flow.connector.id.as_str().to_owned(),
        connector_name,
        missing: flow.missing_scopes.iter().map(str::to_owned).collect(),
        link,
        ..message
    }
}

/// The page that lists the connectors of the space.
fn connectors_page(app: &App, key: &ConnectorKey) -> String {
    format!("{}{}", app.api.public.origin(), urls::root_path(&app.api.public, &key.space))
}

//! The result page: of a flow, for the user who started it, or of a code.

use std::borrow::Cow;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use grantry_domain::authorization::{AuthorizationId, FlowStatus};
use grantry_domain::connector::ConnectorKey;
use grantry_domain::identity::ConnectionName;
use grantry_domain::usecase::{FlowAccounts, FlowView};
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::correlation::CorrelationId;
use crate::extract::{PathParams, Query, User};
use crate::pages::context::PageContext;
use crate::pages::message::{CLOCK, CROSS, Link, Message, Pages, TICK, message_page, problem_page, user_or_response};
use crate::pages::texts::{Texts, fill};
use crate::problem::{Code, Problem};
use crate::state::App;
use crate::urls;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(result))
}

/// The parameter that carries the correlation id of the callback to the page of its result.
const CORRELATION: &str = "correlation_id";

fn correlation_query(id: Option<&CorrelationId>) -> String {
    id.map_or_else(String::new, |id| format!("?{CORRELATION}={}", id.0))
}

/// Redirects the callback to the page of a finished flow. `failed` is the correlation id of a callback that failed.
pub(super) fn redirect_to_flow(app: &App, flow: AuthorizationId, failed: Option<&CorrelationId>) -> Response {
    let query = correlation_query(failed);
    Redirect::to(&format!("{}{}/{flow}{query}", app.api.public, urls::RESULT)).into_response()
}

/// Redirects a callback that completed nothing to the page of its code.
pub(super) fn redirect_to_code(app: &App, code: Code, context: &PageContext) -> Response {
    let query = correlation_query(context.correlation.as_ref());
    Redirect::to(&format!("{}{}/{}{query}", app.api.public, urls::RESULT, code.as_str())).into_response()
}

/// The result of a flow, for the user who started it; or the page of a code.
#[utoipa::path(get, path = "/api/actions/connector/_oauth_callback_result/{flowId}", operation_id = "callbackResult", tag = "pages",
    params(("flowId" = String, Path), ("correlation_id" = Option<String>, Query, description = "Of the callback that failed")),
    responses(Pages))]
async fn result(
    State(app): State<App>,
    user: Result<User, Problem>,
    params: PathParams,
    mut query: Query,
    context: PageContext,
) -> Response {
    // The page shows the id of the callback that failed, not the one of its request.
    let failed = query.take(CORRELATION).ok().flatten().and_then(|text| CorrelationId::parse(&text));
    let about = PageContext { correlation: failed, ..context.clone() };
    let id = params.get("flowId").unwrap_or_default();
    if let Some(code) = Code::parse(id) {
        return message_page(&app, StatusCode::OK, Message::of_code(&app, code, &about), &about);
    }
    let Some(flow) = AuthorizationId::parse(id) else {
        return problem_page(&app, &Problem::new(Code::NotFound), &context);
    };
    let query = correlation_query(about.correlation.as_ref());
    let next = format!("{}{}/{flow}{query}", app.api.public.path_prefix(), urls::RESULT);
    let user = match user_or_response(&app, user, &next, &context) {
        Ok(user) => user,
        Err(response) => return *response,
    };
    match app.api.connections.flow_status(&user.actor(), None, flow).await {
        Ok(flow) => {
            let connector = app.api.connections.connector(&user.actor(), &flow.connector).await.ok();
            let name = connector.map(|view| view.connector.name.as_str().to_owned());
            message_page(&app, StatusCode::OK, message_of(&app, &flow, name, &about), &about)
        }
        Err(error) => problem_page(&app, &error.into(), &context),
    }
}

/// `connector_name` is absent if the connector is gone or the user has lost access to it.
fn message_of(app: &App, flow: &FlowView, connector_name: Option<String>, context: &PageContext) -> Message {
    let texts = context.texts();
    let failed = |code: Code| Message {
        status: "error",
        status_code: code.status(),
        error: code.as_str(),
        ..Message::of_code(app, code, context)
    };
    let message = match flow.status {
        FlowStatus::Authorized => Message { tone: "is-good", status: "success", ..Message::plain(texts.connected, TICK) },
        FlowStatus::Failed(failure) => failed(Code::of(failure.code())),
        FlowStatus::Expired => failed(Code::FlowExpired),
        FlowStatus::Awaiting => Message::plain(texts.awaiting, CLOCK),
        FlowStatus::Cancelled => Message::plain(texts.cancelled, CROSS),
    };
    let retry = || link(app.api.connections.start_link(&flow.connector, &flow.connection), texts.try_again, false);
    let list = || link(connectors_page(app, &flow.connector), texts.show_connectors, true);
    let may_retry = message.status == "error" || flow.status == FlowStatus::Cancelled;
    let links = match (&connector_name, &flow.accounts) {
        (None, _) => Vec::new(),
        (Some(_), Some(accounts)) => account_links(app, flow, accounts, texts),
        (Some(_), None) => vec![if may_retry { retry() } else { list() }],
    };
    let text = flow.accounts.as_ref().map(|accounts| account_text(accounts, texts));
    Message {
        flow_id: flow.flow_id.to_string(),
        connector_id: flow.connector.id.as_str().to_owned(),
        space_id: flow.connector.space.as_str().to_owned(),
        connector_name,
        missing: flow.missing_scopes.iter().map(str::to_owned).collect(),
        links,
        text: text.map_or(message.text, Cow::Owned),
        ..message
    }
}

fn link(href: String, label: impl Into<Cow<'static, str>>, quiet: bool) -> Link {
    Link { href, label: label.into(), quiet, new_tab: false }
}

/// Names the accounts of a flow that ended because of its account.
fn account_text(accounts: &FlowAccounts, texts: &Texts) -> String {
    match accounts {
        FlowAccounts { used, connected: Some(connected), .. } => {
            fill(texts.mismatch_of_accounts, &[("used", used), ("connected", connected)])
        }
        FlowAccounts { used, connected: None, .. } => fill(texts.already_connected_account, &[("used", used)]),
    }
}

/// The ways on after another account was used than the connected one: the connected account, with the provider's account
/// chooser; the used one in its place; the used one as another connection.
fn account_links(app: &App, flow: &FlowView, accounts: &FlowAccounts, texts: &'static Texts) -> Vec<Link> {
    let start = |connection: &ConnectionName, choice: &str| {
        urls::with_account(app.api.connections.start_link(&flow.connector, connection), choice)
    };
    let FlowAccounts { used, connected, unused_name } = accounts;
    let Some(connected) = connected else {
        let list = link(connectors_page(app, &flow.connector), texts.show_connectors, true);
        return vec![link(start(&flow.connection, "select"), texts.try_again, false), list];
    };
    let use_connected = fill(texts.use_account, &[("account", connected)]);
    let replace = fill(texts.replace_account, &[("account", used)]);
    let add = fill(texts.add_account, &[("account", used)]);
    vec![
        link(start(&flow.connection, "select"), use_connected, false),
        link(start(unused_name, ""), add, true),
        link(start(&flow.connection, "change"), replace, true),
    ]
}

/// The page that lists the connectors of the space.
fn connectors_page(app: &App, key: &ConnectorKey) -> String {
    format!("{}{}", app.api.public.origin(), urls::root_path(&app.api.public, &key.space))
}

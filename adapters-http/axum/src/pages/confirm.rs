//! The confirm page, which a start link opens. A flow starts only when the user presses its button.

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use grantry_domain::connector::ConnectorKey;
use grantry_domain::identity::ConnectionName;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::consent::{ConsentSummary, Received, Receiver};
use crate::extract::{ConnectorPath, Query, User, connection_name};
use crate::mount::public_path;
use crate::pages::context::PageContext;
use crate::pages::message::{Frame, Pages, error_texts, page, problem_page, user_or_response};
use crate::pages::texts::{Texts, fill};
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
    frame: Frame,
    texts: &'static Texts,
    title: String,
    continue_to: String,
    unapproved: String,
    /// Each host, and what it receives.
    receivers: Vec<(String, String)>,
    /// The warning about hosts that are not of the site of the log-in host; empty if there are none.
    other_sites: String,
    errors: String,
    page: &'static str,
    start: String,
    launch: String,
    connection: ConnectionName,
    /// See [`account_choice`].
    account: &'static str,
    consent: ConsentSummary,
}

/// A page whose button starts a flow: a link for chat and mail.
#[utoipa::path(get, path = "/api/actions/connector/{id}/oauth/start", operation_id = "confirmPage", tag = "pages",
    params(("id" = String, Path), ("connection" = Option<String>, Query, description = "Name of the connection"),
        ("account" = Option<String>, Query, description = "`select`: ask for the account; `change`: accept another account")),
    responses(Pages))]
async fn confirm(
    State(app): State<App>,
    connector: Result<ConnectorPath, Problem>,
    user: Result<User, Problem>,
    query: Query,
    OriginalUri(uri): OriginalUri,
    context: PageContext,
) -> Response {
    consent_page(&app, "confirm", connector, user, query, &public_path(&app.api.public, uri.path()), &context).await
}

/// The confirm or launch page of a connector for the signed-in user.
pub(super) async fn consent_page(
    app: &App,
    kind: &'static str,
    connector: Result<ConnectorPath, Problem>,
    user: Result<User, Problem>,
    mut query: Query,
    path: &str,
    context: &PageContext,
) -> Response {
    let connection = match query.take("connection").and_then(connection_name) {
        Ok(connection) => connection.unwrap_or_default(),
        Err(problem) => return problem_page(app, &problem, context),
    };
    let account = account_choice(query.take("account").ok().flatten().as_deref());
    let next = urls::with_account(urls::with_connection(path.to_owned(), &connection), account);
    let user = match user_or_response(app, user, &next, context) {
        Ok(user) => user,
        Err(response) => return *response,
    };
    let ConnectorPath(key) = match connector {
        Ok(connector) => connector,
        Err(problem) => return problem_page(app, &problem, context),
    };
    match ConsentSummary::of(app, &user, &key).await {
        Ok(consent) => {
            let template = page_of(app, kind, &key, (connection, account), consent, context);
            page(StatusCode::OK, &template, &app.pages.page_policy, context)
        }
        Err(problem) => problem_page(app, &problem, context),
    }
}

fn page_of(
    app: &App,
    page: &'static str,
    key: &ConnectorKey,
    (connection, account): (ConnectionName, &'static str),
    consent: ConsentSummary,
    context: &PageContext,
) -> ConfirmPage {
    let (texts, host) = (context.texts(), consent.facts.provider_host.as_str());
    let others = consent.facts.hosts_of_other_sites();
    ConfirmPage {
        frame: Frame::new(app, context, &app.pages.page_script),
        texts,
        title: fill(texts.connect_title, &[("name", &consent.name)]),
        continue_to: fill(texts.continue_to, &[("host", host)]),
        unapproved: fill(texts.unapproved_text, &[("host", host)]),
        receivers: consent.facts.receivers.iter().map(|receiver| received(texts, receiver)).collect(),
        other_sites: if others.is_empty() {
            String::new()
        } else {
            fill(texts.other_sites_text, &[("host", host), ("hosts", &others.join(", "))])
        },
        errors: error_texts(texts),
        page,
        start: urls::internal_action(&app.api.public, key, "_start_oauth_flow"),
        launch: urls::launch_page(&app.api.public, key),
        connection,
        account,
        consent,
    }
}

/// A host and what it receives, as a text.
fn received(texts: &Texts, receiver: &Receiver) -> (String, String) {
    let text = |received: &Received| match received {
        Received::LogIn => texts.receives_log_in,
        Received::Metadata => texts.receives_metadata,
        Received::CodeAndTokens => texts.receives_code_and_tokens,
        Received::Refresh => texts.receives_refresh,
        Received::Userinfo => texts.receives_userinfo,
        Received::Revocation => texts.receives_revocation,
        Received::Api => texts.receives_api,
    };
    let all: Vec<&str> = receiver.receives.iter().map(text).collect();
    (receiver.host.clone(), all.join("; "))
}

/// What a link of the page of an account mismatch asks for: `select` asks the provider for its account chooser, `change`
/// accepts another account. Everything else is empty.
fn account_choice(text: Option<&str>) -> &'static str {
    match text {
        Some("select") => "select",
        Some("change") => "change",
        Some(_) | None => "",
    }
}

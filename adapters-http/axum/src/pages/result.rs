//! The fixed set of result pages: connected, refused, expired, already used, wrong user, failed, too many attempts (R31).
//!
//! A finished flow has its own page, rendered from the store for its starter. What finished nothing has the page of its code,
//! the same for everybody.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use grantry_domain::authorization::{AuthorizationId, FlowStatus};
use grantry_domain::connector::ConnectorKey;
use grantry_domain::identity::SpaceId;
use grantry_domain::usecase::FlowView;
use http::{StatusCode, header};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{PathParams, Person};
use crate::guard::CorrelationId;
use crate::openapi::Pages;
use crate::pages::{login, page, person_or, root_path};
use crate::problem::{Code, Problem};
use crate::state::App;

/// Path of the result pages, without the prefix the router is mounted under.
const PATH: &str = "/api/actions/connector/_oauth_callback_result";

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(result))
}

#[derive(Template)]
#[template(path = "result.html")]
struct ResultPage {
    style: String,
    script: String,
    page: Content,
}

/// What a result page says. All texts are ours; the connector's name is an editor's, and escaped.
struct Content {
    heading: &'static str,
    text: &'static str,
    /// Class of the page.
    tone: &'static str,
    /// Path data of the sign in the circle.
    mark: &'static str,
    flow_id: String,
    connector_id: String,
    connector_name: Option<String>,
    /// `success` or `error`, for whoever listens on the channel; empty while there is nothing to tell.
    status: &'static str,
    error: &'static str,
    link: Option<Link>,
    reference: Option<String>,
}

struct Link {
    href: String,
    label: &'static str,
    /// Whether it is not what most people want.
    quiet: bool,
    new_tab: bool,
}

const TICK: &str = "M7.5 12.5l3 3 6-6.5";
const CROSS: &str = "M8.5 8.5l7 7M15.5 8.5l-7 7";
const HANDS: &str = "M12 6.5V12l3.5 2.5";

/// Sends the browser from the callback to the page of a finished flow.
pub(super) fn redirect_to_flow(app: &App, flow: AuthorizationId) -> Response {
    Redirect::to(&format!("{}{PATH}/{flow}", app.api.public)).into_response()
}

/// Sends the browser from the callback to the page of a code.
pub(super) fn redirect_to_code(app: &App, code: Code) -> Response {
    Redirect::to(&format!("{}{PATH}/{}", app.api.public, code.as_str())).into_response()
}

/// The result of a flow, for its starter; or the page of a code.
#[utoipa::path(get, path = "/api/actions/connector/_oauth_callback_result/{flowId}", operation_id = "callbackResult", tag = "pages",
    params(("flowId" = String, Path)), responses(Pages))]
async fn result(
    State(app): State<App>,
    person: Result<Person, Problem>,
    params: PathParams,
    correlation: CorrelationId,
) -> Response {
    let named = params.get("flowId").unwrap_or_default();
    if let Some(code) = Code::parse(named) {
        return rendered(&app, StatusCode::OK, of_code(&app, code, &correlation));
    }
    let Some(flow) = AuthorizationId::parse(named) else {
        return of_problem(&app, &Problem::new(Code::NotFound), &correlation);
    };
    let next = format!("{}{PATH}/{flow}", app.api.public.path_prefix());
    let person = match person_or(&app, person, &next, &correlation) {
        Ok(person) => person,
        Err(response) => return *response,
    };
    match app.api.connections.flow_status(&person.actor(), None, flow).await {
        Ok(view) => rendered(&app, StatusCode::OK, of_flow(&app, &person, &view, &correlation).await),
        Err(error) => of_problem(&app, &error.into(), &correlation),
    }
}

/// A problem as a page, with its status and its `Retry-After`.
pub(super) fn of_problem(app: &App, problem: &Problem, correlation: &CorrelationId) -> Response {
    let status = StatusCode::from_u16(problem.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = rendered(app, status, of_code(app, problem.code(), correlation));
    if let Some(wait) = problem.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    response
}

fn rendered(app: &App, status: StatusCode, content: Content) -> Response {
    let template = ResultPage { style: app.pages.style.url(), script: app.pages.callback_script.url(), page: content };
    page(status, &template, &app.pages.callback_policy)
}

/// The page of a flow that its starter looks at.
async fn of_flow(app: &App, person: &Person, view: &FlowView, correlation: &CorrelationId) -> Content {
    let failed = |code: Code| Content { status: "error", error: code.as_str(), ..of_code(app, code, correlation) };
    let content = match view.status {
        FlowStatus::Authorized => {
            Content { tone: "is-good", status: "success", ..Content::plain("Connected", "Your account is connected.", TICK) }
        }
        FlowStatus::Failed(failure) => failed(Code::of(failure.code())),
        FlowStatus::Expired => failed(Code::FlowExpired),
        FlowStatus::Awaiting => Content::plain("Not finished yet", "This attempt still waits for the provider.", HANDS),
        FlowStatus::Cancelled => Content::plain(
            "Cancelled",
            "This attempt was cancelled, or a newer one took its place. Nothing was connected by it.",
            CROSS,
        ),
    };
    let found = connector_of(app, person, view.flow_id).await;
    let link = found.as_ref().map(|(key, _)| match content.status {
        "error" => Link { href: app.api.connections.start_link(key), label: "Try again", quiet: false, new_tab: false },
        _ => Link { href: connectors_at(app, key), label: "Show connectors", quiet: true, new_tab: false },
    });
    Content {
        flow_id: view.flow_id.to_string(),
        connector_id: view.connector.as_str().to_owned(),
        connector_name: found.map(|(_, name)| name),
        link,
        ..content
    }
}

/// The page that lists the connectors of a flow's space.
fn connectors_at(app: &App, key: &ConnectorKey) -> String {
    format!("{}{}", app.api.public.origin(), root_path(app, &key.space))
}

/// Key and name of a flow's connector, while it can be seen. The flow is the person's own.
async fn connector_of(app: &App, person: &Person, flow: AuthorizationId) -> Option<(ConnectorKey, String)> {
    let record = app.api.connections.ports().authorizations.find(flow).await.ok()??;
    let key = record.owner.connector_key();
    let view = app.api.connections.connector(&person.actor(), &key).await.ok()?;
    Some((key, view.connector.name.as_str().to_owned()))
}

/// The page of a code: which of the fixed set it is, and one sentence of ours.
fn of_code(app: &App, code: Code, correlation: &CorrelationId) -> Content {
    let sign_in = || {
        Some(Link {
            href: login::url(app, &root_path(app, &SpaceId::default_space())),
            label: "Sign in",
            quiet: false,
            new_tab: true,
        })
    };
    let reference = Some(format!("{} · {}", code.as_str(), correlation.0));
    let content = match code {
        Code::AccessDenied => {
            Content::bad("Access was not given", "You or the provider said no. Nothing was connected or changed.")
        }
        Code::FlowExpired => Content {
            tone: "is-warn",
            mark: HANDS,
            ..Content::bad("This attempt has expired", "Too much time went by. Nothing was connected. Start again.")
        },
        Code::FlowAlreadyUsed => Content {
            tone: "is-warn",
            ..Content::bad(
                "This attempt is over already",
                "It was finished, cancelled or replaced before. Look at the connector to see where it stands.",
            )
        },
        Code::UserMismatch => Content::bad(
            "This attempt is somebody else's",
            "It was started by another person. Nothing was connected. If you did not expect this, close the tab.",
        ),
        Code::BrowserMismatch => Content::bad(
            "Wrong browser",
            "This attempt was not started in this browser, or it was finished before and its cookie is gone. Nothing was connected now. If you did not start it, close the tab.",
        ),
        Code::RateLimited => Content {
            tone: "is-warn",
            mark: HANDS,
            ..Content::bad("Too many attempts", "Wait a little, then load this page again.")
        },
        Code::NotSignedIn => Content {
            tone: "is-warn",
            link: if app.api.identity.has_log_in() { sign_in() } else { None },
            ..Content::bad(
                "Sign in, then load this page again",
                "Nothing is lost: sign in in another tab, come back here, and reload.",
            )
        },
        Code::NotFound | Code::FlowNotFound => {
            Content::bad("There is nothing here", "This page or attempt does not exist, or is not yours.")
        }
        Code::StoreUnavailable | Code::ProviderUnavailable => Content {
            tone: "is-warn",
            mark: HANDS,
            ..Content::bad("Not available at the moment", "Something does not answer. Try again in a little while.")
        },
        Code::AccountMismatch => Content::bad(
            "Another account than before",
            "You signed in at the provider with another account than the one that is connected. That one stays connected.",
        ),
        Code::ConnectorChanged | Code::ConnectorGone => Content::bad(
            "The connector was changed meanwhile",
            "Nothing was connected. Look at the connector and start again.",
        ),
        Code::PermissionLost | Code::Forbidden => {
            Content::bad("This is not allowed", "You may not do this here. Nothing was changed.")
        }
        Code::ProviderMisconfigured | Code::ConnectorIncomplete | Code::HostNotAllowed | Code::PublicBaseUrlMissing => {
            Content::bad("The connector is not set up correctly", "Nothing was connected. Tell whoever looks after it.")
        }
        Code::ProviderError | Code::ExchangeFailed => {
            Content::bad("The provider did not give access", "It answered with an error. Nothing was connected.")
        }
        Code::IssuerMismatch | Code::CallbackMismatch => Content::bad(
            "This answer does not belong here",
            "It came from another provider than the one you were sent to. Nothing was connected.",
        ),
        Code::Conflict
        | Code::InvalidRequest
        | Code::PayloadTooLarge
        | Code::UnsupportedMediaType
        | Code::WrongHost
        | Code::ReturnUrlRefused
        | Code::DestinationRefused
        | Code::MethodNotAllowed
        | Code::Internal
        | Code::ApiUnreachable
        | Code::ResponseTooLarge
        | Code::AuthorizationRequired => Content::bad("That did not work", "Nothing was connected or changed."),
    };
    Content { reference, ..content }
}

impl Content {
    fn plain(heading: &'static str, text: &'static str, mark: &'static str) -> Self {
        Self {
            heading,
            text,
            mark,
            tone: "",
            flow_id: String::new(),
            connector_id: String::new(),
            connector_name: None,
            status: "",
            error: "",
            link: None,
            reference: None,
        }
    }

    fn bad(heading: &'static str, text: &'static str) -> Self {
        Self { tone: "is-bad", ..Self::plain(heading, text, CROSS) }
    }
}

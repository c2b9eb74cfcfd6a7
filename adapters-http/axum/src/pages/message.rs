//! Rendering of pages, and the page with one message: the result of a flow, or a problem.
//!
//! The messages are a fixed set. A finished flow has a separate page for the user who started it; every other outcome has
//! the page of its code, which is the same for all users.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use grantry_domain::identity::SpaceId;
use http::{HeaderValue, StatusCode, header};
use utoipa::IntoResponses;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{self, RefOr, ResponseBuilder};

use crate::correlation::CorrelationId;
use crate::extract::User;
use crate::problem::{Code, Problem};
use crate::state::App;
use crate::urls;

/// The responses of a page, for the `OpenAPI` document.
pub(super) struct Pages;

impl IntoResponses for Pages {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        let response = ResponseBuilder::new()
            .description("The page, or a page with a problem")
            .content("text/html", openapi::Content::new(Some(text)))
            .build();
        BTreeMap::from([("default".to_owned(), RefOr::T(response))])
    }
}

/// A page with its policy.
pub(super) fn page(status: StatusCode, template: &impl Template, policy: &HeaderValue) -> Response {
    match template.render() {
        Ok(html) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
                (header::CONTENT_SECURITY_POLICY, policy.clone()),
            ];
            (status, headers, html).into_response()
        }
        Err(_) => Problem::new(Code::Internal).into_response(),
    }
}

/// The signed-in user of a page, or the response for a request without one. `next` is the path to return to after log-in.
pub(super) fn user_or_response(
    app: &App,
    user: Result<User, Problem>,
    next: &str,
    correlation: &CorrelationId,
) -> Result<User, Box<Response>> {
    user.map_err(|problem| {
        Box::new(if problem.code() == Code::NotSignedIn && app.api.identity.has_log_in() {
            Redirect::to(&urls::log_in_page(&app.api.public, next)).into_response()
        } else {
            problem_page(app, &problem, correlation)
        })
    })
}

/// A problem as a page, with its status and its `Retry-After`.
pub(super) fn problem_page(app: &App, problem: &Problem, correlation: &CorrelationId) -> Response {
    let status = StatusCode::from_u16(problem.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = message_page(app, status, Message::of_code(app, problem.code(), correlation));
    if let Some(wait) = problem.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    response
}

/// The page of a message.
pub(super) fn message_page(app: &App, status: StatusCode, message: Message) -> Response {
    let template = MessagePage { style: app.pages.style.url(), script: app.pages.callback_script.url(), page: message };
    page(status, &template, &app.pages.callback_policy)
}

#[derive(Template)]
#[template(path = "result.html")]
struct MessagePage {
    style: String,
    script: String,
    page: Message,
}

/// The content of the page. All texts are fixed except the name of the connector, which the template escapes.
pub(super) struct Message {
    pub(super) heading: &'static str,
    pub(super) text: &'static str,
    /// CSS class.
    pub(super) tone: &'static str,
    /// Path data of the sign in the circle.
    pub(super) mark: &'static str,
    pub(super) flow_id: String,
    pub(super) connector_id: String,
    pub(super) connector_name: Option<String>,
    /// `success` or `error`, for listeners on the channel; empty if the flow is not over.
    pub(super) status: &'static str,
    pub(super) error: &'static str,
    pub(super) link: Option<Link>,
    pub(super) reference: Option<String>,
}

pub(super) struct Link {
    pub(super) href: String,
    pub(super) label: &'static str,
    /// Whether it is not the main action.
    pub(super) quiet: bool,
    pub(super) new_tab: bool,
}

pub(super) const TICK: &str = "M7.5 12.5l3 3 6-6.5";
pub(super) const CROSS: &str = "M8.5 8.5l7 7M15.5 8.5l-7 7";
pub(super) const CLOCK: &str = "M12 6.5V12l3.5 2.5";

impl Message {
    pub(super) fn plain(heading: &'static str, text: &'static str, mark: &'static str) -> Self {
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

    fn failure(heading: &'static str, text: &'static str) -> Self {
        Self { tone: "is-bad", ..Self::plain(heading, text, CROSS) }
    }

    fn warning(heading: &'static str, text: &'static str, mark: &'static str) -> Self {
        Self { tone: "is-warn", ..Self::plain(heading, text, mark) }
    }

    /// The message of a code.
    pub(super) fn of_code(app: &App, code: Code, correlation: &CorrelationId) -> Self {
        let can_sign_in = code == Code::NotSignedIn && app.api.identity.has_log_in();
        let start_page = || urls::root_path(&app.api.public, &SpaceId::default_space());
        let link = can_sign_in.then(|| Link {
            href: urls::log_in_page(&app.api.public, &start_page()),
            label: "Sign in",
            quiet: false,
            new_tab: true,
        });
        let reference = Some(format!("{} · {}", code.as_str(), correlation.0));
        Self { link, reference, ..Self::text_of(code) }
    }

    fn text_of(code: Code) -> Self {
        match code {
            Code::AccessDenied => Self::failure("Access was denied", "Nothing was connected or changed."),
            Code::FlowExpired => {
                Self::warning("This attempt has expired", "Nothing was connected. Start the connection again.", CLOCK)
            }
            Code::FlowAlreadyUsed => Self::warning(
                "This attempt is already finished",
                "It was completed, cancelled or replaced. The list of connectors shows the current status.",
                CROSS,
            ),
            Code::UserMismatch => Self::failure(
                "This attempt belongs to another user",
                "Another user started it. Nothing was connected. If you did not expect this page, close the tab.",
            ),
            Code::BrowserMismatch => Self::failure(
                "Wrong browser",
                "This attempt was started in another browser, or its cookie has been removed. Nothing was connected. If you did not start it, close the tab.",
            ),
            Code::RateLimited => Self::warning("Too many attempts", "Wait a moment, then reload this page.", CLOCK),
            Code::NotSignedIn => Self::warning(
                "Sign in, then reload this page",
                "Sign in in another tab, then return here and reload.",
                CROSS,
            ),
            Code::NotFound | Code::FlowNotFound | Code::ConnectionNotFound => {
                Self::failure("Not found", "This does not exist, or you have no access to it.")
            }
            Code::StoreUnavailable | Code::ProviderUnavailable | Code::RefreshRefused | Code::DirectoryUnavailable => {
                Self::warning("Temporarily unavailable", "A service did not respond. Try again in a few minutes.", CLOCK)
            }
            Code::AccountAlreadyConnected => Self::failure(
                "This account is already connected",
                "You already connected this account under another name. Nothing was changed.",
            ),
            Code::AccountMismatch => Self::failure(
                "A different account was used",
                "The account you used at the provider is not the connected one. The existing connection was kept.",
            ),
            Code::ConnectorChanged | Code::ConnectorGone => Self::failure(
                "The connector was changed",
                "Its settings changed during this attempt. Nothing was connected. Start the connection again.",
            ),
            Code::PermissionLost | Code::Forbidden => {
                Self::failure("Not allowed", "You do not have permission to do this. Nothing was changed.")
            }
            Code::ProviderMisconfigured | Code::ConnectorIncomplete | Code::HostNotAllowed => Self::failure(
                "The connector is not configured correctly",
                "Nothing was connected. Contact the administrator of this connector.",
            ),
            Code::ProviderError | Code::ExchangeFailed => {
                Self::failure("The provider did not grant access", "The provider returned an error. Nothing was connected.")
            }
            Code::IssuerMismatch | Code::CallbackMismatch => Self::failure(
                "Unexpected response",
                "The response came from another provider than the one you were sent to. Nothing was connected.",
            ),
            Code::Conflict
            | Code::ConnectionAmbiguous
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
            | Code::AuthorizationRequired => Self::failure("The request failed", "Nothing was connected or changed."),
        }
    }
}

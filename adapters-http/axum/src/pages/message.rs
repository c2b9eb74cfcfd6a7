//! Rendering of pages, and the page with one message: the result of a flow, or a problem.
//!
//! The messages are a fixed set. A finished flow has a separate page for the user who started it; every other outcome has
//! the page of its code, which is the same for all users except for the correlation id of the request that failed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use grantry_domain::identity::SpaceId;
use http::{HeaderValue, StatusCode, header};
use utoipa::IntoResponses;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{self, RefOr, ResponseBuilder};

use crate::extract::User;
use crate::page_assets::Asset;
use crate::pages::context::{PageContext, Theme};
use crate::pages::texts::{Texts, Words, fill};
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

/// What the layout of every page contains.
pub(super) struct Frame {
    pub(super) language: &'static str,
    pub(super) theme: Theme,
    pub(super) style: String,
    pub(super) script: String,
}

impl Frame {
    pub(super) fn new(app: &App, context: &PageContext, script: &Asset) -> Self {
        let (language, theme) = (context.language.tag(), context.theme);
        Self { language, theme, style: app.pages.style.url(), script: script.url() }
    }
}

/// A page with its policy, in the language of its context.
pub(super) fn page(status: StatusCode, template: &impl Template, policy: &HeaderValue, context: &PageContext) -> Response {
    match template.render() {
        Ok(html) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
                (header::CONTENT_SECURITY_POLICY, policy.clone()),
                (header::CONTENT_LANGUAGE, HeaderValue::from_static(context.language.tag())),
                (header::VARY, HeaderValue::from_static("accept-language, cookie")),
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
    context: &PageContext,
) -> Result<User, Box<Response>> {
    user.map_err(|problem| {
        Box::new(if problem.code() == Code::NotSignedIn && app.api.identity.has_log_in() {
            Redirect::to(&urls::log_in_page(&app.api.public, next)).into_response()
        } else {
            problem_page(app, &problem, context)
        })
    })
}

/// A problem as a page, with its status and its `Retry-After`.
pub(crate) fn problem_page(app: &App, problem: &Problem, context: &PageContext) -> Response {
    let status = StatusCode::from_u16(problem.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = message_page(app, status, Message::of_code(app, problem.code(), context), context);
    // For the log line of the request.
    response.extensions_mut().insert(problem.code());
    if let Some(wait) = problem.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    response
}

/// The page of a message.
pub(super) fn message_page(app: &App, status: StatusCode, message: Message, context: &PageContext) -> Response {
    let texts = context.texts();
    let label = |name: &String| fill(texts.connector_label, &[("name", name)]);
    let template = MessagePage {
        frame: Frame::new(app, context, &app.pages.callback_script),
        texts,
        connector_label: message.connector_name.as_ref().map(label),
        page: message,
    };
    page(status, &template, &app.pages.callback_policy, context)
}

/// The texts of codes that a script may receive, as JSON. A refused log-in is the only case without a session there.
pub(super) fn error_texts(texts: &Texts) -> String {
    let text = |code: &Code| {
        let Words { heading, text } = Message::words_of(texts, *code);
        let is_log_in = *code == Code::NotSignedIn;
        let text = if is_log_in { texts.wrong_credentials.to_owned() } else { format!("{heading}. {text}") };
        (code.as_str(), text)
    };
    let texts: BTreeMap<_, _> = Code::ALL.iter().map(text).collect();
    serde_json::to_string(&texts).unwrap_or_else(|_| "{}".to_owned())
}

#[derive(Template)]
#[template(path = "result.html")]
struct MessagePage {
    frame: Frame,
    texts: &'static Texts,
    connector_label: Option<String>,
    page: Message,
}

/// The content of the page. All texts are fixed except the name of the connector and labels of accounts, which the template
/// escapes.
pub(super) struct Message {
    pub(super) heading: &'static str,
    pub(super) text: Cow<'static, str>,
    /// CSS class.
    pub(super) tone: &'static str,
    /// Path data of the sign in the circle.
    pub(super) mark: &'static str,
    pub(super) flow_id: String,
    pub(super) connector_id: String,
    pub(super) space_id: String,
    pub(super) connector_name: Option<String>,
    /// `success` or `error`, for listeners on the channel; `continue` if the browser sends the request again; otherwise empty.
    pub(super) status: &'static str,
    /// The HTTP status that the result would have in the API.
    pub(super) status_code: u16,
    pub(super) error: &'static str,
    /// Scopes that were not granted, in the spelling of the connector.
    pub(super) missing: Vec<String>,
    pub(super) links: Vec<Link>,
    pub(super) reference: Option<String>,
}

pub(super) struct Link {
    pub(super) href: String,
    pub(super) label: Cow<'static, str>,
    /// Whether it is not the main action.
    pub(super) quiet: bool,
    pub(super) new_tab: bool,
}

pub(super) const TICK: &str = "M7.5 12.5l3 3 6-6.5";
pub(super) const CROSS: &str = "M8.5 8.5l7 7M15.5 8.5l-7 7";
pub(super) const CLOCK: &str = "M12 6.5V12l3.5 2.5";

impl Message {
    pub(super) fn plain(words: Words, mark: &'static str) -> Self {
        Self {
            heading: words.heading,
            text: Cow::Borrowed(words.text),
            mark,
            tone: "",
            flow_id: String::new(),
            connector_id: String::new(),
            space_id: String::new(),
            connector_name: None,
            status: "",
            status_code: 200,
            error: "",
            missing: Vec::new(),
            links: Vec::new(),
            reference: None,
        }
    }

    /// The message of a code.
    pub(super) fn of_code(app: &App, code: Code, context: &PageContext) -> Self {
        let can_sign_in = code == Code::NotSignedIn && app.api.identity.has_log_in();
        let start_page = || urls::root_path(&app.api.public, &SpaceId::default_space());
        let texts = context.texts();
        let link = can_sign_in.then(|| Link {
            href: urls::log_in_page(&app.api.public, &start_page()),
            label: Cow::Borrowed(texts.sign_in),
            quiet: false,
            new_tab: true,
        });
        let reference = Some(match &context.correlation {
            Some(id) => format!("{} · {}", code.as_str(), id.0),
            None => code.as_str().to_owned(),
        });
        let (tone, mark) = appearance(code);
        let words = Self::words_of(texts, code);
        Self { tone, links: link.into_iter().collect(), reference, ..Self::plain(words, mark) }
    }

    /// The words of a code.
    fn words_of(texts: &Texts, code: Code) -> Words {
        match code {
            Code::AccessDenied => texts.access_denied,
            Code::FlowExpired => texts.flow_expired,
            Code::FlowAlreadyUsed => texts.flow_already_used,
            Code::UserMismatch => texts.user_mismatch,
            Code::BrowserMismatch => texts.browser_mismatch,
            Code::UrlTooLong => texts.url_too_long,
            Code::HeadersTooLarge => texts.headers_too_large,
            Code::RateLimited => texts.rate_limited,
            Code::NotSignedIn => texts.not_signed_in,
            Code::NotFound | Code::FlowNotFound | Code::ConnectionNotFound => texts.not_found,
            Code::StoreUnavailable
            | Code::AuditUnavailable
            | Code::ProviderUnavailable
            | Code::RefreshRefused
            | Code::DirectoryUnavailable => texts.unavailable,
            Code::AccountAlreadyConnected => texts.account_already_connected,
            Code::InsufficientScope => texts.insufficient_scope,
            Code::AccountMismatch => texts.account_mismatch,
            Code::ConnectorChanged | Code::ConnectorGone => texts.connector_changed,
            Code::PermissionLost | Code::Forbidden => texts.not_allowed,
            Code::UserDeprovisioned => texts.user_deprovisioned,
            Code::ProviderMisconfigured | Code::ConnectorIncomplete | Code::ConnectorTampered | Code::HostNotAllowed => {
                texts.misconfigured
            }
            Code::ProviderError => texts.provider_error,
            Code::ExchangeFailed => texts.exchange_failed,
            Code::IssuerMismatch | Code::CallbackMismatch => texts.unexpected_response,
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
            | Code::AuthorizationRequired => texts.failed,
        }
    }
}

/// CSS class and sign of the page of a code. What may be repeated is a warning, everything else a failure.
fn appearance(code: Code) -> (&'static str, &'static str) {
    let waits = [
        Code::FlowExpired,
        Code::RateLimited,
        Code::StoreUnavailable,
        Code::AuditUnavailable,
        Code::ProviderUnavailable,
        Code::DirectoryUnavailable,
    ];
    if waits.contains(&code) {
        ("is-warn", CLOCK)
    } else if matches!(code, Code::FlowAlreadyUsed | Code::HeadersTooLarge | Code::NotSignedIn) {
        ("is-warn", CROSS)
    } else {
        ("is-bad", CROSS)
    }
}

//! Every error this crate answers: a stable code, a status, a sentence, and nothing else (R61).
//!
//! A handler returns a [`Problem`]; the outermost middleware writes its body, because only there the correlation id is
//! known. The body is `application/problem+json` (RFC 9457) with the three members that older front ends read.

use std::borrow::Cow;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

/// Declares the codes: variant, name on the wire, status, and the sentence that stands for it.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal, $sentence:literal;)*) => {
        /// A stable error code. Programs may switch on it; the sentence beside it is for people and may change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The HTTP status it is answered with.
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$variant => $status,)*
                }
            }

            /// What it means, for people.
            pub const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$variant => $sentence,)*
                }
            }

            /// Reads a name.
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// Nobody is signed in.
    NotSignedIn = "not_signed_in", 401, "Sign in first.";
    /// The caller may be here, but not do this.
    Forbidden = "forbidden", 403, "This is not allowed.";
    /// Nothing here for this caller, whether or not it exists (R60).
    NotFound = "not_found", 404, "There is nothing here.";
    /// Taken, or edited by somebody else since.
    Conflict = "conflict", 409, "This conflicts with what is stored.";
    /// A field of the request is wrong; names it.
    InvalidRequest = "invalid_request", 400, "The request is not valid.";
    /// More bytes than the limit (R58).
    PayloadTooLarge = "payload_too_large", 413, "The request is too large.";
    /// A body that is not JSON (R56).
    UnsupportedMediaType = "unsupported_media_type", 415, "Send the body as application/json.";
    /// A `Host` that is not ours (R57).
    WrongHost = "wrong_host", 421, "This server does not answer for that host.";
    /// Too often (R59).
    RateLimited = "rate_limited", 429, "Too many requests. Try again later.";
    /// No public base URL is configured.
    PublicBaseUrlMissing = "public_base_url_missing", 400, "The public base URL is not configured.";
    /// A URL of the connector is outside what the operator allows.
    HostNotAllowed = "host_not_allowed", 400, "The operator does not allow this host.";
    /// A setting of the connector is still empty; names it.
    ConnectorIncomplete = "connector_incomplete", 400, "The connector is not complete.";
    /// The return URL leaves this origin (R33).
    ReturnUrlRefused = "return_url_refused", 400, "The return URL must be a path on this origin.";
    /// Tokens may not be sent there (R43).
    DestinationRefused = "destination_refused", 403, "Tokens of this connector may not be sent there.";
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", 405, "This method is not allowed here.";
    /// Our own fault.
    Internal = "internal", 500, "Something went wrong here. Quote the correlation id to the operator.";
    /// The API behind the connector does not answer.
    ApiUnreachable = "api_unreachable", 502, "The API could not be reached.";
    /// The API's answer exceeds the limit.
    ResponseTooLarge = "response_too_large", 502, "The API's answer is too large.";
    /// The store does not answer.
    StoreUnavailable = "store_unavailable", 503, "The store does not answer at the moment. Try again.";
    /// The user must connect before this can run.
    AuthorizationRequired = "authorization_required", 409, "The user must connect this connector first.";
    /// The provider does not answer.
    ProviderUnavailable = "provider_unavailable", 503, "The provider does not answer at the moment. Try again.";
    /// The operator must repair the connector.
    ProviderMisconfigured = "provider_misconfigured", 502, "The connector is not configured correctly.";
    /// No flow has this state.
    FlowNotFound = "flow_not_found", 404, "There is no such flow.";
    /// The flow's deadline has passed.
    FlowExpired = "flow_expired", 410, "The flow has expired.";
    /// The flow was finished before.
    FlowAlreadyUsed = "flow_already_used", 409, "The flow was already used.";
    /// Another user's flow.
    UserMismatch = "user_mismatch", 403, "The flow belongs to another user.";
    /// Not the browser the flow was started in.
    BrowserMismatch = "browser_mismatch", 403, "The flow was started in another browser.";
    /// `iss` is missing or another issuer's (RFC 9207).
    IssuerMismatch = "issuer_mismatch", 400, "The answer came from another issuer.";
    /// The callback path belongs to another connector.
    CallbackMismatch = "callback_mismatch", 400, "The answer came to another connector's callback.";
    /// Consent was denied.
    AccessDenied = "access_denied", 403, "Consent was denied at the provider.";
    /// The provider answered with another error.
    ProviderError = "provider_error", 502, "The provider answered with an error.";
    /// The code could not be exchanged.
    ExchangeFailed = "exchange_failed", 502, "The provider did not issue tokens.";
    /// The connector was edited while the flow ran.
    ConnectorChanged = "connector_changed", 409, "The connector was changed meanwhile.";
    /// The connector was deleted or disabled while the flow ran.
    ConnectorGone = "connector_gone", 410, "The connector is gone.";
    /// The user lost the privilege while the flow ran.
    PermissionLost = "permission_lost", 403, "The permission to use this connector was lost meanwhile.";
    /// Another provider account consented than before.
    AccountMismatch = "account_mismatch", 409, "Another account was used than the one connected before.";
}

impl Code {
    /// The code of a domain error. Names that are no code of ours (`interrupted`) are our own fault.
    pub(crate) fn of(name: &str) -> Self {
        Self::parse(name).unwrap_or(Self::Internal)
    }
}

/// An error on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    code: Code,
    field: Option<String>,
    detail: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    reason: Option<&'static str>,
    start_url: Option<String>,
}

impl Problem {
    /// A problem with nothing to add to its code.
    pub fn new(code: Code) -> Self {
        Self { code, field: None, detail: None, retry_after: None, reason: None, start_url: None }
    }

    /// A field of the request is wrong. `field` is its path, `problem` says what, and neither repeats a value.
    pub fn invalid(field: impl Into<String>, problem: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest).at(field, problem)
    }

    /// Names a field and what is wrong with it.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>, problem: impl Into<Cow<'static, str>>) -> Self {
        let (field, problem) = (field.into(), problem.into());
        self.detail = Some(format!("{field}: {problem}").into());
        self.field = Some(field);
        self
    }

    /// Says more than the code's own sentence. Never give it foreign text (R78).
    #[must_use]
    pub fn because(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Says when to come back.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Tells why the user must connect, and where.
    #[must_use]
    pub fn connect_at(mut self, reason: &'static str, start_url: String) -> Self {
        self.reason = Some(reason);
        self.start_url = Some(start_url);
        self
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The value of `Retry-After`: whole seconds, rounded up, at least one.
    pub(crate) fn retry_after(&self) -> Option<HeaderValue> {
        let wait = self.retry_after?;
        Some(HeaderValue::from((wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)))
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The body, once it is known which request it belongs to.
    pub(crate) fn details(self, correlation_id: &str) -> ProblemDetails {
        let status = self.status();
        let title = status.canonical_reason().unwrap_or("Error");
        let detail = self.detail.unwrap_or(Cow::Borrowed(self.code.sentence())).into_owned();
        ProblemDetails {
            kind: "about:blank",
            title,
            status: status.as_u16(),
            code: self.code.as_str(),
            correlation_id: correlation_id.to_owned(),
            field: self.field,
            reason: self.reason,
            start_url: self.start_url,
            status_code: status.as_u16(),
            error: title,
            message: detail.clone(),
            detail,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        if let Some(wait) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, wait);
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The stable codes, for the description.
fn code_schema() -> Object {
    let names = Code::ALL.iter().map(|code| code.as_str());
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names))
        .description(Some("What happened, for programs."))
        .build()
}

/// An error as it is answered (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDetails {
    /// Always `about:blank`: the code says what happened.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// Words of the status.
    title: &'static str,
    /// HTTP status.
    status: u16,
    /// What happened, for people.
    detail: String,
    /// What happened, for programs.
    #[schema(schema_with = code_schema)]
    code: &'static str,
    /// To be quoted to the operator.
    correlation_id: String,
    /// The field that is wrong, for `invalid_request` and its kin.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Why the user must connect, for `authorization_required`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Where the user connects, for `authorization_required`.
    #[serde(rename = "startUrl", skip_serializing_if = "Option::is_none")]
    start_url: Option<String>,
    /// The same as `status`, for older front ends.
    #[serde(rename = "statusCode")]
    status_code: u16,
    /// The same as `title`, for older front ends.
    error: &'static str,
    /// The same as `detail`, for older front ends.
    message: String,
}

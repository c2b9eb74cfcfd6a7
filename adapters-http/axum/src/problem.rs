//! Errors of the API: a stable code, a status and a sentence.
//!
//! A handler returns a [`Problem`]. The outermost middleware writes its body, because only there the correlation id is
//! known. The body is `application/problem+json` (RFC 9457), with three members for older front ends.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use grantry_domain::usecase::ConnectionLabel;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::identity_mode::IdentityModeName;

/// Declares the codes: variant, name on the wire, status, sentence.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal, $sentence:literal;)*) => {
        /// A stable error code for programs. The sentence is for users and may change.
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

            /// The HTTP status of the response.
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$variant => $status,)*
                }
            }

            /// The meaning, for users.
            pub const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$variant => $sentence,)*
                }
            }

            /// The code with this name.
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
    /// The request is anonymous.
    NotSignedIn = "not_signed_in", 401, "Sign in first.";
    /// The caller has access here, but not to this.
    Forbidden = "forbidden", 403, "This is not allowed.";
    /// Missing, or without access for the caller; the two are not distinguished.
    NotFound = "not_found", 404, "There is nothing here.";
    /// Taken, or edited concurrently.
    Conflict = "conflict", 409, "This conflicts with the stored state.";
    /// A field of the request is wrong; `field` names it.
    InvalidRequest = "invalid_request", 400, "The request is not valid.";
    /// The body exceeds its limit.
    PayloadTooLarge = "payload_too_large", 413, "The request is too large.";
    /// The body is not JSON.
    UnsupportedMediaType = "unsupported_media_type", 415, "Send the body as application/json.";
    /// The URL exceeds its limit.
    UrlTooLong = "url_too_long", 414, "The URL of the request is too long.";
    /// There are too many header fields, or they are too long; usually cookies.
    HeadersTooLarge = "headers_too_large", 431, "The header fields of the request are too large.";
    /// The `Host` of the request is not an allowed one.
    WrongHost = "wrong_host", 421, "This server does not serve that host. A proxy must pass on the Host of the browser, or the value that it sends must be one of the additional hosts.";
    /// Too many requests.
    RateLimited = "rate_limited", 429, "Too many requests. Try again later.";
    /// A URL of the connector is outside the operator's egress policy.
    HostNotAllowed = "host_not_allowed", 400, "The operator does not allow this host.";
    /// A setting of the connector is empty; `field` names it.
    ConnectorIncomplete = "connector_incomplete", 400, "The connector is not complete.";
    /// The return URL is not on the public origin.
    ReturnUrlRefused = "return_url_refused", 400, "The return URL must be a path on this origin.";
    /// Tokens may not be sent to this destination.
    DestinationRefused = "destination_refused", 403, "Tokens of this connector may not be sent there.";
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", 405, "This method is not allowed here.";
    /// A bug, or a failure without a code.
    Internal = "internal", 500, "Something went wrong here. Quote the correlation id to the operator.";
    /// The API of the connector did not respond.
    ApiUnreachable = "api_unreachable", 502, "The API could not be reached.";
    /// The response of the API exceeds the limit.
    ResponseTooLarge = "response_too_large", 502, "The response of the API is too large.";
    /// The store is unavailable.
    StoreUnavailable = "store_unavailable", 503, "The store is not available at the moment. Try again.";
    /// The audit trail cannot be written, and the operator permits no access token without it.
    AuditUnavailable = "audit_unavailable", 503, "The audit trail cannot be written at the moment. Try again.";
    /// The host's directory of users and spaces is unavailable. Access is denied.
    DirectoryUnavailable = "directory_unavailable", 503, "The directory of users is not available at the moment. Try again.";
    /// The user must connect first.
    AuthorizationRequired = "authorization_required", 409, "The user must connect this connector first.";
    /// The user has several connections, and the request names none.
    ConnectionAmbiguous = "connection_ambiguous", 409, "There are several connections. Name one of them.";
    /// The user has no connection of this name.
    ConnectionNotFound = "connection_not_found", 404, "There is no connection with this name.";
    /// The provider did not respond.
    ProviderUnavailable = "provider_unavailable", 503, "The provider is not available at the moment. Try again.";
    /// The provider refuses to refresh, without a reason that ends the connection. Try later, or connect again at `startUrl`.
    RefreshRefused = "refresh_refused", 503, "The provider refuses to refresh this connection at the moment. Try later or connect again.";
    /// The operator must correct the connector.
    ProviderMisconfigured = "provider_misconfigured", 502, "The connector is not configured correctly.";
    /// No flow has this state.
    FlowNotFound = "flow_not_found", 404, "There is no such flow.";
    /// The deadline of the flow has passed.
    FlowExpired = "flow_expired", 410, "The flow has expired.";
    /// The flow was finished before.
    FlowAlreadyUsed = "flow_already_used", 409, "The flow was already used.";
    /// The flow belongs to another user.
    UserMismatch = "user_mismatch", 403, "The flow belongs to another user.";
    /// The flow was started in another browser.
    BrowserMismatch = "browser_mismatch", 403, "The flow was started in another browser.";
    /// `iss` is missing or names another issuer (RFC 9207 §2.4).
    IssuerMismatch = "issuer_mismatch", 400, "The response came from another issuer.";
    /// The response arrived at the callback of another connector.
    CallbackMismatch = "callback_mismatch", 400, "The response arrived at the callback of another connector.";
    /// Consent was denied (RFC 6749 §4.1.2.1).
    AccessDenied = "access_denied", 403, "Consent was denied at the provider.";
    /// The provider returned another error.
    ProviderError = "provider_error", 502, "The provider returned an error.";
    /// The code could not be exchanged.
    ExchangeFailed = "exchange_failed", 502, "No usable tokens were received from the provider.";
    /// The connector was edited during the flow.
    ConnectorChanged = "connector_changed", 409, "The connector was changed in the meantime.";
    /// The stored connector is not authentic: a writer of the database changed it, or its key is not configured.
    ConnectorTampered = "connector_tampered", 503, "The stored connector is not authentic and is not used. Inform the operator.";
    /// The connector was deleted during the flow.
    ConnectorGone = "connector_gone", 410, "The connector no longer exists.";
    /// The user lost the permission during the flow.
    PermissionLost = "permission_lost", 403, "The permission to use this connector was lost in the meantime.";
    /// The user was deprovisioned.
    UserDeprovisioned = "user_deprovisioned", 403, "An administrator removed your access. Ask an administrator to reinstate you.";
    /// The provider did not grant a scope that the connector requires.
    InsufficientScope = "insufficient_scope", 403, "The provider did not grant all permissions that this connector requires.";
    /// The account is connected under another name of the same user and connector.
    AccountAlreadyConnected = "account_already_connected", 409, "This account is already connected under another name.";
    /// Another account consented than the connected one.
    AccountMismatch = "account_mismatch", 409, "Another account was used than last time.";
}

impl Code {
    /// The code of a domain error. A name without a code (`interrupted`) is an internal error.
    pub(crate) fn of(name: &str) -> Self {
        Self::parse(name).unwrap_or(Self::Internal)
    }

    /// How long to wait before the request is repeated, where nothing more is known: what this server depends on is not available.
    const fn wait(self) -> Option<Duration> {
        if matches!(self, Self::StoreUnavailable | Self::AuditUnavailable | Self::DirectoryUnavailable) {
            Some(OUTAGE_WAIT)
        } else {
            None
        }
    }
}

/// The wait after a request that was refused because of an outage.
const OUTAGE_WAIT: Duration = Duration::from_secs(5);

/// An error response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    code: Code,
    field: Option<String>,
    detail: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    reason: Option<&'static str>,
    start_url: Option<Box<str>>,
    provider_status: Option<u16>,
    connections: Option<Box<[ConnectionLabel]>>,
    identity_mode: Option<IdentityModeName>,
}

impl Problem {
    /// A problem with the sentence of its code, and with `Retry-After` if the store, the audit trail or the directory is not available.
    pub fn new(code: Code) -> Self {
        Self {
            code,
            field: None,
            detail: None,
            retry_after: code.wait(),
            reason: None,
            start_url: None,
            provider_status: None,
            connections: None,
            identity_mode: None,
        }
    }

    /// A field of the request is wrong. `field` is its path, `problem` the reason; neither contains a value.
    pub fn invalid(field: impl Into<String>, problem: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest).at(field, problem)
    }

    /// Adds a field and the reason why it is wrong.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>, problem: impl Into<Cow<'static, str>>) -> Self {
        let (field, problem) = (field.into(), problem.into());
        self.detail = Some(format!("{field}: {problem}").into());
        self.field = Some(field);
        self
    }

    /// Replaces the sentence of the code. `detail` must not contain text of a request, a provider or another library.
    #[must_use]
    pub fn because(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds `Retry-After`.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Adds why and where the user must connect.
    #[must_use]
    pub fn connect_at(mut self, reason: &'static str, start_url: String) -> Self {
        self.reason = Some(reason);
        self.start_url = Some(start_url.into());
        self
    }

    /// Adds the HTTP status of the provider's refusal, and where the user can connect again.
    #[must_use]
    pub fn refused_with(mut self, status: Option<u16>, start_url: String) -> Self {
        self.provider_status = status;
        self.start_url = Some(start_url.into());
        if let Some(status) = status {
            self.detail = Some(format!("{} It responded with HTTP status {status}.", self.code.sentence()).into());
        }
        self
    }

    /// Adds the connections to choose from.
    #[must_use]
    pub fn one_of(mut self, connections: Vec<ConnectionLabel>) -> Self {
        self.connections = Some(connections.into());
        self
    }

    /// Adds how users sign in.
    pub(crate) fn signed_in_by(mut self, identity_mode: IdentityModeName) -> Self {
        self.identity_mode = Some(identity_mode);
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

    /// The body.
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
            start_url: self.start_url.map(String::from),
            provider_status: self.provider_status,
            connections: self.connections.map(|labels| labels.into_iter().map(ProblemConnection::from).collect()),
            identity_mode: self.identity_mode.map(IdentityModeName::as_str),
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

/// The stable codes, for the `OpenAPI` document.
fn code_schema() -> Object {
    let names = Code::ALL.iter().map(|code| code.as_str());
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names))
        .description(Some("Stable code for programs."))
        .build()
}

/// An error response (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDetails {
    /// Always `about:blank`; see `code`.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// Reason phrase of the status.
    title: &'static str,
    /// HTTP status.
    status: u16,
    /// Explanation for users.
    detail: String,
    /// Stable code for programs.
    #[schema(schema_with = code_schema)]
    code: &'static str,
    /// Id of the response in the log of the operator.
    correlation_id: String,
    /// The field that is wrong, for `invalid_request` and similar codes.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Why the user must connect, for `authorization_required`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Where the user connects, for `authorization_required` and `refresh_refused`.
    #[serde(rename = "startUrl", skip_serializing_if = "Option::is_none")]
    start_url: Option<String>,
    /// HTTP status of the provider's response, for `refresh_refused`.
    #[serde(rename = "providerStatus", skip_serializing_if = "Option::is_none")]
    provider_status: Option<u16>,
    /// The connections to choose from, for `connection_ambiguous`.
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<Vec<ProblemConnection>>,
    /// How users sign in, for `not_signed_in` of `getSession`: `accounts`, `proxy-header` or `host`. Only with `accounts`, users sign in here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<IdentityModeName>)]
    identity_mode: Option<&'static str>,
    /// The same as `status`, for older front ends.
    #[serde(rename = "statusCode")]
    status_code: u16,
    /// The same as `title`, for older front ends.
    error: &'static str,
    /// The same as `detail`, for older front ends.
    message: String,
}

/// A connection to choose.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemConnection {
    /// Its name.
    name: String,
    /// The account at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
}

impl From<ConnectionLabel> for ProblemConnection {
    fn from(label: ConnectionLabel) -> Self {
        Self { name: label.name.as_str().to_owned(), account: label.account }
    }
}

/// The error responses of a route, for the `OpenAPI` document.
pub(crate) struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let content = Content::new(Some(Ref::from_schema_name("Problem")));
        let response = ResponseBuilder::new()
            .description("A problem; see its `code`")
            .content("application/problem+json", content)
            .build();
        BTreeMap::from([("default".to_owned(), RefOr::T(response))])
    }
}

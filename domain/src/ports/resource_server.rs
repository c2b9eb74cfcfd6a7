//! APIs behind connectors, called with a user's access token.

use async_trait::async_trait;
use thiserror::Error;

use crate::identity::UserId;
use crate::ports::streamed::{StreamedRequest, StreamedResponse};
use crate::provider::Origin;
use crate::secret::Secret;

/// The query of a request, which is appended to that of its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiQuery {
    /// Names and values, which the adapter encodes. A name may occur several times; the order is kept.
    Pairs(Vec<(String, String)>),
    /// A query that the caller has encoded.
    Encoded(String),
}

impl Default for ApiQuery {
    fn default() -> Self {
        Self::Pairs(Vec::new())
    }
}

/// Header fields of a connection (RFC 9110 §7.6.1), in lower case. They are passed on in neither direction.
pub const HOP_BY_HOP_FIELDS: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Further header fields that a caller must not set, in lower case: the adapter, the HTTP client or the browser sets them.
pub const RESERVED_FIELDS: [&str; 7] =
    ["authorization", "content-length", "cookie", "cookie2", "expect", "host", "set-cookie"];

/// A request to the API. The adapter adds the token.
pub struct ApiRequest {
    /// HTTP method: `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE` or `OPTIONS`. Others are refused.
    pub method: String,
    /// Absolute URL, already joined to the connector's base URL and within its destination.
    pub url: String,
    /// Headers set by the caller. [`HOP_BY_HOP_FIELDS`], [`RESERVED_FIELDS`] and what is no header field are refused.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Option<Vec<u8>>,
    /// The user whose token is used. The requests of one user leave room for those of others.
    pub user: UserId,
}

/// The API's response, with any status.
pub struct ApiResponse {
    /// HTTP status.
    pub status: u16,
    /// Headers without [`HOP_BY_HOP_FIELDS`], those that `Connection` names, and cookies. A value is any bytes (RFC 9110 §5.5).
    pub headers: Vec<(String, Vec<u8>)>,
    /// Body, within the limit.
    pub body: Vec<u8>,
}

/// Calls the API.
///
/// ```
/// use grantry_domain::ports::{ApiQuery, ResourceServer};
///
/// /// The URL of a request, which stays below the base URL.
/// fn url_of(server: &dyn ResourceServer, path: &str) -> Option<String> {
///     let (url, _origin) = server.join("https://api.example/v1", path, &ApiQuery::default()).ok()?;
///     Some(url)
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ResourceServer: Send + Sync {
    /// Checks a caller's path and query and joins them to the base URL; the result stays below it. The path may contain a
    /// query, which comes first. Percent escapes of the caller are kept. Refused are dot segments, also with an escaped dot or
    /// slash, and backslashes of a path, and fragments and control characters of both.
    fn join(&self, base_url: &str, path: &str, query: &ApiQuery) -> Result<(String, Origin), ApiRequestRefused>;

    /// Sends a request with the bearer token (RFC 6750 §2.1). No redirects, no retries. A refused request is not sent.
    async fn send(&self, request: &ApiRequest, token: &Secret) -> Result<ApiResponse, ApiError>;

    /// The same with bodies that are passed on while they arrive: returns as soon as the head of the response is there. Bodies
    /// have no limit, and the request ends with an error only if no byte arrives in either direction for a while. `Location` is
    /// an absolute URL, so that it leads to the API and not to a path of the caller's origin. Dropping the response cancels the
    /// request.
    async fn open(&self, request: StreamedRequest, token: &Secret) -> Result<StreamedResponse, ApiError>;
}

/// A request that may not be sent. Names the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
pub struct ApiRequestRefused {
    /// The field: `params.path`, `params.query`, `params.method`, `params.headers`, `params.body` or `config.baseUrl`.
    pub field: &'static str,
    /// What is wrong.
    pub problem: &'static str,
}

/// The API could not be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The request itself is not acceptable: method, header or URL.
    #[error(transparent)]
    Refused(#[from] ApiRequestRefused),
    /// The egress policy refuses the address.
    #[error("the API's address is not allowed")]
    NotAllowed,
    /// No connection, no response, or too slow.
    #[error("the API could not be reached")]
    Unreachable,
    /// The response is larger than the limit.
    #[error("the API's response is too large")]
    TooLarge,
}

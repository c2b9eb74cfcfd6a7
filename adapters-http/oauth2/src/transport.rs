//! The port through which this crate sends HTTP requests. Another adapter implements it with sockets.

use async_trait::async_trait;
use grantry_domain::ports::StreamedBody;
use grantry_domain::secret::Secret;
use http::{HeaderMap, Method, StatusCode};
use thiserror::Error;
use zeroize::Zeroizing;

/// A request. It does not implement `Debug`, because body and authorization are secrets.
pub struct HttpRequest {
    /// Method.
    pub method: Method,
    /// Absolute URL. The transport checks it against the egress policy again before it connects.
    pub url: String,
    /// Header fields without secrets.
    pub headers: HeaderMap,
    /// The `Authorization` field, which the transport marks as sensitive. With a value that is no header field, the request is
    /// [`TransportError::NotSent`].
    pub authorization: Option<Secret>,
    /// Body.
    pub body: Option<Secret>,
    /// Maximum size of the response body, as received and decoded. A larger one is [`TransportError::TooLarge`].
    pub max_body: usize,
    /// Requests with the same share use at most a part of the concurrent requests to a host. `None` for those that are not
    /// limited among each other.
    pub share: Option<String>,
}

/// A response with any status. Redirects are returned and never followed.
pub struct HttpResponse {
    /// Status.
    pub status: StatusCode,
    /// Header fields.
    pub headers: HeaderMap,
    /// Body. Compression is not requested; a compressed body is decoded all the same, and its header field removed.
    pub body: Zeroizing<Vec<u8>>,
}

/// A request whose body is still arriving. It does not implement `Debug`, because authorization is a secret.
pub struct StreamRequest {
    /// Method.
    pub method: Method,
    /// Absolute URL, as in [`HttpRequest`].
    pub url: String,
    /// Header fields without secrets. The transport adds the length of the body, if it is known.
    pub headers: HeaderMap,
    /// The `Authorization` field, as in [`HttpRequest`].
    pub authorization: Option<Secret>,
    /// Body.
    pub body: Option<StreamedBody>,
    /// As in [`HttpRequest`]. Requests with streamed bodies have places of their kind, so that long ones leave room for others.
    pub share: Option<String>,
}

/// The head of a response, and its body, which is still arriving. Redirects are returned and never followed.
pub struct StreamResponse {
    /// Status.
    pub status: StatusCode,
    /// Header fields.
    pub headers: HeaderMap,
    /// Body, as it was received: it is not decoded. Dropping it cancels the request.
    pub body: StreamedBody,
}

/// Sends requests. Implementations never retry, never follow redirects, keep no cookies, limit the time of a request, and apply
/// the egress policy to the address they connect to.
#[async_trait]
pub trait HttpTransport: Send + Sync {
    /// Sends one request and reads the complete response.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError>;

    /// Sends one request whose body is still arriving, and returns as soon as the head of the response is there. Bodies are passed
    /// on part by part, at the pace of their reader, without a limit of size. The time is limited only between two parts in
    /// either direction.
    async fn open(&self, request: StreamRequest) -> Result<StreamResponse, TransportError>;
}

/// Why there is no response, as far as a caller can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TransportError {
    /// The egress policy refuses the URL or its address. No request was sent.
    #[error("the address is not allowed")]
    NotAllowed,
    /// Name resolution, connection or TLS failed, or no connection slot became free. No request was sent.
    #[error("the host could not be reached")]
    NotSent,
    /// The request may have been processed, but no complete response arrived in time.
    #[error("the connection was interrupted or too slow")]
    Cut,
    /// The response is larger than allowed.
    #[error("the response is too large")]
    TooLarge,
}

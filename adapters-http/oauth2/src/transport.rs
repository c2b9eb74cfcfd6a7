//! The port through which this crate sends HTTP requests. It owns the trait; an adapter beside it owns the sockets.

use async_trait::async_trait;
use grantry_domain::secret::Secret;
use http::{HeaderMap, Method, StatusCode};
use thiserror::Error;
use zeroize::Zeroizing;

/// A request. It has no `Debug`, because its body and its authorization are secrets.
pub struct HttpRequest {
    /// Method.
    pub method: Method,
    /// Absolute URL; the transport asks the egress policy once more before it connects.
    pub url: String,
    /// Header fields that hold no secret.
    pub headers: HeaderMap,
    /// The `Authorization` field: the only secret header there is, and so the only one marked sensitive.
    pub authorization: Option<Secret>,
    /// Body.
    pub body: Option<Secret>,
    /// The most bytes of a body that are read; one more is [`TransportError::TooLarge`].
    pub max_body: usize,
}

/// A response, whatever its status; redirects are responses like others and are never followed (R67).
pub struct HttpResponse {
    /// Status.
    pub status: StatusCode,
    /// Header fields.
    pub headers: HeaderMap,
    /// Body as it came; nothing is decompressed.
    pub body: Zeroizing<Vec<u8>>,
}

/// Sends requests. Never retries, never follows, and holds to the egress policy at the moment it connects (R66–R71).
#[async_trait]
pub trait HttpTransport: Send + Sync {
    /// Sends one request and reads the whole response.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError>;
}

/// Why there is no response. Tells only what a caller can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TransportError {
    /// The egress policy refuses the URL or the address behind it. Nothing was sent.
    #[error("the address is not allowed")]
    NotAllowed,
    /// No name, no connection, no TLS, no free slot. Nothing was sent.
    #[error("the host could not be reached")]
    NotSent,
    /// The request may have arrived, but no whole response came back in time.
    #[error("the connection was cut or too slow")]
    Cut,
    /// The response is larger than allowed.
    #[error("the response is too large")]
    TooLarge,
}

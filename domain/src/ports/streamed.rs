//! Bodies whose parts arrive one after the other, and the requests and responses of an API with such bodies.

use std::fmt;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use thiserror::Error;

use crate::identity::UserId;

/// A body whose parts arrive one after the other. A part is produced when the reader asks for it, so that a slow reader slows
/// its writer down. Dropping the body cancels what produces it.
pub struct StreamedBody {
    /// The number of bytes of all parts, if it is known in advance.
    pub length: Option<u64>,
    /// The parts. Nothing follows an error.
    pub parts: BoxStream<'static, Result<Bytes, BodyCut>>,
}

/// The content of a body can be a secret.
impl fmt::Debug for StreamedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamedBody").field("length", &self.length).finish_non_exhaustive()
    }
}

/// The rest of a body does not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the body did not arrive whole")]
pub struct BodyCut;

/// A request to the API with a body that is still arriving. The adapter adds the token.
pub struct StreamedRequest {
    /// HTTP method, as in [`ApiRequest`](super::ApiRequest).
    pub method: String,
    /// Absolute URL, already joined to the connector's base URL and within its destination.
    pub url: String,
    /// Headers, as in [`ApiRequest`](super::ApiRequest). A value is any bytes (RFC 9110 §5.5).
    pub headers: Vec<(String, Vec<u8>)>,
    /// Body.
    pub body: Option<StreamedBody>,
    /// The user whose token is used. The requests of one user leave room for those of others.
    pub user: UserId,
}

/// The head of the API's response, with any status, and its body, which is still arriving.
#[derive(Debug)]
pub struct StreamedResponse {
    /// HTTP status.
    pub status: u16,
    /// Headers, as in [`ApiResponse`](super::ApiResponse).
    pub headers: Vec<(String, Vec<u8>)>,
    /// Body.
    pub body: StreamedBody,
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use futures_util::stream;

    use super::*;

    #[test]
    fn a_body_cannot_be_printed() {
        let parts = stream::iter([Ok(Bytes::from_static(b"canary"))]).boxed();
        let shown = format!("{:?}", StreamedBody { length: Some(6), parts });
        assert!(shown.contains("length: Some(6)") && !shown.contains("canary"), "{shown}");
    }
}

//! The `ResourceServer` port over HTTP: calls below a connector's base URL, with a user's token.

mod headers;
mod join;

use std::sync::Arc;

use async_trait::async_trait;
use grantry_domain::ports::{ApiError, ApiQuery, ApiRequest, ApiRequestRefused, ApiResponse, ResourceServer};
use grantry_domain::provider::Origin;
use grantry_domain::secret::Secret;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method};

use crate::egress::EgressPolicy;
use crate::server::bearer;
use crate::transport::{HttpRequest, HttpTransport, TransportError};

/// The methods of API calls. `CONNECT` and `TRACE` are not API calls.
const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// The methods that expect a body.
const METHODS_WITH_BODY: [Method; 3] = [Method::POST, Method::PUT, Method::PATCH];

/// Calls APIs. It follows no redirect and retries no request.
pub struct ApiCaller {
    transport: Arc<dyn HttpTransport>,
    policy: EgressPolicy,
    max_body: usize,
}

impl ApiCaller {
    /// Default limit of request and response bodies: 1 MiB.
    pub const MAX_BODY: usize = 1024 * 1024;

    /// Creates a caller over a transport. `max_body` limits request and response bodies, in bytes.
    pub fn new(transport: Arc<dyn HttpTransport>, policy: EgressPolicy, max_body: usize) -> Self {
        Self { transport, policy, max_body }
    }
}

#[async_trait]
impl ResourceServer for ApiCaller {
    fn join(&self, base_url: &str, path: &str, query: &ApiQuery) -> Result<(String, Origin), ApiRequestRefused> {
        join::join(&self.policy, base_url, path, query)
    }

    async fn send(&self, request: &ApiRequest, token: &Secret) -> Result<ApiResponse, ApiError> {
        let refused = |field, problem| ApiError::Refused(ApiRequestRefused { field, problem });
        let method = METHODS
            .into_iter()
            .find(|method| method.as_str() == request.method)
            .ok_or_else(|| refused("params.method", "must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS"))?;
        if request.body.as_ref().is_some_and(|body| body.len() > self.max_body) {
            return Err(refused("params.body", "is too large"));
        }
        let mut headers = headers::request_headers(&request.headers)?;
        // The HTTP client sends no length for an empty body, and some servers refuse such a request (RFC 9110 §8.6).
        if METHODS_WITH_BODY.contains(&method) && request.body.as_ref().is_none_or(Vec::is_empty) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        self.policy.check(&request.url).map_err(|_| ApiError::NotAllowed)?;

        let request = HttpRequest {
            method,
            url: request.url.clone(),
            headers,
            authorization: Some(bearer(token)),
            body: request.body.clone().map(Secret::new),
            max_body: self.max_body,
            share: Some(request.user.as_str().to_owned()),
        };
        let mut response = self.transport.send(request).await.map_err(|error| match error {
            TransportError::NotAllowed => ApiError::NotAllowed,
            TransportError::NotSent | TransportError::Cut => ApiError::Unreachable,
            TransportError::TooLarge => ApiError::TooLarge,
        })?;
        Ok(ApiResponse {
            status: response.status.as_u16(),
            headers: headers::response_headers(&response.headers),
            body: std::mem::take(&mut *response.body),
        })
    }
}

#[cfg(test)]
mod tests;

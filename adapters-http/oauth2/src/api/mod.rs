//! The `ResourceServer` port over HTTP: calls below a connector's base URL, with a user's token.

mod headers;
mod join;
mod location;

use std::sync::Arc;

use async_trait::async_trait;
use grantry_domain::ports::{
    ApiError, ApiQuery, ApiRequest, ApiRequestRefused, ApiResponse, ResourceServer, StreamedRequest, StreamedResponse,
};
use grantry_domain::provider::Origin;
use grantry_domain::secret::Secret;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Method};

use crate::egress::EgressPolicy;
use crate::server::bearer;
use crate::transport::{HttpRequest, HttpTransport, StreamRequest, StreamResponse, TransportError};

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
        let method = method(&request.method)?;
        if request.body.as_ref().is_some_and(|body| body.len() > self.max_body) {
            return Err(ApiRequestRefused { field: "params.body", problem: "is too large" }.into());
        }
        let fields = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let mut headers = headers::request_headers(fields)?;
        if request.body.as_ref().is_none_or(Vec::is_empty) {
            announce_no_body(&method, &mut headers);
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
        let mut response = self.transport.send(request).await.map_err(api_error)?;
        Ok(ApiResponse {
            status: response.status.as_u16(),
            headers: headers::response_headers(&response.headers),
            body: std::mem::take(&mut *response.body),
        })
    }

    async fn open(&self, request: StreamedRequest, token: &Secret) -> Result<StreamedResponse, ApiError> {
        let StreamedRequest { method: name, url, headers: fields, body, user } = request;
        let method = method(&name)?;
        let fields = fields.into_iter();
        let mut headers = headers::request_headers(fields)?;
        if body.is_none() {
            announce_no_body(&method, &mut headers);
        }
        self.policy.check(&url).map_err(|_| ApiError::NotAllowed)?;
        let share = Some(user.as_str().to_owned());
        let request = StreamRequest { method, url: url.clone(), headers, authorization: Some(bearer(token)), body, share };
        let StreamResponse { status, headers, body } = self.transport.open(request).await.map_err(api_error)?;
        let mut headers = headers::response_headers(&headers);
        location::make_absolute(&mut headers, &url);
        Ok(StreamedResponse { status: status.as_u16(), headers, body })
    }
}

fn method(name: &str) -> Result<Method, ApiRequestRefused> {
    METHODS.into_iter().find(|method| method.as_str() == name).ok_or(ApiRequestRefused {
        field: "params.method",
        problem: "must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS",
    })
}

/// The HTTP client sends no length for an empty body, and some servers refuse such a request (RFC 9110 §8.6).
fn announce_no_body(method: &Method, headers: &mut HeaderMap) {
    if METHODS_WITH_BODY.contains(method) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

fn api_error(error: TransportError) -> ApiError {
    match error {
        TransportError::NotAllowed => ApiError::NotAllowed,
        TransportError::NotSent | TransportError::Cut => ApiError::Unreachable,
        TransportError::TooLarge => ApiError::TooLarge,
    }
}

#[cfg(test)]
mod tests;

//! An API whose responses a test scripts.

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use grantry_domain::ports::{
    ApiError, ApiQuery, ApiRequest, ApiRequestRefused, ApiResponse, HOP_BY_HOP_FIELDS, RESERVED_FIELDS, ResourceServer,
    StreamedBody, StreamedRequest, StreamedResponse,
};
use grantry_domain::provider::Origin;
use grantry_domain::secret::Secret;
use http::{HeaderName, HeaderValue};
use url::Url;
use url::form_urlencoded::Serializer;

use super::locked;
use crate::provider::Gate;

/// One request to the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentRequest {
    /// Method.
    pub method: String,
    /// URL.
    pub url: String,
    /// Headers, without the token.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Option<Vec<u8>>,
    /// The bearer token.
    pub token: String,
}

/// Responds with 401 to rejected tokens, otherwise from a queue, otherwise with `200 {}`. Records every request that it does not
/// refuse. It may call every URL.
#[derive(Default)]
pub struct ScriptedResourceServer(Mutex<Script>);

#[derive(Default)]
struct Script {
    responses: VecDeque<Result<ApiResponse, ApiError>>,
    rejected: HashSet<String>,
    rejects_all: bool,
    gate: Option<Gate>,
    /// How many bytes of a streamed body are read before the response. `None` for all.
    read_ahead: Option<usize>,
    requests: Vec<SentRequest>,
}

impl ScriptedResourceServer {
    /// Queues a response.
    pub fn respond(&self, response: Result<ApiResponse, ApiError>) {
        locked(&self.0).responses.push_back(response);
    }

    /// Queues a response with a status and an empty JSON object.
    pub fn respond_with_status(&self, status: u16) {
        self.respond(Ok(plain(status)));
    }

    /// Responds with 401 to this token from now on.
    pub fn reject_token(&self, token: &str) {
        locked(&self.0).rejected.insert(token.to_owned());
    }

    /// Responds with 401 to every token from now on.
    pub fn reject_all_tokens(&self) {
        locked(&self.0).rejects_all = true;
    }

    /// Holds every further request until the gate is opened.
    pub fn hold(&self) -> Gate {
        let gate = Gate::closed();
        locked(&self.0).gate = Some(gate.clone());
        gate
    }

    /// Responds to further streamed requests as soon as this many bytes of their bodies have arrived. Without this, it responds
    /// after the whole body.
    pub fn respond_after(&self, bytes: usize) {
        locked(&self.0).read_ahead = Some(bytes);
    }

    /// All requests so far, in order. The body of a streamed one is the part that was read before the response.
    pub fn requests(&self) -> Vec<SentRequest> {
        locked(&self.0).requests.clone()
    }
}

fn plain(status: u16) -> ApiResponse {
    let headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
    ApiResponse { status, headers, body: b"{}".to_vec() }
}

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

fn refused(field: &'static str, problem: &'static str) -> ApiRequestRefused {
    ApiRequestRefused { field, problem }
}

/// Whether a path or a query contains what ends it, or no URL contains.
fn is_interrupted(text: &str) -> bool {
    text.contains(|character: char| character == '#' || character.is_control())
}

/// Whether a path has a dot segment, also with an escaped dot or slash.
fn has_dot_segment(path: &str) -> bool {
    let plain = path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/");
    plain.split('/').any(|segment| matches!(segment, "." | ".."))
}

fn encoded(query: &ApiQuery) -> String {
    match query {
        ApiQuery::Pairs(pairs) => Serializer::new(String::new()).extend_pairs(pairs).finish(),
        ApiQuery::Encoded(text) => text.clone(),
    }
}

/// Checks what a caller sends, without the token.
fn check(request: &ApiRequest) -> Result<(), ApiRequestRefused> {
    if !METHODS.contains(&request.method.as_str()) {
        return Err(refused("params.method", "is not one of API calls"));
    }
    for (name, value) in &request.headers {
        let name = HeaderName::try_from(name).map_err(|_| refused("params.headers", "contains an invalid name"))?;
        if HOP_BY_HOP_FIELDS.contains(&name.as_str()) || RESERVED_FIELDS.contains(&name.as_str()) {
            return Err(refused("params.headers", "contains a field that a caller must not set"));
        }
        if HeaderValue::try_from(value).is_err() {
            return Err(refused("params.headers", "contains an invalid value"));
        }
    }
    Ok(())
}

/// The response as the port returns it.
fn passed_on(mut response: ApiResponse) -> ApiResponse {
    let is_connection = |(name, _): &&(String, Vec<u8>)| name.eq_ignore_ascii_case("connection");
    let named =
        response.headers.iter().filter(is_connection).map(|(_, value)| String::from_utf8_lossy(value).to_lowercase());
    let named: Vec<String> =
        named.flat_map(|value| value.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>()).collect();
    response.headers.retain(|(name, _)| {
        let name = name.to_ascii_lowercase();
        !HOP_BY_HOP_FIELDS.contains(&name.as_str()) && !name.starts_with("set-cookie") && !named.contains(&name)
    });
    response
}

#[async_trait]
impl ResourceServer for ScriptedResourceServer {
    /// Joins by concatenation. Also refuses paths that do not start with `/`.
    fn join(&self, base_url: &str, path: &str, query: &ApiQuery) -> Result<(String, Origin), ApiRequestRefused> {
        let query = encoded(query);
        let below = path.split_once('?').map_or(path, |(below, _)| below);
        if !path.starts_with('/') || is_interrupted(path) || below.contains('\\') || has_dot_segment(below) {
            return Err(refused("params.path", "must stay below the base URL"));
        }
        if is_interrupted(&query) {
            return Err(refused("params.query", "must not contain a fragment or control characters"));
        }
        let base = base_url.trim_end_matches('/');
        let mark = match (query.is_empty(), path.contains('?')) {
            (true, _) => "",
            (false, false) => "?",
            (false, true) => "&",
        };
        let host = base.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let origin = Origin::new(host).map_err(|_| refused("config.baseUrl", "is not a URL"))?;
        Ok((format!("{base}{path}{mark}{query}"), origin))
    }

    async fn send(&self, request: &ApiRequest, token: &Secret) -> Result<ApiResponse, ApiError> {
        self.respond_to(request, token).await
    }

    async fn open(&self, request: StreamedRequest, token: &Secret) -> Result<StreamedResponse, ApiError> {
        let text = |(name, value): (String, Vec<u8>)| (name, String::from_utf8_lossy(&value).into_owned());
        let headers = request.headers.into_iter().map(text).collect();
        let mut whole = ApiRequest { method: request.method, url: request.url, headers, body: None, user: request.user };
        check(&whole)?;
        let mut rest = request.body;
        if let Some(body) = &mut rest {
            let enough = locked(&self.0).read_ahead.unwrap_or(usize::MAX);
            whole.body = Some(read(body, enough).await?);
        }
        let ApiResponse { status, mut headers, body } = self.respond_to(&whole, token).await?;
        for (_, value) in headers.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case("location")) {
            if let Some(target) = absolute(&whole.url, value) {
                *value = target;
            }
        }
        let length = Some(body.len() as u64);
        // The rest of the body of the request can be read for as long as the response is.
        let parts = stream::once(async move { Ok(Bytes::from(body)) }).inspect(move |_| drop(rest.take())).boxed();
        Ok(StreamedResponse { status, headers, body: StreamedBody { length, parts } })
    }
}

/// A `Location`, resolved against the URL of the request.
fn absolute(url: &str, location: &[u8]) -> Option<Vec<u8>> {
    let target = Url::parse(url).ok()?.join(std::str::from_utf8(location).ok()?).ok()?;
    Some(String::from(target).into_bytes())
}

/// Reads parts of a body until there are enough bytes.
async fn read(body: &mut StreamedBody, enough: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while bytes.len() < enough
        && let Some(part) = body.parts.next().await
    {
        bytes.extend_from_slice(&part.map_err(|_| ApiError::Unreachable)?);
    }
    Ok(bytes)
}

impl ScriptedResourceServer {
    async fn respond_to(&self, request: &ApiRequest, token: &Secret) -> Result<ApiResponse, ApiError> {
        check(request)?;
        let token = String::from_utf8_lossy(token.expose()).into_owned();
        let gate = {
            let mut script = locked(&self.0);
            script.requests.push(SentRequest {
                method: request.method.clone(),
                url: request.url.clone(),
                headers: request.headers.clone(),
                body: request.body.clone(),
                token: token.clone(),
            });
            script.gate.clone()
        };
        if let Some(gate) = gate {
            gate.pass().await;
        }
        let mut script = locked(&self.0);
        if script.rejects_all || script.rejected.contains(&token) {
            return Ok(plain(401));
        }
        script.responses.pop_front().unwrap_or_else(|| Ok(plain(200))).map(passed_on)
    }
}

//! An API whose responses a test scripts.

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;

use async_trait::async_trait;
use grantry_domain::ports::{ApiError, ApiQuery, ApiRequest, ApiRequestRefused, ApiResponse, ResourceServer};
use grantry_domain::provider::Origin;
use grantry_domain::secret::Secret;

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

/// Responds with 401 to rejected tokens, otherwise from a queue, otherwise with `200 {}`. Records every request.
#[derive(Default)]
pub struct ScriptedResourceServer(Mutex<Script>);

#[derive(Default)]
struct Script {
    responses: VecDeque<Result<ApiResponse, ApiError>>,
    rejected: HashSet<String>,
    rejects_all: bool,
    gate: Option<Gate>,
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

    /// All requests so far, in order.
    pub fn requests(&self) -> Vec<SentRequest> {
        locked(&self.0).requests.clone()
    }
}

fn plain(status: u16) -> ApiResponse {
    let headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
    ApiResponse { status, headers, body: b"{}".to_vec() }
}

#[async_trait]
impl ResourceServer for ScriptedResourceServer {
    /// Joins by concatenation. Refuses `..`, and paths that do not start with `/`.
    fn join(&self, base_url: &str, path: &str, query: &ApiQuery) -> Result<(String, Origin), ApiRequestRefused> {
        if !path.starts_with('/') || path.contains("..") {
            return Err(ApiRequestRefused { field: "params.path", problem: "must stay below the base URL" });
        }
        let base = base_url.trim_end_matches('/');
        let query = match query {
            ApiQuery::Pairs(pairs) => {
                pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
            }
            ApiQuery::Encoded(text) => text.clone(),
        };
        let mark = match (query.is_empty(), path.contains('?')) {
            (true, _) => "",
            (false, false) => "?",
            (false, true) => "&",
        };
        let host = base.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let origin =
            Origin::new(host).map_err(|_| ApiRequestRefused { field: "config.baseUrl", problem: "is not a URL" })?;
        Ok((format!("{base}{path}{mark}{query}"), origin))
    }

    async fn send(&self, request: &ApiRequest, token: &Secret) -> Result<ApiResponse, ApiError> {
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
        script.responses.pop_front().unwrap_or_else(|| Ok(plain(200)))
    }
}

#[cfg(all(test, feature = "contract"))]
mod contract {
    use std::future::{Ready, ready};
    use std::sync::Arc;

    use super::*;
    use crate::contract::resource_server::ResourceBackend;

    fn server() -> Ready<ResourceBackend> {
        let server = Arc::new(ScriptedResourceServer::default());
        let (scripted, read) = (server.clone(), server.clone());
        ready(ResourceBackend {
            server,
            respond: Box::new(move |status| scripted.respond_with_status(status)),
            received: Box::new(move || read.requests()),
        })
    }

    crate::resource_server_contract!(server);
}

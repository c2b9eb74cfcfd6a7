//! An API that answers from a script.

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;

use async_trait::async_trait;
use grantry_domain::ports::{ApiError, ApiRequest, ApiRequestRefused, ApiResponse, ResourceServer};
use grantry_domain::provider::Origin;
use grantry_domain::secret::Secret;

use super::locked;
use crate::provider::Gate;

/// One request that reached the API.
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
    /// The token it came with.
    pub token: String,
}

/// Answers 401 to tokens it was told to refuse, else from a queue, else `200 {}`; remembers every request.
#[derive(Default)]
pub struct ScriptedResourceServer(Mutex<Script>);

#[derive(Default)]
struct Script {
    answers: VecDeque<Result<ApiResponse, ApiError>>,
    refused: HashSet<String>,
    refuses_all: bool,
    gate: Option<Gate>,
    requests: Vec<SentRequest>,
}

impl ScriptedResourceServer {
    /// Answers the next request that has no answer yet.
    pub fn answer(&self, answer: Result<ApiResponse, ApiError>) {
        locked(&self.0).answers.push_back(answer);
    }

    /// Answers the next request that has no answer yet with a status and an empty JSON object.
    pub fn answer_status(&self, status: u16) {
        self.answer(Ok(plain(status)));
    }

    /// Answers 401 to this token from now on.
    pub fn refuse_token(&self, token: &str) {
        locked(&self.0).refused.insert(token.to_owned());
    }

    /// Answers 401 to every token from now on.
    pub fn refuse_all_tokens(&self) {
        locked(&self.0).refuses_all = true;
    }

    /// Holds every request from now on, until the gate is opened.
    pub fn hold(&self) -> Gate {
        let gate = Gate::closed();
        locked(&self.0).gate = Some(gate.clone());
        gate
    }

    /// Every request so far, in order.
    pub fn requests(&self) -> Vec<SentRequest> {
        locked(&self.0).requests.clone()
    }
}

fn plain(status: u16) -> ApiResponse {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    ApiResponse { status, headers, body: b"{}".to_vec() }
}

#[async_trait]
impl ResourceServer for ScriptedResourceServer {
    /// Joins by concatenation. Refuses what could leave the base URL: `..`, and paths that do not start with `/`.
    fn join(&self, base_url: &str, path: &str, query: &[(String, String)]) -> Result<(String, Origin), ApiRequestRefused> {
        if !path.starts_with('/') || path.contains("..") {
            return Err(ApiRequestRefused { field: "params.path", problem: "must stay below the base URL" });
        }
        let base = base_url.trim_end_matches('/');
        let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mark = if pairs.is_empty() { "" } else { "?" };
        let host = base.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let origin =
            Origin::new(host).map_err(|_| ApiRequestRefused { field: "config.baseUrl", problem: "is not a URL" })?;
        Ok((format!("{base}{path}{mark}{}", pairs.join("&")), origin))
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
        if script.refuses_all || script.refused.contains(&token) {
            return Ok(plain(401));
        }
        script.answers.pop_front().unwrap_or_else(|| Ok(plain(200)))
    }
}

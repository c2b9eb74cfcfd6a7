//! The ledger: all requests that reached the provider, in the order of arrival.
//!
//! A call is recorded before any fault acts on it, so that an empty ledger proves that no request was sent.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::sync::watch;

use super::endpoint::Endpoint;

/// The user and client of the token of an API call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Log-in name; absent for client credentials.
    pub username: Option<String>,
    /// The client the token was issued to.
    pub client_id: String,
    /// The `token_id` that the API returns.
    pub token_id: String,
}

/// One request and the status of its response.
#[derive(Clone, Debug)]
pub struct Call {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// HTTP method.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Decoded query, in order.
    pub query: Vec<(String, String)>,
    /// Decoded form body, in order; empty for other bodies.
    pub form: Vec<(String, String)>,
    /// All header fields.
    pub headers: HeaderMap,
    /// The body as received.
    pub body: Vec<u8>,
    /// The user and client of its token, if the token is valid (userinfo and API only).
    pub subject: Option<Subject>,
    /// Status of the response; absent while the request is in progress and if the connection was closed.
    pub status: Option<u16>,
}

impl Call {
    /// A parameter of the form or, if the form has none, of the query.
    pub fn param(&self, name: &str) -> Option<&str> {
        let mut fields = self.form.iter().chain(&self.query);
        fields.find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A header field as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// `grant_type` of a token request.
    pub fn grant_type(&self) -> Option<&str> {
        self.param("grant_type")
    }

    /// The bearer token.
    pub fn bearer_token(&self) -> Option<&str> {
        bearer_token(&self.headers)
    }

    /// The client id in the Basic credentials or the parameters; not authenticated.
    pub fn client_id(&self) -> Option<String> {
        let basic = basic_credentials(&self.headers).map(|(id, _)| id);
        basic.or_else(|| self.param("client_id").map(str::to_owned))
    }
}

/// A snapshot of the ledger; dereferences to a slice of calls.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    calls: Vec<Call>,
}

impl Deref for Ledger {
    type Target = [Call];

    fn deref(&self) -> &[Call] {
        &self.calls
    }
}

impl Ledger {
    /// Calls to one endpoint.
    pub fn at(&self, endpoint: Endpoint) -> Vec<&Call> {
        self.iter().filter(|call| call.endpoint == endpoint).collect()
    }

    /// Calls by the client itself (token, revocation, userinfo, API, metadata …), not by a browser.
    pub fn back_channel(&self) -> Vec<&Call> {
        self.iter().filter(|call| call.endpoint.is_back_channel()).collect()
    }

    /// Token requests of one grant type (`authorization_code`, `refresh_token`, `client_credentials`).
    pub fn token_requests(&self, grant_type: &str) -> Vec<&Call> {
        self.iter().filter(|call| call.endpoint == Endpoint::Token && call.grant_type() == Some(grant_type)).collect()
    }

    /// Code exchanges.
    pub fn exchanges(&self) -> Vec<&Call> {
        self.token_requests("authorization_code")
    }

    /// Refresh requests.
    pub fn refreshes(&self) -> Vec<&Call> {
        self.token_requests("refresh_token")
    }

    /// Refresh requests with this token.
    pub fn refreshes_with(&self, refresh_token: &str) -> Vec<&Call> {
        self.refreshes().into_iter().filter(|call| call.param("refresh_token") == Some(refresh_token)).collect()
    }

    /// Revocation requests; `param("token")` and `param("token_type_hint")` are the token and its type.
    pub fn revocations(&self) -> Vec<&Call> {
        self.at(Endpoint::Revocation)
    }

    /// Calls of the API; `subject` is the user and client of the token.
    pub fn api_calls(&self) -> Vec<&Call> {
        self.at(Endpoint::Api)
    }

    /// Authorization requests; `param(…)` returns their parameters.
    pub fn authorization_requests(&self) -> Vec<&Call> {
        self.at(Endpoint::Authorization)
    }
}

/// The growing ledger of a running provider.
#[derive(Debug)]
pub(super) struct LedgerBook {
    entries: Mutex<Entries>,
    limit: Option<usize>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Entries {
    calls: VecDeque<Call>,
    /// Number of the oldest call in the ledger.
    first: u64,
}

/// Identifies a call when its response is available.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallNumber(u64);

impl LedgerBook {
    pub(super) fn new(limit: Option<usize>) -> Self {
        Self { entries: Mutex::default(), limit, changes: watch::Sender::new(0) }
    }

    /// Records a request.
    pub(super) fn arrived(&self, call: Call) -> CallNumber {
        let number = self.with(|entries| {
            entries.calls.push_back(call);
            let number = entries.first + entries.calls.len() as u64 - 1;
            while self.limit.is_some_and(|limit| entries.calls.len() > limit) {
                entries.calls.pop_front();
                entries.first += 1;
            }
            number
        });
        CallNumber(number)
    }

    /// Adds the status and the token's user to a recorded request.
    pub(super) fn responded(&self, CallNumber(number): CallNumber, status: Option<u16>, subject: Option<Subject>) {
        self.with(|entries| {
            let index = number.checked_sub(entries.first).and_then(|index| usize::try_from(index).ok());
            if let Some(call) = index.and_then(|index| entries.calls.get_mut(index)) {
                call.status = status;
                call.subject = subject;
            }
        });
    }

    pub(super) fn snapshot(&self) -> Ledger {
        self.with_quietly(|entries| Ledger { calls: entries.calls.iter().cloned().collect() })
    }

    pub(super) fn clear(&self) {
        self.with(|entries| {
            entries.first += entries.calls.len() as u64;
            entries.calls.clear();
        });
    }

    /// A receiver that is notified of every change.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn with<T>(&self, change: impl FnOnce(&mut Entries) -> T) -> T {
        let result = self.with_quietly(change);
        self.changes.send_modify(|version| *version += 1);
        result
    }

    fn with_quietly<T>(&self, change: impl FnOnce(&mut Entries) -> T) -> T {
        change(&mut self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The token of `Authorization: Bearer`.
pub(super) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Client id and secret of `Authorization: Basic`, form-decoded as RFC 6749 §2.3.1 requires.
pub(super) fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decoded(id), form_decoded(secret)))
}

fn form_decoded(text: &str) -> String {
    url::form_urlencoded::parse(format!("v={}", text.replace('&', "%26")).as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

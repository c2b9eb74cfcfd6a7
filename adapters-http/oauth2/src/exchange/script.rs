//! A transport that returns the responses of an exchange file and keeps the requests.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use grantry_domain::secret::Secret;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use zeroize::Zeroizing;

use super::file::Response;
use crate::transport::{HttpRequest, HttpResponse, HttpTransport, StreamRequest, StreamResponse, TransportError};

/// A request that was sent.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) authorization: Option<String>,
    pub(super) body: String,
}

impl Sent {
    /// A header field, `authorization` included.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        if name.eq_ignore_ascii_case("authorization") {
            return self.authorization.as_deref();
        }
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A parameter of the form, or a member of the JSON object.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        if let Ok(object) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&self.body) {
            return object.get(name)?.as_str().map(str::to_owned);
        }
        let mut form = url::form_urlencoded::parse(self.body.as_bytes());
        form.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

#[derive(Default)]
struct Script {
    responses: VecDeque<HttpResponse>,
    sent: Vec<Sent>,
}

/// Sends nothing.
#[derive(Default)]
pub(super) struct ScriptedTransport(Mutex<Script>);

impl ScriptedTransport {
    /// The response to the next request, in place of one that no request has used.
    pub(super) fn respond(&self, response: &Response) {
        let content_type = HeaderValue::try_from(&response.content_type).ok().filter(|value| !value.is_empty());
        let mut script = self.script();
        script.responses.clear();
        script.responses.push_back(HttpResponse {
            status: StatusCode::from_u16(response.status).unwrap_or(StatusCode::OK),
            headers: content_type.map(|value| (CONTENT_TYPE, value)).into_iter().collect(),
            body: Zeroizing::new(response.body.clone().into_bytes()),
        });
    }

    pub(super) fn last(&self) -> Option<Sent> {
        self.script().sent.last().cloned()
    }

    pub(super) fn count(&self) -> usize {
        self.script().sent.len()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl HttpTransport for ScriptedTransport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let text = |secret: &Secret| secret.expose_text().unwrap_or_default().to_owned();
        let mut script = self.script();
        script.sent.push(Sent {
            method: request.method.to_string(),
            url: request.url,
            headers: request.headers,
            authorization: request.authorization.as_ref().map(text),
            body: request.body.as_ref().map(text).unwrap_or_default(),
        });
        script.responses.pop_front().ok_or(TransportError::NotSent)
    }

    /// No exchange with an authorization server is streamed.
    async fn open(&self, _: StreamRequest) -> Result<StreamResponse, TransportError> {
        Err(TransportError::NotSent)
    }
}

//! A transport that returns scripted responses and records the requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use grantry_domain::connector::{ConnectorConfig, ProfileId};
use grantry_domain::identity::UserId;
use grantry_domain::ports::{ClientCredentials, Clock, CodeExchange, ProviderProfiles as _, StreamedBody};
use grantry_domain::provider::ProviderSnapshot;
use grantry_domain::secret::Secret;
use grantry_domain::time::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use zeroize::Zeroizing;

use crate::{
    EgressPolicy, HttpRequest, HttpResponse, HttpTransport, Oauth2Server, ProfileOptions, Profiles, StreamRequest,
    StreamResponse, TransportError,
};

/// The current time in every test, in seconds since the Unix epoch.
pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const REDIRECT_URI: &str = "https://grantry.example/api/actions/connector/_oauth_callback";

/// A recorded request.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
    pub(crate) share: Option<String>,
}

impl Sent {
    /// The form in the body.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()
    }

    /// A parameter of the form, which must occur at most once.
    pub(crate) fn param(&self, name: &str) -> Option<String> {
        let mut found = self.form().into_iter().filter(|(key, _)| key == name).map(|(_, value)| value);
        let first = found.next();
        assert!(found.next().is_none(), "{name} was sent twice");
        first
    }
}

/// The transport. A request without a scripted response fails the test.
#[derive(Default)]
pub(crate) struct FakeTransport {
    responses: Mutex<VecDeque<Result<HttpResponse, TransportError>>>,
    sent: Mutex<Vec<Sent>>,
}

impl FakeTransport {
    pub(crate) fn respond(&self, status: u16, body: impl Into<Vec<u8>>) -> &Self {
        self.respond_with(status, &[], body)
    }

    pub(crate) fn respond_with(&self, status: u16, headers: &[(&'static str, &str)], body: impl Into<Vec<u8>>) -> &Self {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.queue(Ok(response(status, &headers, body.into())))
    }

    pub(crate) fn fail(&self, error: TransportError) -> &Self {
        self.queue(Err(error))
    }

    pub(crate) fn queue(&self, response: Result<HttpResponse, TransportError>) -> &Self {
        self.responses.lock().unwrap().push_back(response);
        self
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Sent {
        self.sent().pop().expect("a request was sent")
    }
}

/// A response as a transport returns it.
pub(crate) fn response(status: u16, headers: &[(&'static str, String)], body: Vec<u8>) -> HttpResponse {
    let field =
        |(name, value): &(&'static str, String)| (HeaderName::from_static(name), HeaderValue::try_from(value).unwrap());
    HttpResponse {
        status: StatusCode::from_u16(status).unwrap(),
        headers: headers.iter().map(field).collect(),
        body: Zeroizing::new(body),
    }
}

#[async_trait]
impl HttpTransport for FakeTransport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let text = |secret: &Secret| secret.expose_text().unwrap().to_owned();
        self.sent.lock().unwrap().push(Sent {
            method: request.method.to_string(),
            url: request.url,
            headers: request.headers,
            authorization: request.authorization.as_ref().map(text),
            body: request.body.as_ref().map(text).unwrap_or_default(),
            share: request.share,
        });
        self.responses.lock().unwrap().pop_front().expect("no request was expected")
    }

    /// Reads the whole body, and returns the response as one part.
    async fn open(&self, request: StreamRequest) -> Result<StreamResponse, TransportError> {
        let StreamRequest { method, url, headers, authorization, body, share } = request;
        let body = match body {
            Some(body) => {
                let parts: Vec<Bytes> = body.parts.try_collect().await.map_err(|_| TransportError::Cut)?;
                Some(Secret::new(parts.concat()))
            }
            None => None,
        };
        let response = self.send(HttpRequest { method, url, headers, authorization, body, max_body: 0, share }).await?;
        let body = Bytes::copy_from_slice(&response.body);
        let body = StreamedBody { length: Some(body.len() as u64), parts: stream::iter([Ok(body)]).boxed() };
        Ok(StreamResponse { status: response.status, headers: response.headers, body })
    }
}

struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(NOW * 1000)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// An OAuth client over a scripted transport.
pub(crate) struct TestServer {
    pub(crate) transport: Arc<FakeTransport>,
    pub(crate) profiles: Arc<Profiles>,
    pub(crate) server: Oauth2Server,
}

impl TestServer {
    pub(crate) fn new() -> Self {
        Self::with(EgressPolicy::new(&["*"], &[]).unwrap(), ProfileOptions::default())
    }

    pub(crate) fn with(policy: EgressPolicy, options: ProfileOptions) -> Self {
        let transport = Arc::new(FakeTransport::default());
        let profiles = Arc::new(Profiles::new(policy, options).unwrap());
        let server = Oauth2Server::new(Arc::clone(&transport) as _, Arc::clone(&profiles), Arc::new(StoppedClock));
        Self { transport, profiles, server }
    }

    /// A provider as it is frozen at the start of a flow.
    pub(crate) async fn provider(&self, profile: &str, config: &str) -> ProviderSnapshot {
        use grantry_domain::ports::AuthorizationServer as _;
        let connector_config = connector_config(profile, config);
        let settings = self.profiles.settings(&connector_config).unwrap();
        self.server.resolve(&settings, REDIRECT_URI, config).await.unwrap()
    }
}

pub(crate) fn connector_config(profile: &str, config: &str) -> ConnectorConfig {
    ConnectorConfig {
        profile: ProfileId::new(profile).unwrap(),
        settings: config.to_owned(),
        client_id: Some("client-1".to_owned()),
    }
}

pub(crate) fn client() -> ClientCredentials {
    let secret = Some(Secret::from_text("client-secret-canary"));
    ClientCredentials { secret, user: Some(UserId::new("alice").unwrap()) }
}

pub(crate) fn code_exchange(code: &str, verifier: &str) -> CodeExchange {
    CodeExchange { code: Secret::from_text(code), verifier: Secret::from_text(verifier), parameters: Vec::new() }
}

pub(crate) fn text(secret: &Secret) -> &str {
    secret.expose_text().unwrap()
}

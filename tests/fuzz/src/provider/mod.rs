//! Responses of providers, and the settings that describe them, over a transport that returns the input.

pub(crate) mod id_token;
pub(crate) mod metadata;
pub(crate) mod settings;
pub(crate) mod tokens;
pub(crate) mod userinfo;

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use grantry_domain::connector::{ConnectorConfig, ProfileId};
use grantry_domain::ports::{AuthorizationServer, ClientCredentials, Clock, ProviderError, ProviderProfiles};
use grantry_domain::provider::{ProviderSettings, ProviderSnapshot};
use grantry_domain::secret::Secret;
use grantry_domain::time::Timestamp;
use grantry_provider_oauth2::{
    EgressPolicy, HttpRequest, HttpResponse, HttpTransport, Oauth2Server, ProfileOptions, Profiles, StreamRequest,
    StreamResponse, TransportError,
};
use http::{HeaderMap, StatusCode};
use zeroize::Zeroizing;

use crate::input::assert_clean;

/// The current time, in seconds since the Unix epoch.
pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const CLIENT_ID: &str = "client-1";
const REDIRECT_URI: &str = "https://grantry.example/api/actions/connector/_oauth_callback";

/// A profile with every deviation that the built-in ones lack.
const VENDOR: &str = r#"
id = ".vendor"
title = "Vendor"
verified_on = "2026-01-31"
source = "https://vendor.example/docs"
issuer = "https://{tenant}.vendor.example"

[setup]
console_url = "https://console.vendor.example/"
steps = ["Enter {redirect_uri}."]

[variables.tenant]
label = "Tenant"
kind = "label"

[variables.region]
label = "Region"
kind = "one-of"
values = ["eu", "us"]
default = "eu"

[endpoints]
authorization = "https://{tenant}.vendor.example/{region}/authorize"
token = "https://{tenant}.vendor.example/token"
revocation = "https://{tenant}.vendor.example/revoke"
userinfo = "https://{tenant}.vendor.example/userinfo"

[client]
authentication = "basic"
client_credentials = true

[api]
base_url = "https://api.{tenant}.vendor.example/v1"

[wire.authorize]
drop_response_type = true
client_id_parameter = "app_id"
parameters = { prompt = "consent" }

[wire.scopes]
parameter = "user_scope"
separator = ","
response_field = "scopes"
response_separator = "+"
response_list = true
always = ["base"]

[wire.scopes.implies]
admin = ["write"]
write = ["read", "admin"]

[wire.token]
nested_in = "authed_user"
error_in_200 = true
errors = { token_revoked = "invalid_grant", "20064" = "invalid_grant" }

[wire.token.access_lifetime]
fields = ["expires_in", "expires"]
assumed_seconds = 3600

[wire.refresh]
tokens = "rolling"
"#;

const BY_HAND: &str = r#"{"authorizationUrl":"https://as.example/authorize","tokenUrl":"https://as.example/token",
    "revocationUrl":"https://as.example/revoke","userinfoUrl":"https://as.example/userinfo",
    "baseUrl":"https://api.example/v1","zeroExpiresMeansNever":true,"clientAuth":"post","issuer":"https://as.example"}"#;

/// What the transport received.
pub(crate) struct Sent {
    pub(crate) authorization: Option<Vec<u8>>,
    pub(crate) body: Vec<u8>,
}

/// A transport that returns prepared responses.
#[derive(Default)]
pub(crate) struct Canned {
    responses: Mutex<VecDeque<HttpResponse>>,
    sent: Mutex<Vec<Sent>>,
}

#[async_trait]
impl HttpTransport for Canned {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let bytes = |secret: &Secret| secret.expose().to_vec();
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(Sent {
            authorization: request.authorization.as_ref().map(bytes),
            body: request.body.as_ref().map(bytes).unwrap_or_default(),
        });
        self.responses.lock().unwrap_or_else(PoisonError::into_inner).pop_front().ok_or(TransportError::Cut)
    }

    /// No target streams.
    async fn open(&self, _: StreamRequest) -> Result<StreamResponse, TransportError> {
        Err(TransportError::Cut)
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

/// An OAuth client over a canned transport.
pub(crate) struct Lab {
    transport: Arc<Canned>,
    pub(crate) profiles: Arc<Profiles>,
    pub(crate) server: Oauth2Server,
}

thread_local! {
    static LAB: Lab = Lab::new(Profiles::new(policy(), options(("vendor.toml", VENDOR))).expect("the profile is valid"));
}

pub(crate) fn policy() -> EgressPolicy {
    EgressPolicy::new(&["*"], &["localhost:8081", "private.example:8443"]).expect("the lists are valid")
}

pub(crate) fn options((name, profile): (&str, &str)) -> ProfileOptions {
    ProfileOptions { additional: vec![(name.to_owned(), profile.to_owned())], ..ProfileOptions::default() }
}

impl Lab {
    fn new(profiles: Profiles) -> Self {
        Self::over(Arc::new(profiles))
    }

    fn over(profiles: Arc<Profiles>) -> Self {
        let transport = Arc::new(Canned::default());
        let server = Oauth2Server::new(Arc::clone(&transport) as _, Arc::clone(&profiles), Arc::new(StoppedClock));
        Self { transport, profiles, server }
    }

    /// Runs with the client of this thread.
    pub(crate) fn with<T>(run: impl FnOnce(&Self) -> T) -> T {
        LAB.with(run)
    }

    /// The same with empty caches.
    pub(crate) fn fresh(&self) -> Self {
        Self::over(Arc::clone(&self.profiles))
    }

    /// The responses to the next requests.
    pub(crate) fn respond(&self, responses: impl IntoIterator<Item = (u16, HeaderMap, Vec<u8>)>) {
        let response = |(status, headers, body)| HttpResponse {
            status: StatusCode::from_u16(status).expect("a status"),
            headers,
            body: Zeroizing::new(body),
        };
        *self.transport.responses.lock().unwrap_or_else(PoisonError::into_inner) =
            responses.into_iter().map(response).collect();
        self.transport.sent.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The requests since then.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        std::mem::take(&mut self.transport.sent.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn settings(&self, profile: &str, settings: &str) -> ProviderSettings {
        self.profiles.settings(&connector(profile, settings)).expect("the settings are valid")
    }

    /// The provider of a connector with its endpoints.
    pub(crate) fn provider(&self, profile: &str, settings: &str) -> ProviderSnapshot {
        ready(self.server.resolve(&self.settings(profile, settings), REDIRECT_URI, settings))
            .expect("the endpoints are valid")
    }

    /// The providers of the variants of a target.
    pub(crate) fn provider_of(&self, variant: u8) -> ProviderSnapshot {
        match variant % 3 {
            0 => self.provider(".oauth2", BY_HAND),
            1 => self.provider(".github", "{}"),
            _ => self.provider(".vendor", r#"{"tenant":"acme"}"#),
        }
    }
}

pub(crate) fn connector(profile: &str, settings: &str) -> ConnectorConfig {
    ConnectorConfig {
        profile: ProfileId::new(profile).expect("a profile id"),
        settings: settings.to_owned(),
        client_id: Some(CLIENT_ID.to_owned()),
    }
}

pub(crate) fn client() -> ClientCredentials {
    ClientCredentials { secret: Some(Secret::from_text("client-secret")), user: None }
}

/// The result of work that never waits.
pub(crate) fn ready<T>(work: impl Future<Output = T>) -> T {
    work.now_or_never().expect("nothing here waits")
}

/// The error codes that a diagnosis may contain: registered ones, and those that a profile names.
const SHOWN: &[&str] = &[
    "access_denied",
    "account_selection_required",
    "authorization_pending",
    "consent_required",
    "expired_token",
    "insufficient_scope",
    "insufficient_user_authentication",
    "interaction_required",
    "invalid_client",
    "invalid_dpop_proof",
    "invalid_grant",
    "invalid_request",
    "invalid_request_object",
    "invalid_request_uri",
    "invalid_scope",
    "invalid_target",
    "invalid_token",
    "login_required",
    "request_not_supported",
    "request_uri_not_supported",
    "server_error",
    "slow_down",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
    "unsupported_token_type",
    "use_dpop_nonce",
    "token_revoked",
    "20064",
    "bad_verification_code",
    "bad_refresh_token",
    "incorrect_client_credentials",
    "redirect_uri_mismatch",
    "unverified_user_email",
];

/// Asserts that an error contains no text of the provider.
pub(crate) fn assert_own_text(error: &ProviderError) {
    let text = format!("{error} {error:?}");
    assert_clean(&text);
    assert!(text.len() < 2000, "a long error: {text}");
    let code = error.diagnosis.oauth_error.as_deref();
    assert!(code.is_none_or(|code| SHOWN.contains(&code)), "a code of the provider: {code:?}");
}

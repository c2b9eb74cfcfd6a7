//! The `AuthorizationServer` port over HTTP.

mod account;
mod authorization_url;
mod client_auth;
mod discovery;
mod id_token;
mod identity;
mod keys;
mod oauth_error;
mod revocation;
mod token_request;
mod token_response;

use std::sync::Arc;

use async_trait::async_trait;
use grantry_domain::ports::{
    AuthorizationRequest, AuthorizationServer, ClientCredentials, Clock, CodeExchange, Identified, ProviderError,
    ProviderErrorKind, ProviderOperation, RevocationResponse, TokenKind, TokenResponse,
};
use grantry_domain::provider::{ProviderSettings, ProviderSnapshot, Scopes};
use grantry_domain::secret::Secret;
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

pub(crate) use self::client_auth::bearer;
use self::discovery::Discovery;
use self::keys::KeySets;
use crate::profile::rules::Wire;
use crate::profile::{ParsedConnector, Profiles};
use crate::transport::{HttpRequest, HttpResponse, HttpTransport};

/// The `User-Agent`. Some APIs refuse requests without it.
pub(crate) const AGENT: HeaderValue = HeaderValue::from_static(concat!("grantry/", env!("CARGO_PKG_VERSION")));
/// The reason of a refusal by the egress policy.
const NOT_ALLOWED: &str =
    "the egress policy does not allow this address; check the allowed hosts and the spelling of the URL";
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Sends OAuth 2.0 requests to authorization servers. It stores no secret and never retries.
pub struct Oauth2Server {
    transport: Arc<dyn HttpTransport>,
    profiles: Arc<Profiles>,
    clock: Arc<dyn Clock>,
    discovery: Discovery,
    key_sets: KeySets,
}

impl Oauth2Server {
    /// Creates the client over a transport. The clock is used for the expiry of ID tokens.
    pub fn new(transport: Arc<dyn HttpTransport>, profiles: Arc<Profiles>, clock: Arc<dyn Clock>) -> Self {
        let (discovery, key_sets) = (Discovery::default(), KeySets::default());
        Self { transport, profiles, clock, discovery, key_sets }
    }

    /// The wire rules of a frozen provider. If the operator no longer allows its settings, no request is sent.
    fn rules(&self, provider: &ProviderSnapshot) -> Result<Arc<ParsedConnector>, ProviderError> {
        self.profiles.parse_snapshot(provider).map_err(|_| {
            ProviderErrorKind::NotAllowed.because("the operator no longer allows the settings that were consented to")
        })
    }

    /// Checks a URL against the egress policy. The policy may have changed since the URL was saved.
    fn allowed(&self, url: &str) -> Result<(), ProviderError> {
        self.profiles
            .policy()
            .check(url)
            .map(drop)
            .map_err(|_| to_host(ProviderErrorKind::NotAllowed.because(NOT_ALLOWED), url))
    }

    async fn get_json(
        &self,
        url: &str,
        authorization: Option<Secret>,
        max_body: usize,
        share: Option<String>,
    ) -> Result<HttpResponse, ProviderError> {
        self.send(HttpRequest {
            method: Method::GET,
            url: url.to_owned(),
            headers: HeaderMap::from_iter([(ACCEPT, JSON), (USER_AGENT, AGENT)]),
            authorization,
            body: None,
            max_body,
            share,
        })
        .await
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ProviderError> {
        self.allowed(&request.url)?;
        let url = request.url.clone();
        self.transport.send(request).await.map_err(|error| to_host(error.into(), &url))
    }
}

#[async_trait]
impl AuthorizationServer for Oauth2Server {
    async fn resolve(
        &self,
        settings: &ProviderSettings,
        redirect_uri: &str,
        config: &str,
    ) -> Result<ProviderSnapshot, ProviderError> {
        let resolved = self.resolve_endpoints(settings, redirect_uri, config).await;
        let host = settings.issuer.as_deref().and_then(host);
        resolved.map_err(|error| error.during(ProviderOperation::Discovery, host.as_deref()))
    }

    async fn authorization_url(
        &self,
        provider: &ProviderSnapshot,
        _client: &ClientCredentials,
        request: AuthorizationRequest,
    ) -> Result<Secret, ProviderError> {
        let endpoint = &provider.endpoints.authorization;
        let build = || {
            self.allowed(endpoint)?;
            authorization_url::build(&self.rules(provider)?.wire, provider, &request)
        };
        build().map_err(at(ProviderOperation::Authorization, endpoint))
    }

    async fn exchange(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        exchange: &CodeExchange,
    ) -> Result<TokenResponse, ProviderError> {
        let response = self.exchange_code(provider, client, exchange).await;
        response.map_err(at(ProviderOperation::Exchange, &provider.endpoints.token))
    }

    async fn refresh(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        refresh_token: &Secret,
        granted: &Scopes,
    ) -> Result<TokenResponse, ProviderError> {
        let response = self.request_refresh(provider, client, refresh_token, granted).await;
        response.map_err(at(ProviderOperation::Refresh, provider.endpoints.for_refresh()))
    }

    async fn revoke(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        token: &Secret,
        kind: TokenKind,
    ) -> Result<RevocationResponse, ProviderError> {
        let endpoint = provider.endpoints.revocation.as_deref().unwrap_or_default();
        let response = self.request_revocation(provider, client, token, kind).await;
        response.map_err(at(ProviderOperation::Revocation, endpoint))
    }

    fn revocation_order(&self, provider: &ProviderSnapshot) -> Vec<TokenKind> {
        let order = |wire: &Wire| wire.revocation.order.iter().copied().map(TokenKind::from).collect();
        // If the operator no longer allows the settings, the order of RFC 7009 §2.1 applies.
        self.rules(provider).map_or_else(|_| order(&Wire::default()), |rules| order(&rules.wire))
    }

    async fn client_credentials(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        scopes: &Scopes,
    ) -> Result<TokenResponse, ProviderError> {
        let response = self.request_client_token(provider, client, scopes).await;
        response.map_err(at(ProviderOperation::ClientCredentials, &provider.endpoints.token))
    }

    async fn identify(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        response: &TokenResponse,
        nonce: Option<String>,
    ) -> Result<Identified, ProviderError> {
        let issuer = provider.issuer.as_deref().unwrap_or(&provider.endpoints.token);
        let identified = self.identify_account(provider, client, response, nonce.as_deref()).await;
        identified.map_err(at(ProviderOperation::Userinfo, issuer))
    }
}

/// Adds the header fields of a profile, which were checked when it was read.
fn with_headers(mut request: HttpRequest, wire: &Wire) -> HttpRequest {
    for (name, value) in &wire.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            request.headers.insert(name, value);
        }
    }
    request
}

/// The share that the requests with these credentials use.
fn share_of(client: &ClientCredentials) -> Option<String> {
    client.user.as_ref().map(|user| user.as_str().to_owned())
}

/// Adds the operation and the host of the endpoint to an error.
fn at(operation: ProviderOperation, endpoint: &str) -> impl FnOnce(ProviderError) -> ProviderError {
    move |error| error.during(operation, host(endpoint).as_deref())
}

/// Adds the host of the requested URL to an error.
fn to_host(mut error: ProviderError, url: &str) -> ProviderError {
    error.diagnosis.endpoint_host = host(url);
    error
}

/// The host of a URL.
fn host(url: &str) -> Option<String> {
    Url::parse(url).ok()?.host_str().map(str::to_owned)
}

#[cfg(test)]
mod tests;

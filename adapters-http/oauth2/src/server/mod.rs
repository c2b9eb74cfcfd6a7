//! The `AuthorizationServer` port over HTTP.

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
    AuthorizationRequest, AuthorizationServer, ClientCredentials, Clock, ProviderError, RevocationResponse, TokenKind,
    TokenResponse,
};
use grantry_domain::provider::{Account, ProviderSettings, ProviderSnapshot, Scopes};
use grantry_domain::secret::Secret;
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};

pub(crate) use self::client_auth::bearer;
use self::discovery::Discovery;
use self::keys::KeySets;
use crate::profile::rules::Wire;
use crate::profile::{ParsedConnector, Profiles};
use crate::transport::{HttpRequest, HttpResponse, HttpTransport};

/// The `User-Agent`. Some APIs refuse requests without it.
pub(crate) const AGENT: HeaderValue = HeaderValue::from_static(concat!("grantry/", env!("CARGO_PKG_VERSION")));
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
        self.profiles.parse_snapshot(provider).map_err(|_| ProviderError::NotAllowed)
    }

    /// Checks a URL against the egress policy. The policy may have changed since the URL was saved.
    fn allowed(&self, url: &str) -> Result<(), ProviderError> {
        self.profiles.policy().check(url).map(drop).map_err(|_| ProviderError::NotAllowed)
    }

    async fn get_json(&self, url: &str, authorization: Option<Secret>, max_body: usize) -> Result<HttpResponse, ProviderError> {
        self.send(HttpRequest {
            method: Method::GET,
            url: url.to_owned(),
            headers: HeaderMap::from_iter([(ACCEPT, JSON), (USER_AGENT, AGENT)]),
            authorization,
            body: None,
            max_body,
        })
        .await
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ProviderError> {
        self.allowed(&request.url)?;
        Ok(self.transport.send(request).await?)
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
        self.resolve_endpoints(settings, redirect_uri, config).await
    }

    async fn authorization_url(
        &self,
        provider: &ProviderSnapshot,
        _client: &ClientCredentials,
        request: AuthorizationRequest,
    ) -> Result<Secret, ProviderError> {
        self.allowed(&provider.endpoints.authorization)?;
        authorization_url::build(&self.rules(provider)?.wire, provider, &request)
    }

    async fn exchange(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        code: &Secret,
        verifier: &Secret,
    ) -> Result<TokenResponse, ProviderError> {
        self.exchange_code(provider, client, code, verifier).await
    }

    async fn refresh(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        refresh_token: &Secret,
        granted: &Scopes,
    ) -> Result<TokenResponse, ProviderError> {
        self.request_refresh(provider, client, refresh_token, granted).await
    }

    async fn revoke(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        token: &Secret,
        kind: TokenKind,
    ) -> Result<RevocationResponse, ProviderError> {
        self.request_revocation(provider, client, token, kind).await
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
        self.request_client_token(provider, client, scopes).await
    }

    async fn identify(
        &self,
        provider: &ProviderSnapshot,
        response: &TokenResponse,
        nonce: Option<String>,
    ) -> Result<Option<Account>, ProviderError> {
        self.identify_account(provider, response, nonce.as_deref()).await
    }
}

#[cfg(test)]
mod tests;

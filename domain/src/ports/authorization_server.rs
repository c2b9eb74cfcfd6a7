//! The provider's authorization server, in OAuth terms.

use std::time::Duration;

use async_trait::async_trait;

use crate::identity::UserId;
use crate::ports::ProviderError;
use crate::ports::anomaly::Anomaly;
use crate::provider::{Account, ApiBase, ProviderSettings, ProviderSnapshot, Scopes};
use crate::secret::Secret;

/// What goes into an authorization URL (RFC 6749 §4.1.1, RFC 7636 §4.3).
pub struct AuthorizationRequest {
    /// The `state` parameter.
    pub state: Secret,
    /// S256 challenge, base64url.
    pub code_challenge: String,
    /// Scopes to request.
    pub scopes: Scopes,
    /// OpenID Connect nonce, when `openid` is requested.
    pub nonce: Option<String>,
    /// Login hint for a reconnect (OpenID Connect Core §3.1.2.1).
    pub login_hint: Option<String>,
    /// Whether the provider is asked to let the user choose the account (`prompt`, OpenID Connect Core §3.1.2.1).
    pub select_account: bool,
}

/// The client's credentials at the token endpoint, for one use. A public client has no secret.
pub struct ClientCredentials {
    /// The secret.
    pub secret: Option<Secret>,
    /// The user whom the requests are for. The requests for one user use at most a part of the connections to an origin.
    pub user: Option<UserId>,
}

/// What a code is exchanged with (RFC 6749 §4.1.3, RFC 7636 §4.5).
pub struct CodeExchange {
    /// The code.
    pub code: Secret,
    /// The PKCE code verifier.
    pub verifier: Secret,
    /// Parameters of the redirect that no standard defines, such as the id of a company. Each name occurs once.
    pub parameters: Vec<(String, String)>,
}

/// Which token is to be revoked (RFC 7009 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Access token.
    Access,
    /// Refresh token.
    Refresh,
}

/// The lifetime of a token, as far as the response and the profile define it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Counted from the instant before the request was sent.
    For(Duration),
    /// It does not expire.
    Never,
    /// Not defined: the configured lifetime is assumed.
    Unknown,
}

/// A successful response of the token endpoint (RFC 6749 §5.1), decoded and within its limits.
pub struct TokenResponse {
    /// Access token.
    pub access_token: Secret,
    /// `Bearer`, in the provider's spelling.
    pub token_type: String,
    /// Refresh token, if there is one.
    pub refresh_token: Option<Secret>,
    /// Lifetime of the access token.
    pub lifetime: Lifetime,
    /// Lifetime of the refresh token.
    pub refresh_lifetime: Lifetime,
    /// Granted scopes; `None` means as requested (RFC 6749 §5.1).
    pub scopes: Option<Scopes>,
    /// The ID token as received, not yet validated. It is used to identify the account and is not stored.
    pub id_token: Option<Secret>,
    /// The account, if the response itself names it.
    pub account: Option<Account>,
    /// The API of this grant, if the provider names one.
    pub api_base: Option<ApiBase>,
    /// What deviated from the protocol and was ignored or interpreted.
    pub anomalies: Vec<Anomaly>,
}

/// What a token response and the userinfo endpoint reveal about the account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identified {
    /// The account that consented, if it is known.
    pub account: Option<Account>,
    /// The API of this grant, if userinfo names one.
    pub api_base: Option<ApiBase>,
    /// Why the ID token or the userinfo was not used.
    pub anomalies: Vec<Anomaly>,
    /// A request that failed on the way, such as that for the keys of the ID token. The tokens are usable all the same.
    pub failure: Option<ProviderError>,
}

/// The revocation endpoint's response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevocationResponse {
    /// Revoked; also for unknown tokens (RFC 7009 §2.2).
    Done,
    /// The provider offers no revocation, or none for this kind of token.
    NotSupported,
}

/// Sends requests to authorization servers. No method retries.
///
/// ```
/// use grantry_domain::ports::{AuthorizationServer, ProviderError};
/// use grantry_domain::provider::ProviderSettings;
///
/// /// Where the provider issues tokens, from its settings or its metadata.
/// async fn token_endpoint(server: &dyn AuthorizationServer, settings: &ProviderSettings) -> Result<String, ProviderError> {
///     let snapshot = server.resolve(settings, "https://connect.example/oauth/callback", "{}").await?;
///     Ok(snapshot.endpoints.token)
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AuthorizationServer: Send + Sync {
    /// Resolves the endpoints of a provider: configured, or discovered from the issuer and validated (RFC 8414). Metadata of
    /// another issuer is [`ProviderErrorKind::BadMetadata`](super::ProviderErrorKind::BadMetadata). The redirect URI and the
    /// settings text become part of the snapshot.
    async fn resolve(
        &self,
        settings: &ProviderSettings,
        redirect_uri: &str,
        config: &str,
    ) -> Result<ProviderSnapshot, ProviderError>;

    /// Builds the authorization URL (RFC 6749 §4.1.1). Every reserved parameter occurs exactly once.
    async fn authorization_url(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        request: AuthorizationRequest,
    ) -> Result<Secret, ProviderError>;

    /// Exchanges a code (RFC 6749 §4.1.3).
    async fn exchange(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        exchange: &CodeExchange,
    ) -> Result<TokenResponse, ProviderError>;

    /// Refreshes (RFC 6749 §6). Never requests more scopes than `granted`.
    async fn refresh(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        refresh_token: &Secret,
        granted: &Scopes,
    ) -> Result<TokenResponse, ProviderError>;

    /// Revokes one token (RFC 7009).
    async fn revoke(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        token: &Secret,
        kind: TokenKind,
    ) -> Result<RevocationResponse, ProviderError>;

    /// The tokens to revoke at this provider, in order, each kind at most once.
    fn revocation_order(&self, provider: &ProviderSnapshot) -> Vec<TokenKind>;

    /// Requests a token for the client itself (RFC 6749 §4.4).
    async fn client_credentials(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        scopes: &Scopes,
    ) -> Result<TokenResponse, ProviderError>;

    /// The account that consented: from a validated ID token, else from the userinfo endpoint. The account is a label, so what
    /// cannot be read or verified gives no account. For an ID token it also gives an anomaly; userinfo may be refused, because
    /// some providers require the scope `openid` for it. An error means that the tokens are not those of this consent: the ID
    /// token belongs to another issuer, client or request, has expired, or has a wrong signature.
    async fn identify(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        response: &TokenResponse,
        nonce: Option<String>,
    ) -> Result<Identified, ProviderError>;
}

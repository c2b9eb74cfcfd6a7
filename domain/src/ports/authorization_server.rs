//! The provider's authorization server, in OAuth terms.

use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

use crate::provider::{Account, ProviderSettings, ProviderSnapshot, Scopes};
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

/// The client's credentials at the token endpoint. A public client has no secret.
pub struct ClientCredentials {
    /// The secret.
    pub secret: Option<Secret>,
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
    /// The ID token as received, not yet validated.
    pub id_token: Option<Secret>,
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
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AuthorizationServer: Send + Sync {
    /// Resolves the endpoints of a provider: configured, or discovered from the issuer and validated (RFC 8414). The
    /// redirect URI and the settings text become part of the snapshot.
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
        code: &Secret,
        verifier: &Secret,
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

    /// The tokens to revoke at this provider, in order.
    fn revocation_order(&self, provider: &ProviderSnapshot) -> Vec<TokenKind>;

    /// Requests a token for the client itself (RFC 6749 §4.4).
    async fn client_credentials(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        scopes: &Scopes,
    ) -> Result<TokenResponse, ProviderError>;

    /// The account that consented: from a validated ID token, else from the userinfo endpoint. `None` if the provider
    /// returns none; `Malformed` only for an ID token that is invalid or belongs to another flow or client.
    async fn identify(
        &self,
        provider: &ProviderSnapshot,
        response: &TokenResponse,
        nonce: Option<String>,
    ) -> Result<Option<Account>, ProviderError>;
}

/// What failed at the provider, classified by cause. Contains no text of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// `invalid_grant`: the code or the refresh token is not valid (RFC 6749 §5.2).
    #[error("the provider refused the grant")]
    InvalidGrant,
    /// `invalid_client`, `unauthorized_client`, `unsupported_grant_type`: the operator has to repair the connector.
    #[error("the provider refused the client")]
    ClientRefused,
    /// Another well-formed OAuth error.
    #[error("the provider responded with an OAuth error")]
    OtherOauthError,
    /// 429, or 503 with `Retry-After`.
    #[error("the provider limits the rate of requests")]
    Throttled {
        /// How long.
        retry_after: Option<Duration>,
        /// Whether the request was certainly not processed: true for 429, false for 503.
        unprocessed: bool,
    },
    /// Refused by the egress policy, or not a URL that may be called.
    #[error("the provider's address is not allowed")]
    NotAllowed,
    /// The request was not sent: no name, no connection, no TLS.
    #[error("the provider could not be reached")]
    NotSent,
    /// Sent, then a time-out, a closed connection or a 5xx: it may or may not have been processed.
    #[error("the provider did not respond")]
    NoResponse,
    /// A response outside the protocol or beyond the limits.
    #[error("the provider's response is not valid")]
    Malformed,
    /// Discovery found another issuer, or endpoints that may not be used.
    #[error("the provider's metadata is not acceptable")]
    BadMetadata,
}

impl ProviderError {
    /// Whether the outcome of a refresh is known after this: a well-formed OAuth error, a 429, or not sent.
    pub fn outcome_is_known(self) -> bool {
        match self {
            Self::InvalidGrant | Self::ClientRefused | Self::OtherOauthError | Self::NotAllowed | Self::NotSent => true,
            Self::Throttled { unprocessed, .. } => unprocessed,
            Self::NoResponse | Self::Malformed | Self::BadMetadata => false,
        }
    }

    /// Whether the operator has to repair the connector; never changes a user's status.
    pub fn is_misconfiguration(self) -> bool {
        match self {
            Self::ClientRefused | Self::NotAllowed | Self::BadMetadata => true,
            Self::InvalidGrant
            | Self::OtherOauthError
            | Self::Throttled { .. }
            | Self::NotSent
            | Self::NoResponse
            | Self::Malformed => false,
        }
    }

    /// Stable name for audit and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidGrant => "invalid_grant",
            Self::ClientRefused => "client_refused",
            Self::OtherOauthError => "oauth_error",
            Self::Throttled { .. } => "throttled",
            Self::NotAllowed => "not_allowed",
            Self::NotSent => "not_sent",
            Self::NoResponse => "no_response",
            Self::Malformed => "malformed",
            Self::BadMetadata => "bad_metadata",
        }
    }
}

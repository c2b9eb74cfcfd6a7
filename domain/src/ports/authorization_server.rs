//! The provider's authorization server. Speaks OAuth words, never HTTP.

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
    /// Scopes to ask for.
    pub scopes: Scopes,
    /// OIDC nonce, when `openid` is asked for.
    pub nonce: Option<String>,
    /// A hint which account is meant, on reconnect.
    pub login_hint: Option<String>,
}

/// The client's own credentials at the token endpoint. The id is the provider's; a public client has no secret.
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

/// How long a token lives, as far as the answer and the profile tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// So long from the instant before the request was sent (R46).
    For(Duration),
    /// It does not expire.
    Never,
    /// Nobody knows: the configured maximum applies (R46).
    Unknown,
}

/// A successful answer of the token endpoint, decoded and within its limits (R28).
pub struct TokenResponse {
    /// Access token.
    pub access_token: Secret,
    /// `Bearer`, in the provider's spelling.
    pub token_type: String,
    /// Refresh token, if one came.
    pub refresh_token: Option<Secret>,
    /// Life of the access token.
    pub lifetime: Lifetime,
    /// Life of the refresh token.
    pub refresh_lifetime: Lifetime,
    /// Granted scopes; `None` means as asked (RFC 6749 §5.1).
    pub scopes: Option<Scopes>,
    /// The ID token as received, not yet checked.
    pub id_token: Option<Secret>,
}

/// What the revocation endpoint said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevocationResponse {
    /// Done, also for tokens it did not know (RFC 7009 §2.2).
    Done,
    /// The provider has no revocation, or none for this kind of token.
    NotSupported,
}

/// Speaks to authorization servers. No method retries by itself (R40).
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AuthorizationServer: Send + Sync {
    /// Settles the endpoints of a provider: written down, or discovered and validated in issuer mode (R11). The redirect
    /// URI and the settings text are put into the answer.
    async fn resolve(
        &self,
        settings: &ProviderSettings,
        redirect_uri: &str,
        config: &str,
    ) -> Result<ProviderSnapshot, ProviderError>;

    /// Builds the authorization URL; every reserved parameter stands in it exactly once, with our value (R12).
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

    /// Refreshes (RFC 6749 §6). `granted` is never exceeded (R13).
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

    /// Which tokens the provider wants revoked, in order (R50).
    fn revocation_order(&self, provider: &ProviderSnapshot) -> Vec<TokenKind>;

    /// The client's own token (RFC 6749 §4.4).
    async fn client_credentials(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        scopes: &Scopes,
    ) -> Result<TokenResponse, ProviderError>;

    /// Who consented: from a validated ID token, else from userinfo. `None` if the provider does not tell (R35); `Malformed`
    /// only where what it tells is not about this consent, such as an ID token for somebody else.
    async fn identify(
        &self,
        provider: &ProviderSnapshot,
        answer: &TokenResponse,
        nonce: Option<String>,
    ) -> Result<Option<Account>, ProviderError>;
}

/// What went wrong at the provider, by whose fault. Foreign texts do not travel along (R78).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// `invalid_grant`: the code or the refresh token is dead (RFC 6749 §5.2).
    #[error("the provider refused the grant")]
    InvalidGrant,
    /// `invalid_client`, `unauthorized_client`, `unsupported_grant_type`: the operator must repair the connector.
    #[error("the provider refused the client")]
    ClientRefused,
    /// Another well-formed OAuth error.
    #[error("the provider answered with an OAuth error")]
    OtherOauthError,
    /// 429, or 503 with `Retry-After`.
    #[error("the provider asks to wait")]
    Throttled {
        /// How long.
        retry_after: Option<Duration>,
        /// Whether the request was certainly not processed: true for 429, false for 503.
        unprocessed: bool,
    },
    /// Refused by our own egress policy, or not a URL that may be called.
    #[error("the provider's address is not allowed")]
    NotAllowed,
    /// The request never left: no name, no connection, no TLS.
    #[error("the provider could not be reached")]
    NotSent,
    /// Sent, and then a time-out, a cut, a 5xx: it may or may not have been processed.
    #[error("the provider did not answer")]
    NoResponse,
    /// An answer outside the protocol or outside our limits.
    #[error("the provider's answer could not be understood")]
    Malformed,
    /// Discovery found another issuer, or endpoints that may not be used (R11).
    #[error("the provider's metadata is not acceptable")]
    BadMetadata,
}

impl ProviderError {
    /// Whether the outcome of a refresh is known after this: a well-formed OAuth error, a 429, or never sent (R37).
    pub fn outcome_is_known(self) -> bool {
        match self {
            Self::InvalidGrant | Self::ClientRefused | Self::OtherOauthError | Self::NotAllowed | Self::NotSent => true,
            Self::Throttled { unprocessed, .. } => unprocessed,
            Self::NoResponse | Self::Malformed | Self::BadMetadata => false,
        }
    }

    /// Whether the operator has to act; never changes a user's status.
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

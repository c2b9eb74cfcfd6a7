//! What failed at a provider: its class, which decides what happens next, and a diagnosis for the operator.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::named::named;

/// A failed request to a provider. Contains no text of the provider and no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    /// The class. Use cases decide by it alone.
    pub kind: ProviderErrorKind,
    /// What is known about the failure, for logs and for the editors of the connector.
    pub diagnosis: Diagnosis,
}

/// What failed at the provider, classified by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProviderErrorKind {
    /// `invalid_grant`: the code or the refresh token is not valid (RFC 6749 §5.2).
    #[error("the provider refused the grant")]
    InvalidGrant,
    /// `invalid_client`, or 401 without a readable OAuth error: the client did not authenticate (RFC 6749 §5.2).
    #[error("the provider refused the client")]
    ClientRefused,
    /// `unauthorized_client`, `unsupported_grant_type`: the client may not use this grant type. At a refresh, some providers
    /// use it for one token that is not valid any more.
    #[error("the provider refused the grant type")]
    GrantTypeRefused,
    /// Another well-formed OAuth error.
    #[error("the provider responded with an OAuth error")]
    OtherOauthError,
    /// Another 4xx without a readable OAuth error. A server beside the provider may have sent it.
    #[error("the provider refused the request")]
    Refused,
    /// 429 or 425, or 408 or 503 with `Retry-After`.
    #[error("the provider limits the rate of requests")]
    Throttled {
        /// How long.
        retry_after: Option<Duration>,
        /// Whether the request was certainly not processed: true for 429 and 425, false for the others.
        unprocessed: bool,
    },
    /// Refused by the egress policy, or not a URL that may be called.
    #[error("the provider's address is not allowed")]
    NotAllowed,
    /// The request was not sent: no name, no connection, no TLS.
    #[error("the provider could not be reached")]
    NotSent,
    /// Sent, then a time-out, a closed connection, 408 or a 5xx: it may or may not have been processed.
    #[error("the provider did not respond")]
    NoResponse,
    /// A response outside the protocol or beyond the limits.
    #[error("the provider's response is not valid")]
    Malformed,
    /// Discovery found another issuer, or endpoints that may not be used.
    #[error("the provider's metadata is not acceptable")]
    BadMetadata,
}

named!(
    /// What failed: a request to the provider, or reading the settings for it.
    ProviderOperation {
        /// Reading the metadata of an issuer (RFC 8414), or checking its endpoints.
        Discovery = "discovery",
        /// Building the authorization URL (RFC 6749 §4.1.1).
        Authorization = "authorization",
        /// Exchanging a code (RFC 6749 §4.1.3).
        Exchange = "exchange",
        /// Refreshing (RFC 6749 §6).
        Refresh = "refresh",
        /// Revoking a token (RFC 7009).
        Revocation = "revocation",
        /// Requesting a token for the client itself (RFC 6749 §4.4).
        ClientCredentials = "client_credentials",
        /// Determining the account: ID token, its keys, or the userinfo endpoint.
        Userinfo = "userinfo",
        /// Reading the settings of the connector. No request was sent.
        Settings = "settings",
    }
);

/// What is known about a failed request. Every text is the adapter's own, or one of a fixed list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnosis {
    /// The operation.
    pub operation: Option<ProviderOperation>,
    /// The host of the endpoint, without path and query.
    pub endpoint_host: Option<String>,
    /// The HTTP status of the response, if there was one.
    pub http_status: Option<u16>,
    /// The OAuth error code, if it is a registered one or one that the profile or the connector names.
    pub oauth_error: Option<Cow<'static, str>>,
    /// What was not understood or not allowed, and what to do where that is known.
    pub problem: Option<Cow<'static, str>>,
}

impl ProviderError {
    /// With what was not understood or not allowed. `problem` must not contain text of the provider.
    #[must_use]
    pub fn because(mut self, problem: impl Into<Cow<'static, str>>) -> Self {
        self.diagnosis.problem = Some(problem.into());
        self
    }

    /// With the status of the response.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.diagnosis.http_status = Some(status);
        self
    }

    /// With the operation and the host. Those of an inner call are kept, because they are more precise.
    #[must_use]
    pub fn during(mut self, operation: ProviderOperation, endpoint_host: Option<&str>) -> Self {
        self.diagnosis.operation.get_or_insert(operation);
        if self.diagnosis.endpoint_host.is_none() {
            self.diagnosis.endpoint_host = endpoint_host.map(str::to_owned);
        }
        self
    }

    /// See [`ProviderErrorKind::outcome_is_known`].
    pub fn outcome_is_known(&self) -> bool {
        self.kind.outcome_is_known()
    }

    /// See [`ProviderErrorKind::is_misconfiguration`].
    pub fn is_misconfiguration(&self) -> bool {
        self.kind.is_misconfiguration()
    }

    /// See [`ProviderErrorKind::as_str`].
    pub fn as_str(&self) -> &'static str {
        self.kind.as_str()
    }
}

impl From<ProviderErrorKind> for ProviderError {
    fn from(kind: ProviderErrorKind) -> Self {
        Self { kind, diagnosis: Diagnosis::default() }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for ProviderError {}

impl ProviderErrorKind {
    /// An error of this kind with what was not understood or not allowed. `problem` must not contain text of the provider.
    pub fn because(self, problem: impl Into<Cow<'static, str>>) -> ProviderError {
        ProviderError::from(self).because(problem)
    }

    /// Whether the outcome of a refresh is known after this: a well-formed OAuth error, a 429, or not sent.
    pub fn outcome_is_known(self) -> bool {
        match self {
            Self::InvalidGrant
            | Self::ClientRefused
            | Self::GrantTypeRefused
            | Self::OtherOauthError
            | Self::NotAllowed
            | Self::NotSent => true,
            Self::Throttled { unprocessed, .. } => unprocessed,
            Self::Refused | Self::NoResponse | Self::Malformed | Self::BadMetadata => false,
        }
    }

    /// Whether the operator has to repair the connector; never changes a user's status.
    pub fn is_misconfiguration(self) -> bool {
        match self {
            Self::ClientRefused | Self::GrantTypeRefused | Self::NotAllowed | Self::BadMetadata => true,
            Self::InvalidGrant
            | Self::OtherOauthError
            | Self::Refused
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
            Self::GrantTypeRefused => "grant_type_refused",
            Self::OtherOauthError => "oauth_error",
            Self::Refused => "refused",
            Self::Throttled { .. } => "throttled",
            Self::NotAllowed => "not_allowed",
            Self::NotSent => "not_sent",
            Self::NoResponse => "no_response",
            Self::Malformed => "malformed",
            Self::BadMetadata => "bad_metadata",
        }
    }
}

//! Requests for access tokens, issued tokens, and why there is none.

use std::time::Duration;

use thiserror::Error;

use crate::authorization::Reason;
use crate::connector::ConnectorKey;
use crate::encoding::sha256;
use crate::identity::{Actor, ConnectionName, UserId};
use crate::ports::StoreError;
use crate::provider::Origin;
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::usecase::access::AccessError;
use crate::usecase::settings::{ConnectorTampered, UnusableConnector};

/// Which access token is requested, and where it will be sent. Only the connection name may come from an untrusted request:
/// it selects among the connections of the user.
#[derive(Debug, Clone)]
pub struct AccessTokenRequest {
    /// The caller.
    pub actor: Actor,
    /// The connector.
    pub connector: ConnectorKey,
    /// The user whose token it is.
    pub user: UserId,
    /// The connection; `None` means the only one, or the user's default.
    pub connection: Option<ConnectionName>,
    /// The origin the token will be sent to; `None` means that of the API's base URL.
    pub destination: Option<Origin>,
}

/// An access token that may be used now, for the requested destination.
pub struct IssuedAccessToken {
    /// The access token.
    pub token: Secret,
    /// `Bearer`, in the provider's spelling.
    pub token_type: String,
    /// When it expires; `None` if it does not.
    pub expires_at: Option<Timestamp>,
    /// The connection it belongs to; `None` for a shared connector.
    pub connection: Option<ConnectionName>,
    /// Label of the account at the provider that consented, if it is known.
    pub account: Option<String>,
    /// The base URL of the API: that of the grant, or else that of the connector.
    pub base_url: String,
}

impl IssuedAccessToken {
    /// SHA-256 of the token, to report if the API responds with 401.
    pub fn sha256(&self) -> [u8; 32] {
        sha256(self.token.expose())
    }
}

/// A connection, for a caller who has to choose one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLabel {
    /// The name.
    pub name: ConnectionName,
    /// Account label at the provider.
    pub account: Option<String>,
}

/// Why there is no access token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The caller or the user has no access.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Tokens of this grant may not be sent there.
    #[error("this destination is not among those consented to")]
    DestinationRefused,
    /// The user has several connections, none of them is the default, and none was named.
    #[error("the user has several connections; name one")]
    ConnectionAmbiguous {
        /// The connections.
        connections: Vec<ConnectionLabel>,
    },
    /// The user must connect.
    #[error("the user must connect ({reason})")]
    AuthorizationRequired {
        /// Why.
        reason: Reason,
        /// Which connection.
        connection: ConnectionName,
    },
    /// The provider does not respond at the moment.
    #[error("the provider is unavailable at the moment")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// The provider refuses to refresh, without the reason that would end the grant. The user can wait or connect again.
    #[error("the provider refuses to refresh at the moment")]
    RefreshRefused {
        /// When to try again.
        retry_after: Duration,
        /// The HTTP status of the refusal, if there was one.
        http_status: Option<u16>,
        /// Which connection.
        connection: ConnectionName,
    },
    /// The operator has to repair the connector; the user's status does not change.
    #[error("the connector is not configured correctly")]
    Misconfigured,
    /// The row of the connector is not authentic.
    #[error(transparent)]
    ConnectorTampered(#[from] ConnectorTampered),
    /// The audit trail cannot be written, and the operator permits no access token without it.
    #[error("the audit trail cannot be written at the moment")]
    AuditUnavailable,
    /// The store is unavailable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TokenError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Access(error) => error.code(),
            Self::DestinationRefused => "destination_refused",
            Self::ConnectionAmbiguous { .. } => "connection_ambiguous",
            Self::AuthorizationRequired { .. } => "authorization_required",
            Self::Unavailable { .. } => "provider_unavailable",
            Self::RefreshRefused { .. } => "refresh_refused",
            Self::Misconfigured => "provider_misconfigured",
            Self::ConnectorTampered(tampered) => tampered.code(),
            Self::AuditUnavailable => "audit_unavailable",
            Self::Store(_) => "store_unavailable",
        }
    }
}

impl From<UnusableConnector> for TokenError {
    fn from(unusable: UnusableConnector) -> Self {
        match unusable {
            UnusableConnector::Config(_) => Self::Misconfigured,
            UnusableConnector::Tampered(tampered) => Self::ConnectorTampered(tampered),
        }
    }
}

//! Why an authorization ended. Names are stable: records, the API and audit events contain them.

use crate::authorization::kind::StateKind;
use crate::named::named;

named!(
    /// Why an authorization is `Expired`: time, the provider or an edit ended it, and the user may connect again.
    ExpiredCause {
        /// The flow was not finished before its deadline.
        FlowTimedOut = "flow_timed_out",
        /// The access token expired and there is no refresh token.
        AccessTokenExpired = "access_token_expired",
        /// The refresh token expired.
        RefreshTokenExpired = "refresh_token_expired",
        /// The provider rejected the refresh token with `invalid_grant` (RFC 6749 §5.2), or refused for too long.
        RefreshRejected = "refresh_rejected",
        /// A security-relevant field of the connector changed.
        ConnectorChanged = "connector_changed",
        /// The provider granted less than the connector requires: the attempt ended without a usable grant.
        InsufficientScope = "insufficient_scope",
    }
);

named!(
    /// Why an authorization is `Revoked` without having failed.
    TerminationCause {
        /// The user disconnected.
        Disconnected = "disconnected",
        /// The user cancelled the attempt.
        Cancelled = "cancelled",
        /// The user or the provider denied consent.
        Denied = "denied",
        /// A newer attempt or a newer grant took its place.
        Superseded = "superseded",
        /// The connector was deleted.
        ConnectorDeleted = "connector_deleted",
        /// The user was removed from the host.
        UserRemoved = "user_removed",
        /// The user was disabled at the host.
        UserDisabled = "user_disabled",
        /// The space was removed.
        SpaceRemoved = "space_removed",
        /// The user lost the role that using connectors requires.
        PermissionLost = "permission_lost",
        /// Not used for the configured time.
        Unused = "unused",
        /// An administrator revoked it.
        Admin = "admin",
    }
);

named!(
    /// Why a flow failed; the `error` of the return URL and the callback page.
    FailureCode {
        /// `iss` of the response is missing or names another issuer (RFC 9207).
        IssuerMismatch = "issuer_mismatch",
        /// The callback path belongs to another connector.
        CallbackMismatch = "callback_mismatch",
        /// The authorization response is an error other than a denial (RFC 6749 §4.1.2.1).
        ProviderError = "provider_error",
        /// The provider could not be reached.
        ProviderUnavailable = "provider_unavailable",
        /// The provider refused the client: the operator has to repair the connector.
        ProviderMisconfigured = "provider_misconfigured",
        /// The code could not be exchanged for tokens.
        ExchangeFailed = "exchange_failed",
        /// The connector was edited during the flow.
        ConnectorChanged = "connector_changed",
        /// The row of the connector is not authentic.
        ConnectorTampered = "connector_tampered",
        /// The connector was deleted during the flow.
        ConnectorGone = "connector_gone",
        /// The user lost the required role during the flow.
        PermissionLost = "permission_lost",
        /// The user was deprovisioned.
        UserDeprovisioned = "user_deprovisioned",
        /// The provider did not grant a scope that the connector requires.
        InsufficientScope = "insufficient_scope",
        /// Another provider account consented than the one connected before.
        AccountMismatch = "account_mismatch",
        /// The provider account is already connected under another connection name.
        AccountAlreadyConnected = "account_already_connected",
        /// The process ended between consuming the flow and committing its result.
        Interrupted = "interrupted",
        /// Storing or sealing failed, or the directory did not respond.
        Internal = "internal",
    }
);

/// Why an authorization is `Revoked`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RevokedCause {
    /// Terminated by a user, the host or a policy.
    Terminated(TerminationCause),
    /// The flow failed.
    Failed(FailureCode),
}

impl RevokedCause {
    /// The stable form of records: `disconnected`, `failed(exchange_failed)`.
    pub fn to_record(self) -> String {
        match self {
            Self::Terminated(cause) => cause.as_str().to_owned(),
            Self::Failed(code) => format!("failed({code})"),
        }
    }

    /// Reads the form of records.
    pub fn from_record(text: &str) -> Option<Self> {
        match text.strip_prefix("failed(").and_then(|rest| rest.strip_suffix(')')) {
            Some(code) => FailureCode::parse(code).map(Self::Failed),
            None => TerminationCause::parse(text).map(Self::Terminated),
        }
    }

    /// Every cause.
    pub fn all() -> impl Iterator<Item = Self> {
        let ended = TerminationCause::ALL.iter().copied().map(Self::Terminated);
        ended.chain(FailureCode::ALL.iter().copied().map(Self::Failed))
    }
}

/// Why an authorization is in a terminal state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TerminalCause {
    /// Of the state `Expired`.
    Expired(ExpiredCause),
    /// Of the state `Revoked`.
    Revoked(RevokedCause),
}

impl TerminalCause {
    /// The state this is a cause of.
    pub fn state(self) -> StateKind {
        match self {
            Self::Expired(_) => StateKind::Expired,
            Self::Revoked(_) => StateKind::Revoked,
        }
    }

    /// The stable form of records.
    pub fn to_record(self) -> String {
        match self {
            Self::Expired(cause) => cause.as_str().to_owned(),
            Self::Revoked(cause) => cause.to_record(),
        }
    }

    /// Reads the form of records; `None` for a cause that the state cannot have.
    pub fn from_record(state: StateKind, text: &str) -> Option<Self> {
        match state {
            StateKind::Expired => ExpiredCause::parse(text).map(Self::Expired),
            StateKind::Revoked => RevokedCause::from_record(text).map(Self::Revoked),
            StateKind::Initiated | StateKind::AwaitingCallback | StateKind::Authorized => None,
        }
    }

    /// Every cause.
    pub fn all() -> impl Iterator<Item = Self> {
        let expired = ExpiredCause::ALL.iter().copied().map(Self::Expired);
        expired.chain(RevokedCause::all().map(Self::Revoked))
    }
}

named!(
    /// The result of a completed revocation (RFC 7009).
    RevocationOutcome {
        /// The provider confirmed (RFC 7009 §2.2).
        Revoked = "revoked",
        /// The provider offers no revocation.
        NotSupported = "not_supported",
        /// Attempts or time ran out: removed here, not confirmed by the provider.
        Abandoned = "abandoned",
        /// The tokens were not valid any more, or another grant uses the same ones.
        NotNeeded = "not_needed",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for cause in ExpiredCause::ALL {
            assert_eq!(ExpiredCause::parse(cause.as_str()), Some(*cause));
        }
        for cause in RevokedCause::all() {
            assert_eq!(RevokedCause::from_record(&cause.to_record()), Some(cause));
        }
        assert_eq!(RevokedCause::from_record("failed(nonsense)"), None);
        for cause in TerminalCause::all() {
            assert_eq!(TerminalCause::from_record(cause.state(), &cause.to_record()), Some(cause));
        }
        assert_eq!(TerminalCause::from_record(StateKind::Authorized, "disconnected"), None);
    }
}

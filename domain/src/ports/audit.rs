//! Audit events. They are written in the transaction of the change they describe, and contain no secret.

use crate::authorization::{
    Authorization, AuthorizationId, AuthorizationKey, ExpiredCause, FailureCode, RevocationOutcome, RevokedCause, State,
    TerminalCause,
};
use crate::connector::{ConnectorId, ConnectorKey};
use crate::identity::{Actor, ConnectionName, SpaceId, UserId};
use crate::named::named;
use crate::ports::anomaly::Anomaly;
use crate::time::Timestamp;

named!(
    /// What happened.
    AuditKind {
        /// A flow was started.
        FlowStarted = "flow_started",
        /// A callback consumed its flow.
        CallbackConsumed = "callback_consumed",
        /// A callback came from another user or browser than the flow.
        BindingMismatch = "binding_mismatch",
        /// A callback came from another issuer (RFC 9207).
        IssuerMismatch = "issuer_mismatch",
        /// A flow ended without a grant.
        FlowEnded = "flow_ended",
        /// A grant was committed.
        Connected = "connected",
        /// The provider granted more scopes than were requested.
        ScopeWidened = "scope_widened",
        /// A token response deviated from the protocol in members that do not prevent its use.
        TokenResponseAnomaly = "token_response_anomaly",
        /// Tokens were refreshed.
        Refreshed = "refreshed",
        /// A refresh failed.
        RefreshFailed = "refresh_failed",
        /// A refresh whose outcome is unknown is about to be tried again. A provider that has processed the earlier request
        /// detects a reuse of the refresh token.
        RefreshRetried = "refresh_retried",
        /// Refreshed tokens could not be stored yet and are in memory: an alarm.
        CommitPending = "commit_pending",
        /// An access token was issued, or a connector was run.
        AccessTokenIssued = "access_token_issued",
        /// No access token was issued.
        AccessTokenRefused = "access_token_refused",
        /// Events of access tokens were dropped, because the store accepted none for too long.
        AuditEventsDropped = "audit_events_dropped",
        /// A stored event could not be read; its row was removed.
        AuditEventUnreadable = "audit_event_unreadable",
        /// A grant expired.
        GrantExpired = "grant_expired",
        /// A grant was terminated.
        GrantTerminated = "grant_terminated",
        /// A revocation completed.
        RevocationCompleted = "revocation_completed",
        /// Unclaimed tokens were queued for revocation.
        UnclaimedTokensQueued = "unclaimed_tokens_queued",
        /// An envelope could not be decrypted.
        DecryptFailed = "decrypt_failed",
        /// The row of a connector is not authentic; it was not used.
        ConnectorTampered = "connector_tampered",
        /// The row of a session is not authentic; it is no session.
        SessionTampered = "session_tampered",
        /// A user chose a default connection.
        DefaultConnectionSet = "default_connection_set",
        /// A connector was created.
        ConnectorCreated = "connector_created",
        /// A connector was edited.
        ConnectorUpdated = "connector_updated",
        /// A connector was deleted.
        ConnectorDeleted = "connector_deleted",
        /// A user was deprovisioned: no grant of the user is committed any more.
        UserDeprovisioned = "user_deprovisioned",
        /// A deprovisioned user was reinstated.
        UserReinstated = "user_reinstated",
    }
);

named!(
    /// How it ended: a stable code, never a provider's text. Contains every code of a cause, a revocation outcome and a
    /// use case error; [`AuditOutcome::of`] finds them.
    AuditOutcome {
        /// It succeeded.
        Ok = "ok",
        /// The token of a shared connector was issued.
        Shared = "shared",
        /// An edit that kept the grants.
        Kept = "kept",
        /// An edit that ended the grants.
        Changed = "changed",
        /// More scopes than were requested.
        Widened = "widened",
        /// Queued for revocation.
        Queued = "queued",
        /// The outcome of the earlier refresh is unknown.
        InDoubt = "in_doubt",
        /// Refreshed in order to revoke the live token.
        ToRevoke = "to_revoke",
        /// Refused; see also `ProviderErrorKind`.
        Refused = "refused",
        /// See `ExpiredCause`.
        FlowTimedOut = "flow_timed_out",
        /// See `ExpiredCause`.
        AccessTokenExpired = "access_token_expired",
        /// See `ExpiredCause`.
        RefreshTokenExpired = "refresh_token_expired",
        /// See `ExpiredCause`.
        RefreshRejected = "refresh_rejected",
        /// See `ExpiredCause`.
        ConnectorChanged = "connector_changed",
        /// See `TerminationCause`.
        Disconnected = "disconnected",
        /// See `TerminationCause`.
        Cancelled = "cancelled",
        /// See `TerminationCause`.
        Denied = "denied",
        /// See `TerminationCause`.
        Superseded = "superseded",
        /// See `TerminationCause`.
        ConnectorDeleted = "connector_deleted",
        /// See `TerminationCause`.
        UserRemoved = "user_removed",
        /// See `TerminationCause`.
        UserDisabled = "user_disabled",
        /// See `TerminationCause`.
        SpaceRemoved = "space_removed",
        /// See `TerminationCause`.
        PermissionLost = "permission_lost",
        /// See `TerminationCause`.
        Unused = "unused",
        /// See `TerminationCause`.
        Admin = "admin",
        /// See `FailureCode`.
        IssuerMismatch = "issuer_mismatch",
        /// See `FailureCode`.
        CallbackMismatch = "callback_mismatch",
        /// See `FailureCode`.
        ProviderError = "provider_error",
        /// See `FailureCode`.
        ProviderUnavailable = "provider_unavailable",
        /// See `FailureCode`.
        ProviderMisconfigured = "provider_misconfigured",
        /// See `FailureCode`.
        ExchangeFailed = "exchange_failed",
        /// See `FailureCode`; also a use case error.
        ConnectorTampered = "connector_tampered",
        /// See `FailureCode`.
        ConnectorGone = "connector_gone",
        /// See `ExpiredCause` and `FailureCode`.
        InsufficientScope = "insufficient_scope",
        /// See `FailureCode`.
        UserDeprovisioned = "user_deprovisioned",
        /// See `FailureCode`.
        AccountMismatch = "account_mismatch",
        /// See `FailureCode`.
        AccountAlreadyConnected = "account_already_connected",
        /// See `FailureCode`.
        Interrupted = "interrupted",
        /// See `FailureCode`.
        Internal = "internal",
        /// See `RevocationOutcome`.
        Revoked = "revoked",
        /// See `RevocationOutcome`.
        NotSupported = "not_supported",
        /// See `RevocationOutcome`.
        Abandoned = "abandoned",
        /// See `RevocationOutcome`.
        NotNeeded = "not_needed",
        /// See `ProviderErrorKind`.
        InvalidGrant = "invalid_grant",
        /// See `ProviderErrorKind`.
        ClientRefused = "client_refused",
        /// See `ProviderErrorKind`.
        GrantTypeRefused = "grant_type_refused",
        /// See `ProviderErrorKind`.
        OauthError = "oauth_error",
        /// See `ProviderErrorKind`.
        Throttled = "throttled",
        /// See `ProviderErrorKind`.
        NotAllowed = "not_allowed",
        /// See `ProviderErrorKind`.
        NotSent = "not_sent",
        /// See `ProviderErrorKind`.
        NoResponse = "no_response",
        /// See `ProviderErrorKind`; also a decrypted payload that is malformed.
        Malformed = "malformed",
        /// See `ProviderErrorKind`.
        BadMetadata = "bad_metadata",
        /// An envelope was sealed, or a row tagged, with an unknown key.
        UnknownKey = "unknown_key",
        /// An envelope or a row was altered, or belongs to another record.
        Tampered = "tampered",
        /// An envelope is of an older generation than its record.
        Stale = "stale",
        /// A use case error.
        NotFound = "not_found",
        /// A use case error.
        Forbidden = "forbidden",
        /// A use case error.
        DirectoryUnavailable = "directory_unavailable",
        /// A use case error.
        DestinationRefused = "destination_refused",
        /// A use case error.
        AuthorizationRequired = "authorization_required",
        /// A use case error.
        RefreshRefused = "refresh_refused",
        /// A use case error.
        ConnectionAmbiguous = "connection_ambiguous",
        /// A use case error.
        StoreUnavailable = "store_unavailable",
        /// A use case error.
        AuditUnavailable = "audit_unavailable",
        /// A use case error.
        UserMismatch = "user_mismatch",
        /// A use case error.
        BrowserMismatch = "browser_mismatch",
    }
);

impl AuditOutcome {
    /// The outcome with a stable code; [`AuditOutcome::Internal`] for a code that is not among them, which a test excludes.
    pub fn of(code: &str) -> Self {
        Self::parse(code).unwrap_or(Self::Internal)
    }
}

impl From<ExpiredCause> for AuditOutcome {
    fn from(cause: ExpiredCause) -> Self {
        Self::of(cause.as_str())
    }
}

impl From<FailureCode> for AuditOutcome {
    fn from(code: FailureCode) -> Self {
        Self::of(code.as_str())
    }
}

impl From<RevocationOutcome> for AuditOutcome {
    fn from(outcome: RevocationOutcome) -> Self {
        Self::of(outcome.as_str())
    }
}

impl From<TerminalCause> for AuditOutcome {
    fn from(cause: TerminalCause) -> Self {
        match cause {
            TerminalCause::Expired(cause) => cause.into(),
            TerminalCause::Revoked(RevokedCause::Terminated(cause)) => Self::of(cause.as_str()),
            TerminalCause::Revoked(RevokedCause::Failed(code)) => code.into(),
        }
    }
}

/// A fact about an event: a name, `=` and a word, such as `scope=wrong_type`. Never a secret or a text of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditDetail(String);

impl AuditDetail {
    /// A detail in its written form. `None` if it is longer than 128 bytes or has other characters than letters, digits and
    /// `_ - . : =`.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:=".contains(&byte);
        let is_plain = (1..=128).contains(&text.len()) && text.bytes().all(plain);
        is_plain.then(|| Self(text.to_owned()))
    }

    /// The written form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&Anomaly> for AuditDetail {
    fn from(anomaly: &Anomaly) -> Self {
        Self(anomaly.to_string())
    }
}

impl AuditDetail {
    /// A detail with a number.
    fn numbered(name: &'static str, number: impl Into<i128>) -> Self {
        Self(format!("{name}={}", number.into()))
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What.
    pub kind: AuditKind,
    /// The space.
    pub space: Option<SpaceId>,
    /// The connector.
    pub connector: Option<ConnectorId>,
    /// The user whose authorization it is.
    pub user: Option<UserId>,
    /// The connection.
    pub connection: Option<ConnectionName>,
    /// The authorization.
    pub authorization: Option<AuthorizationId>,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// Facts about it; most events have none.
    pub details: Vec<AuditDetail>,
}

impl AuditEvent {
    /// An event of an actor without a subject, with the outcome `ok`.
    pub fn new(kind: AuditKind, actor: Actor, at: Timestamp) -> Self {
        Self {
            at,
            actor,
            kind,
            space: None,
            connector: None,
            user: None,
            connection: None,
            authorization: None,
            outcome: AuditOutcome::Ok,
            details: Vec::new(),
        }
    }

    /// The event of a token response with deviations. `None` without any.
    pub fn of_anomalies(anomalies: &[Anomaly], actor: Actor, at: Timestamp) -> Option<Self> {
        let details: Vec<_> = anomalies.iter().map(AuditDetail::from).collect();
        (!details.is_empty()).then(|| Self { details, ..Self::new(AuditKind::TokenResponseAnomaly, actor, at) })
    }

    /// The event of dropped events of one kind, between the instants of the first and the last of them, which are details in
    /// milliseconds since the Unix epoch.
    pub fn of_dropped(
        kind: AuditKind,
        connector: Option<&ConnectorKey>,
        count: u64,
        first: Timestamp,
        last: Timestamp,
    ) -> Self {
        let event = Self::of_system(AuditKind::AuditEventsDropped, last).outcome(AuditOutcome::StoreUnavailable);
        let details = vec![
            AuditDetail(format!("kind={}", kind.as_str())),
            AuditDetail::numbered("count", count),
            AuditDetail::numbered("first", first.as_millis()),
            AuditDetail::numbered("last", last.as_millis()),
        ];
        let event = Self { details, ..event };
        match connector {
            Some(connector) => event.at_connector(connector),
            None => event,
        }
    }

    /// An event of the system itself.
    pub fn of_system(kind: AuditKind, at: Timestamp) -> Self {
        Self::new(kind, Actor::System, at)
    }

    /// The event of an authorization that a store ended: superseded, swept, or by a predicate. `ended` is what it became.
    pub fn of_termination(ended: &Authorization, actor: Actor, at: Timestamp) -> Self {
        let (kind, cause) = match ended.state() {
            State::Expired(state) if ended.authorized_at().is_some() => {
                (AuditKind::GrantExpired, Some(TerminalCause::Expired(state.cause())))
            }
            State::Revoked(state) if ended.authorized_at().is_some() => {
                (AuditKind::GrantTerminated, Some(TerminalCause::Revoked(state.cause())))
            }
            State::Expired(state) => (AuditKind::FlowEnded, Some(TerminalCause::Expired(state.cause()))),
            State::Revoked(state) => (AuditKind::FlowEnded, Some(TerminalCause::Revoked(state.cause()))),
            State::Initiated(_) | State::AwaitingCallback(_) | State::Authorized(_) => (AuditKind::FlowEnded, None),
        };
        let event = Self::new(kind, actor, at).about(ended.owner(), ended.id());
        match cause {
            Some(cause) => event.outcome(cause),
            None => event,
        }
    }

    /// The event of a lease that was taken while the outcome of an earlier refresh is unknown. Since when, in milliseconds
    /// since the Unix epoch, is a detail.
    pub fn of_retry(grant: &Authorization, at: Timestamp) -> Self {
        let since = grant.as_grant().and_then(|grant| grant.refresh().in_doubt_since);
        let details = since.map(|since| AuditDetail::numbered("in_doubt_since", since.as_millis()));
        let event = Self::of_system(AuditKind::RefreshRetried, at).about(grant.owner(), grant.id());
        Self { details: details.into_iter().collect(), ..event.outcome(AuditOutcome::InDoubt) }
    }

    /// About one authorization.
    #[must_use]
    pub fn about(self, owner: &AuthorizationKey, id: AuthorizationId) -> Self {
        let event = self.of_connection(&owner.connector_key(), &owner.user, &owner.connection);
        Self { authorization: Some(id), ..event }
    }

    /// About one connection of a user.
    #[must_use]
    pub fn of_connection(self, connector: &ConnectorKey, user: &UserId, connection: &ConnectionName) -> Self {
        Self { connection: Some(connection.clone()), ..self.at_connector(connector).of_user(user) }
    }

    /// About a connector.
    #[must_use]
    pub fn at_connector(self, connector: &ConnectorKey) -> Self {
        Self { space: Some(connector.space.clone()), connector: Some(connector.id.clone()), ..self }
    }

    /// About a user.
    #[must_use]
    pub fn of_user(self, user: &UserId) -> Self {
        Self { user: Some(user.clone()), ..self }
    }

    /// With an outcome.
    #[must_use]
    pub fn outcome(self, outcome: impl Into<AuditOutcome>) -> Self {
        Self { outcome: outcome.into(), ..self }
    }
}

/// An event in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Position in the outbox; rises.
    pub sequence: u64,
    /// The event.
    pub event: AuditEvent,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::authorization::{Reason, TerminationCause};
    use crate::ports::{AnomalyKind, ProviderErrorKind, StoreError};
    use crate::usecase::{AccessError, CallbackRefused, TokenError};

    #[test]
    fn r79_a_detail_is_a_short_identifier() {
        let anomalies = [Anomaly::new("scope", AnomalyKind::WrongType), Anomaly::new("a b", AnomalyKind::Repeated)];
        let event = AuditEvent::of_anomalies(&anomalies, Actor::System, Timestamp::from_millis(0)).unwrap();
        let details: Vec<_> = event.details.iter().map(AuditDetail::as_str).collect();
        assert_eq!(details, ["scope=wrong_type", "other=repeated"]);
        assert!(details.iter().all(|text| AuditDetail::parse(text).is_some()));
        for bad in ["", "a b", "a\n", "\u{e4}", &"a".repeat(129)] {
            assert_eq!(AuditDetail::parse(bad), None, "{bad:?}");
        }
        assert_eq!(AuditEvent::of_anomalies(&[], Actor::System, Timestamp::from_millis(0)), None);
    }

    #[test]
    fn every_cause_and_outcome_has_its_code() {
        let expired = ExpiredCause::ALL.iter().map(|cause| cause.as_str());
        let terminated = TerminationCause::ALL.iter().map(|cause| cause.as_str());
        let failed = FailureCode::ALL.iter().map(|code| code.as_str());
        let revocations = RevocationOutcome::ALL.iter().map(|outcome| outcome.as_str());
        for code in expired.chain(terminated).chain(failed).chain(revocations) {
            assert!(AuditOutcome::parse(code).is_some(), "{code}");
        }
    }

    #[test]
    fn every_error_that_is_audited_has_its_code() {
        let provider = [
            ProviderErrorKind::InvalidGrant,
            ProviderErrorKind::ClientRefused,
            ProviderErrorKind::GrantTypeRefused,
            ProviderErrorKind::Refused,
            ProviderErrorKind::OtherOauthError,
            ProviderErrorKind::Throttled { retry_after: None, unprocessed: true },
            ProviderErrorKind::NotAllowed,
            ProviderErrorKind::NotSent,
            ProviderErrorKind::NoResponse,
            ProviderErrorKind::Malformed,
            ProviderErrorKind::BadMetadata,
        ];
        let connection = ConnectionName::default();
        let tokens = [
            TokenError::Access(AccessError::NotFound),
            TokenError::Access(AccessError::Forbidden),
            TokenError::Access(AccessError::DirectoryUnavailable),
            TokenError::DestinationRefused,
            TokenError::ConnectionAmbiguous { connections: Vec::new() },
            TokenError::AuthorizationRequired { reason: Reason::NotConnected, connection: connection.clone() },
            TokenError::RefreshRefused { retry_after: Duration::ZERO, http_status: None, connection },
            TokenError::Unavailable { retry_after: Duration::ZERO },
            TokenError::Misconfigured,
            TokenError::AuditUnavailable,
            TokenError::Store(StoreError::Unavailable),
        ];
        let mismatches = [CallbackRefused::UserMismatch, CallbackRefused::BrowserMismatch];
        let codes = provider.iter().map(|error| error.as_str()).chain(tokens.iter().map(TokenError::code));
        for code in codes.chain(mismatches.iter().map(CallbackRefused::code)) {
            assert!(AuditOutcome::parse(code).is_some(), "{code}");
        }
    }
}

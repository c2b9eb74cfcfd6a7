//! Audit events (R80). They are written in the transaction of the change they tell of, and hold no secret.

use crate::authorization::{AuthorizationId, AuthorizationRecord, StateKind, cause_names};
use crate::connector::ConnectorId;
use crate::identity::{Actor, SpaceId, UserId};
use crate::time::Timestamp;

cause_names!(
    /// What happened.
    AuditKind {
        /// A flow was started.
        FlowStarted = "flow_started",
        /// A callback consumed its flow.
        CallbackConsumed = "callback_consumed",
        /// A callback with the wrong user or browser.
        BindingMismatch = "binding_mismatch",
        /// A callback from the wrong issuer.
        IssuerMismatch = "issuer_mismatch",
        /// A flow ended without a grant.
        FlowEnded = "flow_ended",
        /// A grant was committed.
        Connected = "connected",
        /// The provider granted more scopes than asked for.
        ScopeWidened = "scope_widened",
        /// Tokens were renewed.
        Refreshed = "refreshed",
        /// A renewal failed.
        RefreshFailed = "refresh_failed",
        /// New tokens could not be stored yet and are kept in memory: an alarm.
        CommitPending = "commit_pending",
        /// A token was handed out or a connector was run.
        AccessTokenIssued = "access_token_issued",
        /// A hand-out was refused.
        AccessTokenRefused = "access_token_refused",
        /// A grant expired.
        GrantExpired = "grant_expired",
        /// A grant was ended.
        GrantEnded = "grant_ended",
        /// A revocation came to an end.
        RevocationCompleted = "revocation_completed",
        /// Tokens that never became a grant were queued for revocation.
        UnclaimedTokensQueued = "unclaimed_tokens_queued",
        /// An envelope did not open.
        OpenFailed = "open_failed",
        /// A connector was created.
        ConnectorCreated = "connector_created",
        /// A connector was edited.
        ConnectorUpdated = "connector_updated",
        /// A connector was deleted.
        ConnectorDeleted = "connector_deleted",
        /// Envelopes were re-sealed with the present key.
        KeysRotated = "keys_rotated",
    }
);

/// One thing that happened. `outcome` is a stable code or a count, never provider text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What.
    pub kind: AuditKind,
    /// Where.
    pub space: Option<SpaceId>,
    /// On which connector.
    pub connector: Option<ConnectorId>,
    /// Whose authorization, if somebody's.
    pub user: Option<UserId>,
    /// Which authorization, if one.
    pub grant: Option<AuthorizationId>,
    /// Stable code of the outcome, such as `ok` or `refresh_rejected`.
    pub outcome: String,
}

impl AuditEvent {
    /// The event of an authorization that a store ended by itself: superseded, swept, or by a predicate. `record` is what it
    /// became; its cause is the outcome.
    pub fn ending(record: &AuthorizationRecord, actor: Actor, at: Timestamp) -> Self {
        let kind = match (record.authorized_at, record.state) {
            (None, _) => AuditKind::FlowEnded,
            (Some(_), StateKind::Expired) => AuditKind::GrantExpired,
            (Some(_), StateKind::Initiated | StateKind::AwaitingCallback | StateKind::Authorized | StateKind::Revoked) => {
                AuditKind::GrantEnded
            }
        };
        Self {
            at,
            actor,
            kind,
            space: Some(record.owner.space.clone()),
            connector: Some(record.owner.connector.clone()),
            user: Some(record.owner.user.clone()),
            grant: Some(record.id),
            outcome: record.cause.clone().unwrap_or_default(),
        }
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

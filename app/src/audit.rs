//! Audit events in the log: one line each, with target `audit` (R80).

use async_trait::async_trait;
use grantry_domain::ports::{AuditEvent, AuditKind, EventSink, RecordedEvent, SinkError};
use tracing::info;

/// The target of audit events, for log filters.
pub(crate) const TARGET: &str = "audit";

/// Writes every event to the log. Whoever collects the log keeps the trail.
pub(crate) struct LogSink;

#[async_trait]
impl EventSink for LogSink {
    async fn deliver(&self, events: &[RecordedEvent]) -> Result<(), SinkError> {
        for RecordedEvent { sequence, event } in events {
            write(*sequence, event);
        }
        Ok(())
    }
}

fn write(sequence: u64, event: &AuditEvent) {
    // Ids are the only untrusted text in here; the log's format escapes them (R79).
    info!(
        target: TARGET,
        kind = event.kind.as_str(),
        actor = %event.actor,
        space = event.space.as_ref().map(tracing::field::display),
        connector = event.connector.as_ref().map(tracing::field::display),
        user = event.user.as_ref().map(tracing::field::display),
        grant = event.grant.map(tracing::field::display),
        outcome = event.outcome,
        at = %rfc3339(event),
        sequence,
        "{}",
        sentence(event.kind),
    );
}

fn rfc3339(event: &AuditEvent) -> String {
    jiff::Timestamp::from_millisecond(event.at.as_millis()).map_or_else(|_| String::new(), |at| at.to_string())
}

/// What happened, for people who read the log.
fn sentence(kind: AuditKind) -> &'static str {
    match kind {
        AuditKind::FlowStarted => "somebody began to connect their account",
        AuditKind::CallbackConsumed => "the provider sent somebody back",
        AuditKind::BindingMismatch => "a callback came from the wrong user or browser",
        AuditKind::IssuerMismatch => "a callback came from the wrong issuer",
        AuditKind::FlowEnded => "an attempt to connect ended without a connection",
        AuditKind::Connected => "an account was connected",
        AuditKind::ScopeWidened => "the provider granted more than was asked for",
        AuditKind::Refreshed => "an access token was refreshed",
        AuditKind::RefreshFailed => "an access token could not be refreshed",
        AuditKind::CommitPending => "refreshed tokens could not be stored yet; they are kept in memory and tried again",
        AuditKind::AccessTokenIssued => "a connector was run or a token handed out",
        AuditKind::AccessTokenRefused => "a run or a token was refused",
        AuditKind::GrantExpired => "a connection expired",
        AuditKind::GrantEnded => "a connection was ended",
        AuditKind::RevocationCompleted => "the provider was told that tokens are over",
        AuditKind::UnclaimedTokensQueued => "tokens that never became a connection are to be revoked",
        AuditKind::OpenFailed => "a sealed record did not open",
        AuditKind::ConnectorCreated => "a connector was created",
        AuditKind::ConnectorUpdated => "a connector was edited",
        AuditKind::ConnectorDeleted => "a connector was deleted",
        AuditKind::KeysRotated => "records were sealed again with the present key",
    }
}

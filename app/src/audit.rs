//! Audit events: one log line each with target `audit`, and a metric.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use grantry_domain::ports::{
    AuditDetail, AuditEvent, AuditKind, AuthenticatedRow, EventSink, RecordedEvent, RowAuthenticator, RowTag, SinkError,
    VaultError,
};
use grantry_domain::time::Timestamp;
use grantry_domain::usecase::Connections;
use tracing::info;

use crate::log_lines::lines_together;

/// The target of audit events, for log filters.
pub(crate) const TARGET: &str = "audit";

/// Writes every event to the log. The audit trail is kept by the log collector.
pub(crate) struct LogSink;

#[async_trait]
impl EventSink for LogSink {
    async fn deliver(&self, events: &[RecordedEvent]) -> Result<(), SinkError> {
        lines_together(|| events.iter().for_each(|recorded| write(Some(recorded.sequence), &recorded.event)));
        Ok(())
    }

    async fn deliver_directly(&self, events: &[AuditEvent]) -> Result<(), SinkError> {
        lines_together(|| events.iter().for_each(|event| write(None, event)));
        Ok(())
    }
}

/// Counts the events that another sink has taken.
pub(crate) struct CountingSink {
    sink: Arc<dyn EventSink>,
}

impl CountingSink {
    pub(crate) fn new(sink: Arc<dyn EventSink>) -> Self {
        Self { sink }
    }
}

#[async_trait]
impl EventSink for CountingSink {
    async fn deliver(&self, events: &[RecordedEvent]) -> Result<(), SinkError> {
        self.sink.deliver(events).await?;
        count(events.iter().map(|recorded| &recorded.event));
        Ok(())
    }

    async fn deliver_directly(&self, events: &[AuditEvent]) -> Result<(), SinkError> {
        self.sink.deliver_directly(events).await?;
        count(events.iter());
        Ok(())
    }
}

fn count<'e>(events: impl Iterator<Item = &'e AuditEvent>) {
    let mut counted: BTreeMap<_, u64> = BTreeMap::new();
    for event in events {
        *counted.entry((event.kind.as_str(), event.outcome.as_str())).or_default() += 1;
    }
    for ((kind, outcome), count) in counted {
        metrics::counter!("grantry_audit_events_total", "kind" => kind, "outcome" => outcome).increment(count);
    }
}

/// Authenticates rows, and records an audit event for each use of a session that is not authentic.
pub(crate) struct AuditedSessions {
    rows: Arc<dyn RowAuthenticator>,
    connections: Arc<Connections>,
}

impl AuditedSessions {
    pub(crate) fn new(rows: Arc<dyn RowAuthenticator>, connections: Arc<Connections>) -> Self {
        Self { rows, connections }
    }
}

impl RowAuthenticator for AuditedSessions {
    fn tag(&self, row: &AuthenticatedRow<'_>) -> RowTag {
        self.rows.tag(row)
    }

    fn verify(&self, row: &AuthenticatedRow<'_>, tag: &RowTag) -> Result<(), VaultError> {
        let verified = self.rows.verify(row, tag);
        if let (AuthenticatedRow::Session { user, .. }, Err(error)) = (row, verified) {
            self.connections.record_tampered_session(user, error);
        }
        verified
    }
}

fn write(sequence: Option<u64>, event: &AuditEvent) {
    // Ids are the only untrusted text here. The log format escapes them.
    info!(
        target: TARGET,
        kind = event.kind.as_str(),
        actor = %event.actor,
        space = event.space.as_ref().map(tracing::field::display),
        connector = event.connector.as_ref().map(tracing::field::display),
        user = event.user.as_ref().map(tracing::field::display),
        connection = event.connection.as_ref().map(tracing::field::display),
        authorization = event.authorization.map(tracing::field::display),
        outcome = event.outcome.as_str(),
        details = details(event),
        at = %rfc3339(event.at),
        sequence,
        "{}",
        sentence(event.kind),
    );
}

/// The details, separated by spaces. `None` for an event without any.
fn details(event: &AuditEvent) -> Option<String> {
    let texts: Vec<&str> = event.details.iter().map(AuditDetail::as_str).collect();
    (!texts.is_empty()).then(|| texts.join(" "))
}

/// An instant as text.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis()).map_or_else(|_| String::new(), |at| at.to_string())
}

/// The event as a sentence, for readers of the log.
fn sentence(kind: AuditKind) -> &'static str {
    match kind {
        AuditKind::FlowStarted => "a user started to connect an account",
        AuditKind::CallbackConsumed => "the provider returned a user with an authorization response",
        AuditKind::BindingMismatch => "a callback came from the wrong user or browser",
        AuditKind::IssuerMismatch => "a callback came from the wrong issuer",
        AuditKind::FlowEnded => "an authorization request ended without a connection",
        AuditKind::Connected => "an account was connected",
        AuditKind::ScopeWidened => "the provider granted more scopes than were requested",
        AuditKind::TokenResponseAnomaly => "a token response deviated from the protocol; its tokens are used",
        AuditKind::Refreshed => "an access token was refreshed",
        AuditKind::RefreshFailed => "an access token could not be refreshed",
        AuditKind::RefreshRetried => "a refresh with an unknown outcome is tried again",
        AuditKind::CommitPending => "refreshed tokens could not be stored yet; they are kept in memory and retried",
        AuditKind::AccessTokenIssued => "a connector was run or an access token was issued",
        AuditKind::AccessTokenRefused => "a run or an access token was refused",
        AuditKind::AuditEventsDropped => "audit events of access tokens were dropped while the store accepted none",
        AuditKind::AuditEventUnreadable => "a stored audit event could not be read and was removed",
        AuditKind::GrantExpired => "a connection expired",
        AuditKind::GrantTerminated => "a connection was terminated",
        AuditKind::RevocationCompleted => "tokens were revoked at the provider",
        AuditKind::UnclaimedTokensQueued => "unclaimed tokens were queued for revocation",
        AuditKind::DecryptFailed => "a sealed record could not be decrypted",
        AuditKind::ConnectorTampered => "a stored connector is not authentic and was not used",
        AuditKind::SessionTampered => "a stored session is not authentic and was ignored",
        AuditKind::DefaultConnectionSet => "a user chose a default connection",
        AuditKind::ConnectorCreated => "a connector was created",
        AuditKind::ConnectorUpdated => "a connector was edited",
        AuditKind::ConnectorDeleted => "a connector was deleted",
        AuditKind::UserDeprovisioned => "a user was deprovisioned",
        AuditKind::UserReinstated => "a deprovisioned user was reinstated",
    }
}

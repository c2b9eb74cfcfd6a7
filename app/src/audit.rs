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

#[cfg(test)]
mod contract {
    use std::future::{Ready, ready};
    use std::io;
    use std::sync::{Mutex, PoisonError};

    use grantry_testkit::contract::event_sink::SinkBackend;
    use grantry_testkit::doubles::CollectingSink;
    use serde_json::Value;
    use tracing::Dispatch;
    use tracing::instrument::WithSubscriber as _;

    use super::*;

    /// The lines of a log.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        fn bytes(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn kinds(&self) -> Vec<AuditKind> {
            let text = String::from_utf8(self.bytes().clone()).unwrap();
            let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            lines.map(|line| AuditKind::parse(line["fields"]["kind"].as_str().unwrap()).unwrap()).collect()
        }
    }

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.bytes().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The log sink with a log of this test alone.
    struct InLog(Dispatch);

    #[async_trait]
    impl EventSink for InLog {
        async fn deliver(&self, events: &[RecordedEvent]) -> Result<(), SinkError> {
            LogSink.deliver(events).with_subscriber(self.0.clone()).await
        }

        async fn deliver_directly(&self, events: &[AuditEvent]) -> Result<(), SinkError> {
            LogSink.deliver_directly(events).with_subscriber(self.0.clone()).await
        }
    }

    mod log {
        use super::*;

        fn sink() -> Ready<SinkBackend> {
            let lines = Lines::default();
            let writer = lines.clone();
            let log = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
            ready(SinkBackend {
                sink: Arc::new(InLog(Dispatch::new(log))),
                stored: Box::new(move || lines.kinds()),
                set_unavailable: None,
            })
        }

        grantry_testkit::event_sink_contract!(sink);
    }

    mod counting {
        use super::*;

        fn sink() -> Ready<SinkBackend> {
            let collected = Arc::new(CollectingSink::default());
            let (read, failing) = (collected.clone(), collected.clone());
            ready(SinkBackend {
                sink: Arc::new(CountingSink::new(collected)),
                stored: Box::new(move || read.events().into_iter().map(|event| event.kind).collect::<Vec<_>>()),
                set_unavailable: Some(Box::new(move |unavailable| failing.set_unavailable(unavailable))),
            })
        }

        grantry_testkit::event_sink_contract!(sink);
    }
}

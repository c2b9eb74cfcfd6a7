//! Building audit events, and the buffer for those that belong to no change.

use std::sync::{Mutex, PoisonError};

use crate::connector::ConnectorKey;
use crate::flow::Connections;
use crate::grant::{GrantId, Ownership};
use crate::identity::{Actor, UserId};
use crate::ports::{AuditEvent, AuditKind};
use crate::time::Timestamp;

/// How many buffered notes make the buffer flush itself.
const FLUSH_AT: usize = 512;

/// Notes of hand-outs and refusals. They change nothing, so they need no transaction of their own; they are written in
/// batches by the housekeeper, at latest one interval after they happened.
#[derive(Default)]
pub(super) struct Trail {
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    events: Vec<AuditEvent>,
    uses: Vec<(GrantId, i64)>,
}

impl Connections {
    /// Notes a hand-out; `true` if it is time to write the notes down.
    pub(super) fn note(&self, event: AuditEvent, used: Option<(GrantId, i64)>) {
        let full = {
            let mut notes = self.trail.notes.lock().unwrap_or_else(PoisonError::into_inner);
            notes.events.push(event);
            notes.uses.extend(used);
            notes.events.len() >= FLUSH_AT
        };
        if full {
            // Best effort under pressure; what cannot be written goes back into the buffer.
            self.spawn_flush();
        }
    }

    fn spawn_flush(&self) {
        let (events, uses) = self.take_notes();
        let grants = std::sync::Arc::clone(&self.ports.grants);
        self.ports.tasks.spawn(Box::pin(async move {
            // A lost note is a lost note: the store is down, and its own alarm is louder.
            let _ = grants.record(events).await;
            let _ = grants.note_use(uses).await;
        }));
    }

    pub(super) fn take_notes(&self) -> (Vec<AuditEvent>, Vec<(GrantId, i64)>) {
        let mut notes = self.trail.notes.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut notes.events), std::mem::take(&mut notes.uses))
    }

    pub(super) fn put_notes_back(&self, mut events: Vec<AuditEvent>, mut uses: Vec<(GrantId, i64)>) {
        let mut notes = self.trail.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.events.len() < 16 * FLUSH_AT {
            notes.events.append(&mut events);
            notes.uses.append(&mut uses);
        }
    }
}

/// An event about one authorization.
pub(super) fn about_grant(
    at: Timestamp,
    actor: Actor,
    kind: AuditKind,
    owner: &Ownership,
    grant: GrantId,
    outcome: impl Into<String>,
) -> AuditEvent {
    AuditEvent {
        at,
        actor,
        kind,
        space: Some(owner.space.clone()),
        connector: Some(owner.connector.clone()),
        user: Some(owner.user.clone()),
        grant: Some(grant),
        outcome: outcome.into(),
    }
}

/// An event about a connector, or about a user there.
pub(super) fn about_connector(
    at: Timestamp,
    actor: Actor,
    kind: AuditKind,
    connector: &ConnectorKey,
    user: Option<&UserId>,
    outcome: impl Into<String>,
) -> AuditEvent {
    AuditEvent {
        at,
        actor,
        kind,
        space: Some(connector.space.clone()),
        connector: Some(connector.id.clone()),
        user: user.cloned(),
        grant: None,
        outcome: outcome.into(),
    }
}

//! Building audit events, and the buffer for those that belong to no change.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::authorization::{AuthorizationId, AuthorizationKey};
use crate::connector::ConnectorKey;
use crate::identity::{Actor, UserId};
use crate::ports::{AuditEvent, AuditKind, AuthorizationStore, StoreError};
use crate::time::Timestamp;
use crate::usecase::Connections;

/// How many buffered notes make the buffer flush itself.
const FLUSH_AT: usize = 512;
/// How many are kept while the store takes none.
const KEPT_AT_MOST: usize = 16 * FLUSH_AT;

/// Notes of hand-outs and refusals. They change nothing, so they need no transaction of their own; they are written in
/// batches by the housekeeper, at latest one interval after they happened. Clones are the same buffer.
#[derive(Clone, Default)]
pub(super) struct Trail(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    events: Vec<AuditEvent>,
    /// The last day of use of each grant.
    uses: BTreeMap<AuthorizationId, i64>,
}

impl Notes {
    fn used(&mut self, id: AuthorizationId, day: i64) {
        self.uses.entry(id).and_modify(|noted| *noted = day.max(*noted)).or_insert(day);
    }
}

impl Trail {
    fn locked(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the buffer down. What the store does not take goes back into it.
    pub(super) async fn flush(&self, grants: &dyn AuthorizationStore) -> Result<(), StoreError> {
        let Notes { events, uses } = std::mem::take(&mut *self.locked());
        if !events.is_empty()
            && let Err(error) = grants.record(events.clone()).await
        {
            self.put_back(events, uses);
            return Err(error);
        }
        if !uses.is_empty()
            && let Err(error) = grants.record_use(uses.iter().map(|(id, day)| (*id, *day)).collect()).await
        {
            self.put_back(Vec::new(), uses);
            return Err(error);
        }
        Ok(())
    }

    fn put_back(&self, mut events: Vec<AuditEvent>, uses: BTreeMap<AuthorizationId, i64>) {
        let mut notes = self.locked();
        if notes.events.len() < KEPT_AT_MOST {
            notes.events.append(&mut events);
        }
        for (id, day) in uses {
            notes.used(id, day);
        }
    }
}

impl Connections {
    /// Notes something that changes nothing, and perhaps the day a grant was used.
    pub(super) fn note(&self, event: AuditEvent, used: Option<(AuthorizationId, i64)>) {
        let full = {
            let mut notes = self.trail.locked();
            notes.events.push(event);
            if let Some((id, day)) = used {
                notes.used(id, day);
            }
            notes.events.len().is_multiple_of(FLUSH_AT)
        };
        if full {
            let (trail, grants) = (self.trail.clone(), Arc::clone(&self.ports.authorizations));
            let work = async move {
                // What cannot be written now is written by the housekeeper.
                let _ = trail.flush(&*grants).await;
            };
            self.ports.spawner.spawn(Box::pin(work));
        }
    }
}

/// An event about one authorization.
pub(super) fn about_grant(
    at: Timestamp,
    actor: Actor,
    kind: AuditKind,
    owner: &AuthorizationKey,
    grant: AuthorizationId,
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

//! A buffer for audit events that belong to no change.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::authorization::AuthorizationId;
use crate::ports::{AuditEvent, AuditOutbox, Spawner, StoreError};

/// How many buffered events start a flush.
const FLUSH_AT: usize = 512;
/// How many events are kept while the store accepts none.
const KEPT_AT_MOST: usize = 16 * FLUSH_AT;

/// Events of access tokens that were issued or refused, and the days on which grants were used. They change no
/// authorization, so they are written in batches instead of one transaction each. Clones share the buffer.
#[derive(Clone)]
pub struct AuditBuffer {
    outbox: Arc<dyn AuditOutbox>,
    spawner: Arc<dyn Spawner>,
    buffered: Arc<Mutex<Buffered>>,
}

#[derive(Default)]
struct Buffered {
    events: Vec<AuditEvent>,
    /// The last day of use of each grant.
    uses: BTreeMap<AuthorizationId, i64>,
}

impl Buffered {
    fn record_use(&mut self, id: AuthorizationId, day: i64) {
        self.uses.entry(id).and_modify(|recorded| *recorded = day.max(*recorded)).or_insert(day);
    }
}

impl AuditBuffer {
    /// An empty buffer.
    pub fn new(outbox: Arc<dyn AuditOutbox>, spawner: Arc<dyn Spawner>) -> Self {
        Self { outbox, spawner, buffered: Arc::default() }
    }

    /// Buffers an event.
    pub fn record(&self, event: AuditEvent) {
        let full = {
            let mut buffered = self.locked();
            buffered.events.push(event);
            buffered.events.len().is_multiple_of(FLUSH_AT)
        };
        if full {
            let buffer = self.clone();
            self.spawner.spawn(Box::pin(async move {
                // Events that cannot be written now are written by the next flush.
                let _ = buffer.flush().await;
            }));
        }
    }

    /// Buffers the day on which a grant was used.
    pub fn record_use(&self, id: AuthorizationId, day: i64) {
        self.locked().record_use(id, day);
    }

    /// Writes the buffer. What the store does not accept is buffered again.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let Buffered { events, uses } = std::mem::take(&mut *self.locked());
        if !events.is_empty()
            && let Err(error) = self.outbox.record(events.clone()).await
        {
            self.put_back(events, uses);
            return Err(error);
        }
        if !uses.is_empty()
            && let Err(error) = self.outbox.record_use(uses.iter().map(|(id, day)| (*id, *day)).collect()).await
        {
            self.put_back(Vec::new(), uses);
            return Err(error);
        }
        Ok(())
    }

    fn locked(&self) -> MutexGuard<'_, Buffered> {
        self.buffered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_back(&self, mut events: Vec<AuditEvent>, uses: BTreeMap<AuthorizationId, i64>) {
        let mut buffered = self.locked();
        // Events that were buffered in the meantime are newer, and are dropped first.
        events.append(&mut buffered.events);
        events.truncate(KEPT_AT_MOST);
        buffered.events = events;
        for (id, day) in uses {
            buffered.record_use(id, day);
        }
    }
}

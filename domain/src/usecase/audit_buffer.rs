//! A buffer for audit events that belong to no change.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::authorization::AuthorizationId;
use crate::connector::ConnectorKey;
use crate::ports::{AuditEvent, AuditKind, AuditOutbox, Clock, EventSink, Spawner, StoreError};
use crate::time::Timestamp;

/// How many buffered events start a flush.
const FLUSH_AT: usize = 512;
/// How many events are kept while the store accepts none, those that are being written included.
const KEPT_AT_MOST: usize = 16 * FLUSH_AT;
/// How long an event waits for the store before the buffer counts as failing: two periods of the flush.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// For how many grants a day of use is kept. It is recorded again at the next use.
const USES_AT_MOST: usize = 4 * KEPT_AT_MOST;
/// For how many kinds and connectors dropped events are counted apart. Those of further connectors are counted by kind.
const COUNTED_APART: usize = 64;

/// Events of access tokens that were issued or refused, and the days on which grants were used. They change no
/// authorization, so they are written in batches instead of one transaction each. Clones share the buffer.
///
/// A batch goes to the sink where one is given, and to the outbox where there is none or it refuses the batch.
///
/// The buffer is bounded. While the store accepts nothing, the newest events are dropped and counted, and the counts are
/// written with the next events that the store accepts.
#[derive(Clone)]
pub struct AuditBuffer {
    sink: Option<Arc<dyn EventSink>>,
    outbox: Arc<dyn AuditOutbox>,
    spawner: Arc<dyn Spawner>,
    clock: Arc<dyn Clock>,
    buffered: Arc<Mutex<Buffered>>,
}

/// What the buffer contains, for alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditBacklog {
    /// How many events were not accepted yet.
    pub waiting: usize,
    /// How many events this process dropped since it started.
    pub dropped: u64,
    /// Whether the last write of events was refused, an event has waited for more than two seconds, or the buffer is full.
    pub is_failing: bool,
}

#[derive(Default)]
struct Buffered {
    events: Vec<AuditEvent>,
    /// When the oldest of them was buffered, by the monotonic clock.
    since: Option<Duration>,
    /// How many events are being written.
    in_flight: usize,
    /// When the oldest event of each write was buffered.
    in_flight_since: Vec<Duration>,
    /// The last day of use of each grant.
    uses: BTreeMap<AuthorizationId, i64>,
    dropped: BTreeMap<DroppedKey, DroppedEvents>,
    dropped_in_total: u64,
    is_refused: bool,
}

/// The kind of dropped events, and their connector where it is counted apart.
type DroppedKey = (AuditKind, Option<ConnectorKey>);

/// Dropped events of one kind.
#[derive(Clone, Copy)]
struct DroppedEvents {
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

impl DroppedEvents {
    fn and(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }
}

impl Buffered {
    fn is_full(&self) -> bool {
        self.events.len() + self.in_flight >= KEPT_AT_MOST
    }

    /// Whether an event has waited for too long, those that are being written included.
    fn is_late(&self, now: Duration) -> bool {
        let mut since = self.in_flight_since.iter().chain(&self.since);
        since.any(|since| now.saturating_sub(*since) > LONGEST_WAIT)
    }

    /// Ends the write of some events, the oldest of which was buffered at this instant.
    fn end_write(&mut self, events: usize, since: Option<Duration>) {
        self.in_flight -= events;
        if let Some(at) = self.in_flight_since.iter().position(|writing| Some(*writing) == since) {
            self.in_flight_since.swap_remove(at);
        }
    }

    fn drop_event(&mut self, event: AuditEvent) {
        self.dropped_in_total = self.dropped_in_total.saturating_add(1);
        let connector = event.space.zip(event.connector).map(|(space, id)| ConnectorKey { space, id });
        let dropped = DroppedEvents { count: 1, first: event.at, last: event.at };
        self.count_dropped((event.kind, connector), dropped);
    }

    fn count_dropped(&mut self, key: DroppedKey, dropped: DroppedEvents) {
        let is_apart = self.dropped.len() < COUNTED_APART || self.dropped.contains_key(&key);
        let key = if is_apart { key } else { (key.0, None) };
        self.dropped.entry(key).and_modify(|counted| *counted = counted.and(dropped)).or_insert(dropped);
    }

    fn record_use(&mut self, id: AuthorizationId, day: i64) {
        if self.uses.len() < USES_AT_MOST || self.uses.contains_key(&id) {
            self.uses.entry(id).and_modify(|recorded| *recorded = day.max(*recorded)).or_insert(day);
        }
    }
}

impl AuditBuffer {
    /// An empty buffer.
    pub fn new(outbox: Arc<dyn AuditOutbox>, spawner: Arc<dyn Spawner>, clock: Arc<dyn Clock>) -> Self {
        Self { sink: None, outbox, spawner, clock, buffered: Arc::default() }
    }

    /// The same buffer, which offers its events to a sink first.
    #[must_use]
    pub fn with_sink(self, sink: Arc<dyn EventSink>) -> Self {
        Self { sink: Some(sink), ..self }
    }

    /// Buffers an event. A full buffer drops it, counts it and returns `false`.
    pub fn record(&self, event: AuditEvent) -> bool {
        let flushes = {
            let mut buffered = self.locked();
            if buffered.is_full() {
                buffered.drop_event(event);
                return false;
            }
            buffered.events.push(event);
            buffered.since.get_or_insert_with(|| self.clock.monotonic());
            buffered.events.len().is_multiple_of(FLUSH_AT)
        };
        if flushes {
            let buffer = self.clone();
            self.spawner.spawn(Box::pin(async move {
                // Events that cannot be written now are written by the next flush.
                let _ = buffer.flush().await;
            }));
        }
        true
    }

    /// Buffers the day on which a grant was used.
    pub fn record_use(&self, id: AuthorizationId, day: i64) {
        self.locked().record_use(id, day);
    }

    /// What the buffer contains.
    pub fn backlog(&self) -> AuditBacklog {
        let buffered = self.locked();
        AuditBacklog {
            waiting: buffered.events.len() + buffered.in_flight,
            dropped: buffered.dropped_in_total,
            is_failing: buffered.is_refused || buffered.is_full() || buffered.is_late(self.clock.monotonic()),
        }
    }

    /// Writes the buffer, and together with the events how many were dropped. What is not accepted is buffered again. If there
    /// are no events to write, it remains unknown whether they would be accepted.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let mut taken = Taken::from(self);
        let events = taken.write_events().await;
        match &events {
            Ok(false) => {}
            Ok(true) => self.locked().is_refused = false,
            Err(_) => self.locked().is_refused = true,
        }
        events?;
        taken.write_uses().await
    }

    /// Hands over events, and records of dropped ones.
    async fn store(&self, events: &[AuditEvent], dropped: &[AuditEvent]) -> Result<(), StoreError> {
        let batch = if dropped.is_empty() { Cow::Borrowed(events) } else { Cow::Owned([events, dropped].concat()) };
        if let Some(sink) = &self.sink
            && sink.deliver_directly(&batch).await.is_ok()
        {
            return Ok(());
        }
        self.outbox.record(batch.into_owned()).await
    }

    fn locked(&self) -> MutexGuard<'_, Buffered> {
        self.buffered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one flush has taken out of the buffer. Dropping it returns what was not written, also if the flush is cancelled.
struct Taken<'a> {
    buffer: &'a AuditBuffer,
    events: Vec<AuditEvent>,
    since: Option<Duration>,
    dropped: BTreeMap<DroppedKey, DroppedEvents>,
    uses: BTreeMap<AuthorizationId, i64>,
}

impl<'a> From<&'a AuditBuffer> for Taken<'a> {
    fn from(buffer: &'a AuditBuffer) -> Self {
        let mut buffered = buffer.locked();
        let (events, since) = (std::mem::take(&mut buffered.events), buffered.since.take());
        buffered.in_flight += events.len();
        buffered.in_flight_since.extend(since);
        let (dropped, uses) = (std::mem::take(&mut buffered.dropped), std::mem::take(&mut buffered.uses));
        Self { buffer, events, since, dropped, uses }
    }
}

impl Taken<'_> {
    /// Returns whether there was something to write.
    async fn write_events(&mut self) -> Result<bool, StoreError> {
        let is_empty = self.events.is_empty() && self.dropped.is_empty();
        if !is_empty {
            let dropped = self.dropped.iter().map(|((kind, connector), dropped)| {
                AuditEvent::of_dropped(*kind, connector.as_ref(), dropped.count, dropped.first, dropped.last)
            });
            let dropped: Vec<_> = dropped.collect();
            self.buffer.store(&self.events, &dropped).await?;
            self.buffer.locked().end_write(std::mem::take(&mut self.events).len(), self.since.take());
            self.dropped.clear();
        }
        Ok(!is_empty)
    }

    async fn write_uses(&mut self) -> Result<(), StoreError> {
        if !self.uses.is_empty() {
            self.buffer.outbox.record_use(self.uses.iter().map(|(id, day)| (*id, *day)).collect()).await?;
            self.uses.clear();
        }
        Ok(())
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut events = std::mem::take(&mut self.events);
        let mut buffered = self.buffer.locked();
        buffered.end_write(events.len(), self.since);
        buffered.since = self.since.into_iter().chain(buffered.since).min();
        // Events that were buffered in the meantime are newer.
        events.append(&mut buffered.events);
        buffered.events = events;
        for (key, dropped) in std::mem::take(&mut self.dropped) {
            buffered.count_dropped(key, dropped);
        }
        for (id, day) in std::mem::take(&mut self.uses) {
            buffered.record_use(id, day);
        }
    }
}

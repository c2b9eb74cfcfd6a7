//! The contract of [`EventSink`]. [`event_sink_contract!`](crate::event_sink_contract) expands to its rules.

use std::sync::Arc;

use grantry_domain::ports::{AuditEvent, AuditKind, EventSink, RecordedEvent, SinkError};
use grantry_domain::time::Timestamp;

use crate::doubles::fixtures;

/// A sink under test and how a test looks into it.
pub struct SinkBackend {
    /// The sink, without events.
    pub sink: Arc<dyn EventSink>,
    /// The kinds of all events it has stored so far, in order, repeated ones included.
    pub stored: Box<dyn Fn() -> Vec<AuditKind> + Send + Sync>,
    /// Makes the sink unavailable, or available again; absent for a sink that cannot fail.
    pub set_unavailable: Option<Box<dyn Fn(bool) + Send + Sync>>,
}

/// Expands to one test for each rule. The factory is an `async fn() -> SinkBackend`.
#[macro_export]
macro_rules! event_sink_contract {
    ($factory:path) => {
        $crate::port_rules! {
            event_sink $factory;
            delivered_events_are_stored_in_order,
            a_repeated_delivery_is_accepted,
            a_delivery_without_events_is_accepted,
            direct_events_are_stored_all_or_none,
            an_unavailable_sink_stores_nothing_and_recovers,
        }
    };
}

const KINDS: [AuditKind; 3] = [AuditKind::FlowStarted, AuditKind::Connected, AuditKind::GrantTerminated];

fn events() -> Vec<AuditEvent> {
    let at = Timestamp::from_millis(1_767_268_800_000);
    let record = fixtures::authorized(fixtures::authorization_id(1), fixtures::authorization_key("u_alice"), at);
    KINDS.into_iter().map(|kind| fixtures::event(kind, &record, at)).collect()
}

fn recorded(first: u64) -> Vec<RecordedEvent> {
    (first..).zip(events()).map(|(sequence, event)| RecordedEvent { sequence, event }).collect()
}

/// Each delivery is stored before it returns, in the order of its events, after earlier deliveries.
pub async fn delivered_events_are_stored_in_order(backend: SinkBackend) {
    assert!((backend.stored)().is_empty());
    for (first, times) in [(1, 1), (4, 2)] {
        assert_eq!(backend.sink.deliver(&recorded(first)).await, Ok(()));
        assert_eq!((backend.stored)(), KINDS.repeat(times));
    }
}

/// Events are delivered at least once: a sink accepts the same ones again, whether or not it stores them twice.
pub async fn a_repeated_delivery_is_accepted(backend: SinkBackend) {
    for _ in 0..2 {
        assert_eq!(backend.sink.deliver(&recorded(1)).await, Ok(()));
    }
    let stored = (backend.stored)();
    assert!(stored == KINDS || stored == KINDS.repeat(2), "{stored:?}");
}

/// Nothing to deliver is no error.
pub async fn a_delivery_without_events_is_accepted(backend: SinkBackend) {
    assert_eq!(backend.sink.deliver(&[]).await, Ok(()));
    assert!((backend.stored)().is_empty());
}

/// Direct events are all stored, or none of them with an error, after which they come by the outbox.
pub async fn direct_events_are_stored_all_or_none(backend: SinkBackend) {
    if backend.sink.deliver_directly(&events()).await.is_err() {
        assert!((backend.stored)().is_empty());
        assert_eq!(backend.sink.deliver(&recorded(1)).await, Ok(()));
    }
    assert_eq!((backend.stored)(), KINDS);
}

/// While it is unavailable, both ways of delivery fail and store nothing. Afterwards the repeated delivery is stored.
pub async fn an_unavailable_sink_stores_nothing_and_recovers(backend: SinkBackend) {
    let Some(set_unavailable) = &backend.set_unavailable else { return };
    set_unavailable(true);
    assert_eq!(backend.sink.deliver(&recorded(1)).await, Err(SinkError));
    assert_eq!(backend.sink.deliver_directly(&events()).await, Err(SinkError));
    assert!((backend.stored)().is_empty());
    set_unavailable(false);
    assert_eq!(backend.sink.deliver(&recorded(1)).await, Ok(()));
    assert_eq!((backend.stored)(), KINDS);
}

//! The buffer for audit events, with a mock of the outbox.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grantry_domain::authorization::AuthorizationId;
use grantry_domain::ports::{
    AuditDetail, AuditEvent, AuditKind, AuditOutbox, AuditOutcome, MockAuditOutbox, MockEventSink, MockSpawner, SinkError,
    StoreError,
};
use grantry_domain::time::Timestamp;
use grantry_domain::usecase::AuditBacklog;
use grantry_domain::usecase::parts::AuditBuffer;
use grantry_testkit::doubles::fixtures::{authorization_id, connector_key};
use grantry_testkit::doubles::{Fault, Method, TestClock, TokioSpawner};

use super::TestParts;
use crate::common::quiet;

/// How many buffered events start a flush.
const FLUSH_AT: i64 = 512;
/// How many events are kept while the store accepts none.
const KEPT_AT_MOST: i64 = 16 * FLUSH_AT;

/// An event whose instant is its number.
fn event(number: i64) -> AuditEvent {
    AuditEvent::of_system(AuditKind::AccessTokenIssued, Timestamp::from_millis(number))
}

/// Grants and the days of their last use.
type Uses = Vec<(AuthorizationId, i64)>;

type Batches = Arc<Mutex<Vec<Vec<i64>>>>;

/// An outbox that records the numbers of the events it accepts, and fails while `failures` is greater than zero.
fn outbox(failures: usize) -> (MockAuditOutbox, Batches) {
    let batches = Batches::default();
    let (mut outbox, accepted, mut failures) = (MockAuditOutbox::new(), batches.clone(), failures);
    outbox.expect_record().returning(move |events| {
        if failures > 0 {
            failures -= 1;
            return Err(StoreError::Unavailable);
        }
        accepted.lock().unwrap().push(events.iter().map(|event| event.at.as_millis()).collect());
        Ok(())
    });
    (outbox, batches)
}

fn buffer(outbox: MockAuditOutbox) -> AuditBuffer {
    let clock = TestClock::default();
    AuditBuffer::new(Arc::new(outbox), Arc::new(TokioSpawner::new(clock.clone())), Arc::new(clock))
}

#[tokio::test(start_paused = true)]
async fn events_go_to_the_sink_and_to_the_outbox_only_while_the_sink_refuses_them() {
    let (outbox, stored) = outbox(0);
    let (mut sink, delivered, refuses) = (MockEventSink::new(), Batches::default(), Arc::new(AtomicBool::new(false)));
    let (accepted, switch) = (delivered.clone(), refuses.clone());
    sink.expect_deliver_directly().returning(move |events| {
        if switch.load(Ordering::Relaxed) {
            return Err(SinkError);
        }
        accepted.lock().unwrap().push(events.iter().map(|event| event.at.as_millis()).collect());
        Ok(())
    });
    let buffer = buffer(outbox).with_sink(Arc::new(sink));
    buffer.record(event(1));
    buffer.record(event(2));
    assert_eq!(buffer.flush().await, Ok(()));
    refuses.store(true, Ordering::Relaxed);
    buffer.record(event(3));
    assert_eq!(buffer.flush().await, Ok(()));
    assert!(!buffer.backlog().is_failing);
    assert_eq!(buffer.flush().await, Ok(()));
    assert_eq!((delivered.lock().unwrap().clone(), stored.lock().unwrap().clone()), (vec![vec![1, 2]], vec![vec![3]]));
}

#[tokio::test]
async fn an_empty_buffer_writes_nothing() {
    // Neither the outbox nor the spawner may be called.
    let clock = Arc::new(TestClock::default());
    let buffer = AuditBuffer::new(Arc::new(MockAuditOutbox::new()), Arc::new(MockSpawner::new()), clock);
    assert_eq!(buffer.flush().await, Ok(()));
}

#[tokio::test]
async fn r80_an_empty_flush_does_not_show_that_the_store_accepts_events() {
    let parts = TestParts::new().await;
    parts.audit.record(event(1));
    parts.store.fail_next(Method::Record, Fault::UNAVAILABLE);
    assert_eq!(parts.audit.flush().await, Err(StoreError::Unavailable));
    // Another flush has taken the event.
    let gate = parts.store.hold(Method::Record);
    let flush = tokio::spawn({
        let audit = parts.audit.clone();
        async move { audit.flush().await }
    });
    gate.arrived(1).await;
    assert_eq!(parts.audit.flush().await, Ok(()));
    assert!(parts.audit.backlog().is_failing);
    gate.open();
    assert_eq!(flush.await.unwrap(), Ok(()));
    assert!(!parts.audit.backlog().is_failing);
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_is_written_without_a_call_to_flush() {
    let (outbox, batches) = outbox(0);
    let buffer = buffer(outbox);
    for number in 1..FLUSH_AT {
        buffer.record(event(number));
    }
    quiet().await;
    assert!(batches.lock().unwrap().is_empty());
    // Clones share the buffer.
    buffer.clone().record(event(FLUSH_AT));
    quiet().await;
    assert_eq!(*batches.lock().unwrap(), [(1..=FLUSH_AT).collect::<Vec<_>>()]);
    assert_eq!(buffer.flush().await, Ok(()));
    assert_eq!(batches.lock().unwrap().len(), 1, "an event is written once");
}

#[tokio::test(start_paused = true)]
async fn r80_events_that_the_store_does_not_accept_are_written_later_in_their_order() {
    let (outbox, batches) = outbox(2);
    let buffer = buffer(outbox);
    buffer.record(event(1));
    assert_eq!(buffer.flush().await, Err(StoreError::Unavailable));
    buffer.record(event(2));
    assert_eq!(buffer.flush().await, Err(StoreError::Unavailable));
    buffer.record(event(3));
    assert_eq!(buffer.flush().await, Ok(()));
    assert_eq!(*batches.lock().unwrap(), [vec![1, 2, 3]]);
}

#[tokio::test(start_paused = true)]
async fn events_that_are_buffered_during_a_failed_flush_come_after_its_events() {
    let parts = TestParts::new().await;
    parts.audit.record(event(1));
    let gate = parts.store.hold(Method::Record);
    parts.store.fail_next(Method::Record, Fault::UNAVAILABLE);
    let flush = tokio::spawn({
        let audit = parts.audit.clone();
        async move { audit.flush().await }
    });
    gate.arrived(1).await;
    parts.audit.record(event(2));
    gate.open();
    assert_eq!(flush.await.unwrap(), Err(StoreError::Unavailable));
    assert_eq!(parts.audit.flush().await, Ok(()));
    let written = AuditOutbox::pending_events(&parts.store, 10).await.unwrap();
    let numbers: Vec<_> = written.iter().map(|recorded| recorded.event.at.as_millis()).collect();
    assert_eq!(numbers, [1, 2]);
}

/// An outbox that refuses everything while the flag is set, and records what it accepts.
fn switched_outbox() -> (MockAuditOutbox, Arc<AtomicBool>, Arc<Mutex<Vec<AuditEvent>>>) {
    let (fails, written) = (Arc::new(AtomicBool::new(true)), Arc::<Mutex<Vec<AuditEvent>>>::default());
    let (mut outbox, switch, accepted) = (MockAuditOutbox::new(), fails.clone(), written.clone());
    outbox.expect_record().returning(move |events| {
        if switch.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable);
        }
        accepted.lock().unwrap().extend(events);
        Ok(())
    });
    (outbox, fails, written)
}

/// An event at a connector.
fn event_at(number: i64, kind: AuditKind, connector: &str) -> AuditEvent {
    AuditEvent::of_system(kind, Timestamp::from_millis(number)).at_connector(&connector_key("default", connector))
}

fn details(event: &AuditEvent) -> Vec<&str> {
    event.details.iter().map(AuditDetail::as_str).collect()
}

/// The sum of the counts of all records of dropped events.
fn counted(written: &[AuditEvent]) -> i64 {
    let dropped = written.iter().filter(|event| event.kind == AuditKind::AuditEventsDropped);
    let counts = dropped.map(|event| details(event)[1].strip_prefix("count=").unwrap().parse::<i64>().unwrap());
    counts.sum()
}

#[tokio::test(start_paused = true)]
async fn r80_what_a_full_buffer_drops_is_counted_by_kind_and_connector_and_written_later() {
    let (outbox, fails, written) = switched_outbox();
    let buffer = buffer(outbox);
    for number in 0..KEPT_AT_MOST {
        assert!(buffer.record(event(number)));
    }
    assert!(!buffer.record(event_at(KEPT_AT_MOST, AuditKind::AccessTokenIssued, "drive")));
    assert!(!buffer.record(event_at(KEPT_AT_MOST + 5, AuditKind::AccessTokenIssued, "drive")));
    assert!(!buffer.record(event_at(KEPT_AT_MOST + 3, AuditKind::AccessTokenRefused, "drive")));
    assert!(!buffer.record(event(KEPT_AT_MOST + 9)));
    let full = AuditBacklog { waiting: usize::try_from(KEPT_AT_MOST).unwrap(), dropped: 4, is_failing: true };
    assert_eq!(buffer.backlog(), full);
    assert_eq!(buffer.flush().await, Err(StoreError::Unavailable));
    assert_eq!(buffer.backlog(), full, "a failed flush changes nothing");

    fails.store(false, Ordering::Relaxed);
    assert_eq!(buffer.flush().await, Ok(()));
    assert_eq!(buffer.backlog(), AuditBacklog { waiting: 0, dropped: 4, is_failing: false });
    let accepted = written.lock().unwrap().clone();
    let (kept, dropped) = accepted.split_at(usize::try_from(KEPT_AT_MOST).unwrap());
    assert!(kept.iter().zip(0..).all(|(kept, number)| *kept == event(number)), "the oldest are kept, in their order");
    let (first, second) = (connector_key("default", "drive"), ["count=2", "first=8192", "last=8197"]);
    let summaries: Vec<_> = dropped
        .iter()
        .map(|event| {
            assert_eq!((event.kind, event.outcome), (AuditKind::AuditEventsDropped, AuditOutcome::StoreUnavailable));
            (event.connector.clone(), details(event))
        })
        .collect();
    assert_eq!(
        summaries,
        [
            (None, vec!["kind=access_token_issued", "count=1", "first=8201", "last=8201"]),
            (Some(first.id.clone()), [&["kind=access_token_issued"], &second[..]].concat()),
            (Some(first.id), vec!["kind=access_token_refused", "count=1", "first=8195", "last=8195"]),
        ]
    );
    assert_eq!(buffer.flush().await, Ok(()));
    assert_eq!(written.lock().unwrap().len(), accepted.len(), "the counts are written once");
}

#[tokio::test(start_paused = true)]
async fn r80_no_event_of_a_long_outage_is_neither_written_nor_counted() {
    let (outbox, fails, written) = switched_outbox();
    let buffer = buffer(outbox);
    let all = 20 * KEPT_AT_MOST;
    for number in 0..all {
        // More connectors and kinds than are counted apart.
        let kind = AuditKind::ALL[usize::try_from(number).unwrap() % AuditKind::ALL.len()];
        buffer.record(event_at(number, kind, &format!("c{}", number % 1000)));
        if number % FLUSH_AT == 0 {
            let _ = buffer.flush().await;
        }
        assert!(buffer.backlog().waiting <= usize::try_from(KEPT_AT_MOST).unwrap(), "bounded at any moment");
    }
    quiet().await;
    fails.store(false, Ordering::Relaxed);
    assert_eq!(buffer.flush().await, Ok(()));
    let written = written.lock().unwrap();
    let summaries = written.iter().filter(|event| event.kind == AuditKind::AuditEventsDropped && !event.details.is_empty());
    let summaries: Vec<_> = summaries.cloned().collect();
    assert!(summaries.len() <= 64 + AuditKind::ALL.len(), "{}", summaries.len());
    let kept = i64::try_from(written.len() - summaries.len()).unwrap();
    assert_eq!((kept, kept + counted(&summaries)), (KEPT_AT_MOST, all));
}

#[tokio::test(start_paused = true)]
async fn events_that_are_being_written_count_towards_the_bound_and_survive_a_cancelled_flush() {
    let parts = TestParts::new().await;
    let gate = parts.store.hold(Method::Record);
    for number in 0..10 {
        parts.audit.record(event(number));
    }
    let flush = tokio::spawn({
        let audit = parts.audit.clone();
        async move { audit.flush().await }
    });
    gate.arrived(1).await;
    assert_eq!(parts.audit.backlog().waiting, 10);
    flush.abort();
    assert!(flush.await.unwrap_err().is_cancelled());
    assert_eq!(parts.audit.backlog().waiting, 10);
    for number in 10..KEPT_AT_MOST {
        parts.audit.record(event(number));
    }
    gate.arrived(2).await;
    quiet().await;
    assert!(!parts.audit.record(event(KEPT_AT_MOST)), "all events are being written");
    assert_eq!(parts.audit.backlog().waiting, usize::try_from(KEPT_AT_MOST).unwrap());
    gate.open();
    assert_eq!(parts.audit.flush().await, Ok(()));
    quiet().await;
    assert_eq!(parts.audit.backlog().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn r80_the_buffer_fails_while_an_event_waits_for_more_than_two_seconds() {
    const TWO_SECONDS: Duration = Duration::from_secs(2);
    const MOMENT: Duration = Duration::from_millis(1);
    let parts = TestParts::new().await;
    let is_failing = || parts.audit.backlog().is_failing;
    let flush = || {
        let audit = parts.audit.clone();
        tokio::spawn(async move { audit.flush().await })
    };
    parts.clock.advance(Duration::from_hours(1));
    assert!(!is_failing(), "no event waits");
    parts.audit.record(event(1));
    parts.clock.advance(TWO_SECONDS);
    assert!(!is_failing());
    parts.clock.advance(MOMENT);
    assert!(is_failing(), "no write has begun");
    assert_eq!(parts.audit.flush().await, Ok(()));
    assert!(!is_failing());

    // Two writes that hang; the second event is newer.
    let gate = parts.store.hold(Method::Record);
    parts.audit.record(event(2));
    let first = flush();
    gate.arrived(1).await;
    parts.clock.advance(TWO_SECONDS);
    parts.audit.record(event(3));
    let second = flush();
    gate.arrived(2).await;
    assert!(!is_failing());
    parts.clock.advance(MOMENT);
    assert!(is_failing(), "an event that is being written has waited for too long");
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    assert!(is_failing(), "a cancelled write changes nothing");
    gate.open();
    assert_eq!(parts.audit.flush().await, Ok(()));
    assert!(!is_failing());
    // The wall clock has no effect.
    parts.audit.record(event(4));
    parts.clock.step_wall(Timestamp::from_millis(0));
    assert!(!is_failing());
}

#[tokio::test]
async fn the_last_day_of_use_of_each_grant_is_written_once() {
    let uses: Arc<Mutex<Vec<Uses>>> = Arc::default();
    let (mut outbox, written) = (MockAuditOutbox::new(), uses.clone());
    let mut fails = true;
    outbox.expect_record_use().times(2).returning(move |uses| {
        if std::mem::take(&mut fails) {
            return Err(StoreError::Unavailable);
        }
        written.lock().unwrap().push(uses);
        Ok(())
    });
    let buffer = buffer(outbox);
    let (first, second) = (authorization_id(1), authorization_id(2));
    for (id, day) in [(first, 5), (first, 7), (second, 6), (first, 6)] {
        buffer.record_use(id, day);
    }
    assert_eq!(buffer.flush().await, Err(StoreError::Unavailable));
    buffer.record_use(second, 3);
    buffer.record_use(first, 8);
    assert_eq!(buffer.flush().await, Ok(()));
    assert_eq!(*uses.lock().unwrap(), [vec![(first, 8), (second, 6)]]);
    assert_eq!(buffer.flush().await, Ok(()));
}

//! The buffer for audit events, with a mock of the outbox.

use std::sync::{Arc, Mutex};

use grantry_domain::authorization::AuthorizationId;
use grantry_domain::ports::{AuditEvent, AuditKind, AuditOutbox, MockAuditOutbox, MockSpawner, StoreError};
use grantry_domain::time::Timestamp;
use grantry_domain::usecase::parts::AuditBuffer;
use grantry_testkit::doubles::fixtures::authorization_id;
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
    AuditBuffer::new(Arc::new(outbox), Arc::new(TokioSpawner::new(TestClock::default())))
}

#[tokio::test]
async fn an_empty_buffer_writes_nothing() {
    // Neither the outbox nor the spawner may be called.
    let buffer = AuditBuffer::new(Arc::new(MockAuditOutbox::new()), Arc::new(MockSpawner::new()));
    assert_eq!(buffer.flush().await, Ok(()));
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

#[tokio::test(start_paused = true)]
async fn the_buffer_is_bounded_while_the_store_accepts_nothing() {
    let flushes = 3 * KEPT_AT_MOST / FLUSH_AT;
    let (outbox, batches) = outbox(usize::try_from(flushes).unwrap());
    let buffer = buffer(outbox);
    for number in 0..3 * KEPT_AT_MOST {
        buffer.record(event(number));
        if number % FLUSH_AT == FLUSH_AT - 1 {
            quiet().await;
        }
    }
    assert!(batches.lock().unwrap().is_empty());
    assert_eq!(buffer.flush().await, Ok(()));
    let kept = batches.lock().unwrap()[0].len();
    assert!((KEPT_AT_MOST..KEPT_AT_MOST + FLUSH_AT).contains(&i64::try_from(kept).unwrap()), "{kept}");
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

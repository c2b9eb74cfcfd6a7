//! Rules of the audit outbox.

use grantry_domain::identity::Actor;
use grantry_domain::ports::{AuditDetail, AuditEvent, AuditKind, AuditOutcome};

use super::Backend;
use super::test_store::{Succeeds, TestStore};
use crate::doubles::fixtures::{self, authorization_key_of};

/// Events are returned in the order they were recorded, until they are removed.
pub async fn r80_events_are_returned_in_order_until_they_are_removed(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let grant = fixtures::authorized(store.new_id(), authorization_key_of(&drive, "alice"), store.now());
    let kinds =
        [AuditKind::AccessTokenIssued, AuditKind::AccessTokenRefused, AuditKind::IssuerMismatch, AuditKind::DecryptFailed];
    let events = kinds.map(|kind| store.event(kind, &grant));
    store.node.outbox.record(events[..2].to_vec()).await.unwrap_or_fail();
    store.other.outbox.record(events[2..].to_vec()).await.unwrap_or_fail();
    let pending = async |limit: u32| store.node.outbox.pending_events(limit).await.unwrap_or_fail();
    let all = pending(100).await;
    assert_eq!(all.iter().map(|recorded| recorded.event.clone()).collect::<Vec<_>>(), events);
    assert!(all.is_sorted_by(|left, right| left.sequence < right.sequence));
    assert_eq!(pending(2).await, all[..2]);
    assert_eq!(pending(100).await, all, "reading removes nothing");
    store.node.outbox.forget_events(all[1].sequence).await.unwrap_or_fail();
    assert_eq!(pending(100).await, all[2..]);
    store.other.outbox.forget_events(all[3].sequence).await.unwrap_or_fail();
    assert_eq!(pending(100).await, []);
    store.node.outbox.record(vec![events[0].clone()]).await.unwrap_or_fail();
    let later = pending(100).await;
    assert!(later[0].sequence > all[3].sequence, "sequence numbers are not used again");
}

/// Every field of an event is stored, present or absent, and every outcome.
pub async fn r80_events_are_stored_as_given(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let grant = fixtures::authorized(store.new_id(), authorization_key_of(&drive, "Ä lice"), store.now());
    let full = store.event(AuditKind::AccessTokenIssued, &grant);
    let bare = AuditEvent { actor: full.actor.clone(), ..AuditEvent::of_system(full.kind, full.at) };
    let details = ["scope=wrong_type", "x-vendor=repeated"].map(|text| AuditDetail::parse(text).expect("a detail"));
    let detailed = [&details[..1], &details[..]].map(|details| AuditEvent { details: details.to_vec(), ..full.clone() });
    let events: Vec<_> = AuditKind::ALL
        .iter()
        .flat_map(|kind| [AuditEvent { kind: *kind, ..full.clone() }, AuditEvent { kind: *kind, ..bare.clone() }])
        .chain(AuditOutcome::ALL.iter().map(|outcome| full.clone().outcome(*outcome)))
        .chain(detailed)
        .chain([Actor::System, Actor::Agent("back end".to_owned())].map(|actor| AuditEvent { actor, ..full.clone() }))
        .collect();
    store.node.outbox.record(events.clone()).await.unwrap_or_fail();
    assert_eq!(store.new_events().await, events);
}

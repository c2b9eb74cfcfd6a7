//! Rules of the audit outbox (R80).

use grantry_domain::ports::AuditKind;

use super::Backend;
use super::world::{Succeeds, World};
use crate::doubles::fixtures::{self, ownership_of};

/// Events come out in the order they went in, again and again until they are forgotten.
pub async fn r80_events_are_offered_in_order_until_they_are_forgotten(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let grant = fixtures::authorized(world.new_id(), ownership_of(&drive, "alice"), world.now());
    let kinds =
        [AuditKind::AccessTokenIssued, AuditKind::AccessTokenRefused, AuditKind::IssuerMismatch, AuditKind::OpenFailed];
    let events = kinds.map(|kind| world.event(kind, &grant));
    world.store.authorizations.record(events[..2].to_vec()).await.unwrap_or_fail();
    world.other.authorizations.record(events[2..].to_vec()).await.unwrap_or_fail();
    let pending = async |limit: u32| world.store.authorizations.pending_events(limit).await.unwrap_or_fail();
    let all = pending(100).await;
    assert_eq!(all.iter().map(|recorded| recorded.event.clone()).collect::<Vec<_>>(), events);
    assert!(all.is_sorted_by(|left, right| left.sequence < right.sequence));
    assert_eq!(pending(2).await, all[..2]);
    assert_eq!(pending(100).await, all, "reading takes nothing");
    world.store.authorizations.forget_events(all[1].sequence).await.unwrap_or_fail();
    assert_eq!(pending(100).await, all[2..]);
    world.other.authorizations.forget_events(all[3].sequence).await.unwrap_or_fail();
    assert_eq!(pending(100).await, []);
    world.store.authorizations.record(vec![events[0].clone()]).await.unwrap_or_fail();
    let later = pending(100).await;
    assert!(later[0].sequence > all[3].sequence, "numbers are never used again");
}

/// Every part of an event survives, whichever parts it has.
pub async fn r80_events_are_kept_whole(backend: Backend) {
    use grantry_domain::identity::Actor;
    use grantry_domain::ports::AuditEvent;

    let (world, drive) = World::with_drive(backend).await;
    let grant = fixtures::authorized(world.new_id(), ownership_of(&drive, "Ä lice"), world.now());
    let full = world.event(AuditKind::AccessTokenIssued, &grant);
    let bare = AuditEvent { space: None, connector: None, user: None, grant: None, outcome: "7".to_owned(), ..full.clone() };
    let events: Vec<_> = AuditKind::ALL
        .iter()
        .flat_map(|kind| [AuditEvent { kind: *kind, ..full.clone() }, AuditEvent { kind: *kind, ..bare.clone() }])
        .chain([Actor::System, Actor::Agent("back end".to_owned())].map(|actor| AuditEvent { actor, ..full.clone() }))
        .collect();
    world.store.authorizations.record(events.clone()).await.unwrap_or_fail();
    assert_eq!(world.news().await, events);
}

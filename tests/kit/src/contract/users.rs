//! Rules of users and tombstones.

use std::time::Duration;

use grantry_domain::authorization::{Authorization, TerminationCause};
use grantry_domain::identity::UserId;
use grantry_domain::ports::{AuditEvent, AuditKind, CommitOutcome, InsertOutcome, Obsolete, StoredUser, TerminationScope};

use super::Backend;
use super::test_store::{HIGH_LIMITS, Succeeds, TestStore, editor};
use crate::doubles::fixtures::{self, authorization_key_of, named_key_of};

async fn remove(store: &TestStore, user: &str) {
    store.terminate(TerminationScope::User(fixtures::user(user)), TerminationCause::UserRemoved).await;
}

fn reinstated(store: &TestStore, user: &str) -> AuditEvent {
    AuditEvent::new(AuditKind::UserReinstated, editor(), store.now()).of_user(&fixtures::user(user))
}

/// The first removal writes the tombstone and its event; a second one changes nothing.
pub async fn r53_a_tombstone_is_written_once_with_its_event(backend: Backend) {
    let (store, _) = TestStore::with_drive(backend).await;
    let (alice, at) = (fixtures::user("alice"), store.now());
    assert_eq!(store.node.users.removed_at(&alice).await.unwrap_or_fail(), None);
    remove(&store, "alice").await;
    let event = AuditEvent::new(AuditKind::UserDeprovisioned, editor(), at).of_user(&alice);
    assert_eq!(store.new_events().await, [event]);
    store.advance(Duration::from_secs(1));
    remove(&store, "alice").await;
    assert_eq!(store.new_events().await, []);
    assert_eq!(store.other.users.removed_at(&alice).await.unwrap_or_fail(), Some(at), "the first instant is kept");
    let spaces = TerminationScope::Space(fixtures::space("default"));
    store.terminate(spaces, TerminationCause::SpaceRemoved).await;
    assert_eq!(store.node.users.removed_at(&fixtures::user("bob")).await.unwrap_or_fail(), None);
}

/// After the tombstone was lifted, grants of the user are committed again. Lifting none writes no event.
pub async fn r53_a_reinstated_user_can_be_granted_again(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let (owner, alice) = (authorization_key_of(&drive, "alice"), fixtures::user("alice"));
    remove(&store, "alice").await;
    remove(&store, "bob").await;
    assert_eq!(store.try_insert(&owner, HIGH_LIMITS).await.1, InsertOutcome::Obsolete(Obsolete::UserGone));
    store.new_events().await;
    let event = reinstated(&store, "alice");
    assert!(store.node.users.reinstate(alice.clone(), vec![event.clone()]).await.unwrap_or_fail());
    assert_eq!(store.new_events().await, std::slice::from_ref(&event));
    assert!(!store.node.users.reinstate(alice.clone(), vec![event]).await.unwrap_or_fail());
    assert_eq!(store.new_events().await, []);
    assert_eq!(store.other.users.removed_at(&alice).await.unwrap_or_fail(), None);
    assert!(store.node.users.removed_at(&fixtures::user("bob")).await.unwrap_or_fail().is_some());
    let flow = store.exchange(&owner).await;
    assert_eq!(store.commit(&flow).await, CommitOutcome::Committed);
}

/// Users with a tombstone, a grant or a former grant are found, in the order of their ids; a flow alone is no record.
pub async fn users_with_records_are_listed_in_pages(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    store.connect(&authorization_key_of(&drive, "dora")).await;
    store.connect(&named_key_of(&drive, "dora", "work")).await;
    let former = store.connect(&authorization_key_of(&drive, "carol")).await;
    store.disconnect(&former).await;
    store.start(&authorization_key_of(&drive, "eve")).await;
    remove(&store, "bob").await;
    remove(&store, "carol").await;
    let at = store.now();
    let stored = |id: &str, removed_at| StoredUser { id: fixtures::user(id), removed_at };
    let expected = [stored("bob", Some(at)), stored("carol", Some(at)), stored("dora", None)];
    let page = async |after: Option<UserId>, limit| store.other.users.stored_users(after, limit).await.unwrap_or_fail();
    assert_eq!(page(None, 10).await, expected);
    assert_eq!(page(None, 2).await, expected[..2]);
    assert_eq!(page(Some(fixtures::user("carol")), 2).await, expected[2..]);
    assert_eq!(page(Some(fixtures::user("dora")), 2).await, []);
    for user in &expected {
        assert_eq!(store.node.users.stored_user(&user.id).await.unwrap_or_fail().as_ref(), Some(user));
    }
    assert_eq!(store.node.users.stored_user(&fixtures::user("eve")).await.unwrap_or_fail(), None);
}

/// The preview contains exactly what the removal ends, oldest first.
pub async fn what_a_removal_would_end_is_what_it_ends(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let marketing = store.add(fixtures::connector_in("marketing", "drive", 1, store.now())).await;
    let rejected = store.connect(&authorization_key_of(&drive, "alice")).await;
    store.reject_refresh(&rejected).await;
    let disconnected = store.connect(&named_key_of(&drive, "alice", "old")).await;
    store.disconnect(&disconnected).await;
    let grant = store.connect(&authorization_key_of(&marketing, "alice")).await;
    let running = store.exchange(&named_key_of(&drive, "alice", "work")).await;
    let pending = store.start(&authorization_key_of(&drive, "alice")).await;
    store.connect(&authorization_key_of(&drive, "bob")).await;
    let alice = fixtures::user("alice");
    let open = store.other.users.open_authorizations(&alice).await.unwrap_or_fail();
    let ids: Vec<_> = open.iter().map(Authorization::id).collect();
    assert_eq!(ids, [rejected.id, grant.id, running.id, pending.id]);
    let report = store.terminate(TerminationScope::User(alice.clone()), TerminationCause::UserRemoved).await;
    assert_eq!((report.former, report.grants, report.flows), (1, 1, 2));
    assert_eq!(store.other.users.open_authorizations(&alice).await.unwrap_or_fail(), []);
}

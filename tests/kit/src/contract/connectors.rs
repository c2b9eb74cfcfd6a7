//! Rules of connectors, of the authorizations their edits end, and of client secrets.

use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::{
    ExpiredCause, FailureCode, INTERRUPTED_AFTER, RevocationOutcome, StateKind, TerminalCause, TerminationCause,
};
use grantry_domain::connector::{Connector, ConnectorName};
use grantry_domain::ports::{ClientSecretRecord, CommitOutcome, Created, EditEffect, RevocationUpdate, Updated};
use tokio::task::JoinSet;

use super::Backend;
use super::revocations::id_of;
use super::test_store::{
    Succeeds, TestStore, connection_scope, editor, expired, failed, pending_in_doubt, state_of, terminated,
    terminated_event, updated_event,
};
use crate::doubles::fixtures::{self, authorization_key_of, named_key_of};

/// A connector is stored as given, once per space and id, and listed by name.
pub async fn connectors_are_stored_as_given(backend: Backend) {
    let store = TestStore::new(backend);
    let now = store.now();
    let named = |space: &str, id: &str, name: &str| Connector {
        name: ConnectorName::new(name).expect("a name"),
        ..fixtures::connector_in(space, id, 1, now)
    };
    let drive = named("default", "drive", "Zulu");
    let secret = fixtures::client_secret(&drive);
    let event = updated_event(&drive, now);
    let connectors = &store.node.connectors;
    let created = connectors.create(drive.clone(), Some(secret.clone()), vec![event.clone()]).await.unwrap_or_fail();
    assert_eq!(created, Created::Done);
    assert_eq!(store.other.connectors.get(&drive.key).await.unwrap_or_fail(), Some(drive.clone()));
    assert_eq!(connectors.client_secret(secret.key).await.unwrap_or_fail(), Some(secret));
    assert_eq!(store.new_events().await, std::slice::from_ref(&event));

    let rival = fixtures::connector_in("default", "drive", 2, now);
    let refused = fixtures::client_secret(&rival);
    let taken = connectors.create(rival, Some(refused.clone()), vec![event]).await.unwrap_or_fail();
    assert_eq!(taken, Created::Taken);
    assert_eq!(connectors.get(&drive.key).await.unwrap_or_fail(), Some(drive.clone()));
    assert_eq!(connectors.client_secret(refused.key).await.unwrap_or_fail(), None);
    assert_eq!(store.new_events().await, []);

    let elsewhere = named("marketing", "drive", "Alpha");
    let (first, second) = (named("default", "b", "Echo"), named("default", "a", "Echo"));
    for connector in [&elsewhere, &first, &second] {
        assert_eq!(connectors.create(connector.clone(), None, Vec::new()).await.unwrap_or_fail(), Created::Done);
    }
    let list = async |space: &str| connectors.list(&fixtures::space(space)).await.unwrap_or_fail();
    assert_eq!(list("default").await, [second, first, drive], "by name, then by id");
    assert_eq!(list("marketing").await, [elsewhere]);
    assert_eq!(list("nowhere").await, []);
}

/// An edit of a revision that is not stored any more is refused.
pub async fn an_edit_requires_the_stored_revision(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let grant = store.connect(&authorization_key_of(&drive, "alice")).await;
    let (newer, _) = store.edit(&drive, EditEffect::KeepGrants).await;
    let snapshot = store.snapshot().await;
    let update = async |next: &Connector, expected: u64| {
        let secret = fixtures::client_secret(next);
        let events = vec![updated_event(next, store.now())];
        let update =
            store.node.connectors.update(next.clone(), expected, Some(secret), EditEffect::ExpireGrants, editor(), events);
        update.await.unwrap_or_fail()
    };
    let late = Connector { epoch: drive.epoch.next(), revision: 9, ..drive.clone() };
    assert_eq!(update(&late, drive.revision).await, Updated::Conflict);
    let another = Connector { incarnation: fixtures::incarnation(77), ..late.clone() };
    assert_eq!(update(&another, newer.revision).await, Updated::NotFound, "it is another connector");
    let missing = Connector { key: fixtures::connector_key("default", "nowhere"), ..late.clone() };
    assert_eq!(update(&missing, newer.revision).await, Updated::NotFound);
    assert_eq!(store.node.connectors.get(&drive.key).await.unwrap_or_fail(), Some(newer));
    for refused in [late, another, missing] {
        assert!(!store.has_secret(&refused).await);
    }
    assert_eq!(store.snapshot().await, snapshot);
    assert_eq!(store.get(grant.id).await.state, StateKind::Authorized);
}

/// An edit that keeps grants, such as a rename or a new secret, changes no authorization.
pub async fn r52_a_harmless_edit_keeps_every_grant(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let grant = store.connect(&authorization_key_of(&drive, "alice")).await;
    let flow = store.exchange(&authorization_key_of(&drive, "bob")).await;
    let secret = fixtures::client_secret(&drive);
    let renamed = Connector { name: ConnectorName::new("Renamed").expect("a name"), revision: 2, ..drive.clone() };
    let replaced = ClientSecretRecord { sealed: fixtures::envelope("new"), ..secret };
    let done = store.node.connectors.update(
        renamed.clone(),
        1,
        Some(replaced.clone()),
        EditEffect::KeepGrants,
        editor(),
        Vec::new(),
    );
    assert_eq!(done.await.unwrap_or_fail(), Updated::Done { ended_grants: 0 });
    assert_eq!(store.node.connectors.get(&drive.key).await.unwrap_or_fail(), Some(renamed));
    assert_eq!(store.node.connectors.client_secret(replaced.key).await.unwrap_or_fail(), Some(replaced));
    assert_eq!(store.get(grant.id).await, grant);
    assert_eq!(store.commit(&flow).await, CommitOutcome::Committed);
}

/// Asserts what an edit, or a deletion for `None`, does to the authorizations of `drive`, and that it changes no others.
async fn ends_authorizations(
    backend: Backend,
    effect: Option<EditEffect>,
    grant_state: (StateKind, Option<TerminalCause>),
    flow_state: (StateKind, Option<TerminalCause>),
) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let twin = store.add(fixtures::connector_in("marketing", "drive", 1, store.now())).await;
    let elsewhere = store.connect(&authorization_key_of(&twin, "alice")).await;
    let former = store.connect(&authorization_key_of(&drive, "dave")).await;
    let former = store.reject_refresh(&former).await;
    let alice = store.connect(&authorization_key_of(&drive, "alice")).await;
    let bob = store.connect(&authorization_key_of(&drive, "bob")).await;
    store.lease(&bob, 1).await;
    let waiting = store.start(&authorization_key_of(&drive, "alice")).await;
    let in_exchange = store.exchange(&authorization_key_of(&drive, "carol")).await;
    let initiated = store.insert(&authorization_key_of(&drive, "dave")).await;
    let work = store.connect(&named_key_of(&drive, "bob", "work")).await;
    assert_eq!(store.node.queries.count_connected_users(drive.incarnation).await.unwrap_or_fail(), 2);
    store.new_events().await;

    let ended = match effect {
        Some(effect) => store.edit(&drive, effect).await.1,
        None => store.delete(&drive).await.expect("it was stored"),
    };
    assert_eq!(ended, 3, "grants are counted, flows are not");
    assert_eq!(store.node.queries.count_connected_users(drive.incarnation).await.unwrap_or_fail(), 0);
    for (grant, in_doubt) in [(&alice, false), (&bob, true), (&work, false)] {
        let now = store.get(grant.id).await;
        assert_eq!(state_of(&now), grant_state);
        assert_eq!((pending_in_doubt(&now), &now.sealed), (Some(in_doubt), &grant.sealed), "to be revoked");
        assert_eq!((now.since, &now.owner), (Some(store.now()), &grant.owner));
    }
    for flow in [&waiting, &in_exchange, &initiated] {
        let now = store.get(flow.id).await;
        assert_eq!((state_of(&now), &now.sealed), (flow_state, &None));
    }
    assert_eq!(store.get(elsewhere.id).await, elsewhere, "the same id in another space is another connector");

    let mut rows = vec![&alice, &bob, &work, &waiting, &in_exchange, &initiated];
    if effect.is_none() {
        assert_eq!(store.state(&former).await, terminated(TerminationCause::ConnectorDeleted));
        rows.push(&former);
    } else {
        assert_eq!(store.get(former.id).await, former);
    }
    let events = store.new_events().await;
    for row in &rows {
        let expected = terminated_event(&store.get(row.id).await, editor(), store.now());
        assert!(events.contains(&expected), "{expected:?} is not among {events:?}");
    }
    assert_eq!(events.len(), rows.len() + usize::from(effect.is_some()), "and the event of the edit");
}

/// An edit that expires grants ends every flow and every grant in the same transaction.
pub async fn r52_a_security_edit_expires_grants_and_fails_flows(backend: Backend) {
    let (grants, flows) = (expired(ExpiredCause::ConnectorChanged), failed(FailureCode::ConnectorChanged));
    ends_authorizations(backend, Some(EditEffect::ExpireGrants), grants, flows).await;
}

/// Deleting a connector terminates every authorization, former grants included.
pub async fn r53_deleting_a_connector_revokes_everything(backend: Backend) {
    let deleted = terminated(TerminationCause::ConnectorDeleted);
    ends_authorizations(backend, None, deleted, deleted).await;
}

/// A connector with many grants is deleted with all of them in one transaction.
pub async fn lesson_20_a_connector_with_a_thousand_grants_is_deleted(backend: Backend) {
    const MANY: u64 = 1000;
    let (store, drive) = TestStore::with_drive(backend).await;
    let store = Arc::new(store);
    let mut users = JoinSet::new();
    for number in 0..MANY {
        let (store, owner) = (store.clone(), authorization_key_of(&drive, &format!("user-{number}")));
        users.spawn(async move { store.connect(&owner).await.id });
    }
    let grants = users.join_all().await;
    assert_eq!(store.delete(&drive).await, Some(MANY));
    for id in grants {
        let now = store.get(id).await;
        assert_eq!((state_of(&now), pending_in_doubt(&now)), (terminated(TerminationCause::ConnectorDeleted), Some(false)));
    }
}

/// Deleting a connector that is not stored changes nothing.
pub async fn deleting_a_connector_is_idempotent(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    assert_eq!(store.delete(&drive).await, Some(0));
    assert_eq!(store.node.connectors.get(&drive.key).await.unwrap_or_fail(), None);
    store.new_events().await;
    let again = store.node.connectors.delete(&drive.key, editor(), vec![updated_event(&drive, store.now())]);
    assert_eq!(again.await.unwrap_or_fail(), None);
    assert_eq!(store.new_events().await, []);
}

/// A connector created again under an old id is another one: no authorization of the old one belongs to it.
pub async fn r54_a_recreated_connector_has_none_of_the_old_authorizations(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let alice = fixtures::user("alice");
    let former = store.connect(&authorization_key_of(&drive, "alice")).await;
    let former = store.reject_refresh(&former).await;
    let grant = store.connect(&authorization_key_of(&drive, "alice")).await;
    let flow = store.exchange(&authorization_key_of(&drive, "alice")).await;
    store.delete(&drive).await;
    let again = store.add(fixtures::connector_in("default", "drive", 2, store.now())).await;
    assert_ne!(drive.incarnation, again.incarnation);

    let view = store.node.queries.access_token_view(&again.key, &alice, None).await.unwrap_or_fail();
    let view = view.expect("the connector is stored");
    assert_eq!((view.connector, view.grants), (again.clone(), Vec::new()));
    let rows = store.node.queries.statuses(&again.key.space, None, &alice).await.unwrap_or_fail();
    assert!(rows.iter().all(|row| row.connections.is_empty()), "{rows:?}");
    assert_eq!(store.node.queries.count_connected_users(again.incarnation).await.unwrap_or_fail(), 0);
    assert_eq!(store.commit(&flow).await, CommitOutcome::ConnectorGone);
    let before = store.snapshot().await;
    store.terminate(connection_scope(&authorization_key_of(&again, "alice")), TerminationCause::Disconnected).await;
    assert_eq!(store.snapshot().await, before, "old authorizations do not belong to the new connector");

    let new = store.connect(&authorization_key_of(&again, "alice")).await;
    for row in [&former, &grant, &flow] {
        assert_eq!(
            store.state(row).await,
            terminated(TerminationCause::ConnectorDeleted),
            "a new grant supersedes no old authorization"
        );
    }
    let job = store.claim().await.expect("the old tokens are still to be revoked");
    assert_eq!(id_of(&job), grant.id);
    assert_eq!(store.get(new.id).await, new);
}

/// A superseded secret is kept for the revocations of its epoch and destroyed with the last of them.
pub async fn r50_a_client_secret_is_kept_while_a_revocation_needs_it(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let mut grants = Vec::new();
    for user in ["alice", "bob"] {
        grants.push(store.connect(&authorization_key_of(&drive, user)).await);
    }
    let (edited, _) = store.edit(&drive, EditEffect::ExpireGrants).await;
    assert!(store.has_secret(&drive).await && store.has_secret(&edited).await);
    let unclaimed = fixtures::unclaimed_tokens(store.new_id(), grants[0].owner.clone(), store.now());
    store.node.revocations.queue_unclaimed(unclaimed.clone(), Vec::new()).await.unwrap_or_fail();
    store.advance(INTERRUPTED_AFTER);
    let mut jobs = Vec::new();
    while let Some(job) = store.claim().await {
        jobs.push(id_of(&job));
    }
    assert_eq!(jobs.len(), 3);
    for job in jobs {
        assert!(store.has_secret(&drive).await, "a revocation needs it");
        store.update_job(job, RevocationUpdate::Completed(RevocationOutcome::Revoked)).await;
    }
    assert!(!store.has_secret(&drive).await, "destroyed with the last revocation");
    assert!(store.has_secret(&edited).await, "the present secret is kept");
    assert_eq!(store.sweep().await.secrets_destroyed, 0);

    // The same for a deleted connector.
    let grant = store.connect(&authorization_key_of(&edited, "alice")).await;
    store.delete(&edited).await;
    store.advance(INTERRUPTED_AFTER);
    store.sweep().await;
    assert!(store.has_secret(&edited).await);
    store.claim().await.expect("a job");
    store.update_job(grant.id, RevocationUpdate::Completed(RevocationOutcome::Abandoned)).await;
    assert!(!store.has_secret(&edited).await);
}

/// A superseded secret is destroyed after a day, even if a revocation is pending.
pub async fn r50_an_old_client_secret_is_kept_for_a_day_at_most(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let grant = store.connect(&authorization_key_of(&drive, "alice")).await;
    let (edited, _) = store.edit(&drive, EditEffect::ExpireGrants).await;
    store.advance(Duration::from_hours(12));
    // A later edit does not extend the retention of the first secret.
    let (newest, _) = store.edit(&edited, EditEffect::KeepGrants).await;
    store.advance(Duration::from_hours(12).saturating_sub(Duration::from_millis(1)));
    store.sweep().await;
    assert!(store.has_secret(&drive).await);
    store.advance(Duration::from_millis(1));
    assert_eq!(store.sweep().await.secrets_destroyed, 1);
    assert!(!store.has_secret(&drive).await && store.has_secret(&newest).await);
    assert_eq!(pending_in_doubt(&store.get(grant.id).await), Some(false), "the revocation is still pending");
}

/// A superseded secret is kept while an exchange in progress may still bring tokens to revoke, then the sweeper destroys it.
pub async fn r26_a_client_secret_is_kept_for_an_exchange_in_progress(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let flow = store.exchange(&authorization_key_of(&drive, "alice")).await;
    let (edited, _) = store.edit(&drive, EditEffect::ExpireGrants).await;
    store.advance(INTERRUPTED_AFTER.saturating_sub(Duration::from_millis(1)));
    store.sweep().await;
    assert!(store.has_secret(&drive).await, "tokens of the old configuration may still arrive");
    assert_eq!(store.commit(&flow).await, CommitOutcome::ConnectorChanged);
    store.advance(Duration::from_millis(1));
    assert_eq!(store.sweep().await.secrets_destroyed, 1);
    assert!(!store.has_secret(&drive).await && store.has_secret(&edited).await);

    // Without one it is destroyed with the edit or the deletion.
    let (newest, _) = store.edit(&edited, EditEffect::ExpireGrants).await;
    assert!(!store.has_secret(&edited).await && store.has_secret(&newest).await);
    store.delete(&newest).await;
    assert!(!store.has_secret(&newest).await);
}

/// The users with a grant at a connector are counted, each once.
pub async fn r52_connected_users_are_counted_per_connector(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let count = async || store.node.queries.count_connected_users(drive.incarnation).await.unwrap_or_fail();
    assert_eq!(count().await, 0);
    store.start(&authorization_key_of(&drive, "alice")).await;
    let bob = store.connect(&authorization_key_of(&drive, "bob")).await;
    store.connect(&authorization_key_of(&drive, "carol")).await;
    let work = store.connect(&named_key_of(&drive, "bob", "work")).await;
    assert_eq!(count().await, 2);
    assert_eq!(store.disconnect(&bob).await.state, StateKind::Revoked);
    assert_eq!(count().await, 2, "another connection is left");
    store.disconnect(&work).await;
    assert_eq!(count().await, 1);
}

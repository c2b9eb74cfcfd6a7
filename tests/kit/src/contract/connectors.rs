//! Rules of connectors, of the cascades of their edits, and of client secrets.

use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::{
    AuthorizationRecord, INTERRUPTED_AFTER, RevocationOutcome, StateKind, TerminationCause,
};
use grantry_domain::connector::{Connector, ConnectorName};
use grantry_domain::ports::{AuditEvent, Cascade, CommitOutcome, Created, RevocationUpdate, TerminationScope, Updated};

use tokio::task::JoinSet;

use super::Backend;
use super::revocation::id_of;
use super::world::{Succeeds, World, edited, editor, owed, state_of};
use crate::doubles::fixtures::{self, ownership_of};

/// A connector is stored as given, once for each id and space, and listed by name.
pub async fn connectors_are_stored_as_given(backend: Backend) {
    let world = World::new(backend);
    let now = world.now();
    let named = |space: &str, id: &str, name: &str| Connector {
        name: ConnectorName::new(name).expect("a name"),
        ..fixtures::connector_in(space, id, 1, now)
    };
    let drive = named("default", "drive", "Zulu");
    let secret = fixtures::client_secret(&drive);
    let event = edited(&drive, now);
    let store = &world.store.connectors;
    let created = store.create(drive.clone(), Some(secret.clone()), vec![event.clone()]).await.unwrap_or_fail();
    assert_eq!(created, Created::Done);
    assert_eq!(world.other.connectors.get(&drive.key).await.unwrap_or_fail(), Some(drive.clone()));
    assert_eq!(store.client_secret(secret.key).await.unwrap_or_fail(), Some(secret));
    assert_eq!(world.news().await, std::slice::from_ref(&event));

    let rival = fixtures::connector_in("default", "drive", 2, now);
    let stolen = fixtures::client_secret(&rival);
    let taken = store.create(rival, Some(stolen.clone()), vec![event]).await.unwrap_or_fail();
    assert_eq!(taken, Created::Taken);
    assert_eq!(store.get(&drive.key).await.unwrap_or_fail(), Some(drive.clone()));
    assert_eq!(store.client_secret(stolen.key).await.unwrap_or_fail(), None);
    assert_eq!(world.news().await, []);

    let elsewhere = named("marketing", "drive", "Alpha");
    let (first, second) = (named("default", "b", "Echo"), named("default", "a", "Echo"));
    for connector in [&elsewhere, &first, &second] {
        assert_eq!(store.create(connector.clone(), None, Vec::new()).await.unwrap_or_fail(), Created::Done);
    }
    let list = async |space: &str| store.list(&fixtures::space(space)).await.unwrap_or_fail();
    assert_eq!(list("default").await, [second, first, drive], "by name, then by id");
    assert_eq!(list("marketing").await, [elsewhere]);
    assert_eq!(list("nowhere").await, []);
}

/// Of two editors who saw the same revision, one wins.
pub async fn an_edit_needs_the_revision_it_was_made_from(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let grant = world.connect(&ownership_of(&drive, "alice")).await;
    let (newer, _) = world.edit(&drive, Cascade::Keep).await;
    let image = world.image().await;
    let update = async |next: &Connector, expected: u64| {
        let secret = fixtures::client_secret(next);
        let events = vec![edited(next, world.now())];
        let update = world.store.connectors.update(next.clone(), expected, Some(secret), Cascade::Changed, editor(), events);
        update.await.unwrap_or_fail()
    };
    let late = Connector { epoch: drive.epoch.next(), revision: 9, ..drive.clone() };
    assert_eq!(update(&late, drive.revision).await, Updated::Conflict);
    let another = Connector { incarnation: fixtures::incarnation(77), ..late.clone() };
    assert_eq!(update(&another, newer.revision).await, Updated::NotFound, "R54: it is another connector");
    let missing = Connector { key: fixtures::connector_key("default", "nowhere"), ..late.clone() };
    assert_eq!(update(&missing, newer.revision).await, Updated::NotFound);
    assert_eq!(world.store.connectors.get(&drive.key).await.unwrap_or_fail(), Some(newer));
    for refused in [late, another, missing] {
        assert!(!world.has_secret(&refused).await);
    }
    assert_eq!(world.image().await, image);
    assert_eq!(world.get(grant.id).await.state, StateKind::Authorized);
}

/// A rename, a new secret or another scope keeps every authorization.
pub async fn r52_a_harmless_edit_keeps_every_grant(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let grant = world.connect(&ownership_of(&drive, "alice")).await;
    let flow = world.exchange(&ownership_of(&drive, "bob")).await;
    let secret = fixtures::client_secret(&drive);
    let renamed = Connector { name: ConnectorName::new("Renamed").expect("a name"), revision: 2, ..drive.clone() };
    let replaced = grantry_domain::ports::ClientSecretRecord { sealed: fixtures::envelope("new"), ..secret };
    let done =
        world.store.connectors.update(renamed.clone(), 1, Some(replaced.clone()), Cascade::Keep, editor(), Vec::new());
    assert_eq!(done.await.unwrap_or_fail(), Updated::Done { ended_grants: 0 });
    assert_eq!(world.store.connectors.get(&drive.key).await.unwrap_or_fail(), Some(renamed));
    assert_eq!(world.store.connectors.client_secret(replaced.key).await.unwrap_or_fail(), Some(replaced));
    assert_eq!(world.get(grant.id).await, grant);
    assert_eq!(world.commit(&flow).await, CommitOutcome::Committed);
}

/// Asserts what a cascade did to the rows of `drive` and that it did nothing to others.
async fn cascades(backend: Backend, cascade: Option<Cascade>, grant_state: (StateKind, &str), flow_cause: &str) {
    let (world, drive) = World::with_drive(backend).await;
    let twin = world.add(fixtures::connector_in("marketing", "drive", 1, world.now())).await;
    let elsewhere = world.connect(&ownership_of(&twin, "alice")).await;
    let former = world.connect(&ownership_of(&drive, "dave")).await;
    let former = world.refuse(&former).await;
    let alice = world.connect(&ownership_of(&drive, "alice")).await;
    let bob = world.connect(&ownership_of(&drive, "bob")).await;
    world.lease(&bob, 1).await;
    let waiting = world.start(&ownership_of(&drive, "alice")).await;
    let in_exchange = world.exchange(&ownership_of(&drive, "carol")).await;
    let initiated = world.initiate(&ownership_of(&drive, "dave")).await;
    assert_eq!(world.store.connectors.count_grants(drive.incarnation).await.unwrap_or_fail(), 2);
    world.news().await;

    let ended = match cascade {
        Some(cascade) => world.edit(&drive, cascade).await.1,
        None => world.delete(&drive).await.expect("it was there"),
    };
    assert_eq!(ended, 2, "grants are counted, flows are not");
    assert_eq!(world.store.connectors.count_grants(drive.incarnation).await.unwrap_or_fail(), 0);
    for (grant, in_doubt) in [(&alice, false), (&bob, true)] {
        let now = world.get(grant.id).await;
        assert_eq!(state_of(&now), (grant_state.0, Some(grant_state.1)));
        assert_eq!((owed(&now), &now.sealed), (Some(in_doubt), &grant.sealed), "revoked at the old endpoint");
        assert_eq!((now.since, &now.owner), (Some(world.now()), &grant.owner));
    }
    for flow in [&waiting, &in_exchange, &initiated] {
        let now = world.get(flow.id).await;
        assert_eq!((state_of(&now), &now.sealed), ((StateKind::Revoked, Some(flow_cause)), &None));
    }
    assert_eq!(world.get(elsewhere.id).await, elsewhere, "the same id in another space is another connector");

    let mut rows = vec![&alice, &bob, &waiting, &in_exchange, &initiated];
    if cascade.is_none() {
        assert_eq!(world.cause(&former).await.as_deref(), Some("connector_deleted"));
        rows.push(&former);
    } else {
        assert_eq!(world.get(former.id).await, former);
    }
    let events = world.news().await;
    for row in &rows {
        let expected = AuditEvent::ending(&world.get(row.id).await, editor(), world.now());
        assert!(events.contains(&expected), "{expected:?} is not among {events:?}");
    }
    assert_eq!(events.len(), rows.len() + usize::from(cascade.is_some()), "and the event of the edit itself");
}

/// A security-relevant edit ends every flow and expires every grant, in one transaction with the edit.
pub async fn r52_a_security_edit_expires_grants_and_fails_flows(backend: Backend) {
    let grants = (StateKind::Expired, "connector_changed");
    cascades(backend, Some(Cascade::Changed), grants, "failed(connector_changed)").await;
}

/// Disabling a connector revokes everything.
pub async fn r53_disabling_a_connector_revokes_everything(backend: Backend) {
    let grants = (StateKind::Revoked, "connector_disabled");
    cascades(backend, Some(Cascade::Disabled), grants, "connector_disabled").await;
}

/// Deleting a connector revokes everything, and puts former grants away.
pub async fn r53_deleting_a_connector_revokes_everything(backend: Backend) {
    cascades(backend, None, (StateKind::Revoked, "connector_deleted"), "connector_deleted").await;
}

/// A connector with very many grants goes as a whole, in one transaction.
pub async fn lesson_20_a_connector_with_a_thousand_grants_is_deleted_whole(backend: Backend) {
    const MANY: u64 = 1000;
    let (world, drive) = World::with_drive(backend).await;
    let world = Arc::new(world);
    let mut users = JoinSet::new();
    for number in 0..MANY {
        let (world, owner) = (world.clone(), ownership_of(&drive, &format!("user-{number}")));
        users.spawn(async move { world.connect(&owner).await.id });
    }
    let grants = users.join_all().await;
    assert_eq!(world.delete(&drive).await, Some(MANY));
    for id in grants {
        let now = world.get(id).await;
        assert_eq!((state_of(&now), owed(&now)), ((StateKind::Revoked, Some("connector_deleted")), Some(false)));
    }
}

/// Deleting what is not there does nothing.
pub async fn deleting_a_connector_twice_is_deleting_it_once(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    assert_eq!(world.delete(&drive).await, Some(0));
    assert_eq!(world.store.connectors.get(&drive.key).await.unwrap_or_fail(), None);
    world.news().await;
    let again = world.store.connectors.delete(&drive.key, editor(), vec![edited(&drive, world.now())]);
    assert_eq!(again.await.unwrap_or_fail(), None);
    assert_eq!(world.news().await, []);
}

/// A connector created again under an old id is another one: nothing of the old one matches.
pub async fn r54_a_recreated_connector_has_none_of_the_old_authorizations(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let alice = fixtures::user("alice");
    let former = world.connect(&ownership_of(&drive, "alice")).await;
    let former = world.refuse(&former).await;
    let grant = world.connect(&ownership_of(&drive, "alice")).await;
    let flow = world.exchange(&ownership_of(&drive, "alice")).await;
    world.delete(&drive).await;
    let again = world.add(fixtures::connector_in("default", "drive", 2, world.now())).await;
    assert_ne!(drive.incarnation, again.incarnation);

    let view = world.store.authorizations.access_token_view(&again.key, &alice).await.unwrap_or_fail().expect("it is there");
    assert_eq!((view.connector, view.grant), (again.clone(), None));
    let rows = world.store.authorizations.statuses(&again.key.space, None, &alice).await.unwrap_or_fail();
    assert!(rows.iter().all(|row| row.grant.is_none() && row.former.is_none() && row.pending.is_none()), "{rows:?}");
    assert_eq!(world.store.connectors.count_grants(again.incarnation).await.unwrap_or_fail(), 0);
    assert_eq!(world.commit(&flow).await, CommitOutcome::ConnectorGone);
    let (old_rows, scope) =
        ([&former, &grant, &flow], TerminationScope::UserConnector { incarnation: again.incarnation, user: alice.clone() });
    let before = world.image().await;
    world.end(scope, TerminationCause::Disconnected).await;
    assert_eq!(world.image().await, before, "old rows are not the new connector's");

    let new = world.connect(&ownership_of(&again, "alice")).await;
    for row in old_rows {
        assert_eq!(world.cause(row).await.as_deref(), Some("connector_deleted"), "a new grant supersedes no old row");
    }
    let job = world.claim().await.expect("the old tokens are still to be revoked");
    assert_eq!(id_of(&job), grant.id);
    assert_eq!(world.get(new.id).await, new);
}

/// An old secret is kept for the revocations of its own epoch, and goes with the last of them.
pub async fn r50_a_client_secret_lives_as_long_as_a_revocation_needs_it(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let mut grants = Vec::new();
    for user in ["alice", "bob"] {
        grants.push(world.connect(&ownership_of(&drive, user)).await);
    }
    let (edited, _) = world.edit(&drive, Cascade::Changed).await;
    assert!(world.has_secret(&drive).await && world.has_secret(&edited).await);
    let orphan = fixtures::orphan(world.new_id(), grants[0].owner.clone(), world.now());
    world.store.authorizations.queue_unclaimed(orphan.clone(), Vec::new()).await.unwrap_or_fail();
    world.pass(INTERRUPTED_AFTER);
    let mut jobs = Vec::new();
    while let Some(job) = world.claim().await {
        jobs.push(id_of(&job));
    }
    assert_eq!(jobs.len(), 3);
    for job in jobs {
        assert!(world.has_secret(&drive).await, "a revocation needs it");
        world.end_job(job, RevocationUpdate::Completed(RevocationOutcome::Revoked)).await;
    }
    assert!(!world.has_secret(&drive).await, "it goes with the last one");
    assert!(world.has_secret(&edited).await, "the present one stays");
    assert_eq!(world.sweep().await.secrets_destroyed, 0);

    // The same for a connector that is gone.
    let grant = world.connect(&ownership_of(&edited, "alice")).await;
    world.delete(&edited).await;
    world.pass(INTERRUPTED_AFTER);
    world.sweep().await;
    assert!(world.has_secret(&edited).await);
    world.claim().await.expect("a job");
    world.end_job(grant.id, RevocationUpdate::Completed(RevocationOutcome::Abandoned)).await;
    assert!(!world.has_secret(&edited).await);
}

/// After a day an old secret goes, even if a revocation is still tried.
pub async fn r50_an_old_client_secret_is_kept_for_a_day_at_most(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let grant = world.connect(&ownership_of(&drive, "alice")).await;
    let (edited, _) = world.edit(&drive, Cascade::Changed).await;
    world.pass(Duration::from_hours(12));
    // A later edit starts no new day for the first secret.
    let (newest, _) = world.edit(&edited, Cascade::Keep).await;
    world.pass(Duration::from_hours(12).saturating_sub(Duration::from_millis(1)));
    world.sweep().await;
    assert!(world.has_secret(&drive).await);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.sweep().await.secrets_destroyed, 1);
    assert!(!world.has_secret(&drive).await && world.has_secret(&newest).await);
    assert_eq!(owed(&world.get(grant.id).await), Some(false), "the revocation itself is still tried");
}

/// A secret outlives its epoch while an exchange under way may still bring tokens to revoke, then the sweeper takes it.
pub async fn r26_a_client_secret_waits_for_the_exchange_under_way(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let flow = world.exchange(&ownership_of(&drive, "alice")).await;
    let (edited, _) = world.edit(&drive, Cascade::Changed).await;
    world.pass(INTERRUPTED_AFTER.saturating_sub(Duration::from_millis(1)));
    world.sweep().await;
    assert!(world.has_secret(&drive).await, "tokens of the old configuration may still arrive");
    assert_eq!(world.commit(&flow).await, CommitOutcome::ConnectorChanged);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.sweep().await.secrets_destroyed, 1);
    assert!(!world.has_secret(&drive).await && world.has_secret(&edited).await);

    // Nothing is under way: gone with the edit or the deletion.
    let (newest, _) = world.edit(&edited, Cascade::Changed).await;
    assert!(!world.has_secret(&edited).await && world.has_secret(&newest).await);
    world.delete(&newest).await;
    assert!(!world.has_secret(&newest).await);
}

/// Counting for a dry run tells what an edit would end.
pub async fn r52_grants_are_counted_per_connector(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let count = async || world.store.connectors.count_grants(drive.incarnation).await.unwrap_or_fail();
    assert_eq!(count().await, 0);
    world.start(&ownership_of(&drive, "alice")).await;
    let bob = world.connect(&ownership_of(&drive, "bob")).await;
    world.connect(&ownership_of(&drive, "carol")).await;
    assert_eq!(count().await, 2);
    let ended: AuthorizationRecord = world.disconnect(&bob).await;
    assert_eq!((count().await, ended.state), (1, StateKind::Revoked));
}

//! The writer: shared commits, failures that stay alone, locks of others, a full disk.

use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::StateKind;
use grantry_domain::identity::Actor;
use grantry_domain::ports::{AuditEvent, AuditKind, AuthorizationStore, Lease, LeaseRequest, StoreError};
use grantry_store_sqlite::{SqliteOptions, SqliteStore};
use grantry_testkit::doubles::fixtures;

use crate::place::{Place, ROOMY};

fn event(place: &Place, outcome: &str) -> AuditEvent {
    AuditEvent {
        at: place.now(),
        actor: Actor::System,
        kind: AuditKind::OpenFailed,
        space: None,
        connector: None,
        user: None,
        grant: None,
        outcome: outcome.to_owned(),
    }
}

/// Waits until the queue holds this many writes.
async fn queued(store: &SqliteStore, writes: usize) {
    while store.waiting_writes() < writes {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn writes_that_wait_share_one_commit() {
    let place = Place::new();
    let options = SqliteOptions { busy_timeout: Duration::from_mins(1), ..place.options() };
    let store = Arc::new(SqliteStore::open(options).await.unwrap());
    let before = store.write_counts();

    // While somebody else writes, the writer holds one job and the others queue up.
    let outsider = place.outsider();
    outsider.execute_batch("BEGIN IMMEDIATE").unwrap();
    let record = |n: usize| {
        let (store, event) = (store.clone(), event(&place, &n.to_string()));
        tokio::spawn(async move { store.record(vec![event]).await })
    };
    let writes: Vec<_> = (0..64).map(record).collect();
    queued(&store, 63).await;
    outsider.execute_batch("ROLLBACK").unwrap();
    for write in writes {
        write.await.unwrap().unwrap();
    }

    let after = store.write_counts();
    assert_eq!(after.writes - before.writes, 64);
    assert_eq!(after.commits - before.commits, 1);
    assert_eq!(store.pending_events(100).await.unwrap().len(), 64);
}

#[tokio::test]
async fn a_write_that_fails_in_a_shared_transaction_is_undone_alone() {
    let place = Place::new();
    let options = SqliteOptions { busy_timeout: Duration::from_mins(1), ..place.options() };
    let store = Arc::new(SqliteStore::open(options).await.unwrap());
    let connector = place.add_connector(&store).await;
    let (alice, bob) = (fixtures::ownership_of(&connector, "alice"), fixtures::ownership_of(&connector, "bob"));
    let first = place.start(&store, fixtures::grant_id(1), &alice).await;
    store.forget_events(1000).await.unwrap();
    let before = store.write_counts();

    let outsider = place.outsider();
    outsider.execute_batch("BEGIN IMMEDIATE").unwrap();
    let insert = |flow| {
        let store = store.clone();
        tokio::spawn(async move { store.insert_pending(flow, ROOMY, Vec::new()).await })
    };
    let good = insert(fixtures::initiated(fixtures::grant_id(2), bob.clone(), place.now()));
    // It supersedes the first flow, then finds its id taken.
    let bad = insert(fixtures::initiated(fixtures::grant_id(1), alice, place.now()));
    let also_good =
        insert(fixtures::initiated(fixtures::grant_id(3), fixtures::ownership_of(&connector, "carol"), place.now()));
    queued(&store, 2).await;
    outsider.execute_batch("ROLLBACK").unwrap();

    good.await.unwrap().unwrap();
    assert!(matches!(bad.await.unwrap(), Err(StoreError::Inconsistent { .. })));
    also_good.await.unwrap().unwrap();
    assert_eq!(store.write_counts().commits - before.commits, 1);
    assert_eq!(store.find(first.id).await.unwrap(), Some(first));
    for n in [2, 3] {
        assert_eq!(store.find(fixtures::grant_id(n)).await.unwrap().unwrap().state, StateKind::Initiated);
    }
    assert_eq!(store.pending_events(10).await.unwrap(), []);
}

#[tokio::test]
async fn a_locked_file_makes_writes_unavailable_and_reads_go_on() {
    let place = Place::new();
    let store = Arc::new(place.open().await);
    let connector = place.add_connector(&store).await;
    let grant = place.connect(&store, fixtures::grant_id(1), &fixtures::ownership_of(&connector, "alice")).await;

    let outsider = place.outsider();
    outsider.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(store.record(vec![event(&place, "x")]).await, Err(StoreError::Unavailable));
    assert_eq!(store.find(grant.id).await.unwrap(), Some(grant));
    outsider.execute_batch("ROLLBACK").unwrap();
    store.record(vec![event(&place, "x")]).await.unwrap();
}

#[tokio::test]
async fn a_file_locked_by_a_start_makes_opening_unavailable() {
    let place = Place::new();
    let outsider = place.outsider();
    outsider.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_eq!(SqliteStore::open(place.options()).await.unwrap_err(), StoreError::Unavailable);
    outsider.execute_batch("ROLLBACK").unwrap();
    place.open().await;
}

#[tokio::test]
async fn a_full_disk_is_unavailable_changes_nothing_and_passes() {
    let place = Place::new();
    let store = SqliteStore::open(SqliteOptions { max_pages: Some(80), ..place.options() }).await.unwrap();
    let connector = place.add_connector(&store).await;
    let grant = place.connect(&store, fixtures::grant_id(1), &fixtures::ownership_of(&connector, "alice")).await;

    let large = "x".repeat(10_000);
    let mut stored = 0;
    let full = loop {
        match store.record(vec![event(&place, &large), event(&place, &large)]).await {
            Ok(()) => stored += 2,
            Err(error) => break error,
        }
    };
    assert_eq!(full, StoreError::Unavailable);
    assert!(stored > 0);
    assert_eq!(store.pending_events(1000).await.unwrap().len(), stored);
    assert_eq!(store.find(grant.id).await.unwrap(), Some(grant));

    store.forget_events(u64::MAX).await.unwrap();
    store.record(vec![event(&place, &large)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_write_to_one_file() {
    let place = Place::new();
    let options = || SqliteOptions { busy_timeout: Duration::from_mins(1), ..place.options() };
    // Opened at once, on a new file: one of them creates the schema.
    let (one, two) = tokio::join!(SqliteStore::open(options()), SqliteStore::open(options()));
    let (one, two) = (Arc::new(one.unwrap()), Arc::new(two.unwrap()));
    assert_eq!(one.deployment_id(), two.deployment_id());

    let record = |store: &Arc<SqliteStore>, n: usize| {
        let (store, event) = (store.clone(), event(&place, &n.to_string()));
        tokio::spawn(async move { store.record(vec![event]).await })
    };
    let writes: Vec<_> = (0..50).flat_map(|n| [record(&one, n), record(&two, n)]).collect();
    for write in writes {
        write.await.unwrap().unwrap();
    }
    assert_eq!(one.pending_events(1000).await.unwrap().len(), 100);
    assert_eq!(two.pending_events(1000).await.unwrap().len(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r36_of_many_nodes_exactly_one_takes_the_lease() {
    let place = Place::new();
    let options = || SqliteOptions { busy_timeout: Duration::from_mins(1), ..place.options() };
    let (one, two) =
        (Arc::new(SqliteStore::open(options()).await.unwrap()), Arc::new(SqliteStore::open(options()).await.unwrap()));
    let connector = place.add_connector(&one).await;
    let grant = place.connect(&one, fixtures::grant_id(1), &fixtures::ownership_of(&connector, "alice")).await;
    let take = |store: &Arc<SqliteStore>, n: u8| {
        let store = store.clone();
        let request = LeaseRequest {
            id: grant.id,
            revision: grant.revision,
            owner: [n; 16],
            length: Duration::from_mins(1),
            longest: Duration::from_mins(2),
        };
        tokio::spawn(async move { store.take_lease(request).await })
    };
    let attempts: Vec<_> = (0..20).flat_map(|n| [take(&one, n), take(&two, 100 + n)]).collect();
    let mut taken = 0;
    for attempt in attempts {
        match attempt.await.unwrap().unwrap() {
            Lease::Taken { was_in_doubt, .. } => {
                assert!(!was_in_doubt);
                taken += 1;
            }
            Lease::Held { .. } => {}
            lost @ (Lease::Stale(_) | Lease::NotFound) => panic!("{lost:?}"),
        }
    }
    assert_eq!(taken, 1);
    // Durable at once: a process that dies now leaves a grant in doubt (R37).
    assert!(two.find(grant.id).await.unwrap().unwrap().refresh.in_doubt_since.is_some());
}

#[tokio::test]
async fn a_caller_who_goes_away_does_not_take_its_write_along() {
    let place = Place::new();
    let options = SqliteOptions { busy_timeout: Duration::from_mins(1), ..place.options() };
    let store = Arc::new(SqliteStore::open(options).await.unwrap());
    let outsider = place.outsider();
    outsider.execute_batch("BEGIN IMMEDIATE").unwrap();
    let write = {
        let (store, first, second) = (store.clone(), event(&place, "1"), event(&place, "2"));
        tokio::spawn(async move { tokio::join!(store.record(vec![first]), store.record(vec![second])) })
    };
    queued(&store, 1).await;
    write.abort();
    assert!(write.await.unwrap_err().is_cancelled());
    outsider.execute_batch("ROLLBACK").unwrap();
    store.record(vec![event(&place, "3")]).await.unwrap();
    assert_eq!(store.pending_events(10).await.unwrap().len(), 3);
}

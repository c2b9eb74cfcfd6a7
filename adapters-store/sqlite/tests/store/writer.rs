//! The writer: group commit, isolated failures, locks of other processes, a full disk.

use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::StateKind;
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditEvent, AuditKind, AuditOutbox, AuthorizationStore, Lease, LeaseRequest, RefreshLeases, StoreError,
};
use grantry_store_sqlite::{SqliteOptions, SqliteStore};
use grantry_testkit::doubles::fixtures;

use crate::database::{HIGH_LIMITS, TestDatabase, find};

/// An event that contains a text.
fn event(database: &TestDatabase, text: &str) -> AuditEvent {
    AuditEvent::new(AuditKind::DecryptFailed, Actor::Agent(text.to_owned()), database.now())
}

/// Waits until the queue holds this many writes.
async fn queued(store: &SqliteStore, writes: usize) {
    while store.waiting_writes() < writes {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn queued_writes_share_one_commit() {
    let database = TestDatabase::new();
    let options = SqliteOptions { busy_timeout: Duration::from_mins(1), ..database.options() };
    let store = Arc::new(SqliteStore::open(options).await.unwrap());
    let before = store.write_counts();

    // While another program has the lock, the writer waits with one write and the others are queued.
    let other = database.foreign_connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let record = |n: usize| {
        let (store, event) = (store.clone(), event(&database, &n.to_string()));
        tokio::spawn(async move { store.record(vec![event]).await })
    };
    let writes: Vec<_> = (0..64).map(record).collect();
    queued(&store, 63).await;
    other.execute_batch("ROLLBACK").unwrap();
    for write in writes {
        write.await.unwrap().unwrap();
    }

    let after = store.write_counts();
    assert_eq!(after.writes - before.writes, 64);
    assert_eq!(after.commits - before.commits, 1);
    assert_eq!(store.pending_events(100).await.unwrap().len(), 64);
}

#[tokio::test]
async fn a_failed_write_in_a_shared_transaction_is_undone_alone() {
    let database = TestDatabase::new();
    let options = SqliteOptions { busy_timeout: Duration::from_mins(1), ..database.options() };
    let store = Arc::new(SqliteStore::open(options).await.unwrap());
    let connector = database.add_connector(&store).await;
    let (alice, bob) =
        (fixtures::authorization_key_of(&connector, "alice"), fixtures::authorization_key_of(&connector, "bob"));
    let first = database.start(&store, fixtures::authorization_id(1), &alice).await;
    store.forget_events(1000).await.unwrap();
    let before = store.write_counts();

    let other = database.foreign_connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let insert = |flow| {
        let store = store.clone();
        tokio::spawn(async move { store.insert_flow(fixtures::authorization(&flow), HIGH_LIMITS, Vec::new()).await })
    };
    let good = insert(fixtures::initiated(fixtures::authorization_id(2), bob.clone(), database.now()));
    // It supersedes the first flow; then its id is already in use.
    let bad = insert(fixtures::initiated(fixtures::authorization_id(1), alice, database.now()));
    let also_good = insert(fixtures::initiated(
        fixtures::authorization_id(3),
        fixtures::authorization_key_of(&connector, "carol"),
        database.now(),
    ));
    queued(&store, 2).await;
    other.execute_batch("ROLLBACK").unwrap();

    good.await.unwrap().unwrap();
    assert!(matches!(bad.await.unwrap(), Err(StoreError::Inconsistent { .. })));
    also_good.await.unwrap().unwrap();
    assert_eq!(store.write_counts().commits - before.commits, 1);
    assert_eq!(find(&store, first.id).await, first);
    for n in [2, 3] {
        assert_eq!(find(&store, fixtures::authorization_id(n)).await.state, StateKind::Initiated);
    }
    assert_eq!(store.pending_events(10).await.unwrap(), []);
}

#[tokio::test]
async fn a_locked_file_makes_writes_unavailable_but_not_reads() {
    let database = TestDatabase::new();
    let store = Arc::new(database.open().await);
    let connector = database.add_connector(&store).await;
    let grant =
        database.connect(&store, fixtures::authorization_id(1), &fixtures::authorization_key_of(&connector, "alice")).await;

    let other = database.foreign_connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(store.record(vec![event(&database, "x")]).await, Err(StoreError::Unavailable));
    assert_eq!(find(&store, grant.id).await, grant);
    other.execute_batch("ROLLBACK").unwrap();
    store.record(vec![event(&database, "x")]).await.unwrap();
}

#[tokio::test]
async fn a_file_locked_by_a_start_makes_opening_unavailable() {
    let database = TestDatabase::new();
    let other = database.foreign_connection();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_eq!(SqliteStore::open(database.options()).await.unwrap_err(), StoreError::Unavailable);
    other.execute_batch("ROLLBACK").unwrap();
    database.open().await;
}

#[tokio::test]
async fn a_full_disk_is_unavailable_until_space_is_free() {
    let database = TestDatabase::new();
    let store = SqliteStore::open(SqliteOptions { max_pages: Some(80), ..database.options() }).await.unwrap();
    let connector = database.add_connector(&store).await;
    let grant =
        database.connect(&store, fixtures::authorization_id(1), &fixtures::authorization_key_of(&connector, "alice")).await;

    let large = "x".repeat(10_000);
    let mut stored = 0;
    let full = loop {
        match store.record(vec![event(&database, &large), event(&database, &large)]).await {
            Ok(()) => stored += 2,
            Err(error) => break error,
        }
    };
    assert_eq!(full, StoreError::Unavailable);
    assert!(stored > 0);
    assert_eq!(store.pending_events(1000).await.unwrap().len(), stored);
    assert_eq!(find(&store, grant.id).await, grant);

    store.forget_events(u64::MAX).await.unwrap();
    store.record(vec![event(&database, &large)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_write_to_one_file() {
    let database = TestDatabase::new();
    let options = || SqliteOptions { busy_timeout: Duration::from_mins(1), ..database.options() };
    // Both open a new file at the same time; one of them creates the schema.
    let (one, two) = tokio::join!(SqliteStore::open(options()), SqliteStore::open(options()));
    let (one, two) = (Arc::new(one.unwrap()), Arc::new(two.unwrap()));
    assert_eq!(one.deployment_id(), two.deployment_id());

    let record = |store: &Arc<SqliteStore>, n: usize| {
        let (store, event) = (store.clone(), event(&database, &n.to_string()));
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
async fn r36_exactly_one_of_many_nodes_takes_the_lease() {
    let database = TestDatabase::new();
    let options = || SqliteOptions { busy_timeout: Duration::from_mins(1), ..database.options() };
    let (one, two) =
        (Arc::new(SqliteStore::open(options()).await.unwrap()), Arc::new(SqliteStore::open(options()).await.unwrap()));
    let connector = database.add_connector(&one).await;
    let grant =
        database.connect(&one, fixtures::authorization_id(1), &fixtures::authorization_key_of(&connector, "alice")).await;
    let take = |store: &Arc<SqliteStore>, n: u8| {
        let store = store.clone();
        let request = LeaseRequest {
            id: grant.id,
            revision: grant.revision,
            holder: [n; 16],
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
            unexpected @ (Lease::Stale(_) | Lease::NotFound) => panic!("{unexpected:?}"),
        }
    }
    assert_eq!(taken, 1);
    // The mark is durable at once: if the process ends now, the grant is in doubt.
    assert!(find(&two, grant.id).await.refresh.in_doubt_since.is_some());
}

#[tokio::test]
async fn a_queued_write_is_performed_if_its_caller_is_cancelled() {
    let database = TestDatabase::new();
    let options = SqliteOptions { busy_timeout: Duration::from_mins(1), ..database.options() };
    let store = Arc::new(SqliteStore::open(options).await.unwrap());
    let other = database.foreign_connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let write = {
        let (store, first, second) = (store.clone(), event(&database, "1"), event(&database, "2"));
        tokio::spawn(async move { tokio::join!(store.record(vec![first]), store.record(vec![second])) })
    };
    queued(&store, 1).await;
    write.abort();
    assert!(write.await.unwrap_err().is_cancelled());
    other.execute_batch("ROLLBACK").unwrap();
    store.record(vec![event(&database, "3")]).await.unwrap();
    assert_eq!(store.pending_events(10).await.unwrap().len(), 3);
}

//! `PgBouncer` between nodes and server, which gives a connection to another client after each transaction.

use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::TerminationCause;
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditEvent, AuditKind, AuditOutbox, AuthorizationStore, Clock, Housekeeping, Lease, LeaseRequest, LeftOut,
    RefreshLeases, RevocationQueue, StoreClock, StoreError, SweepPolicy, TerminationRequest, TerminationScope,
};
use grantry_store_postgres::{PostgresOptions, PostgresStore};
use grantry_test_postgres::Pooler;
use grantry_testkit::doubles::fixtures;
use tokio_postgres::{Client, NoTls};

use crate::database::{TestDatabase, find, options_of};

/// A node behind the pooler, on the clock of the database.
async fn node(database: &TestDatabase, pooler: &Pooler, statement_cache: bool) -> PostgresStore {
    let clock: Option<Arc<dyn Clock>> = Some(Arc::new(database.clock.clone()));
    let options = PostgresOptions { clock, statement_cache, ..options_of(&pooler.url(database.database.name())) };
    PostgresStore::open(options).await.unwrap()
}

/// Another client of the pooler.
async fn client(database: &TestDatabase, pooler: &Pooler) -> Client {
    let url = pooler.url(database.database.name());
    let (client, driver) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(driver);
    client
}

fn event(database: &TestDatabase, text: &str) -> AuditEvent {
    AuditEvent::new(AuditKind::DecryptFailed, Actor::Agent(text.to_owned()), database.now())
}

/// All clients share one connection to the server, so that each sees what the others left in it.
#[tokio::test]
async fn transactions_leave_nothing_in_a_connection() {
    let database = TestDatabase::new().await;
    let pooler = Pooler::start(&database.database.url(), 1, &[]);
    let (one, two) = (node(&database, &pooler, false).await, node(&database, &pooler, false).await);
    let connector = database.add_connector(&one).await;
    let owner = fixtures::authorization_key_of(&connector, "alice");
    let grant = database.connect(&one, fixtures::authorization_id(1), &owner).await;
    let (length, longest) = (Duration::from_mins(1), Duration::from_mins(2));
    let request = LeaseRequest { id: grant.id, revision: grant.revision, holder: [1; 16], length, longest };
    assert!(matches!(two.take_lease(request).await, Ok(Lease::Taken { .. })));
    // A transaction of the long kind, and one that is rolled back.
    let request = TerminationRequest { cause: TerminationCause::Admin, actor: Actor::System };
    two.terminate(TerminationScope::Space(connector.key.space.clone()), request).await.unwrap();
    assert!(two.claim_revocation([1; 16], length, length, LeftOut::default()).await.unwrap().is_some());
    let day = Duration::from_hours(24);
    let policy = SweepPolicy { unused_grants: day, ended_flows: day, ended_grants: day, batch: 10 };
    one.sweep(policy, database.now()).await.unwrap();
    assert_eq!((one.probe().await, two.probe().await), (Ok(()), Ok(())));

    let other = client(&database, &pooler).await;
    let servers = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()";
    let left = [
        ("connections", servers, 1_i64),
        // The pooler sets these to the values of each client.
        (
            "settings",
            "SELECT count(*) FROM pg_settings WHERE source = 'session' AND name NOT IN ('application_name', 'client_encoding', \
                 'DateStyle', 'IntervalStyle', 'TimeZone', 'standard_conforming_strings')",
            0,
        ),
        ("prepared statements", "SELECT count(*) FROM pg_prepared_statements", 0),
        ("advisory locks", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", 0),
        ("channels", "SELECT count(*) FROM pg_listening_channels()", 0),
        ("temporary tables", "SELECT count(*) FROM pg_class WHERE relpersistence = 't'", 0),
    ];
    for (what, query, expected) in left {
        // A simple query, which prepares nothing.
        let row = other.simple_query(query).await.unwrap().into_iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap().parse::<i64>().unwrap()),
            tokio_postgres::SimpleQueryMessage::CommandComplete(_)
            | tokio_postgres::SimpleQueryMessage::RowDescription(_)
            | _ => None,
        });
        assert_eq!(row, Some(expected), "{what}");
    }
}

/// With one connection to the server, no call may need a second one before it ends its first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_of_two_nodes_share_one_connection_to_the_server() {
    let database = TestDatabase::new().await;
    let pooler = Pooler::start(&database.database.url(), 1, &[]);
    let nodes = [Arc::new(node(&database, &pooler, false).await), Arc::new(node(&database, &pooler, false).await)];
    let connector = database.add_connector(&nodes[0]).await;
    let owner = fixtures::authorization_key_of(&connector, "alice");
    let grant = database.connect(&nodes[0], fixtures::authorization_id(1), &owner).await;
    nodes[0].forget_events(u64::MAX).await.unwrap();
    let before = nodes[0].pending_events(1000).await.unwrap().len();
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..100 {
        let (node, event, grant) = (nodes[n % 2].clone(), event(&database, &n.to_string()), grant.clone());
        calls.spawn(async move {
            node.record(vec![event]).await.unwrap();
            assert_eq!(find(&node, grant.id).await, grant);
        });
    }
    calls.join_all().await;
    assert_eq!(nodes[1].pending_events(1000).await.unwrap().len(), before + 100);
}

/// The outcome of a node whose statements are prepared on one connection to the server and run on another one.
async fn on_another_connection(settings: &[&str]) -> Result<(), StoreError> {
    let database = TestDatabase::new().await;
    let pooler = Pooler::start(&database.database.url(), 2, settings);
    let store = node(&database, &pooler, true).await;
    store.record(vec![event(&database, "first")]).await.unwrap();
    // The only connection to the server so far.
    let other = client(&database, &pooler).await;
    other.batch_execute("BEGIN").await.unwrap();
    let outcome = store.record(vec![event(&database, "second")]).await;
    other.batch_execute("ROLLBACK").await.unwrap();
    outcome
}

#[tokio::test]
async fn prepared_statements_need_a_pooler_that_follows_them() {
    match on_another_connection(Pooler::without_prepared_statements()).await {
        Err(StoreError::Unusable(text)) => assert!(text.contains("`statement_cache`"), "{text}"),
        other => panic!("a statement that is not prepared was run: {other:?}"),
    }
}

#[tokio::test]
async fn prepared_statements_are_used_behind_a_pooler_that_follows_them() {
    if !Pooler::prepares_statements() {
        println!("not run: the installed PgBouncer is older than 1.21 and has no max_prepared_statements");
        return;
    }
    assert_eq!(on_another_connection(&["max_prepared_statements = 200"]).await, Ok(()));
}

/// While the server is restarted, the pooler stays and responds by itself.
#[tokio::test]
async fn a_server_that_was_stopped_behind_a_pooler_is_unavailable_until_it_is_back() {
    let cluster = grantry_test_postgres::private_cluster();
    let pooler = Pooler::start(&cluster.url("postgres"), 2, &["server_login_retry = 1"]);
    let options = PostgresOptions {
        acquire_timeout: Duration::from_secs(1),
        statement_timeout: Duration::from_secs(2),
        ..options_of(&pooler.url("postgres"))
    };
    let store = PostgresStore::open(options).await.unwrap();
    cluster.stop("immediate");
    assert_eq!(store.record(Vec::new()).await, Err(StoreError::Unavailable));
    assert_eq!(store.now().await, Err(StoreError::Unavailable));
    cluster.start();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while store.record(Vec::new()).await.is_err() || store.now().await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the store does not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

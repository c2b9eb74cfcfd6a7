//! Lost connections, a restart of the server, a full pool.

use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::TerminationCause;
use grantry_domain::connector::Connector;
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditEvent, AuditKind, AuditOutbox, AuthorizationStore, ConnectorStore, EditEffect, StoreClock, StoreError,
    TerminationRequest, TerminationScope, Updated, UserStore,
};
use grantry_store_postgres::{PostgresOptions, PostgresStore, StoreFault};
use grantry_test_postgres::private_cluster;
use grantry_testkit::doubles::fixtures;
use tokio::task::JoinSet;

use crate::database::{TestDatabase, find, options_of};
use crate::proxy::{Cut, Proxy};

fn event(database: &TestDatabase, text: &str) -> AuditEvent {
    AuditEvent::new(AuditKind::DecryptFailed, Actor::Agent(text.to_owned()), database.now())
}

#[tokio::test]
async fn connections_that_were_ended_are_replaced() {
    let database = TestDatabase::new().await;
    let store = database.open().await;
    let connector = database.add_connector(&store).await;
    let owner = fixtures::authorization_key_of(&connector, "alice");
    let grant = database.connect(&store, fixtures::authorization_id(1), &owner).await;
    for n in 0..3 {
        database.database.disconnect_all().await;
        store.record(vec![event(&database, &n.to_string())]).await.unwrap();
        database.database.disconnect_all().await;
        assert_eq!(find(&store, grant.id).await, grant);
        database.database.disconnect_all().await;
        assert_eq!(store.probe().await, Ok(()));
    }
    // Each write was performed once.
    let written = store.pending_events(100).await.unwrap();
    assert_eq!(written.iter().filter(|recorded| recorded.event.kind == AuditKind::DecryptFailed).count(), 3);
}

/// Writers whose connections are ended at any moment: what is reported as written is there, and nothing is there twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_beside_ended_connections_are_performed_once() {
    let database = TestDatabase::new().await;
    let store = Arc::new(database.open().await);
    let ending = async {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            database.database.disconnect_all().await;
        }
    };
    let writer = async |worker: usize| {
        let mut written = Vec::new();
        for n in 0..40 {
            let name = format!("{worker}-{n}");
            match store.record(vec![event(&database, &name)]).await {
                Ok(()) => written.push(name),
                Err(StoreError::Unavailable | StoreError::OutcomeUnknown) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        written
    };
    let ((), one, two, three) = tokio::join!(ending, writer(1), writer(2), writer(3));
    let mut stored: Vec<_> = Vec::new();
    for recorded in store.pending_events(1000).await.unwrap() {
        if let Actor::Agent(name) = recorded.event.actor {
            stored.push(name);
        }
    }
    for name in [one, two, three].concat() {
        assert_eq!(stored.iter().filter(|found| **found == name).count(), 1, "{name}");
    }
    stored.sort_unstable();
    assert!(stored.windows(2).all(|pair| pair[0] != pair[1]), "an event was written twice");
}

#[tokio::test]
async fn a_server_that_was_stopped_is_unavailable_until_it_is_back() {
    let cluster = private_cluster();
    let options = PostgresOptions {
        acquire_timeout: Duration::from_secs(1),
        statement_timeout: Duration::from_secs(2),
        ..options_of(&cluster.url("postgres"))
    };
    let store = PostgresStore::open(options).await.unwrap();
    store.record(Vec::new()).await.unwrap();
    for mode in ["fast", "immediate"] {
        cluster.stop(mode);
        assert_eq!(store.record(Vec::new()).await, Err(StoreError::Unavailable));
        assert_eq!(store.now().await, Err(StoreError::Unavailable));
        assert_eq!(store.probe().await, Err(StoreFault::NotReachable));
        cluster.start();
        assert_eq!(store.probe().await, Ok(()));
        store.record(Vec::new()).await.unwrap();
    }
    store.close().await;
    assert_eq!(store.record(Vec::new()).await, Err(StoreError::Unavailable));
    assert_eq!(store.now().await, Err(StoreError::Unavailable));
}

#[tokio::test]
async fn a_lock_that_is_held_too_long_makes_a_write_unavailable() {
    let database = TestDatabase::new().await;
    let options = PostgresOptions { statement_timeout: Duration::from_millis(300), ..database.options() };
    let store = PostgresStore::open(options).await.unwrap();
    let connector = database.add_connector(&store).await;
    let owner = fixtures::authorization_key_of(&connector, "alice");
    let grant = database.connect(&store, fixtures::authorization_id(1), &owner).await;
    let other = database.database.client().await;
    other.batch_execute("BEGIN; SELECT 1 FROM authorizations FOR UPDATE").await.unwrap();
    let next = fixtures::authorization(&grant);
    let version = crate::database::version(&grant);
    assert_eq!(store.replace(next, version, Vec::new()).await, Err(StoreError::Unavailable));
    // Reads do not wait.
    assert_eq!(find(&store, grant.id).await, grant);
    other.batch_execute("ROLLBACK").await.unwrap();
    assert!(store.replace(fixtures::authorization(&grant), version, Vec::new()).await.is_ok());
}

#[tokio::test]
async fn a_full_pool_makes_a_write_unavailable() {
    let database = TestDatabase::new().await;
    let options = PostgresOptions { connections: 1, acquire_timeout: Duration::from_millis(100), ..database.options() };
    let store = Arc::new(PostgresStore::open(options).await.unwrap());
    let other = database.database.client().await;
    other.batch_execute("BEGIN; LOCK TABLE events").await.unwrap();
    let waiting = {
        let (store, event) = (store.clone(), event(&database, "1"));
        tokio::spawn(async move { store.record(vec![event]).await })
    };
    while store.connections_in_use() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.record(Vec::new()).await, Err(StoreError::Unavailable));
    other.batch_execute("ROLLBACK").await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(store.connections_in_use(), 0);
}

/// What ends all authorizations of a connector or of a space takes as long as it takes.
#[tokio::test]
async fn r52_the_number_of_grants_does_not_prevent_their_end() {
    let database = TestDatabase::new().await;
    let options = PostgresOptions { statement_timeout: Duration::from_millis(300), ..database.options() };
    let (store, slow) = (database.open().await, PostgresStore::open(options).await.unwrap());
    let connector = database.add_connector(&store).await;
    let trigger = "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.35); RETURN NULL; END'; \
         CREATE TRIGGER wait AFTER UPDATE ON authorizations FOR EACH STATEMENT EXECUTE FUNCTION wait()";
    database.database.client().await.batch_execute(trigger).await.unwrap();
    let request = TerminationRequest { cause: TerminationCause::Admin, actor: Actor::System };
    let of_user = TerminationScope::User(fixtures::user("alice"));
    assert_eq!(slow.terminate(of_user, request.clone()).await, Err(StoreError::Unavailable));
    let next = Connector { epoch: connector.epoch.next(), revision: connector.revision + 1, ..connector.clone() };
    let effect = EditEffect::ExpireGrants;
    let updated = slow.update(next, connector.revision, None, effect, Actor::System, Vec::new()).await;
    assert_eq!(updated, Ok(Updated::Done { ended_grants: 0 }));
    slow.terminate(TerminationScope::Space(connector.key.space.clone()), request).await.unwrap();
    assert_eq!(slow.delete(&connector.key, Actor::System, Vec::new()).await, Ok(Some(0)));
}

/// The server of the idle connections vanished, and another one has its name.
#[tokio::test]
async fn idle_connections_that_do_not_answer_are_given_up_together() {
    let database = TestDatabase::new().await;
    let proxy = Proxy::start(&database.database.url(), Cut::AfterCommit).await;
    let options = PostgresOptions { statement_timeout: Duration::from_millis(500), ..options_of(proxy.url()) };
    let store = Arc::new(PostgresStore::open(options).await.unwrap());
    let other = database.database.client().await;
    other.batch_execute("BEGIN; LOCK TABLE events").await.unwrap();
    let mut writes = JoinSet::new();
    for n in 0..5 {
        let (store, event) = (store.clone(), event(&database, &n.to_string()));
        writes.spawn(async move { store.record(vec![event]).await });
    }
    while store.connections_in_use() < 5 {
        tokio::task::yield_now().await;
    }
    other.batch_execute("ROLLBACK").await.unwrap();
    writes.join_all().await;
    proxy.silence_present();
    assert_eq!(store.record(vec![event(&database, "after")]).await, Ok(()));
}

/// A store that a switched name or pooler connects to a standby reads nothing there: what it contains can be old.
#[tokio::test]
async fn r45_nothing_is_read_from_a_standby() {
    let database = TestDatabase::new().await;
    let store = database.open().await;
    assert_eq!(store.probe().await, Ok(()));
    let read_only = format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.database.name());
    database.database.administrator().await.batch_execute(&read_only).await.unwrap();
    database.database.disconnect_all().await;
    assert_eq!(store.stored_user(&fixtures::user("alice")).await, Err(StoreError::Unavailable));
    assert_eq!(store.record(Vec::new()).await, Err(StoreError::Unavailable));
    assert_eq!(store.probe().await, Err(StoreFault::NotWritable));
}

/// Callers that wait for a connection share the failure of its attempt.
#[tokio::test]
async fn reads_from_a_server_that_does_not_answer_fail_together() {
    let database = TestDatabase::new().await;
    let proxy = Proxy::start(&database.database.url(), Cut::AfterCommit).await;
    let connect_timeout = Duration::from_millis(500);
    let store = PostgresStore::open(PostgresOptions { connect_timeout, readers: 1, ..options_of(proxy.url()) }).await;
    let store = Arc::new(store.unwrap());
    let before = proxy.accepted();
    proxy.silence_new();
    let mut reads = JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        reads.spawn(async move { store.now().await });
    }
    assert!(reads.join_all().await.iter().all(|read| *read == Err(StoreError::Unavailable)));
    assert_eq!(proxy.accepted(), before + 1);
}

#[tokio::test]
async fn reads_that_time_out_on_one_connection_send_one_request_to_cancel() {
    let database = TestDatabase::new().await;
    let proxy = Proxy::start(&database.database.url(), Cut::AfterCommit).await;
    let statement_timeout = Duration::from_millis(400);
    let options = PostgresOptions { statement_timeout, readers: 1, ..options_of(proxy.url()) };
    let store = Arc::new(PostgresStore::open(options).await.unwrap());
    let other = database.database.client().await;
    other.batch_execute("BEGIN; LOCK TABLE users").await.unwrap();
    let mut reads = JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        reads.spawn(async move { store.removed_at(&fixtures::user("alice")).await });
    }
    assert!(reads.join_all().await.iter().all(|read| *read == Err(StoreError::Unavailable)));
    other.batch_execute("ROLLBACK").await.unwrap();
    // Other connections are opened after the requests, which need one each.
    for _ in 0..2 {
        store.removed_at(&fixtures::user("alice")).await.unwrap();
        store.record(Vec::new()).await.unwrap();
    }
    assert_eq!(proxy.cancels(), 1);
}

/// The transaction of a caller that went away keeps its connection until it has ended.
#[tokio::test]
async fn r78_callers_that_go_away_do_not_cause_more_connections() {
    let database = TestDatabase::new().await;
    let options = PostgresOptions { connections: 2, readers: 1, ..database.options() };
    let store = PostgresStore::open(options).await.unwrap();
    let other = database.database.client().await;
    other.batch_execute("BEGIN; LOCK TABLE events").await.unwrap();
    for n in 0..20 {
        let write = store.record(vec![event(&database, &n.to_string())]);
        assert!(tokio::time::timeout(Duration::from_millis(20), write).await.is_err());
    }
    let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND application_name = 'grantry'";
    let row = database.database.administrator().await.query_one(count, &[&database.database.name()]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 2);
    other.batch_execute("ROLLBACK").await.unwrap();
    store.record(vec![event(&database, "after")]).await.unwrap();
    while store.connections_in_use() > 0 {
        tokio::task::yield_now().await;
    }
    // What a cancelled caller wrote was rolled back.
    assert_eq!(store.pending_events(100).await.unwrap().len(), 1);
}

/// A node that is suspended in its probe does not keep the others from passing theirs.
#[tokio::test]
async fn a_probe_does_not_wait_for_that_of_another_node() {
    let database = TestDatabase::new().await;
    let options = PostgresOptions { statement_timeout: Duration::from_millis(500), ..database.options() };
    let store = PostgresStore::open(options).await.unwrap();
    let suspended = database.database.client().await;
    suspended.batch_execute("BEGIN; INSERT INTO users (user_id) VALUES ('')").await.unwrap();
    assert_eq!(store.probe().await, Ok(()));
    suspended.batch_execute("ROLLBACK").await.unwrap();
}

//! A database, and the steps that several tests take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use grantry_domain::authorization::{AuthorizationId, AuthorizationKey, AuthorizationRecord};
use grantry_domain::connector::{CallbackId, Connector};
use grantry_domain::ports::{
    AuthorizationStore, CallbackKey, Clock, CommitOutcome, ConnectorStore, ConsumeOutcome, Created, ExpectedVersion,
    InsertOutcome, PendingLimits, WriteOutcome,
};
use grantry_domain::time::Timestamp;
use grantry_store_postgres::{PostgresOptions, PostgresStore, PostgresUrl};
use grantry_testkit::doubles::{SeededRandom, TestClock, fixtures};

/// Limits that no test reaches by accident.
pub(crate) const HIGH_LIMITS: PendingLimits = PendingLimits { per_user: 1000, deployment: 100_000 };

/// One database and the clock of its stores.
pub(crate) struct TestDatabase {
    pub(crate) database: grantry_test_postgres::TestDatabase,
    pub(crate) clock: TestClock,
}

impl TestDatabase {
    pub(crate) async fn new() -> Self {
        Self { database: grantry_test_postgres::TestDatabase::new().await, clock: TestClock::default() }
    }

    pub(crate) fn options(&self) -> PostgresOptions {
        PostgresOptions { clock: Some(Arc::new(self.clock.clone())), ..options_of(&self.database.url()) }
    }

    pub(crate) async fn open(&self) -> PostgresStore {
        PostgresStore::open(self.options()).await.unwrap()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) async fn add_connector(&self, store: &PostgresStore) -> Connector {
        let connector = fixtures::connector(self.now());
        let secret = fixtures::client_secret(&connector);
        let created = store.create(connector.clone(), Some(secret), Vec::new()).await.unwrap();
        assert_eq!(created, Created::Done);
        connector
    }

    /// A connector with another id and incarnation.
    pub(crate) async fn connector_named(&self, store: &PostgresStore, id: &str, incarnation: u8) -> Connector {
        let callback_id = CallbackId([incarnation; 16]);
        let connector = Connector { callback_id, ..fixtures::connector_in("default", id, incarnation, self.now()) };
        assert_eq!(store.create(connector.clone(), None, Vec::new()).await.unwrap(), Created::Done);
        connector
    }

    /// A flow whose user is at the provider.
    pub(crate) async fn start(
        &self,
        store: &PostgresStore,
        id: AuthorizationId,
        owner: &AuthorizationKey,
    ) -> AuthorizationRecord {
        let flow = fixtures::initiated(id, owner.clone(), self.now());
        let inserted = store.insert_flow(fixtures::authorization(&flow), HIGH_LIMITS, Vec::new()).await.unwrap();
        assert_eq!(inserted, InsertOutcome::Inserted);
        let issued = fixtures::awaiting(id, owner.clone(), self.now());
        replace(store, &flow, &issued).await;
        issued
    }

    /// A flow whose callback has arrived.
    pub(crate) async fn consume(
        &self,
        store: &PostgresStore,
        id: AuthorizationId,
        owner: &AuthorizationKey,
    ) -> AuthorizationRecord {
        let flow = self.start(store, id, owner).await;
        let consumed = store.consume(callback(&flow), Vec::new()).await.unwrap();
        assert!(matches!(consumed, ConsumeOutcome::Consumed { .. }));
        find(store, id).await
    }

    /// A grant, through all steps of its flow.
    pub(crate) async fn connect(
        &self,
        store: &PostgresStore,
        id: AuthorizationId,
        owner: &AuthorizationKey,
    ) -> AuthorizationRecord {
        self.consume(store, id, owner).await;
        let grant = fixtures::authorized(id, owner.clone(), self.now());
        let committed = store.commit_grant(fixtures::authorization(&grant), true, Vec::new()).await.unwrap();
        assert_eq!(committed, CommitOutcome::Committed);
        grant
    }
}

/// Options of a new node that shares a database, on the clock of the database.
pub(crate) fn options_of(url: &str) -> PostgresOptions {
    static NODES: AtomicU32 = AtomicU32::new(1);
    let node = NODES.fetch_add(1, Ordering::Relaxed);
    let options = PostgresOptions::new(PostgresUrl::parse(url).unwrap(), Arc::new(SeededRandom::new(node)));
    PostgresOptions { event_claim: Duration::ZERO, ..options }
}

/// The record of a stored authorization.
pub(crate) async fn find(store: &PostgresStore, id: AuthorizationId) -> AuthorizationRecord {
    store.find(id).await.unwrap().unwrap().value.to_record()
}

/// Replaces an authorization that was read by another one.
pub(crate) async fn replace(store: &PostgresStore, read: &AuthorizationRecord, next: &AuthorizationRecord) {
    let written = store.replace(fixtures::authorization(next), version(read), Vec::new()).await.unwrap();
    assert_eq!(written, WriteOutcome::Written);
}

/// The version of an authorization that was read.
pub(crate) fn version(read: &AuthorizationRecord) -> ExpectedVersion {
    ExpectedVersion::of(&fixtures::authorization(read))
}

/// The callback from the browser that started the flow.
pub(crate) fn callback(flow: &AuthorizationRecord) -> CallbackKey {
    CallbackKey {
        state_hash: fixtures::state_hash(flow.id),
        user: flow.owner.user.clone(),
        flow_cookies: vec![fixtures::flow_cookie_hash(flow.id)],
    }
}

/// Waits until a number of statements in a database wait for a lock.
pub(crate) async fn wait_for_waiters(database: &TestDatabase, waiters: i64) {
    const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'";
    let administrator = database.database.administrator().await;
    loop {
        let row = administrator.query_one(WAITING, &[&database.database.name()]).await.unwrap();
        if row.get::<_, i64>(0) == waiters {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

//! A folder with a database in it, and the steps that several tests take.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::{AuthorizationId, AuthorizationKey, AuthorizationRecord};
use grantry_domain::connector::Connector;
use grantry_domain::ports::{
    AuthorizationStore, CallbackKey, Clock, CommitOutcome, ConnectorStore, ConsumeOutcome, Created, ExpectedVersion,
    InsertOutcome, PendingLimits, WriteOutcome,
};
use grantry_domain::time::Timestamp;
use grantry_store_sqlite::{SqliteOptions, SqliteStore};
use grantry_testkit::doubles::{SeededRandom, TestClock, fixtures};
use tempfile::TempDir;

/// Limits that no test reaches by accident.
pub(crate) const HIGH_LIMITS: PendingLimits = PendingLimits { per_user: 1000, deployment: 100_000 };

/// The file of one database.
pub(crate) struct TestDatabase {
    pub(crate) folder: TempDir,
    pub(crate) clock: TestClock,
}

impl TestDatabase {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: TestClock::default() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("grantry.db")
    }

    pub(crate) fn options(&self) -> SqliteOptions {
        let (clock, random) = (Arc::new(self.clock.clone()), Arc::new(SeededRandom::new(1)));
        SqliteOptions { busy_timeout: Duration::from_millis(50), ..SqliteOptions::new(self.path(), clock, random) }
    }

    pub(crate) async fn open(&self) -> SqliteStore {
        SqliteStore::open(self.options()).await.unwrap()
    }

    /// A connection of another program to the same file.
    pub(crate) fn foreign_connection(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The content of the database and of every file beside it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    pub(crate) async fn add_connector(&self, store: &SqliteStore) -> Connector {
        let connector = fixtures::connector(self.now());
        let secret = fixtures::client_secret(&connector);
        let created = store.create(connector.clone(), Some(secret), Vec::new()).await.unwrap();
        assert_eq!(created, Created::Done);
        connector
    }

    /// A flow whose user is at the provider.
    pub(crate) async fn start(
        &self,
        store: &SqliteStore,
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
        store: &SqliteStore,
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
        store: &SqliteStore,
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

/// The record of a stored authorization.
pub(crate) async fn find(store: &SqliteStore, id: AuthorizationId) -> AuthorizationRecord {
    store.find(id).await.unwrap().unwrap().value.to_record()
}

/// Replaces an authorization that was read by another one.
pub(crate) async fn replace(store: &SqliteStore, read: &AuthorizationRecord, next: &AuthorizationRecord) {
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

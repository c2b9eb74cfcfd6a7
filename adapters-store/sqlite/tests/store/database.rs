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

/// Caps that no test reaches by accident.
pub(crate) const ROOMY: PendingLimits = PendingLimits { per_user: 1000, deployment: 100_000 };

/// A place for one database.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) clock: TestClock,
}

impl Place {
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

    /// A connection of somebody else to the same file.
    pub(crate) fn outsider(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Every byte of every file beside the database, itself included.
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
        assert_eq!(store.insert_pending(flow.clone(), ROOMY, Vec::new()).await.unwrap(), InsertOutcome::Inserted);
        let issued = fixtures::awaiting(id, owner.clone(), self.now());
        assert_eq!(
            store.replace(issued.clone(), ExpectedVersion::of(&flow), Vec::new()).await.unwrap(),
            WriteOutcome::Written
        );
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
        store.find(id).await.unwrap().unwrap()
    }

    /// A grant, by the whole way.
    pub(crate) async fn connect(
        &self,
        store: &SqliteStore,
        id: AuthorizationId,
        owner: &AuthorizationKey,
    ) -> AuthorizationRecord {
        self.consume(store, id, owner).await;
        let grant = fixtures::authorized(id, owner.clone(), self.now());
        assert_eq!(store.commit_grant(grant.clone(), true, Vec::new()).await.unwrap(), CommitOutcome::Committed);
        grant
    }
}

/// What the starter's browser presents.
pub(crate) fn callback(flow: &AuthorizationRecord) -> CallbackKey {
    CallbackKey {
        state_hash: fixtures::state_hash(flow.id),
        user: flow.owner.user.clone(),
        flow_cookies: vec![fixtures::flow_cookie_hash(flow.id)],
    }
}

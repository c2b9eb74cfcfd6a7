//! A store of a third party: [`Snapshots`] is a database whose tables are copied when they change. A transaction changes a copy,
//! which replaces the tables with the commit. The rules of a store are those of `grantry-store-rules`. Its data ends with the process.
//!
//! `docs/embedding.md` explains it. `app/tests/custom_store.rs` proves with the contract suite of the test kit that it is a
//! store; a store with another database is proven in the same way. `cargo run -p grantry --example custom_store` writes one
//! event.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use grantry::store::AppStore;
use grantry_domain::ports::{
    AuditEvent, AuditKind, AuditOutbox as _, Clock as _, RandomUnavailable, RecordedEvent, SecureRandom, StoreError,
};
use grantry_runtime::{SystemClock, SystemRandom};
use grantry_store_rules::{
    Access, AuthorizationRow, ClientSecret, ConnectorRow, Database, DefaultConnection, Record, Selection as _, SessionRow,
    Table, TableStore, Tables, Tombstone, UnclaimedRow,
};

/// The store: all of its ports are implemented by `TableStore`.
pub(crate) type SnapshotStore = TableStore<Snapshots>;

/// A table, shared with the transactions that read it.
type Shared<R> = Arc<BTreeMap<<R as Record>::Key, R>>;

/// The tables at one instant. A clone shares all of them, until one of both changes a table.
#[derive(Clone, Default)]
pub(crate) struct Snapshot {
    authorizations: Shared<AuthorizationRow>,
    unclaimed: Shared<UnclaimedRow>,
    connectors: Shared<ConnectorRow>,
    client_secrets: Shared<ClientSecret>,
    default_connections: Shared<DefaultConnection>,
    tombstones: Shared<Tombstone>,
    sessions: Shared<SessionRow>,
    events: Arc<BTreeMap<u64, AuditEvent>>,
    last_event: u64,
    deployment_id: Option<[u8; 16]>,
}

/// A database in memory: its present tables.
#[derive(Default)]
pub(crate) struct Snapshots {
    present: Mutex<Snapshot>,
}

impl Snapshots {
    /// The tables are replaced as a whole, so a lock that a panic has poisoned is usable.
    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of the deployment. It is drawn once, and stored with the tables.
    fn deployment_id(&self, random: &dyn SecureRandom) -> Result<[u8; 16], RandomUnavailable> {
        let mut present = self.lock();
        if let Some(id) = present.deployment_id {
            return Ok(id);
        }
        let mut id = [0; 16];
        random.fill(&mut id)?;
        Ok(*present.deployment_id.insert(id))
    }
}

impl Database for Snapshots {
    async fn transact<T, W>(&self, access: Access, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut dyn Tables) -> Result<T, StoreError> + Send + 'static,
    {
        match access {
            // A reader has a snapshot and blocks no writer.
            Access::Read => {
                let mut tables = self.lock().clone();
                work(&mut tables)
            }
            // Writers run one after the other. With an error, the copy is dropped.
            Access::Write => {
                let mut present = self.lock();
                let mut next = present.clone();
                let result = work(&mut next)?;
                *present = next;
                Ok(result)
            }
        }
    }
}

/// Implements the table of each record with a field of the snapshot.
macro_rules! tables {
    ($($field:ident: $record:ty,)*) => {$(
        impl Table<$record> for Snapshot {
            fn get(&mut self, key: &<$record as Record>::Key) -> Result<Option<$record>, StoreError> {
                Ok(self.$field.get(key).cloned())
            }

            fn select(
                &mut self,
                selection: &<$record as Record>::Selection,
                limit: usize,
            ) -> Result<Vec<$record>, StoreError> {
                Ok(selection.pick(self.$field.values(), limit))
            }

            fn put(&mut self, record: $record) -> Result<(), StoreError> {
                Arc::make_mut(&mut self.$field).insert(record.key(), record);
                Ok(())
            }

            fn remove(&mut self, key: &<$record as Record>::Key) -> Result<(), StoreError> {
                Arc::make_mut(&mut self.$field).remove(key);
                Ok(())
            }
        }
    )*};
}

tables! {
    authorizations: AuthorizationRow,
    unclaimed: UnclaimedRow,
    connectors: ConnectorRow,
    client_secrets: ClientSecret,
    default_connections: DefaultConnection,
    tombstones: Tombstone,
    sessions: SessionRow,
}

impl Tables for Snapshot {
    fn append_event(&mut self, event: AuditEvent) -> Result<(), StoreError> {
        self.last_event += 1;
        Arc::make_mut(&mut self.events).insert(self.last_event, event);
        Ok(())
    }

    fn events(&mut self, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        let events = self.events.iter().take(limit);
        Ok(events.map(|(sequence, event)| RecordedEvent { sequence: *sequence, event: event.clone() }).collect())
    }

    fn remove_events(&mut self, through: u64) -> Result<(), StoreError> {
        Arc::make_mut(&mut self.events).retain(|sequence, _| *sequence > through);
        Ok(())
    }
}

/// What `App::builder` takes.
pub(crate) fn app_store(store: &SnapshotStore) -> Result<AppStore, RandomUnavailable> {
    let deployment_id = store.database().deployment_id(&SystemRandom)?;
    Ok(AppStore::new(Arc::new(store.clone()), deployment_id))
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let store = SnapshotStore::new(Arc::new(SystemClock));
    store.record(vec![AuditEvent::of_system(AuditKind::UserReinstated, SystemClock.now())]).await?;
    let (id, stored) = (app_store(&store)?.deployment_id(), store.pending_events(10).await?.len());
    writeln!(io::stdout(), "deployment {id:?}: {stored} stored event")?;
    Ok(())
}

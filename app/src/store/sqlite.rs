//! The `SQLite` store in an application.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use grantry_runtime::{SystemClock, SystemRandom};
use grantry_store_sqlite::{SqliteOptions, SqliteStore, StoreFault};

use super::{AppStore, Database, OpenStoreError, StoreLifecycle};

impl AppStore {
    /// The `SQLite` database at `file`, which is created if it does not exist, on the clock of the system. Open a
    /// `SqliteStore` for other options; an `Arc` of it converts to this type as well.
    pub async fn sqlite(file: &Path) -> Result<Self, OpenStoreError> {
        open(file, None).await
    }
}

/// Opens the database, and creates it if it does not exist. Without a deployment id it gets a random one.
pub(super) async fn open(file: &Path, deployment_id: Option<[u8; 16]>) -> Result<AppStore, OpenStoreError> {
    let mut options = SqliteOptions::new(file, Arc::new(SystemClock), Arc::new(SystemRandom));
    options.deployment_id = deployment_id;
    let opened = SqliteStore::open(options).await;
    opened
        .map(|store| Arc::new(store).into())
        .map_err(|error| OpenStoreError::Database { database: Database::Sqlite(file.to_owned()), error })
}

#[async_trait]
impl StoreLifecycle for SqliteStore {
    async fn close(&self) {
        SqliteStore::close(self).await;
    }

    fn record_metrics(&self) {
        let counts = self.write_counts();
        metrics::counter!("grantry_store_writes_total").absolute(counts.writes);
        metrics::counter!("grantry_store_commits_total").absolute(counts.commits);
        let waiting = u32::try_from(self.waiting_writes()).unwrap_or(u32::MAX);
        metrics::gauge!("grantry_store_waiting_writes").set(f64::from(waiting));
    }

    async fn probe(&self) -> Result<(), &'static str> {
        SqliteStore::probe(self).await.map_err(StoreFault::as_str)
    }
}

impl From<Arc<SqliteStore>> for AppStore {
    fn from(store: Arc<SqliteStore>) -> Self {
        let deployment_id = store.deployment_id();
        Self::new(store.clone(), deployment_id).with_lifecycle(store)
    }
}

//! The store of an application as one value, and the stores that a configuration can name.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use grantry_domain::ports::{Store, StoreError};
use thiserror::Error;

/// Lifecycle and metrics of a store, beside its ports.
#[async_trait]
pub trait StoreLifecycle: Send + Sync {
    /// Completes queued writes and releases the store. Later calls to its ports fail.
    async fn close(&self);

    /// Updates the metrics of the store. Called every few seconds.
    fn record_metrics(&self) {}

    /// Writes, and checks that what is written will be found again. An error is a stable text for the operator, never text of
    /// another library. Called every few seconds.
    async fn probe(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

/// A store with its deployment id and its lifecycle. Clones share it.
#[derive(Clone)]
pub struct AppStore {
    pub(crate) ports: Arc<dyn Store>,
    deployment_id: [u8; 16],
    lifecycle: Option<Arc<dyn StoreLifecycle>>,
}

impl AppStore {
    /// An application's store. `deployment_id` is stored with the data and never changes: sealed records are bound to it.
    pub fn new(ports: Arc<dyn Store>, deployment_id: [u8; 16]) -> Self {
        Self { ports, deployment_id, lifecycle: None }
    }

    /// The `SQLite` database at `file`, which is created if it does not exist, on the clock of the system. Open a
    /// `SqliteStore` for other options; an `Arc` of it converts to this type as well.
    #[cfg(feature = "sqlite")]
    pub async fn sqlite(file: &Path) -> Result<Self, OpenStoreError> {
        open_store(file, None).await
    }

    /// Adds what runs when the application closes and when it measures. Without it, both do nothing.
    #[must_use]
    pub fn with_lifecycle(mut self, lifecycle: Arc<dyn StoreLifecycle>) -> Self {
        self.lifecycle = Some(lifecycle);
        self
    }

    /// The deployment to which the stored data belongs.
    pub fn deployment_id(&self) -> [u8; 16] {
        self.deployment_id
    }

    /// Completes queued writes and releases the store.
    pub async fn close(&self) {
        if let Some(lifecycle) = &self.lifecycle {
            lifecycle.close().await;
        }
    }

    pub(crate) async fn probe(&self) -> Result<(), &'static str> {
        match &self.lifecycle {
            Some(lifecycle) => lifecycle.probe().await,
            None => Ok(()),
        }
    }

    pub(crate) fn record_metrics(&self) {
        if let Some(lifecycle) = &self.lifecycle {
            lifecycle.record_metrics();
        }
    }
}

impl fmt::Debug for AppStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppStore").finish_non_exhaustive()
    }
}

/// The database of a deployment: `sqlite:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreUrl {
    /// The path, as written.
    path: String,
}

impl Default for StoreUrl {
    fn default() -> Self {
        Self { path: "grantry.db".to_owned() }
    }
}

impl StoreUrl {
    /// Parses a URL; the error is what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        text.strip_prefix("sqlite:")
            .filter(|path| !path.is_empty() && !path.starts_with("//") && *path != ":memory:")
            .map(|path| Self { path: path.to_owned() })
            .ok_or_else(|| "must be \"sqlite:\" and the path of a file, such as \"sqlite:grantry.db\"".to_owned())
    }

    /// The URL as it was written.
    pub(crate) fn text(&self) -> String {
        format!("sqlite:{}", self.path)
    }

    /// The file of the database. A relative path is relative to the folder of the configuration.
    pub(crate) fn file(&self, folder: &Path) -> PathBuf {
        folder.join(&self.path)
    }
}

/// Why the store of a configuration cannot be opened.
#[derive(Debug, Error)]
pub enum OpenStoreError {
    /// The database file cannot be used.
    #[error("the database {path} cannot be used: {error}", path = path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: StoreError,
    },
    /// The configuration names a kind of store that this build does not contain.
    #[error("`store.url` names an SQLite file, and this build contains no SQLite; build with the feature `sqlite`")]
    NotInThisBuild,
}

/// Opens the database, and creates it if it does not exist. Without a deployment id it gets a random one.
#[cfg(feature = "sqlite")]
pub(crate) async fn open_store(file: &Path, deployment_id: Option<[u8; 16]>) -> Result<AppStore, OpenStoreError> {
    use grantry_runtime::{SystemClock, SystemRandom};
    use grantry_store_sqlite::{SqliteOptions, SqliteStore};

    let mut options = SqliteOptions::new(file, Arc::new(SystemClock), Arc::new(SystemRandom));
    options.deployment_id = deployment_id;
    let opened = SqliteStore::open(options).await;
    opened.map(|store| Arc::new(store).into()).map_err(|error| OpenStoreError::Database { path: file.to_owned(), error })
}

/// This build contains no store.
#[cfg(not(feature = "sqlite"))]
pub(crate) fn open_store(_: &Path, _: Option<[u8; 16]>) -> std::future::Ready<Result<AppStore, OpenStoreError>> {
    std::future::ready(Err(OpenStoreError::NotInThisBuild))
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use grantry_store_sqlite::{SqliteStore, StoreFault};

    use super::{AppStore, Arc, StoreLifecycle, async_trait};

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
}

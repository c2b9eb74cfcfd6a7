//! The store of an application as one value.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use grantry_domain::ports::Store;

/// Lifecycle and metrics of a store, beside its ports.
#[async_trait]
pub trait StoreLifecycle: Send + Sync {
    /// Completes queued writes and releases the store. Later calls to its ports fail.
    async fn close(&self);

    /// Updates the metrics of the store. Called every few seconds.
    fn record_metrics(&self) {}
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

#[cfg(feature = "sqlite")]
mod sqlite {
    use grantry_store_sqlite::SqliteStore;

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
    }

    impl From<Arc<SqliteStore>> for AppStore {
        fn from(store: Arc<SqliteStore>) -> Self {
            let deployment_id = store.deployment_id();
            Self::new(store.clone(), deployment_id).with_lifecycle(store)
        }
    }
}

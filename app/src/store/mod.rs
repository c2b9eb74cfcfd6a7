//! The store of an application as one value, and the stores that a configuration can name.

mod database;
mod error;
mod open;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use grantry_domain::ports::Store;

pub use self::database::Database;
pub use self::error::OpenStoreError;

pub(crate) use self::database::StoreUrl;
#[cfg(feature = "cli")]
pub(crate) use self::open::is_new;
pub(crate) use self::open::{OpenOptions, open};

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

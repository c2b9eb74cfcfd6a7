//! The `PostgreSQL` store in an application.

use std::sync::Arc;

use async_trait::async_trait;
use grantry_runtime::SystemRandom;
use grantry_store_postgres::{PostgresOptions, PostgresStore, PostgresUrl, StoreFault};

use super::{AppStore, Database, OpenStoreError, StoreLifecycle};

impl AppStore {
    /// The `PostgreSQL` database at `url`, such as `postgres://grantry@db.example.com/grantry`, with the clock of its server. Its
    /// tables are created if they do not exist. Open a `PostgresStore` for other options; an `Arc` of it converts to this type
    /// as well.
    pub async fn postgres(url: &str) -> Result<Self, OpenStoreError> {
        open(options(&PostgresUrl::parse(url)?)).await
    }
}

/// Opens the database, and creates its tables if they do not exist. Without a deployment id it gets a random one.
pub(super) async fn open(options: PostgresOptions) -> Result<AppStore, OpenStoreError> {
    let database = Database::Postgres(Box::new(options.url.clone()));
    let opened = PostgresStore::open(options).await;
    opened.map(|store| Arc::new(store).into()).map_err(|error| OpenStoreError::Database { database, error })
}

/// The options of a store with the randomness of the system.
pub(super) fn options(url: &PostgresUrl) -> PostgresOptions {
    PostgresOptions::new(url.clone(), Arc::new(SystemRandom))
}

#[async_trait]
impl StoreLifecycle for PostgresStore {
    async fn close(&self) {
        PostgresStore::close(self).await;
    }

    fn record_metrics(&self) {
        let in_use = u32::try_from(self.connections_in_use()).unwrap_or(u32::MAX);
        metrics::gauge!("grantry_store_connections_in_use").set(f64::from(in_use));
    }

    async fn probe(&self) -> Result<(), &'static str> {
        PostgresStore::probe(self).await.map_err(StoreFault::as_str)
    }
}

impl From<Arc<PostgresStore>> for AppStore {
    fn from(store: Arc<PostgresStore>) -> Self {
        let deployment_id = store.deployment_id();
        Self::new(store.clone(), deployment_id).with_lifecycle(store)
    }
}

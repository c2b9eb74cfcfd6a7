//! The store.

use std::sync::Arc;

use async_trait::async_trait;
use grantry_domain::ports::{Clock, StoreClock, StoreError};
use grantry_domain::time::Timestamp;

use crate::transaction::Transaction;
use crate::{Access, Database};

/// All ports of a store, on a database. Clones are handles to the same database.
pub struct TableStore<D> {
    clock: Arc<dyn Clock>,
    database: Arc<D>,
}

impl<D> Clone for TableStore<D> {
    fn clone(&self) -> Self {
        Self { clock: self.clock.clone(), database: self.database.clone() }
    }
}

impl<D: Database> TableStore<D> {
    /// An empty store, in a database that needs no settings.
    pub fn new(clock: Arc<dyn Clock>) -> Self
    where
        D: Default,
    {
        Self::with_database(clock, D::default())
    }

    /// A store in this database. Every process that opens the database has the same clock, that of their machine.
    pub fn with_database(clock: Arc<dyn Clock>, database: D) -> Self {
        Self { clock, database: Arc::new(database) }
    }

    /// The database.
    pub fn database(&self) -> &D {
        &self.database
    }

    /// Runs a rule that changes nothing.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        rule: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(Access::Read, rule).await
    }

    /// Runs a rule that may change the tables.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        rule: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(Access::Write, rule).await
    }

    /// The clock is read inside of the transaction, so instants rise in the order of transactions that write.
    async fn run<T: Send + 'static>(
        &self,
        access: Access,
        rule: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let clock = self.clock.clone();
        self.database.transact(access, move |tables| rule(&mut Transaction { tables, now: clock.now() })).await
    }
}

#[async_trait]
impl<D: Database> StoreClock for TableStore<D> {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(self.clock.now())
    }
}

//! The reference store: every port of the store in memory, written to be read.
//!
//! It is the model that other stores are compared with: maps as tables, below the rules of
//! [`grantry_store_rules`]. One mutex is the transaction, and searches are scans. The data is lost when the process ends; use
//! this store for tests and demonstrations.

mod maps;

use std::sync::{Mutex, PoisonError};

use grantry_domain::ports::StoreError;
use grantry_store_rules::{Access, Database, TableStore, Tables};

use crate::maps::{Maps, Undoing};

/// A store in memory. Clones are handles to the same data, like nodes of one deployment.
pub type MemoryStore = TableStore<Memory>;

/// The database of the store.
#[derive(Default)]
pub struct Memory(Mutex<Maps>);

impl Database for Memory {
    /// A transaction that panics is rolled back as well, so a poisoned lock is still usable.
    async fn transact<T, W>(&self, access: Access, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut dyn Tables) -> Result<T, StoreError> + Send + 'static,
    {
        let mut maps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tables = Undoing::new(&mut maps);
        let result = work(&mut tables)?;
        if access == Access::Write {
            tables.commit();
        }
        Ok(result)
    }
}

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

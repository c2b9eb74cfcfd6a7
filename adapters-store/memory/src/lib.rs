//! The reference store: every port of the store in memory, written to be read.
//!
//! It keeps [`Authorization`](grantry_domain::authorization::Authorization) values and changes their state only by the
//! transition function of the domain, so it is the model that other stores are compared with. One mutex is the transaction:
//! a method makes all of its changes with their audit events, or none. Searches are scans. The data is lost when the process
//! ends; use this store for tests and demonstrations.

mod authorizations;
mod client_secrets;
mod connectors;
mod data;
mod diagnostics;
mod housekeeping;
mod leases;
mod outbox;
mod queries;
mod revocations;
mod sessions;
mod termination;
mod users;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use grantry_domain::ports::{Clock, StoreClock, StoreError};
use grantry_domain::time::Timestamp;

use crate::data::Data;

/// A store in memory. Clones are handles to the same data, like nodes of one deployment.
#[derive(Clone)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    data: Arc<Mutex<Data>>,
}

impl MemoryStore {
    /// An empty store on this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, data: Arc::default() }
    }

    /// Runs a transaction. The clock is read while the lock is held, so instants rise in the order of transactions. A
    /// poisoned lock is still usable: no transaction panics between two changes that belong together.
    fn transact<T>(&self, work: impl FnOnce(&mut Data, Timestamp) -> T) -> T {
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        work(&mut data, now)
    }
}

#[async_trait]
impl StoreClock for MemoryStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(self.transact(|_, now| now))
    }
}

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

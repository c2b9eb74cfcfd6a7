//! The reference store: every port of the store in memory, written to be read.
//!
//! It keeps [`Authorization`](grantry_domain::authorization::Authorization)s and moves them only by their own transition function, so it is also the
//! model that other stores are compared with. One mutex is the transaction: a method either changes everything it promises,
//! with its audit events, or nothing. Searches are scans; it is meant for tests and for trying things out, and forgets
//! everything when the process ends.

mod authorization_store;
mod client_secrets;
mod connector_store;
mod data;
mod ending;
mod flows;
mod refresh;
mod revocation;
mod session_store;
mod sweep;
mod views;

use std::sync::{Arc, Mutex, PoisonError};

use grantry_domain::ports::Clock;
use grantry_domain::time::Timestamp;

use crate::data::Data;

/// A store in memory. Clones are handles to the same data, as nodes of one deployment would have.
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

    /// Runs a transaction. The clock is read inside, so that instants rise in the order of transactions. A poisoned lock is
    /// used on: nothing here panics between two changes that belong together.
    fn transact<T>(&self, work: impl FnOnce(&mut Data, Timestamp) -> T) -> T {
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        work(&mut data, now)
    }
}

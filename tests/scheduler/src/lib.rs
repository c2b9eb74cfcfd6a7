//! Orders in which the tasks of one or several nodes run, and what holds in all of them ([`shuttle`]).
//!
//! `tests/model` searches the states of the protocol between nodes. The tests of this crate run its code: the scheduler chooses
//! which task continues at each await of a port, drops callers in the middle, and ends nodes. Their number of orders is 300, or that of
//! the environment variable `SCHEDULES`. A failed test prints the order as a text with which `shuttle::replay` repeats it.
//!
//! [`shuttle`]: https://docs.rs/shuttle

// The file of the domain that is included has unit tests, which need the locks of the system.
#![cfg(not(test))]

#[path = "../../../domain/src/usecase/detached.rs"]
#[expect(dead_code, reason = "the search needs a part of it")]
mod detached;

use std::future::Future;

/// What the included file takes from the domain.
mod ports {
    pub(crate) use grantry_domain::ports::Spawner;
}

/// Locks at which the scheduler can switch.
mod sync {
    pub(crate) use shuttle::sync::{Mutex, MutexGuard};
}

/// The single flight of the domain, with locks at which the scheduler can switch.
#[derive(Default)]
pub struct SingleFlight(detached::SingleFlight<u8, u32>);

impl SingleFlight {
    /// Joins the running work for a key, or starts it. `None` if it panicked.
    pub async fn join(
        &self,
        spawner: &dyn ports::Spawner,
        key: u8,
        work: impl Future<Output = u32> + Send + 'static,
    ) -> Option<u32> {
        self.0.join(spawner, key, work).await
    }
}

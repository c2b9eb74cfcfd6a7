//! Connections for point reads, used on the caller's own thread.
//!
//! Such a read takes microseconds; handing it to another thread costs several times as much. Each connection is locked for
//! one read only, and there is one for each thread of the runtime, so that a lock is hardly ever contended.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use grantry_domain::ports::StoreError;
use rusqlite::Connection;

use crate::fault::Fault;

/// A connection, until the store is closed.
type Slot = Mutex<Option<Connection>>;

/// The connections.
pub(crate) struct Readers {
    slots: Vec<Slot>,
    next: AtomicUsize,
}

impl Readers {
    /// Takes the connections over; at least one.
    pub(crate) fn new(connections: Vec<Connection>) -> Self {
        Self { slots: connections.into_iter().map(|connection| Mutex::new(Some(connection))).collect(), next: 0.into() }
    }

    /// Reads here and now.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let slot = self.free_slot();
        read(slot.as_ref().ok_or(StoreError::Unavailable)?)
    }

    /// The first free connection after the one used last; all taken, the wait for one is as short as a read.
    fn free_slot(&self) -> MutexGuard<'_, Option<Connection>> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let at = |offset: usize| &self.slots[start.wrapping_add(offset) % self.slots.len()];
        for offset in 0..self.slots.len() {
            match at(offset).try_lock() {
                Ok(slot) => return slot,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        at(0).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes all; later reads are `Unavailable`.
    pub(crate) fn close(&self) {
        for slot in &self.slots {
            drop(slot.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

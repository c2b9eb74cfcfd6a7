//! Connections for reads of a few rows. Several callers share one: their statements are sent without waiting for each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use grantry_domain::ports::StoreError;
use tokio::sync::Mutex;

use super::{Connection, Connector};
use crate::error::PgError;

/// Shared connections. Each statement is a transaction, so that callers do not depend on each other.
pub(crate) struct Readers {
    connector: Connector,
    slots: Vec<Mutex<Option<Arc<Connection>>>>,
    next: AtomicUsize,
    is_closed: AtomicBool,
}

impl Readers {
    /// Readers without connections. They are opened when they are needed.
    pub(crate) fn new(connector: Connector, size: usize) -> Self {
        let slots = (0..size.max(1)).map(|_| Mutex::default()).collect();
        Self { connector, slots, next: AtomicUsize::new(0), is_closed: AtomicBool::new(false) }
    }

    /// One of the connections. A closed one is replaced.
    pub(crate) async fn get(&self) -> Result<Arc<Connection>, PgError> {
        if self.is_closed.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable.into());
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed) % self.slots.len();
        // Callers that arrive while one connects wait for its connection.
        let mut slot = self.slots[number].lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| connection.is_usable()) {
            return Ok(connection.clone());
        }
        *slot = None;
        let connection = Arc::new(self.connector.connect().await?);
        *slot = Some(connection.clone());
        Ok(connection)
    }

    /// Closes the connections; later reads are `Unavailable`.
    pub(crate) async fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        for slot in &self.slots {
            slot.lock().await.take();
        }
    }
}

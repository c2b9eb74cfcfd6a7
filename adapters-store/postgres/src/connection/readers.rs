//! Connections for reads of a few rows. Several callers share one: their statements are sent without waiting for each other.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grantry_domain::ports::StoreError;
use tokio::time::{Instant, timeout};

use super::{Connection, Connector};
use crate::error::PgError;

/// Shared connections. Each statement is a transaction, so that callers do not depend on each other.
pub(crate) struct Readers {
    shared: Arc<Shared>,
    next: AtomicUsize,
    acquire_timeout: Duration,
}

struct Shared {
    connector: Connector,
    slots: Vec<Slot>,
    is_closed: AtomicBool,
}

#[derive(Default)]
struct Slot {
    connection: Mutex<Option<Arc<Connection>>>,
    /// Held during an attempt to connect. When the last one failed, and why.
    attempt: tokio::sync::Mutex<Option<(Instant, PgError)>>,
}

impl Slot {
    fn usable(&self) -> Option<Arc<Connection>> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.as_ref().filter(|connection| connection.is_usable()).cloned()
    }

    fn set(&self, connection: Option<Arc<Connection>>) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = connection;
    }
}

impl Readers {
    /// Readers without connections. They are opened when they are needed.
    pub(crate) fn new(connector: Connector, size: usize, acquire_timeout: Duration) -> Self {
        let slots = (0..size.max(1)).map(|_| Slot::default()).collect();
        let shared = Arc::new(Shared { connector, slots, is_closed: AtomicBool::new(false) });
        Self { shared, next: AtomicUsize::new(0), acquire_timeout }
    }

    /// One of the connections. A closed one is replaced.
    pub(crate) async fn get(&self) -> Result<Arc<Connection>, PgError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed) % self.shared.slots.len();
        if let Some(connection) = self.shared.slots[number].usable() {
            return Ok(connection);
        }
        // A separate task: the attempt goes on when this caller does not wait any longer.
        let replaced = tokio::spawn(replaced(self.shared.clone(), number, Instant::now()));
        match timeout(self.acquire_timeout, replaced).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(_)) | Err(_) => Err(StoreError::Unavailable.into()),
        }
    }

    /// Closes the connections; later reads are `Unavailable`.
    pub(crate) fn close(&self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        for slot in &self.shared.slots {
            slot.set(None);
        }
    }
}

/// The connection of a slot after one attempt to connect, which all callers share that waited for it.
async fn replaced(shared: Arc<Shared>, number: usize, queued: Instant) -> Result<Arc<Connection>, PgError> {
    let slot = &shared.slots[number];
    let mut failure = slot.attempt.lock().await;
    if let Some(connection) = slot.usable() {
        return Ok(connection);
    }
    if let Some((_, error)) = failure.filter(|(at, _)| *at >= queued) {
        return Err(error);
    }
    let connection = shared.connect().await;
    match &connection {
        Ok(connection) => slot.set(Some(connection.clone())),
        Err(error) => *failure = Some((Instant::now(), *error)),
    }
    // The store may have been closed during the attempt.
    if shared.is_closed.load(Ordering::SeqCst) {
        slot.set(None);
        return Err(StoreError::Unavailable.into());
    }
    connection
}

impl Shared {
    async fn connect(&self) -> Result<Arc<Connection>, PgError> {
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable.into());
        }
        Ok(Arc::new(self.connector.connect().await?))
    }
}

//! A bounded pool of connections that one caller uses at a time.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grantry_domain::ports::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::{Connection, Connector};
use crate::error::PgError;

/// The pool. Clones share the connections.
#[derive(Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    acquire_timeout: Duration,
}

struct Shared {
    connector: Connector,
    /// One permit per connection that may be open.
    permits: Arc<Semaphore>,
    size: usize,
    idle: Mutex<Vec<Connection>>,
}

impl Shared {
    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The one that was used last is in the caches of the server. Closed ones are dropped.
        while let Some(connection) = idle.pop() {
            if connection.is_usable() {
                return Some(connection);
            }
        }
        None
    }
}

impl Pool {
    /// A pool without connections. They are opened when they are needed.
    pub(crate) fn new(connector: Connector, size: usize, acquire_timeout: Duration) -> Self {
        let size = size.max(1);
        let permits = Arc::new(Semaphore::new(size));
        Self { shared: Arc::new(Shared { connector, permits, size, idle: Mutex::default() }), acquire_timeout }
    }

    /// A connection for one caller, which waits for one of the others if all are in use.
    pub(crate) async fn acquire(&self) -> Result<Pooled, PgError> {
        let permit = timeout(self.acquire_timeout, self.shared.permits.clone().acquire_owned()).await;
        // An error means that the time is over or the pool is closed.
        let Ok(Ok(permit)) = permit else { return Err(StoreError::Unavailable.into()) };
        let connection = match self.shared.take_idle() {
            Some(connection) => connection,
            None => self.shared.connector.connect().await?,
        };
        let is_clean = AtomicBool::new(false);
        Ok(Pooled { connection: Some(connection), is_clean, shared: self.shared.clone(), _permit: permit })
    }

    /// Closes idle connections and refuses callers from now on. A connection in use is closed when its caller is done.
    pub(crate) fn close(&self) {
        self.shared.permits.close();
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The number of connections in use.
    pub(crate) fn in_use(&self) -> usize {
        self.shared.size - self.shared.permits.available_permits()
    }
}

/// A connection of the pool. It is closed when it is dropped, unless it was [released](Self::release): a caller that was
/// cancelled leaves a transaction behind, which ends with the connection.
pub(crate) struct Pooled {
    /// `None` only while it is dropped.
    connection: Option<Connection>,
    is_clean: AtomicBool,
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

impl Pooled {
    /// Notes that no transaction is open, so that the next caller can use the connection.
    pub(crate) fn release(&self) {
        self.is_clean.store(true, Ordering::Relaxed);
    }
}

impl Deref for Pooled {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a connection until it is dropped")
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let is_open = self.is_clean.load(Ordering::Relaxed) && !self.shared.permits.is_closed();
        if let Some(connection) = self.connection.take().filter(|connection| is_open && connection.is_usable()) {
            self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }
}

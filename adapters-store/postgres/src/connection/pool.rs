//! A bounded pool of connections that one caller uses at a time.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grantry_domain::ports::StoreError;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::{Connection, Connector};
use crate::error::PgError;

/// How long a connection may be idle.
const LONGEST_IDLE: Duration = Duration::from_mins(10);

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
    /// Idle connections, and since when. The one that was used last is at the end.
    idle: Mutex<Vec<(Connection, Instant)>>,
}

impl Shared {
    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The one that was used last is in the caches of the server. Closed ones are dropped.
        while let Some((connection, _)) = idle.pop() {
            if connection.is_usable() {
                return Some(connection);
            }
        }
        None
    }

    /// Takes back a connection on which no transaction is open. Closes others that were idle for too long.
    fn put_idle(&self, connection: Connection) {
        if self.permits.is_closed() || !connection.is_usable() {
            return;
        }
        connection.set_limit(None);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < LONGEST_IDLE);
        idle.push((connection, Instant::now()));
    }

    fn close_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
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
        Ok(Pooled { connection: Some(connection), is_clean, shared: self.shared.clone(), permit: Some(permit) })
    }

    /// Closes idle connections and refuses callers from now on. A connection in use is closed when its caller is done.
    pub(crate) fn close(&self) {
        self.shared.permits.close();
        self.shared.close_idle();
    }

    /// The number of connections in use.
    pub(crate) fn in_use(&self) -> usize {
        self.shared.size - self.shared.permits.available_permits()
    }
}

/// A connection of the pool. Unless it was [released](Self::release), a transaction may be open when it is dropped: that of
/// a caller that was cancelled. The transaction is rolled back before another caller gets the connection or its permit.
pub(crate) struct Pooled {
    /// `None` only while it is dropped.
    connection: Option<Connection>,
    is_clean: AtomicBool,
    shared: Arc<Shared>,
    /// `None` only while it is dropped.
    permit: Option<OwnedSemaphorePermit>,
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
        let (Some(connection), permit) = (self.connection.take(), self.permit.take()) else { return };
        if connection.is_silent() {
            // The host may have vanished, and with it the server of the idle connections.
            self.shared.close_idle();
        }
        if self.is_clean.load(Ordering::Relaxed) || !connection.is_usable() {
            self.shared.put_idle(connection);
        } else if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(roll_back(connection, permit, self.shared.clone()));
        }
    }
}

/// Waits for the end of the statement that a cancelled caller left behind, and ends its transaction. The connection counts
/// as in use until then.
async fn roll_back(connection: Connection, permit: Option<OwnedSemaphorePermit>, shared: Arc<Shared>) {
    connection.set_limit(None);
    // If it takes too long, the statement is cancelled and the connection is closed.
    if connection.simple("ROLLBACK").await.is_ok() {
        shared.put_idle(connection);
    }
    drop(permit);
}

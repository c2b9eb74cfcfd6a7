//! Connections for reading: point reads on the caller's thread, long reads on a pool of threads.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;

use grantry_domain::ports::StoreError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::error::SqliteError;

/// A connection; `None` once the store is closed.
type Slot = Mutex<Option<Connection>>;

/// Connections for point reads on the caller's thread.
///
/// Such a read takes microseconds; passing it to another thread costs several times as much. A connection is locked for one
/// read, and there is one for each thread of the runtime, so that locks are rarely contended.
pub(crate) struct PointReaders {
    slots: Vec<Slot>,
    next: AtomicUsize,
}

impl PointReaders {
    /// Takes ownership of the connections; at least one is required.
    pub(crate) fn new(connections: Vec<Connection>) -> Self {
        Self { slots: connections.into_iter().map(|connection| Mutex::new(Some(connection))).collect(), next: 0.into() }
    }

    /// Reads on this thread.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, SqliteError>) -> Result<T, SqliteError> {
        let slot = self.free_slot();
        read(slot.as_ref().ok_or(StoreError::Unavailable)?)
    }

    /// The next free connection. If all are in use, the wait is as short as a read.
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

    /// Closes the connections; later reads are `Unavailable`.
    pub(crate) fn close(&self) {
        for slot in &self.slots {
            drop(slot.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

type Read = Box<dyn FnOnce(&Connection) + Send>;

enum Message {
    Read(Read),
    Close,
}

/// Threads for reads that may take long: lists, counts, and point reads that found the file locked.
pub(crate) struct ReaderPool {
    queue: mpsc::Sender<Message>,
    /// Returns `None` once every thread has closed its connection and ended.
    ended: tokio::sync::Mutex<mpsc::Receiver<Infallible>>,
}

impl ReaderPool {
    /// Starts one thread per connection.
    pub(crate) fn start(connections: Vec<Connection>, capacity: usize) -> Result<Self, StoreError> {
        let (queue, reads) = mpsc::channel(capacity.max(1));
        let reads = Arc::new(Mutex::new(reads));
        let (alive, ended) = mpsc::channel(1);
        for connection in connections {
            let (reads, alive) = (reads.clone(), alive.clone());
            thread::Builder::new()
                .name("grantry-sqlite-reader".to_owned())
                .spawn(move || {
                    serve(&reads, &connection);
                    drop(connection);
                    drop(alive);
                })
                .map_err(|_| StoreError::Unavailable)?;
        }
        Ok(Self { queue, ended: tokio::sync::Mutex::new(ended) })
    }

    /// Reads on one of the threads.
    pub(crate) async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, SqliteError> + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        // Sending fails if the caller was cancelled.
        let read: Read = Box::new(move |connection| drop(reply.send(read(connection))));
        self.queue.send(Message::Read(read)).await.map_err(|_| StoreError::Unavailable)?;
        Ok(result.await.map_err(|_| StoreError::Unavailable)??)
    }

    /// Ends the threads after the queued reads, and waits for them.
    pub(crate) async fn close(&self) {
        // An error means that it is closed already.
        drop(self.queue.send(Message::Close).await);
        while self.ended.lock().await.recv().await.is_some() {}
    }
}

fn serve(reads: &Mutex<mpsc::Receiver<Message>>, connection: &Connection) {
    loop {
        let mut queue = reads.lock().unwrap_or_else(PoisonError::into_inner);
        let message = queue.blocking_recv();
        match message {
            Some(Message::Read(read)) => {
                drop(queue);
                read(connection);
            }
            Some(Message::Close) => queue.close(),
            None => return,
        }
    }
}

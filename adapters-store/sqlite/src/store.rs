//! The store: one writer, readers beside it.

use std::fmt;
use std::sync::Arc;
use std::thread;

use grantry_domain::ports::{Clock, StoreError};
use grantry_domain::time::Timestamp;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::connection::{self, Lane, Readers};
use crate::fault::Fault;
use crate::options::SqliteOptions;
use crate::writer::{self, WriteCounts, Writer};

/// An open store on one file. Share it behind an `Arc`; [`close`](Self::close) it at the end.
///
/// Several processes may have the same file open.
pub struct SqliteStore {
    clock: Arc<dyn Clock>,
    deployment: [u8; 16],
    writer: Writer,
    readers: Readers,
    lane: Lane,
}

impl SqliteStore {
    /// Opens a file, or creates it with mode 0600, and brings its schema to the newest version.
    ///
    /// Fails with `Unusable` for a file that is damaged, another program's, or of a newer version, and with `Unavailable`
    /// while another process keeps it locked.
    pub async fn open(options: SqliteOptions) -> Result<Self, StoreError> {
        let (ready, opened) = oneshot::channel();
        // The thread that will write opens as well, so that nothing blocks the runtime.
        thread::Builder::new()
            .name("grantry-sqlite-writer".to_owned())
            .spawn(move || {
                let opened = match connection::open(&options) {
                    Ok(opened) => opened,
                    Err(fault) => return drop(ready.send(Err(fault.into()))),
                };
                let (writer, thread) = writer::writer(opened.writer, &options);
                let store = Lane::start(opened.listers, options.queue).map(|lane| Self {
                    clock: options.clock,
                    deployment: opened.deployment,
                    writer,
                    readers: Readers::new(opened.readers),
                    lane,
                });
                // If the caller has gone away the store is dropped here, which ends its threads.
                drop(ready.send(store));
                thread.run();
            })
            .map_err(|_| StoreError::Unavailable)?;
        opened.await.unwrap_or(Err(StoreError::Unavailable))
    }

    /// The id of the deployment this file belongs to, which stands in the associated data of every sealed record (R73).
    pub fn deployment_id(&self) -> [u8; 16] {
        self.deployment
    }

    /// Carries out the writes that are queued, empties the write-ahead log into the file and closes it. Whatever is asked
    /// afterwards is `Unavailable`.
    pub async fn close(&self) {
        self.readers.close();
        self.lane.close().await;
        self.writer.close().await;
    }

    /// How many writes there were, and how many commits they needed: for metrics.
    pub fn write_counts(&self) -> WriteCounts {
        self.writer.counts()
    }

    /// How many writes wait in the queue: for metrics.
    pub fn waiting_writes(&self) -> usize {
        self.writer.waiting()
    }

    pub(crate) fn clock(&self) -> Timestamp {
        self.clock.now()
    }

    /// Changes something, in a transaction that is locked from its start. Answers after the commit.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, Timestamp) -> Result<T, Fault> + Send + 'static,
    {
        self.writer.write(work).await
    }

    /// Reads a row or a few, on this thread. Only if the file is locked, as while another process recovers it, does the
    /// read move to a thread that may wait.
    pub(crate) async fn point_read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        match self.readers.read(&read) {
            Err(Fault::Busy) => self.lane.read(read).await,
            Ok(found) => Ok(found),
            Err(Fault::Store(error)) => Err(error),
        }
    }

    /// Reads as much as it takes, on a thread that may wait.
    pub(crate) async fn long_read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.lane.read(read).await
    }

    /// Asks the writer to empty the log, so that what was deleted is nowhere any more (R72).
    pub(crate) async fn checkpoint(&self) {
        self.writer.checkpoint().await;
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use grantry_testkit::doubles::{SeededRandom, TestClock};

    use super::*;

    async fn open(folder: &tempfile::TempDir) -> SqliteStore {
        let (clock, random) = (Arc::new(TestClock::default()), Arc::new(SeededRandom::new(1)));
        let options = SqliteOptions::new(folder.path().join("grantry.db"), clock, random);
        SqliteStore::open(options).await.unwrap()
    }

    fn thread_name() -> Option<String> {
        thread::current().name().map(str::to_owned)
    }

    #[tokio::test]
    async fn a_point_read_runs_here_and_one_that_meets_a_lock_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        assert_eq!(store.point_read(|_| Ok(thread_name())).await, Ok(thread_name()));

        let elsewhere = Some("grantry-sqlite-reader".to_owned());
        assert_eq!(store.long_read(|_| Ok(thread_name())).await, Ok(elsewhere.clone()));
        let met = AtomicBool::new(false);
        let meets_a_lock =
            move |_: &Connection| if met.swap(true, Ordering::SeqCst) { Ok(thread_name()) } else { Err(Fault::Busy) };
        assert_eq!(store.point_read(meets_a_lock).await, Ok(elsewhere));
    }

    #[tokio::test]
    async fn a_write_that_panics_takes_nobody_along() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        let insert = "INSERT INTO tombstones VALUES ('alice', 1)";
        let panics = move |connection: &Connection, _| -> Result<(), Fault> {
            connection.execute(insert, [])?;
            panic!("a bug");
        };
        assert_eq!(store.write(panics).await, Err(StoreError::Unavailable));
        // What it did is undone, so this row is not there yet.
        assert_eq!(store.write(move |connection, _| Ok(connection.execute(insert, [])?)).await, Ok(1));
    }
}

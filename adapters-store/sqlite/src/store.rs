//! The store: one writer, and readers in parallel to it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;

use async_trait::async_trait;
use grantry_domain::ports::{Clock, StoreClock, StoreError};
use grantry_domain::time::Timestamp;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::connection::{self, Opened, PointReaders, ReaderPool};
use crate::error::SqliteError;
use crate::files::OpenedFiles;
use crate::log::{self, Log};
use crate::options::SqliteOptions;
use crate::slice::Slice;
use crate::writer::{self, WriteCounts, Writer, WriterThread};

/// An open store on one file. Share it behind an `Arc`, and [`close`](Self::close) it at the end.
///
/// Several processes may have the same file open.
pub struct SqliteStore {
    clock: Arc<dyn Clock>,
    deployment: [u8; 16],
    files: OpenedFiles,
    /// Whether an access found the file unusable since the last probe.
    is_suspected: AtomicBool,
    /// The highest sequence number of an event that a probe found.
    highest_event: AtomicI64,
    sweep_slice: Slice,
    writer: Writer,
    log: Log,
    point_readers: PointReaders,
    reader_pool: ReaderPool,
}

impl SqliteStore {
    /// Opens a file, or creates it with mode 0600, and migrates its schema to the newest version.
    ///
    /// Fails with `Unusable` for a file that is damaged, of another program, or of a newer version, and with `Unavailable`
    /// while another process keeps it locked.
    pub async fn open(options: SqliteOptions) -> Result<Self, StoreError> {
        let (ready, opened) = oneshot::channel();
        // The thread that will write also opens the file, so that the runtime is not blocked.
        thread::Builder::new()
            .name("grantry-sqlite-writer".to_owned())
            .spawn(move || {
                let started = connection::open(&options).and_then(|opened| Self::start(opened, &options));
                match started {
                    Ok((store, writer)) => {
                        // If the caller was cancelled, the store is dropped here, which ends its threads.
                        drop(ready.send(Ok(store)));
                        writer.run();
                    }
                    Err(error) => drop(ready.send(Err(error.into()))),
                }
            })
            .map_err(|_| StoreError::Unavailable)?;
        opened.await.unwrap_or(Err(StoreError::Unavailable))
    }

    /// Starts the threads for reading and for copying the log. The caller runs the one that writes.
    fn start(mut opened: Opened, options: &SqliteOptions) -> Result<(Self, WriterThread), SqliteError> {
        let (log, log_thread) = log::log(opened.log, &mut opened.writer)?;
        let (writer, thread) = writer::writer(opened.writer, options);
        log_thread.start(writer.queue())?;
        let store = Self {
            clock: options.clock.clone(),
            deployment: opened.deployment,
            files: opened.files,
            is_suspected: AtomicBool::new(false),
            highest_event: AtomicI64::new(0),
            sweep_slice: Slice::default(),
            writer,
            log,
            point_readers: PointReaders::new(opened.point_readers),
            reader_pool: ReaderPool::start(opened.pool, options.queue)?,
        };
        Ok((store, thread))
    }

    /// The id of the deployment that this file belongs to. It is part of the associated data of every sealed record.
    pub fn deployment_id(&self) -> [u8; 16] {
        self.deployment
    }

    /// Performs the queued writes, empties the write-ahead log into the file and closes it. Later calls are `Unavailable`.
    pub async fn close(&self) {
        self.point_readers.close();
        self.reader_pool.close().await;
        self.log.close().await;
        self.writer.close().await;
    }

    /// The number of writes and of the commits they needed, for metrics.
    pub fn write_counts(&self) -> WriteCounts {
        self.writer.counts()
    }

    /// The number of writes in the queue, for metrics.
    pub fn waiting_writes(&self) -> usize {
        self.writer.waiting()
    }

    pub(crate) fn opened_files(&self) -> &OpenedFiles {
        &self.files
    }

    /// Lets the next probe check the content of the file.
    pub(crate) fn suspect(&self) {
        self.is_suspected.store(true, Ordering::Relaxed);
    }

    pub(crate) fn take_suspicion(&self) -> bool {
        self.is_suspected.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn highest_event(&self) -> &AtomicI64 {
        &self.highest_event
    }

    fn noted<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if matches!(outcome, Err(StoreError::Unusable(_))) {
            self.suspect();
        }
        outcome
    }

    pub(crate) fn clock(&self) -> Timestamp {
        self.clock.now()
    }

    /// Writes in a transaction that is locked from its start. Returns after the commit.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, Timestamp) -> Result<T, SqliteError> + Send + 'static,
    {
        self.noted(self.writer.write(work).await)
    }

    /// Reads a few rows on this thread. If the file is locked, as while another process recovers it, the read is repeated
    /// on a thread that may block.
    pub(crate) async fn point_read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, SqliteError> + Send + 'static,
    {
        self.noted(match self.point_readers.read(&read) {
            Err(SqliteError::Busy) => self.reader_pool.read(read).await,
            Ok(found) => Ok(found),
            Err(SqliteError::Store(error)) => Err(error),
        })
    }

    /// Reads any number of rows, on a thread that may block.
    pub(crate) async fn long_read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, SqliteError> + Send + 'static,
    {
        self.noted(self.reader_pool.read(read).await)
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn sweep_slice(&self) -> &Slice {
        &self.sweep_slice
    }
}

#[async_trait]
impl StoreClock for SqliteStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(self.clock())
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
    async fn a_point_read_runs_on_this_thread_unless_the_file_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        assert_eq!(store.point_read(|_| Ok(thread_name())).await, Ok(thread_name()));

        let pool_thread = Some("grantry-sqlite-reader".to_owned());
        assert_eq!(store.long_read(|_| Ok(thread_name())).await, Ok(pool_thread.clone()));
        let tried = AtomicBool::new(false);
        let locked_once = move |_: &Connection| {
            if tried.swap(true, Ordering::SeqCst) { Ok(thread_name()) } else { Err(SqliteError::Busy) }
        };
        assert_eq!(store.point_read(locked_once).await, Ok(pool_thread));
    }

    #[tokio::test]
    async fn a_write_that_panics_is_undone_and_the_writer_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        let insert = "INSERT INTO tombstones VALUES ('alice', 1)";
        let panics = move |connection: &Connection, _| -> Result<(), SqliteError> {
            connection.execute(insert, [])?;
            panic!("a bug");
        };
        assert_eq!(store.write(panics).await, Err(StoreError::Unavailable));
        // The insert before the panic is undone, so this one succeeds.
        assert_eq!(store.write(move |connection, _| Ok(connection.execute(insert, [])?)).await, Ok(1));
    }
}

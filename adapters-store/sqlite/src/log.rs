//! Copying the write-ahead log into the file.
//!
//! A separate thread copies it while others read and write. The writer copies what was added meanwhile, which is little, so that
//! its next transaction begins at the start of the log again. Otherwise a log that grows all the time would never end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;

use grantry_domain::ports::StoreError;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, DEFAULT_NAME, ErrorCode};
use tokio::sync::{mpsc, oneshot};

use crate::error::SqliteError;
use crate::writer::WriterQueue;

/// Pages that are added to the log before it is copied. A page that was written several times is copied once.
const PAGES: i32 = 4000;

/// Copies that are requested and not begun. More are not useful.
const REQUESTS: usize = 4;

/// At most how often the log is copied again because pages were added meanwhile. The last copy, of a few pages, then also waits for
/// the disk, so that the writer does not have to.
const PASSES: usize = 3;

/// How often emptying the log is tried. A read can prevent it.
const TRIES: usize = 3;

/// After how many failed copies in a row there is a warning.
const WARN_AFTER: u32 = 3;

enum Request {
    /// Copies the log if that is due.
    Copy(Option<oneshot::Sender<()>>),
    /// Copies the log, and lets the writer empty it.
    Empty(oneshot::Sender<()>),
    /// Ends the thread.
    Close(oneshot::Sender<()>),
}

/// The length of the log in pages.
#[derive(Default)]
struct Length {
    /// After the last commit.
    present: AtomicI32,
    /// When it was copied last.
    copied: AtomicI32,
    /// Whether a copy was requested by a commit and has not ended.
    is_requested: AtomicBool,
}

impl Length {
    /// Whether so much was added since the last copy that another one is due.
    fn is_due(&self) -> bool {
        let (present, copied) = (self.present.load(Ordering::Relaxed), self.copied.load(Ordering::Relaxed));
        // A log that is shorter than at the last copy has begun again.
        present - if present < copied { 0 } else { copied } >= PAGES
    }
}

/// The queue to the thread that copies the log.
#[derive(Clone)]
pub(crate) struct Log {
    requests: mpsc::Sender<Request>,
    length: Arc<Length>,
}

/// The state of the thread.
pub(crate) struct LogThread {
    connection: Connection,
    queue: mpsc::Receiver<Request>,
    length: Arc<Length>,
    /// Failed copies since the last one that did not fail.
    failures: u32,
}

/// Creates the queue and the state of the thread, and lets the commits of the writer request copies.
pub(crate) fn log(connection: Connection, writer: &mut Connection) -> Result<(Log, LogThread), SqliteError> {
    let (requests, queue) = mpsc::channel(REQUESTS);
    let log = Log { requests, length: Arc::default() };
    let of_commits = log.clone();
    writer.wal_hook(Some(move |_: &mut _, pages| {
        of_commits.committed(pages);
        Ok(())
    }))?;
    let thread = LogThread { connection, queue, length: log.length.clone(), failures: 0 };
    Ok((log, thread))
}

impl Log {
    /// Notes the length of the log after a commit.
    fn committed(&self, pages: i32) {
        self.length.present.store(pages, Ordering::Relaxed);
        if self.length.is_due()
            && !self.length.is_requested.swap(true, Ordering::Relaxed)
            && self.requests.try_send(Request::Copy(None)).is_err()
        {
            self.length.is_requested.store(false, Ordering::Relaxed);
        }
    }

    /// Waits until the log is copied, if it is long. A job that writes much calls this between its writes, so that it does not
    /// write faster than the disk can copy.
    pub(crate) async fn keep_short(&self) {
        if self.length.is_due() {
            self.request(|done| Request::Copy(Some(done))).await;
        }
    }

    /// Lets the log be emptied before any write that is queued after this, so that deleted data is in no file any more.
    pub(crate) async fn empty(&self) {
        self.request(Request::Empty).await;
    }

    /// Ends the thread.
    pub(crate) async fn close(&self) {
        self.request(Request::Close).await;
    }

    /// Waits until a request is done. Once the store is closed, there is nothing to do: closing empties the log.
    async fn request(&self, request: impl FnOnce(oneshot::Sender<()>) -> Request) {
        let (done, ended) = oneshot::channel();
        if self.requests.send(request(done)).await.is_ok() {
            drop(ended.await);
        }
    }
}

impl LogThread {
    /// Starts the thread. It ends when the store is closed or dropped.
    pub(crate) fn start(self, writer: WriterQueue) -> Result<(), StoreError> {
        let thread = thread::Builder::new().name("grantry-sqlite-log".to_owned());
        thread.spawn(move || self.run(&writer)).map(drop).map_err(|_| StoreError::Unavailable)
    }

    fn run(mut self, writer: &WriterQueue) {
        while let Some(request) = self.queue.blocking_recv() {
            let done = match request {
                Request::Copy(done) => {
                    // A commit and a job may have requested the same copy.
                    if self.length.is_due() && self.copy() {
                        writer.checkpoint(CheckpointMode::PASSIVE);
                    }
                    done
                }
                Request::Empty(done) => {
                    self.copy();
                    // The last try also ends the loop.
                    (0..TRIES).find(|_| writer.checkpoint(CheckpointMode::TRUNCATE));
                    Some(done)
                }
                Request::Close(done) => {
                    drop(self.connection);
                    // The caller may have been cancelled.
                    let _ = done.send(());
                    return;
                }
            };
            self.length.is_requested.store(false, Ordering::Relaxed);
            if let Some(done) = done {
                let _ = done.send(());
            }
        }
    }

    /// Copies what no reader prevents from being copied. Returns whether so few pages are left that the writer can copy them.
    fn copy(&mut self) -> bool {
        for _ in 0..PASSES {
            match self.connection.wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::PASSIVE) {
                Ok((pages, copied)) if pages >= 0 => {
                    self.failures = 0;
                    self.length.copied.store(pages, Ordering::Relaxed);
                    if pages - copied >= PAGES / 8 {
                        return false;
                    }
                    if self.length.present.load(Ordering::Relaxed) <= pages {
                        break;
                    }
                }
                // Another process is copying.
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                    self.try_again_later();
                    return false;
                }
                failed => {
                    self.failed(failed.err());
                    return false;
                }
            }
        }
        true
    }

    /// The next copy is due when as much was added again, not after the next commit.
    fn try_again_later(&self) {
        self.length.copied.store(self.length.present.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn failed(&mut self, error: Option<rusqlite::Error>) {
        self.try_again_later();
        self.failures = self.failures.saturating_add(1);
        let error = error.map(SqliteError::from);
        if self.failures == WARN_AFTER {
            tracing::warn!(?error, "the log of the database cannot be copied into the file, and grows");
        } else {
            tracing::debug!(?error, "the log of the database was not copied");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use grantry_testkit::doubles::{SeededRandom, TestClock};

    use super::*;
    use crate::{SqliteOptions, SqliteStore};

    const PAGE: i32 = 4096;

    fn options(folder: &tempfile::TempDir) -> SqliteOptions {
        let (clock, random) = (Arc::new(TestClock::default()), Arc::new(SeededRandom::new(1)));
        SqliteOptions::new(folder.path().join("grantry.db"), clock, random)
    }

    /// Writes a quarter of the pages after which a copy is due.
    fn write(connection: &Connection, number: i32) -> Result<u64, SqliteError> {
        let insert = "INSERT OR REPLACE INTO tombstones SELECT ?1 || value || hex(zeroblob(2000)), 1 \
             FROM (WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < ?2) \
             SELECT value FROM n)";
        crate::sql::execute(connection, insert, [number, PAGES / 4])
    }

    fn bytes(folder: &tempfile::TempDir, file: &str) -> u64 {
        std::fs::metadata(folder.path().join(file)).unwrap().len()
    }

    fn of_pages(pages: i32) -> u64 {
        u64::try_from(pages * PAGE).unwrap()
    }

    #[tokio::test]
    async fn the_log_begins_again_whether_or_not_a_job_waits_for_that() {
        for waits in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(options(&folder)).await.unwrap();
            for number in 0..20 {
                if waits {
                    store.log().keep_short().await;
                }
                store.write(move |connection, _| write(connection, number)).await.unwrap();
            }
            let (log, most) = (bytes(&folder, "grantry.db-wal"), of_pages(PAGES * if waits { 2 } else { 4 }));
            assert!(log > of_pages(PAGES / 4) && log < most, "{log} of at most {most}");
            store.log().empty().await;
            assert_eq!(bytes(&folder, "grantry.db-wal"), 0);
            store.close().await;
        }
    }

    #[test]
    fn the_thread_copies_without_the_writer_and_leaves_much_to_a_later_copy() {
        let folder = tempfile::tempdir().unwrap();
        let mut opened = crate::connection::open(&options(&folder)).unwrap();
        let (log, mut thread) = log(opened.log, &mut opened.writer).unwrap();
        for number in 0..4 {
            write(&opened.writer, number).unwrap();
        }
        assert!(log.length.is_due());
        let before = bytes(&folder, "grantry.db");
        assert!(thread.copy());
        assert!(bytes(&folder, "grantry.db") >= before + of_pages(PAGES), "the pages are in the file");
        assert!(!log.length.is_due());

        // A reader prevents the copy of what is written after its start.
        let reader = opened.pool.first().unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM tombstones").unwrap();
        for number in 4..8 {
            write(&opened.writer, number).unwrap();
        }
        assert!(!thread.copy(), "the writer would copy all of it");
        assert!(!log.length.is_due(), "the next commit does not request a copy");
        reader.execute_batch("COMMIT").unwrap();
        assert!(thread.copy());
    }

    #[test]
    fn a_failed_copy_is_not_repeated_after_each_commit() {
        let folder = tempfile::tempdir().unwrap();
        let mut opened = crate::connection::open(&options(&folder)).unwrap();
        let (log, mut thread) = log(Connection::open_in_memory().unwrap(), &mut opened.writer).unwrap();
        for number in 0..4 {
            write(&opened.writer, number).unwrap();
        }
        assert!(log.length.is_due());
        assert!(!thread.copy());
        assert_eq!(thread.failures, 1);
        assert!(!log.length.is_due());
    }

    #[test]
    fn a_copy_is_due_after_a_number_of_pages_in_the_present_log() {
        let length = |present, copied| Length {
            present: AtomicI32::new(present),
            copied: AtomicI32::new(copied),
            is_requested: AtomicBool::new(false),
        };
        for (present, copied, is_due) in [
            (0, 0, false),
            (PAGES - 1, 0, false),
            (PAGES, 0, true),
            (PAGES + 10, PAGES, false),
            (2 * PAGES, PAGES, true),
            (10, PAGES, false),
            (PAGES, 2 * PAGES, true),
        ] {
            assert_eq!(length(present, copied).is_due(), is_due, "{present} {copied}");
        }
    }
}

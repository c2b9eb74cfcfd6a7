//! Options for opening a store.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use grantry_domain::ports::{Clock, SecureRandom};

/// Options of [`SqliteStore::open`](crate::SqliteStore::open), with defaults from [`SqliteOptions::new`].
#[derive(Clone)]
pub struct SqliteOptions {
    /// The file; its folder must exist. The driver creates `-wal` and `-shm` beside it.
    pub path: PathBuf,
    /// The clock of every comparison, which `StoreClock::now` returns.
    pub clock: Arc<dyn Clock>,
    /// Draws the deployment id when the file is new.
    pub random: Arc<dyn SecureRandom>,
    /// The deployment id that a new file gets and an existing one must have. `None`: drawn for a new file, and not compared.
    pub deployment_id: Option<[u8; 16]>,
    /// Connections for point reads: one per thread of the runtime.
    pub readers: usize,
    /// Threads for reads that may take long, with one connection each.
    pub pool_threads: usize,
    /// How long a write waits for the lock of another process before it is `Unavailable`.
    pub busy_timeout: Duration,
    /// Capacity of the queue of writes; callers wait for space.
    pub queue: usize,
    /// At most this many writes share one commit.
    pub group: usize,
    /// Largest size of the file in pages of 4 KiB; `None`: limited by the disk.
    pub max_pages: Option<u32>,
}

impl SqliteOptions {
    /// The default options for a file.
    pub fn new(path: impl Into<PathBuf>, clock: Arc<dyn Clock>, random: Arc<dyn SecureRandom>) -> Self {
        let readers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(16);
        Self {
            path: path.into(),
            clock,
            random,
            deployment_id: None,
            readers,
            pool_threads: 2,
            busy_timeout: Duration::from_secs(5),
            queue: 1024,
            group: 128,
            max_pages: None,
        }
    }
}

impl fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteOptions")
            .field("path", &self.path)
            .field("readers", &self.readers)
            .field("pool_threads", &self.pool_threads)
            .field("busy_timeout", &self.busy_timeout)
            .field("queue", &self.queue)
            .field("group", &self.group)
            .field("max_pages", &self.max_pages)
            .finish_non_exhaustive()
    }
}

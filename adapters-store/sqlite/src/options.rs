//! How a store is opened.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use grantry_domain::ports::{Clock, SecureRandom};

/// What [`SqliteStore::open`](crate::SqliteStore::open) needs to know. Start from [`SqliteOptions::new`].
#[derive(Clone)]
pub struct SqliteOptions {
    /// The file; its folder must exist. Beside it appear `-wal` and `-shm`.
    pub path: PathBuf,
    /// The clock of every comparison, and what `AuthorizationStore::now` answers.
    pub clock: Arc<dyn Clock>,
    /// Draws the deployment id when the file is new.
    pub random: Arc<dyn SecureRandom>,
    /// The deployment id a new file gets, and an old one must have. `None`: drawn, and whatever it is.
    pub deployment_id: Option<[u8; 16]>,
    /// Connections for point reads; as many as threads of the runtime is right.
    pub readers: usize,
    /// Threads with a connection each for reads that may take long.
    pub listers: usize,
    /// How long a write waits for another process, before it is `Unavailable`.
    pub busy_timeout: Duration,
    /// Writes that may wait in the queue before callers wait themselves.
    pub queue: usize,
    /// Writes that share one commit at most.
    pub group: usize,
    /// Largest size of the file in pages of 4 KiB; `None`: as large as the disk.
    pub max_pages: Option<u32>,
}

impl SqliteOptions {
    /// The usual options for a file.
    pub fn new(path: impl Into<PathBuf>, clock: Arc<dyn Clock>, random: Arc<dyn SecureRandom>) -> Self {
        let readers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(16);
        Self {
            path: path.into(),
            clock,
            random,
            deployment_id: None,
            readers,
            listers: 2,
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
            .field("listers", &self.listers)
            .field("busy_timeout", &self.busy_timeout)
            .field("queue", &self.queue)
            .field("group", &self.group)
            .field("max_pages", &self.max_pages)
            .finish_non_exhaustive()
    }
}

//! Whether the store can be written, and whether its files are still those that were opened.
//!
//! An open file can be deleted or replaced. Reads and writes then go on without an error, and everything written is lost.

use std::fs;
use std::path::{Path, PathBuf};

use grantry_domain::ports::StoreError;
use rusqlite::Connection;

use crate::connection::with_suffix;
use crate::error::SqliteError;
use crate::sql;
use crate::store::SqliteStore;

/// Why the store cannot be relied on. The texts are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    /// The database, its log or the index of the log was deleted. A file that is moved back ends the fault.
    FileMissing,
    /// There is another file in the place of one of them.
    FileReplaced,
    /// The content was replaced by that of another deployment.
    OtherDeployment,
    /// Reading fails.
    NotReadable,
    /// Writing fails: the disk is full, or the file is locked or read-only.
    NotWritable,
}

impl StoreFault {
    /// The stable text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FileMissing => "store file missing",
            Self::FileReplaced => "store file replaced",
            Self::OtherDeployment => "store of another deployment",
            Self::NotReadable => "store not readable",
            Self::NotWritable => "store not writable",
        }
    }
}

/// Device and inode of an open file.
type Identity = (u64, u64);

/// The files as they were when the store was opened.
#[derive(Debug, Clone)]
pub(crate) struct OpenedFiles(Vec<(PathBuf, Option<Identity>)>);

impl OpenedFiles {
    pub(crate) fn of(database: &Path) -> Self {
        let paths = ["", "-wal", "-shm"].map(|suffix| with_suffix(database, suffix));
        Self(paths.into_iter().map(|path| (path.clone(), identity(&path))).collect())
    }

    /// Compares them with what is there now. A file that did not exist then is not compared.
    fn check(&self) -> Result<(), StoreFault> {
        for (path, opened) in &self.0 {
            match (opened, identity(path)) {
                (None, _) => {}
                (Some(_), None) => return Err(StoreFault::FileMissing),
                (Some(opened), Some(found)) if *opened == found => {}
                (Some(_), Some(_)) => return Err(StoreFault::FileReplaced),
            }
        }
        Ok(())
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;

    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Elsewhere only the existence is compared.
#[cfg(not(unix))]
fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|_| (0, 0))
}

impl SqliteStore {
    /// Checks the files and the deployment id, then commits a write. Nothing that another process can read changes.
    pub async fn probe(&self) -> Result<(), StoreFault> {
        let (files, deployment) = (self.opened_files().clone(), self.deployment_id());
        let read = self.long_read(move |connection| {
            if let Err(fault) = files.check() {
                return Ok(Err(fault));
            }
            let id = sql::first(connection, "SELECT id FROM deployment", [], |row| Ok(row.get::<_, [u8; 16]>(0)?))?;
            Ok(if id == Some(deployment) { Ok(()) } else { Err(StoreFault::OtherDeployment) })
        });
        read.await.map_err(|_: StoreError| StoreFault::NotReadable)??;
        self.write(|connection, now| write_row(connection, now.as_millis()))
            .await
            .map_err(|_: StoreError| StoreFault::NotWritable)
    }
}

/// Writes a row and removes it, so that the commit has changed pages to store. The empty text is the id of no user.
fn write_row(connection: &Connection, at: i64) -> Result<(), SqliteError> {
    sql::execute(connection, "INSERT INTO tombstones VALUES ('', ?1)", [at])?;
    sql::execute(connection, "DELETE FROM tombstones WHERE user = ''", [])?;
    Ok(())
}

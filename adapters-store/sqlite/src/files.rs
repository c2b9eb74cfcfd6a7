//! The files of a database, and whether they are still those that were opened.
//!
//! An open file can be deleted or replaced. Reads and writes then go on without an error, and everything written is lost.

use std::fs;
use std::path::{Path, PathBuf};

/// Why the store cannot be relied on. The texts are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    /// The database, its log or the index of the log was deleted. A file that is moved back ends the fault.
    FileMissing,
    /// There is another file in the place of one of them.
    FileReplaced,
    /// The content was replaced by that of another deployment.
    OtherDeployment,
    /// A table, a column or an index is missing, or there is a trigger.
    SchemaChanged,
    /// The content is damaged: cut off, or overwritten in part.
    Damaged,
    /// The content was replaced by an older one of the same deployment. Lasts until the store is opened again.
    Older,
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
            Self::SchemaChanged => "store schema changed",
            Self::Damaged => "store damaged",
            Self::Older => "store content is older",
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

    /// The path of the database.
    pub(crate) fn database(&self) -> Option<&Path> {
        self.0.first().map(|(path, _)| path.as_path())
    }

    /// Compares them with what is there now. A file that did not exist then is not compared.
    pub(crate) fn check(&self) -> Result<(), StoreFault> {
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

/// The path of a file beside the database.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

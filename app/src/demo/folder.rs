//! The folder of a demo: a mark with its version, the configuration, the key, the database and the state of the provider.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::demo::DemoError;
use crate::key_file;

/// The version of the folder's format. Folders of another version are refused.
const VERSION: u32 = 1;
const MARK: &str = "demo.toml";
const CONFIG: &str = "grantry.toml";
/// The key of the demo.
pub(super) const KEY: &str = "primary.key";
/// The database of the demo.
pub(super) const DATABASE: &str = "grantry.db";
const PROVIDER: &str = "provider.json";
/// Every file that the demo writes; `--fresh` removes these and no others. The mark is last, so that a folder that was removed
/// in part is still recognized.
const FILES: [&str; 8] = [CONFIG, KEY, DATABASE, "grantry.db-wal", "grantry.db-shm", PROVIDER, "provider.new", MARK];

/// A writable folder of the demo.
pub(super) struct Folder {
    path: PathBuf,
    mark: Mark,
}

/// Marks a folder as one of the demo.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Mark {
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_port: Option<u16>,
}

impl Folder {
    /// Opens a folder, and creates it if it does not exist. With `fresh`, the files of an earlier demo are removed first.
    pub(super) fn open(path: &Path, fresh: bool) -> Result<Self, DemoError> {
        fs::create_dir_all(path).map_err(|error| failed(path, "created", &error))?;
        let mut mark = read_mark(path)?;
        if fresh && mark.is_some() {
            remove_all(path)?;
            mark = None;
        }
        let mark = match mark {
            Some(mark) if mark.version == VERSION => mark,
            Some(_) => return Err(DemoError::OtherVersion(path.to_owned())),
            None if is_empty(path)? => Mark { version: VERSION, ..Mark::default() },
            None => return Err(DemoError::Foreign(path.to_owned())),
        };
        let folder = Self { path: path.to_owned(), mark };
        folder.write_mark(&folder.mark)?;
        let key = folder.path.join(KEY);
        if !key.exists() {
            key_file::write_new(&key)?;
        }
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The server's port of the last start.
    pub(super) fn port(&self) -> Option<u16> {
        self.mark.port
    }

    /// The provider's port of the last start, which the connectors contain.
    pub(super) fn provider_port(&self) -> Option<u16> {
        self.mark.provider_port
    }

    /// The file with the state of the provider.
    pub(super) fn provider_state(&self) -> PathBuf {
        self.path.join(PROVIDER)
    }

    pub(super) fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// The configuration, if it exists.
    pub(super) fn read_config(&self) -> Result<Option<String>, DemoError> {
        read(&self.config_path())
    }

    /// Writes the configuration and returns its text.
    pub(super) fn write_config(&self, text: &str) -> Result<String, DemoError> {
        write(&self.config_path(), text)?;
        Ok(text.to_owned())
    }

    /// Writes the ports for the next start.
    pub(super) fn write_ports(&self, port: u16, provider_port: u16) -> Result<(), DemoError> {
        self.write_mark(&Mark { version: VERSION, port: Some(port), provider_port: Some(provider_port) })
    }

    fn write_mark(&self, mark: &Mark) -> Result<(), DemoError> {
        let numbers = toml::to_string(mark).unwrap_or_default();
        let text = format!("# A folder of `grantry demo`. Remove it when you are done.\n{numbers}");
        write(&self.path.join(MARK), &text)
    }
}

fn read_mark(path: &Path) -> Result<Option<Mark>, DemoError> {
    let Some(text) = read(&path.join(MARK))? else { return Ok(None) };
    // A mark that does not parse belongs to a later version.
    Ok(Some(toml::from_str(&text).unwrap_or_default()))
}

fn remove_all(path: &Path) -> Result<(), DemoError> {
    for name in FILES {
        let file = path.join(name);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&file, "removed", &error)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn is_empty(path: &Path) -> Result<bool, DemoError> {
    let mut entries = fs::read_dir(path).map_err(|error| failed(path, "read", &error))?;
    Ok(entries.next().is_none())
}

fn read(path: &Path) -> Result<Option<String>, DemoError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, "read", &error)),
    }
}

/// Writes a file with mode 0600: the configuration contains password hashes.
fn write(path: &Path, text: &str) -> Result<(), DemoError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| failed(path, "written", &error))
}

fn failed(path: &Path, what: &'static str, error: &io::Error) -> DemoError {
    DemoError::Folder { path: path.to_owned(), what, kind: error.kind() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_created_marked_and_recognized() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("demo");
        let folder = Folder::open(&path, false).unwrap();
        assert_eq!((folder.port(), folder.provider_port()), (None, None));
        folder.write_ports(9000, 9001).unwrap();
        let key = fs::read(path.join(KEY)).unwrap();
        let again = Folder::open(&path, false).unwrap();
        assert_eq!((again.port(), again.provider_port()), (Some(9000), Some(9001)));
        assert_eq!(fs::read(path.join(KEY)).unwrap(), key);
        let fresh = Folder::open(&path, true).unwrap();
        assert_eq!(fresh.port(), None);
        assert_ne!(fs::read(path.join(KEY)).unwrap(), key);
    }

    #[cfg(unix)]
    #[test]
    fn r75_the_files_of_the_demo_are_private_to_their_owner() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::open(parent.path(), false).unwrap();
        folder.write_config("x = 1").unwrap();
        for name in [KEY, CONFIG, MARK] {
            let mode = fs::metadata(parent.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn other_folders_and_other_versions_are_not_changed() {
        let parent = tempfile::tempdir().unwrap();
        let foreign = parent.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("thesis.txt"), "mine").unwrap();
        for fresh in [false, true] {
            assert!(matches!(Folder::open(&foreign, fresh), Err(DemoError::Foreign(_))));
        }
        assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);

        let newer = parent.path().join("newer");
        fs::create_dir(&newer).unwrap();
        for mark in ["version = 2\nport = 1", "not a mark"] {
            fs::write(newer.join(MARK), mark).unwrap();
            assert!(matches!(Folder::open(&newer, false), Err(DemoError::OtherVersion(_))), "{mark}");
        }
        fs::write(newer.join("kept.txt"), "mine").unwrap();
        assert!(matches!(Folder::open(&newer, true), Err(DemoError::Foreign(_))), "files of others are never removed");
        assert!(newer.join("kept.txt").exists());

        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        let refused = Folder::open(&file, false).err().unwrap().to_string();
        assert!(refused.contains("cannot be created") && refused.contains("--data"), "{refused}");
    }
}

//! The JSON file that keeps the state of a provider across restarts.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use super::builder::StartError;
use super::state::State;

/// Where the state is stored; without a path, it is not written.
#[derive(Debug)]
pub(super) struct StateFile {
    path: Option<PathBuf>,
}

impl StateFile {
    /// Reads the state, or returns an empty one if there is no file.
    pub(super) fn open(path: Option<PathBuf>) -> Result<(Self, State), StartError> {
        let Some(path) = path else {
            return Ok((Self { path: None }, State::default()));
        };
        let state = match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|_damaged| StartError::StateDamaged { path: path.clone() })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(error) => {
                return Err(StartError::StateFile { path, kind: error.kind() });
            }
        };
        Ok((Self { path: Some(path) }, state))
    }

    /// Whether a path is set.
    pub(super) const fn is_kept(&self) -> bool {
        self.path.is_some()
    }

    /// Replaces the file atomically: a reader, or the next start, finds the old state or the new one.
    pub(super) fn save(&self, state: &State) -> Result<(), StartError> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let write = || {
            let new = path.with_extension("new");
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&serde_json::to_vec(state)?)?;
            drop(file);
            fs::rename(&new, path)
        };
        write().map_err(|error| StartError::StateFile { path: path.clone(), kind: error.kind() })
    }
}

//! The source of a root key: a file that only its owner can read, or the environment.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::root_key::{KeyError, RootKey};

/// A key file contains 44 characters and a line end. A file that fills this buffer is not a key file.
const FILE_BUFFER: usize = 64;

/// The source of a root key, as written in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// `file:PATH`: a file with mode 0600 or stricter.
    File(PathBuf),
    /// `env:NAME`: an environment variable.
    Environment(String),
}

impl KeySource {
    /// Reads `file:PATH` or `env:NAME`. A key in place of its source is refused; the error does not repeat it.
    pub fn parse(text: &str) -> Result<Self, KeySourceError> {
        let (kind, place) = text.split_once(':').ok_or(KeySourceError::Malformed)?;
        if place.is_empty() || RootKey::parse(place.as_bytes()).is_ok() {
            return Err(KeySourceError::Malformed);
        }
        match kind {
            "file" => Ok(Self::File(PathBuf::from(place))),
            "env" if is_variable_name(place) => Ok(Self::Environment(place.to_owned())),
            _ => Err(KeySourceError::Malformed),
        }
    }

    /// Loads the key. A relative path is resolved against `folder`.
    pub fn load(&self, folder: &Path) -> Result<RootKey, KeySourceError> {
        self.load_with(folder, |name| std::env::var_os(name))
    }

    /// As [`load`](Self::load), with the environment as an argument: tests cannot change it within one process.
    pub(crate) fn load_with(
        &self,
        folder: &Path,
        variable: impl FnOnce(&str) -> Option<OsString>,
    ) -> Result<RootKey, KeySourceError> {
        let text = self.text(folder, variable)?;
        RootKey::parse(&text).map_err(|error| KeySourceError::Unusable(self.clone(), error))
    }

    /// Loads the key as it is written: for a secret that clients present as text.
    pub fn load_text(&self, folder: &Path) -> Result<Zeroizing<String>, KeySourceError> {
        let text = self.text(folder, |name| std::env::var_os(name))?;
        RootKey::parse(&text).map_err(|error| KeySourceError::Unusable(self.clone(), error))?;
        // A key is base64, so nothing is lost.
        Ok(Zeroizing::new(String::from_utf8_lossy(text.trim_ascii()).into_owned()))
    }

    fn text(
        &self,
        folder: &Path,
        variable: impl FnOnce(&str) -> Option<OsString>,
    ) -> Result<Zeroizing<Vec<u8>>, KeySourceError> {
        match self {
            Self::File(path) => {
                let mut buffer = Zeroizing::new([0; FILE_BUFFER]);
                Ok(Zeroizing::new(self.read(&folder.join(path), &mut buffer)?.to_vec()))
            }
            Self::Environment(name) => {
                let value = variable(name).filter(|value| !value.is_empty());
                Ok(Zeroizing::new(value.ok_or_else(|| KeySourceError::Missing(self.clone()))?.into_encoded_bytes()))
            }
        }
    }

    /// Reads a file into a buffer that never grows, after checking the mode of the opened file.
    fn read<'b>(&self, path: &Path, buffer: &'b mut [u8; FILE_BUFFER]) -> Result<&'b [u8], KeySourceError> {
        let failed = |error: io::Error| {
            let kind = error.kind();
            if kind == io::ErrorKind::NotFound {
                KeySourceError::Missing(self.clone())
            } else {
                KeySourceError::Unreadable(self.clone(), kind)
            }
        };
        let mut file = File::open(path).map_err(failed)?;
        let mode = permissions(&file).map_err(failed)?;
        if mode & 0o077 != 0 {
            return Err(KeySourceError::Exposed(self.clone(), mode));
        }
        let mut length = 0;
        loop {
            match file.read(&mut buffer[length..]) {
                Ok(0) => return Ok(&buffer[..length]),
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Environment(name) => write!(f, "env:{name}"),
        }
    }
}

fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(unix)]
fn permissions(file: &File) -> io::Result<u32> {
    use std::os::unix::fs::PermissionsExt;
    Ok(file.metadata()?.permissions().mode() & 0o777)
}

/// On other systems access lists protect the file; they are not checked.
#[cfg(not(unix))]
fn permissions(_: &File) -> io::Result<u32> {
    Ok(0o600)
}

/// Why a key was not loaded. Names the source and the remedy, never any content.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeySourceError {
    /// Neither `file:PATH` nor `env:NAME`. It may be the key itself, so the error repeats none of it.
    #[error("a key is configured as `file:PATH` or `env:NAME`, never as the key itself")]
    Malformed,
    /// No such file or variable.
    #[error("there is no key at `{0}`; make one there with `grantry keys generate`")]
    Missing(KeySource),
    /// A file that cannot be read.
    #[error("the key at `{0}` cannot be read ({1}); make it readable for this process only")]
    Unreadable(KeySource, io::ErrorKind),
    /// A file that other users can read.
    #[error("the key at `{0}` is open to other users (mode {1:04o}); set its mode to 0600")]
    Exposed(KeySource, u32),
    /// Content that is not a usable key.
    #[error("the key at `{0}` is refused: {1}")]
    Unusable(KeySource, KeyError),
}

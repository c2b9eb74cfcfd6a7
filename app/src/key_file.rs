//! Making a key in a file of its own.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use grantry_crypto_aes_gcm::{KeyError, Keyring, KeyringError, RootKey};
use grantry_domain::ports::{KeyId, RandomUnavailable};
use grantry_runtime::SystemRandom;
use thiserror::Error;

/// Why no key was made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// There is a file already, and it may hold the only key that opens what is stored.
    #[error("{} exists and is not replaced; choose another file", .0.display())]
    Exists(PathBuf),
    /// The file cannot be written.
    #[error("{} cannot be written ({kind}); choose another file", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        kind: io::ErrorKind,
    },
    /// There is no randomness.
    #[error(transparent)]
    SecureRandom(#[from] RandomUnavailable),
    /// What was made is no key, which cannot be.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// As before.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}

/// Makes a key in a new file with mode 0600; answers its id.
pub fn write_new(path: &Path) -> Result<KeyId, KeyFileError> {
    let text = RootKey::generate(&SystemRandom)?;
    let id = Keyring::new(&RootKey::parse(text.as_bytes())?, &[])?.write_key();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    });
    match written {
        Ok(()) => Ok(id),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(KeyFileError::Exists(path.to_owned())),
        Err(error) => Err(KeyFileError::Unwritable { path: path.to_owned(), kind: error.kind() }),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn r75_a_new_key_file_is_for_its_owner_alone_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("primary.key");
        write_new(&path).unwrap();
        let first = std::fs::read(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(RootKey::parse(&first).is_ok());
        assert!(matches!(write_new(&path), Err(KeyFileError::Exists(_))));
        assert_eq!(std::fs::read(&path).unwrap(), first);
        let other = folder.path().join("other.key");
        write_new(&other).unwrap();
        assert_ne!(std::fs::read(&other).unwrap(), first);
    }
}

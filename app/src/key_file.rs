//! Writes a new key file.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use grantry_crypto_aes_gcm::{KeyError, Keyring, KeyringError, RootKey};
use grantry_domain::ports::{KeyId, RandomUnavailable};
use grantry_runtime::SystemRandom;
use thiserror::Error;

/// Why no key was written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file exists. It may contain the only key that opens the stored records.
    #[error("{} exists and is not replaced; choose another file", .0.display())]
    Exists(PathBuf),
    /// The file cannot be written.
    #[error("{} cannot be written ({kind}); choose another file", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        kind: io::ErrorKind,
    },
    /// No secure randomness is available.
    #[error(transparent)]
    SecureRandom(#[from] RandomUnavailable),
    /// The generated key is not valid. This does not happen.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The generated key makes no keyring. This does not happen.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}

/// Writes a random key to a new file with mode 0600. Returns the id of the key.
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
    fn r75_a_new_key_file_is_private_to_its_owner_and_replaces_nothing() {
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

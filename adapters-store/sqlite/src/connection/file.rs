//! Restricts the files of the database to their owner.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;

use grantry_domain::ports::StoreError;

use crate::error::{SqliteError, unusable};
use crate::files::with_suffix;

/// Creates the file with mode 0600, or restricts an existing one that other users can read. The driver gives `-wal` and
/// `-shm` the mode of the file; existing ones are restricted as well.
pub(crate) fn guard(path: &Path) -> Result<(), SqliteError> {
    match create(path) {
        Ok(()) => return Ok(()),
        Err(ErrorKind::AlreadyExists) => {}
        Err(ErrorKind::NotFound) => return Err(unusable("the folder of the database does not exist")),
        Err(ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
            return Err(unusable("the folder of the database cannot be written"));
        }
        Err(_) => return Err(StoreError::Unavailable.into()),
    }
    if !fs::metadata(path).is_ok_and(|found| found.is_file()) {
        return Err(unusable("the path of the database is not that of a file"));
    }
    for suffix in ["", "-wal", "-shm", "-journal"] {
        restrict(&with_suffix(path, suffix))?;
    }
    Ok(())
}

fn create(path: &Path) -> Result<(), ErrorKind> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|error| error.kind())
}

#[cfg(unix)]
fn restrict(path: &Path) -> Result<(), SqliteError> {
    use std::os::unix::fs::PermissionsExt;

    let Ok(found) = fs::metadata(path) else { return Ok(()) };
    let others = found.permissions().mode() & 0o077;
    if others == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .map_err(|_| unusable("the database file is open to other users and its mode cannot be changed to 0600"))?;
    tracing::warn!("the database file was open to other users; its mode is 0600 now");
    Ok(())
}

#[cfg(not(unix))]
fn restrict(_: &Path) -> Result<(), SqliteError> {
    Ok(())
}

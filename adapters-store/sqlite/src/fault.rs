//! What the driver's errors mean to the ports. Their texts may quote rows and paths, so none of them is kept (R78).

use grantry_domain::ports::StoreError;
use rusqlite::ErrorCode;

/// Why a statement or a row reader did not get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Somebody else holds the lock; kept apart because a reader may then wait on a thread that is allowed to.
    Busy,
    /// Anything else, in the words of the ports.
    Store(StoreError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Busy => Self::Unavailable,
            Fault::Store(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let Some(error) = error.sqlite_error() else {
            return inconsistent("database", "a column holds what it declares");
        };
        let fault = match error.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => Self::Busy,
            ErrorCode::NotADatabase => unusable("the file is not a database"),
            ErrorCode::DatabaseCorrupt => unusable("the database file is damaged; restore it from a backup"),
            ErrorCode::ReadOnly => unusable("the database file cannot be written"),
            ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => {
                unusable("the database file cannot be accessed with the permissions of this process")
            }
            ErrorCode::Unknown | ErrorCode::TypeMismatch | ErrorCode::ApiMisuse | ErrorCode::ParameterOutOfRange => {
                unusable("the database does not have the expected tables")
            }
            ErrorCode::ConstraintViolation => inconsistent("database", "a unique key or a check of the schema"),
            ErrorCode::TooBig => inconsistent("database", "a value is not larger than the limit"),
            // Full disk, input and output errors, too many files or too little memory: may be over in a while.
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted
            | ErrorCode::OperationAborted
            | ErrorCode::SchemaChanged
            | ErrorCode::InternalMalfunction
            | ErrorCode::NotFound
            | ErrorCode::NoLargeFileSupport
            | _ => Self::Store(StoreError::Unavailable),
        };
        tracing::debug!(code = error.extended_code, "a statement of the database failed");
        fault
    }
}

/// A database that cannot be used; the words are for the operator.
pub(crate) fn unusable(why: &'static str) -> Fault {
    Fault::Store(StoreError::Unusable(why))
}

/// A row that no run of this program has written.
pub(crate) fn inconsistent(table: &'static str, rule: &'static str) -> Fault {
    Fault::Store(StoreError::Inconsistent { table, rule })
}

/// What a failed `COMMIT` means. A full disk or a lock stopped it before anything was written; after any other failure the
/// commit may or may not be found in the log when the file is opened next.
pub(crate) fn commit_failed(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Unavailable,
        Some(_) | None => StoreError::OutcomeUnknown,
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn meaning(code: i32) -> StoreError {
        Fault::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some("secret path".to_owned()))).into()
    }

    #[test]
    fn r78_driver_errors_become_store_errors_without_their_texts() {
        assert_eq!(meaning(ffi::SQLITE_BUSY), StoreError::Unavailable);
        assert_eq!(meaning(ffi::SQLITE_FULL), StoreError::Unavailable);
        assert_eq!(meaning(ffi::SQLITE_IOERR), StoreError::Unavailable);
        assert!(matches!(meaning(ffi::SQLITE_CORRUPT), StoreError::Unusable(_)));
        assert!(matches!(meaning(ffi::SQLITE_NOTADB), StoreError::Unusable(_)));
        assert!(matches!(meaning(ffi::SQLITE_READONLY), StoreError::Unusable(_)));
        assert!(matches!(meaning(ffi::SQLITE_CONSTRAINT), StoreError::Inconsistent { .. }));
        for code in [ffi::SQLITE_BUSY, ffi::SQLITE_CORRUPT, ffi::SQLITE_CONSTRAINT, ffi::SQLITE_ERROR] {
            let error = meaning(code);
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
    }

    #[test]
    fn a_commit_that_broke_has_an_unknown_outcome() {
        let failure = |code| commit_failed(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        assert_eq!(failure(ffi::SQLITE_IOERR), StoreError::OutcomeUnknown);
        assert_eq!(failure(ffi::SQLITE_FULL), StoreError::Unavailable);
    }
}

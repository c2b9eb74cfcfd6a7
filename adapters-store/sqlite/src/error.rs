//! Maps errors of the driver to errors of the ports. Texts of the driver may quote rows and paths, so none is kept.

use grantry_domain::ports::StoreError;
use rusqlite::ErrorCode;

/// The file is not a database.
pub(crate) const NOT_A_DATABASE: &str = "the file is not a database";
/// A page of the file is damaged.
pub(crate) const DAMAGED: &str = "the database file is damaged; restore it from a backup";
/// A table or a column is missing.
pub(crate) const OTHER_TABLES: &str = "the database does not have the expected tables";

/// Why a statement or the conversion of a row failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SqliteError {
    /// Another connection holds the lock. A separate variant, because a point read is then repeated on a thread that may
    /// block.
    Busy,
    /// Any other error, as the ports report it.
    Store(StoreError),
}

impl From<StoreError> for SqliteError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SqliteError> for StoreError {
    fn from(error: SqliteError) -> Self {
        match error {
            SqliteError::Busy => Self::Unavailable,
            SqliteError::Store(error) => error,
        }
    }
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        let Some(error) = error.sqlite_error() else {
            return inconsistent("database", NO_ROW, "a column contains a value of its declared type");
        };
        let mapped = match error.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => Self::Busy,
            ErrorCode::NotADatabase => unusable(NOT_A_DATABASE),
            ErrorCode::DatabaseCorrupt => unusable(DAMAGED),
            ErrorCode::ReadOnly => unusable("the database file cannot be written"),
            ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => {
                unusable("the database file cannot be accessed with the permissions of this process")
            }
            ErrorCode::Unknown | ErrorCode::TypeMismatch | ErrorCode::ApiMisuse | ErrorCode::ParameterOutOfRange => {
                unusable(OTHER_TABLES)
            }
            ErrorCode::ConstraintViolation => {
                inconsistent("database", NO_ROW, "a row satisfies the unique keys and checks of the schema")
            }
            ErrorCode::TooBig => inconsistent("database", NO_ROW, "a value is not larger than the limit"),
            // Full disk, input and output errors, too many files or too little memory: may pass.
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
        mapped
    }
}

/// A database that cannot be used. Operators read the text.
pub(crate) fn unusable(why: &'static str) -> SqliteError {
    SqliteError::Store(StoreError::Unusable(why))
}

/// The row number of an error that belongs to no single row.
pub(crate) const NO_ROW: i64 = 0;

/// A row that this program cannot have written.
pub(crate) fn inconsistent(table: &'static str, row: i64, rule: &'static str) -> SqliteError {
    SqliteError::Store(StoreError::Inconsistent { table, row, rule })
}

/// The meaning of a failed `COMMIT`. After a full disk or a lock nothing was written. After any other failure the log may or
/// may not contain the commit when the file is opened next.
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
        SqliteError::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some("secret path".to_owned()))).into()
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

//! Maps errors of the driver to errors of the ports. Texts of the driver may quote rows and addresses, so none is kept.

use std::error::Error as _;
use std::io;

use grantry_domain::ports::StoreError;
use tokio_postgres::error::SqlState;

/// A table, a column or a unique index is missing, or a trigger was added.
pub(crate) const OTHER_TABLES: &str =
    "the database of `store.url` does not have the expected tables, columns and unique indexes, or has a trigger on them";
/// The role may not do what the store does.
pub(crate) const NO_PRIVILEGE: &str = "the role of `store.url` lacks a privilege on the tables or the schema";
/// Writes are refused.
pub(crate) const READ_ONLY: &str =
    "the database of `store.url` is a read-only standby or read-only by a setting; name the primary server";

/// Why a statement or the conversion of a row failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PgError {
    /// The server ended the transaction because of a concurrent one. The transaction is repeated.
    Conflict,
    /// The connection is not usable any more, and nothing was committed. The transaction is repeated on another connection.
    Lost,
    /// Any other error, as the ports report it.
    Store(StoreError),
}

impl From<StoreError> for PgError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<PgError> for StoreError {
    fn from(error: PgError) -> Self {
        match error {
            PgError::Conflict | PgError::Lost => Self::Unavailable,
            PgError::Store(error) => error,
        }
    }
}

impl From<tokio_postgres::Error> for PgError {
    fn from(error: tokio_postgres::Error) -> Self {
        // Without a code, the connection was closed or the response is not that of the protocol.
        let Some(code) = error.code() else { return Self::Lost };
        tracing::debug!(code = code.code(), "a statement of the database failed");
        meaning(code)
    }
}

/// The meaning of a code of the server. The first two characters are its class.
fn meaning(code: &SqlState) -> PgError {
    let exact = match code.code() {
        // Serialization failure, deadlock, unknown completion of a statement before the commit.
        "40001" | "40P01" | "40003" => PgError::Conflict,
        // Shutdown, crash, start, ended by time-out; a plan of a table that was migrated; a server that became a standby.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "0A000" | "25006" => PgError::Lost,
        "42501" => unusable(NO_PRIVILEGE),
        "26000" | "42P05" => unusable("a pooler between this program and `store.url` does not support `statement_cache`"),
        "XX001" | "XX002" => unusable("the database of `store.url` is damaged; restore it from a backup"),
        "3D000" | "57P04" => unusable("the database of `store.url` does not exist"),
        _ => PgError::Store(StoreError::Unavailable),
    };
    if exact != PgError::Store(StoreError::Unavailable) {
        return exact;
    }
    match code.code().get(..2) {
        Some("08") => PgError::Lost,
        Some("22") => inconsistent("database", NO_ROW, "a value is one that its column can store"),
        Some("23") => inconsistent("database", NO_ROW, "a row satisfies the unique keys and checks of the schema"),
        Some("28") => unusable("the server of `store.url` refuses the role or its password"),
        // No schema in which a table can be created: the role may use none.
        Some("3F") => unusable(NO_PRIVILEGE),
        Some("42") => unusable(OTHER_TABLES),
        // Time-outs, locks, resources, input and output: may pass.
        _ => exact,
    }
}

/// The meaning of a failed attempt to connect.
pub(crate) fn not_connected(error: &tokio_postgres::Error) -> PgError {
    if let Some(code) = error.code() {
        return match meaning(code) {
            PgError::Store(error) => PgError::Store(error),
            PgError::Conflict | PgError::Lost => PgError::Store(StoreError::Unavailable),
        };
    }
    if is_refused_certificate(error) {
        return unusable("the certificate of the server of `store.url` is not valid for its name and the trusted roots");
    }
    if is_read_only(error) {
        return unusable(READ_ONLY);
    }
    // The kind of the error has no other accessor. The texts are fixed ones of the driver.
    let (text, source) = (error.to_string(), error.source().map(ToString::to_string).unwrap_or_default());
    if text.starts_with("error performing TLS handshake") && source.contains("does not support TLS") {
        return unusable("the server of `store.url` does not support TLS");
    }
    if text.starts_with("authentication error") || text.starts_with("invalid configuration") {
        return unusable("`store.url` lacks a password or requires a method of authentication that is not supported");
    }
    PgError::Store(StoreError::Unavailable)
}

/// The meaning of failed attempts at all addresses. What an operator must change is reported first; a standby beside a
/// server that is not reachable is a failover that has not ended.
pub(crate) fn no_connection(failures: &[PgError]) -> PgError {
    let is_temporary = |error: &PgError| *error == PgError::Store(StoreError::Unavailable);
    let lasting = failures.iter().find(|error| !is_temporary(error) && **error != unusable(READ_ONLY));
    let first = lasting.or_else(|| failures.iter().find(|error| is_temporary(error))).or_else(|| failures.first());
    first.copied().unwrap_or(PgError::Store(StoreError::Unavailable))
}

fn io_error(error: &tokio_postgres::Error) -> Option<&io::Error> {
    error.source().and_then(|source| source.downcast_ref())
}

/// Whether the driver refused a server that accepts no writes.
fn is_read_only(error: &tokio_postgres::Error) -> bool {
    io_error(error).is_some_and(|error| {
        error.kind() == io::ErrorKind::PermissionDenied && error.to_string().contains("does not allow writes")
    })
}

fn is_refused_certificate(error: &tokio_postgres::Error) -> bool {
    let tls = io_error(error).and_then(io::Error::get_ref).and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
}

/// Whether a failed `COMMIT` may have been performed: the connection ended before the response arrived, or the server
/// reports that the outcome is unknown.
pub(crate) fn is_outcome_open(error: &tokio_postgres::Error) -> bool {
    error.code().is_none_or(is_open)
}

fn is_open(code: &SqlState) -> bool {
    code.code().starts_with("57P") || code.code().starts_with("08") || code.code() == "40003"
}

/// A database that cannot be used. Operators read the text.
pub(crate) fn unusable(why: &'static str) -> PgError {
    PgError::Store(StoreError::Unusable(why))
}

/// The row number of an error that belongs to no single row.
pub(crate) const NO_ROW: i64 = 0;

/// A row that this program cannot have written.
pub(crate) fn inconsistent(table: &'static str, row: i64, rule: &'static str) -> PgError {
    PgError::Store(StoreError::Inconsistent { table, row, rule })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str) -> PgError {
        meaning(&SqlState::from_code(code))
    }

    #[test]
    fn r78_codes_of_the_server_become_store_errors() {
        assert_eq!(of("40001"), PgError::Conflict);
        assert_eq!(of("40P01"), PgError::Conflict);
        assert_eq!(of("40003"), PgError::Conflict);
        for lost in ["57P01", "57P02", "57P03", "08006", "25006"] {
            assert_eq!(of(lost), PgError::Lost, "{lost}");
        }
        for transient in ["57014", "55P03", "53300", "53100", "58030", "XX000"] {
            assert_eq!(of(transient), PgError::Store(StoreError::Unavailable), "{transient}");
        }
        for refused in ["42501", "42P01", "42703", "28P01", "3D000", "57P04", "3F000", "26000", "XX001"] {
            assert!(matches!(of(refused), PgError::Store(StoreError::Unusable(_))), "{refused}");
        }
        for broken in ["23505", "23514", "22021"] {
            assert!(matches!(of(broken), PgError::Store(StoreError::Inconsistent { .. })), "{broken}");
        }
    }

    #[test]
    fn r78_a_commit_that_the_server_may_have_performed_is_open() {
        for (code, expected) in [("57P01", true), ("08006", true), ("40003", true), ("40001", false), ("23505", false)] {
            assert_eq!(is_open(&SqlState::from_code(code)), expected, "{code}");
        }
    }

    #[test]
    fn what_an_operator_must_change_is_reported_before_what_may_pass() {
        let (down, standby) = (PgError::Store(StoreError::Unavailable), unusable(READ_ONLY));
        let refused = of("28P01");
        assert_eq!(no_connection(&[standby, down, refused]), refused);
        assert_eq!(no_connection(&[standby, down]), down);
        assert_eq!(no_connection(&[standby, standby]), standby);
        assert_eq!(no_connection(&[]), down);
    }
}

//! Identifies the file and migrates its schema.
//!
//! `application_id` marks files of this program, `user_version` counts the migrations applied. Each migration is one
//! transaction, so a start that is killed, or that runs beside another start, leaves the file at one version or the next.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use rusqlite::Connection;

use crate::error::{SqliteError, unusable};
use crate::sql;

/// `GRTY`.
const APPLICATION_ID: i64 = 0x4752_5459;

/// A released migration is never edited; a new one is appended.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_first.sql")];

/// Returns the version; refuses a file of another program or of a newer version of this one. Changes nothing.
pub(crate) fn identify(connection: &Connection) -> Result<usize, SqliteError> {
    // One snapshot: if another process migrated between two of these reads, the file would look like another program's.
    let _snapshot = connection.is_autocommit().then(|| connection.unchecked_transaction()).transpose()?;
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let objects = sql::number(connection, "SELECT count(*) FROM sqlite_schema", [])?;
    match (application, usize::try_from(version)) {
        (0, Ok(0)) if objects == 0 => Ok(0),
        (APPLICATION_ID, Ok(version)) if (1..=MIGRATIONS.len()).contains(&version) => Ok(version),
        (APPLICATION_ID, Ok(version)) if version > MIGRATIONS.len() => {
            Err(unusable("the database was written by a newer version of this program"))
        }
        _ => Err(unusable("the file is a database of another program")),
    }
}

/// Brings the file to the newest version.
pub(crate) fn migrate(connection: &Connection) -> Result<(), SqliteError> {
    while identify(connection)? < MIGRATIONS.len() {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let applied = apply_next(connection);
        connection.execute_batch(if applied.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
        applied?;
    }
    Ok(())
}

/// Applies one migration inside the present transaction, unless another process has applied it.
fn apply_next(connection: &Connection) -> Result<(), SqliteError> {
    let version = identify(connection)?;
    if let Some(migration) = MIGRATIONS.get(version) {
        connection.execute_batch(migration)?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", i64::try_from(version + 1).unwrap_or(i64::MAX))?;
        tracing::info!(version = version + 1, "the database schema was migrated");
    }
    Ok(())
}

/// What the migrations create.
static EXPECTED: LazyLock<Result<BTreeSet<String>, SqliteError>> = LazyLock::new(|| {
    let connection = Connection::open_in_memory()?;
    MIGRATIONS.iter().try_for_each(|migration| connection.execute_batch(migration))?;
    objects(&connection)
});

/// Whether the file contains every table, column and index of the migrations. Those of other programs are accepted, but not
/// a trigger, which can refuse or change any write.
pub(crate) fn is_complete(connection: &Connection) -> Result<bool, SqliteError> {
    let (expected, found) = (EXPECTED.as_ref().map_err(|error| *error)?, objects(connection)?);
    Ok(expected.is_subset(&found) && !found.difference(expected).any(|object| object.starts_with("trigger ")))
}

/// The objects of a schema, and the columns of its tables.
fn objects(connection: &Connection) -> Result<BTreeSet<String>, SqliteError> {
    const OBJECTS: &str = "SELECT type || ' ' || name FROM sqlite_schema UNION ALL \
         SELECT 'column ' || t.name || '.' || c.name FROM sqlite_schema AS t, pragma_table_xinfo(t.name) AS c \
         WHERE t.type = 'table'";
    let objects = sql::all(connection, OBJECTS, [], |row| Ok(row.get::<_, String>(0)?))?;
    Ok(objects.into_iter().collect())
}

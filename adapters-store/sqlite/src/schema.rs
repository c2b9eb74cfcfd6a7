//! Whose file it is, and migrations by version.
//!
//! `application_id` tells our files from others, `user_version` counts the migrations applied. Each migration is one
//! transaction, so a start that dies in between, or beside another start, leaves a file of some version and never a half one.

use rusqlite::Connection;

use crate::fault::{Fault, unusable};
use crate::sql;

/// `GRTY`.
const APPLICATION_ID: i64 = 0x4752_5459;

/// Never edited once released; the next one is added below.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_first.sql")];

/// Refuses a file of another program or of a newer version of this one; answers the version. Changes nothing.
pub(crate) fn identify(connection: &Connection) -> Result<usize, Fault> {
    // One snapshot, or a start of another process between two reads would make the file look like nobody's.
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
pub(crate) fn migrate(connection: &Connection) -> Result<(), Fault> {
    while identify(connection)? < MIGRATIONS.len() {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let applied = apply_next(connection);
        connection.execute_batch(if applied.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
        applied?;
    }
    Ok(())
}

/// Applies one migration inside the present transaction, if another process did not do so meanwhile.
fn apply_next(connection: &Connection) -> Result<(), Fault> {
    let version = identify(connection)?;
    if let Some(migration) = MIGRATIONS.get(version) {
        connection.execute_batch(migration)?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", i64::try_from(version + 1).unwrap_or(i64::MAX))?;
        tracing::info!(version = version + 1, "the database schema was migrated");
    }
    Ok(())
}

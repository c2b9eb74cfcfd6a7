//! Runs statements. Each is prepared once per connection, and every value is a parameter.

use rusqlite::{CachedStatement, Connection, Params, Row};

use crate::error::SqliteError;

/// Prepares a statement, or takes it from the cache.
fn prepare<'c>(connection: &'c Connection, sql: &str) -> Result<CachedStatement<'c>, SqliteError> {
    #[cfg(test)]
    crate::statement_tests::note(sql);
    Ok(connection.prepare_cached(sql)?)
}

/// Changes rows; returns how many.
pub(crate) fn execute(connection: &Connection, sql: &str, parameters: impl Params) -> Result<u64, SqliteError> {
    let changed = prepare(connection, sql)?.execute(parameters)?;
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

/// The first row, if there is one.
pub(crate) fn first<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, SqliteError>,
) -> Result<Option<T>, SqliteError> {
    let mut statement = prepare(connection, sql)?;
    let mut rows = statement.query(parameters)?;
    rows.next()?.map(read).transpose()
}

/// Passes every row to `read`.
pub(crate) fn each(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<(), SqliteError>,
) -> Result<(), SqliteError> {
    let mut statement = prepare(connection, sql)?;
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        read(row)?;
    }
    Ok(())
}

/// All rows.
pub(crate) fn all<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T, SqliteError>,
) -> Result<Vec<T>, SqliteError> {
    let mut found = Vec::new();
    each(connection, sql, parameters, |row| {
        found.push(read(row)?);
        Ok(())
    })?;
    Ok(found)
}

/// Whether there is a row.
pub(crate) fn exists(connection: &Connection, sql: &str, parameters: impl Params) -> Result<bool, SqliteError> {
    Ok(prepare(connection, sql)?.exists(parameters)?)
}

/// The number that a statement with exactly one row returns.
pub(crate) fn number(connection: &Connection, sql: &str, parameters: impl Params) -> Result<i64, SqliteError> {
    Ok(prepare(connection, sql)?.query_row(parameters, |row| row.get(0))?)
}

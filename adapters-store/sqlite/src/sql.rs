//! Running statements. All are prepared once per connection, and every value is a parameter (R72).

use rusqlite::{Connection, Params, Row};

use crate::fault::Fault;

/// Changes rows; answers how many.
pub(crate) fn execute(connection: &Connection, sql: &str, parameters: impl Params) -> Result<u64, Fault> {
    let changed = connection.prepare_cached(sql)?.execute(parameters)?;
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

/// The first row, if there is one.
pub(crate) fn first<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    rows.next()?.map(read).transpose()
}

/// All rows.
pub(crate) fn all<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// Whether there is a row.
pub(crate) fn exists(connection: &Connection, sql: &str, parameters: impl Params) -> Result<bool, Fault> {
    Ok(connection.prepare_cached(sql)?.exists(parameters)?)
}

/// A number from a statement that always answers one row.
pub(crate) fn number(connection: &Connection, sql: &str, parameters: impl Params) -> Result<i64, Fault> {
    Ok(connection.prepare_cached(sql)?.query_row(parameters, |row| row.get(0))?)
}

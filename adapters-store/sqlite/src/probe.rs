//! Whether the store can be written, and whether its files and their content are still those that were opened.

use std::path::Path;
use std::sync::atomic::Ordering;

use grantry_domain::ports::StoreError;
use rusqlite::Connection;

use crate::error::{DAMAGED, NOT_A_DATABASE, OTHER_TABLES, SqliteError};
use crate::files::StoreFault;
use crate::store::SqliteStore;
use crate::{connection, schema, sql};

/// A file of at most this many pages, which is 8 MiB, is checked at each probe; a larger one after an access failed.
const CHECKED_PAGES: i64 = 2048;

impl SqliteStore {
    /// Checks the files, the deployment id, the schema and the content, then commits a write. Nothing that another process can
    /// read changes.
    pub async fn probe(&self) -> Result<(), StoreFault> {
        let (files, deployment) = (self.opened_files().clone(), self.deployment_id());
        let (is_suspected, highest_event) = (self.take_suspicion(), self.highest_event().load(Ordering::Relaxed));
        let read = self.long_read(move |connection| {
            if let Err(fault) = files.check() {
                return Ok(Err(fault));
            }
            let id = sql::first(connection, "SELECT id FROM deployment", [], |row| Ok(row.get::<_, [u8; 16]>(0)?))?;
            if id != Some(deployment) {
                return Ok(Err(StoreFault::OtherDeployment));
            }
            Ok(match files.database().map(|database| inspect(database, is_suspected)) {
                Some(Ok(Some(found))) if found < highest_event => Err(StoreFault::Older),
                Some(Err(fault)) => Err(fault),
                Some(Ok(found)) => Ok(found.unwrap_or(highest_event)),
                None => Ok(highest_event),
            })
        });
        let read = read.await.unwrap_or_else(|error| Err(fault_of(error)));
        match read {
            Ok(found) => self.highest_event().fetch_max(found, Ordering::Relaxed),
            Err(fault) => {
                self.suspect();
                if fault == StoreFault::Older {
                    // Later events do not end the fault.
                    self.highest_event().store(i64::MAX, Ordering::Relaxed);
                }
                return Err(fault);
            }
        };
        self.write(|connection, now| write_row(connection, now.as_millis()))
            .await
            .map_err(|_: StoreError| StoreFault::NotWritable)
    }
}

/// Why the content could not be read.
fn fault_of(error: StoreError) -> StoreFault {
    if matches!(error, StoreError::Unusable(DAMAGED | NOT_A_DATABASE)) {
        StoreFault::Damaged
    } else if matches!(error, StoreError::Unusable(OTHER_TABLES)) {
        StoreFault::SchemaChanged
    } else {
        StoreFault::NotReadable
    }
}

/// Checks the schema, and the content of a small or suspected file. Returns the highest sequence number of an event so far,
/// which never decreases; `None` if the inspection cannot be made, for example because no descriptor is free.
fn inspect(database: &Path, is_suspected: bool) -> Result<Option<i64>, StoreFault> {
    match connection::inspector(database).and_then(|connection| inspect_with(&connection, is_suspected)) {
        Ok(found) => found.map(Some),
        Err(SqliteError::Store(StoreError::Unusable(_) | StoreError::Inconsistent { .. })) => Err(StoreFault::Damaged),
        Err(SqliteError::Store(_) | SqliteError::Busy) => Ok(None),
    }
}

fn inspect_with(connection: &Connection, is_suspected: bool) -> Result<Result<i64, StoreFault>, SqliteError> {
    const HIGHEST: &str = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'";
    if !schema::is_complete(connection)? {
        return Ok(Err(StoreFault::SchemaChanged));
    }
    let highest = sql::number(connection, HIGHEST, [])?;
    if !is_suspected && sql::number(connection, "PRAGMA page_count", [])? > CHECKED_PAGES {
        return Ok(Ok(highest));
    }
    // Damaged pages come first, with the name of the database. A row that breaks a rule of the schema is an error of this row.
    let first = sql::first(connection, "PRAGMA quick_check(1)", [], |row| Ok(row.get::<_, String>(0)?))?;
    let is_damaged = first.is_some_and(|found| found.starts_with("*** in database"));
    Ok(if is_damaged { Err(StoreFault::Damaged) } else { Ok(highest) })
}

/// Writes a row and removes it, so that the commit has changed pages to store. The empty text is the id of no user.
fn write_row(connection: &Connection, at: i64) -> Result<(), SqliteError> {
    sql::execute(connection, "INSERT INTO tombstones VALUES ('', ?1)", [at])?;
    sql::execute(connection, "DELETE FROM tombstones WHERE user = ''", [])?;
    Ok(())
}

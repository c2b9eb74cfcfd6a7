//! Whether the store can be written, and whether its files are still those that were opened.

use grantry_domain::ports::StoreError;
use rusqlite::Connection;

use crate::error::SqliteError;
use crate::files::StoreFault;
use crate::sql;
use crate::store::SqliteStore;

impl SqliteStore {
    /// Checks the files and the deployment id, then commits a write. Nothing that another process can read changes.
    pub async fn probe(&self) -> Result<(), StoreFault> {
        let (files, deployment) = (self.opened_files().clone(), self.deployment_id());
        let read = self.long_read(move |connection| {
            if let Err(fault) = files.check() {
                return Ok(Err(fault));
            }
            let id = sql::first(connection, "SELECT id FROM deployment", [], |row| Ok(row.get::<_, [u8; 16]>(0)?))?;
            Ok(if id == Some(deployment) { Ok(()) } else { Err(StoreFault::OtherDeployment) })
        });
        read.await.map_err(|_: StoreError| StoreFault::NotReadable)??;
        self.write(|connection, now| write_row(connection, now.as_millis()))
            .await
            .map_err(|_: StoreError| StoreFault::NotWritable)
    }
}

/// Writes a row and removes it, so that the commit has changed pages to store. The empty text is the id of no user.
fn write_row(connection: &Connection, at: i64) -> Result<(), SqliteError> {
    sql::execute(connection, "INSERT INTO tombstones VALUES ('', ?1)", [at])?;
    sql::execute(connection, "DELETE FROM tombstones WHERE user = ''", [])?;
    Ok(())
}

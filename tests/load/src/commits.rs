//! The reference of flows: how many rows a second can be made durable one by one.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::Result;
use crate::latency::quotient;

/// The size of a row.
const ROW: usize = 200;

/// Commits a second of one connection that inserts one row in each transaction into a new file, with a write-ahead log and
/// `synchronous = FULL`. Rows have 200 bytes and no index.
pub fn commits(below: &Path, duration: Duration) -> Result<f64> {
    let folder = tempfile::tempdir_in(below)?;
    let database = Connection::open(folder.path().join("commits.db"))?;
    database.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.execute("CREATE TABLE items (number INTEGER PRIMARY KEY, content BLOB NOT NULL) STRICT", [])?;
    let mut insert = database.prepare("INSERT INTO items (content) VALUES (?1)")?;
    let row = [0x5a_u8; ROW];
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < duration {
        insert.execute([row.as_slice()])?;
        count += 1;
    }
    Ok(quotient(count, started.elapsed().as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_committed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(commits(folder.path(), Duration::from_millis(1)).unwrap() > 0.0);
    }
}

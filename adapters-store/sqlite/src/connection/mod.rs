//! Opens the connections: one that writes and several that only read, each with settings for safety and speed.

mod file;
mod readers;

use std::path::Path;
use std::thread;
use std::time::Duration;

use grantry_domain::ports::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};

pub(crate) use self::readers::{PointReaders, ReaderPool};
use crate::error::{SqliteError, inconsistent, unusable};
use crate::files::OpenedFiles;
use crate::options::SqliteOptions;
use crate::{schema, sql};

/// Prepared statements cached per connection: more than the store has.
const STATEMENTS: usize = 128;

/// KiB of pages that the writer keeps in memory, and that the connections for point reads keep together. They keep pages until the
/// next commit of another connection.
const CACHE_KIB: usize = 16 * 1024;

/// KiB of pages that every connection may keep, as the driver sets it.
const LEAST_CACHE_KIB: usize = 2000;

/// The pause between attempts to open a file that another process is creating, and how long each attempt waits for a lock.
const PAUSE: Duration = Duration::from_millis(5);

/// How long an inspection of the file waits for a lock.
const INSPECTION_WAIT: Duration = Duration::from_secs(1);

/// The open connections.
pub(crate) struct Opened {
    pub(crate) writer: Connection,
    /// Copies the log.
    pub(crate) log: Connection,
    pub(crate) point_readers: Vec<Connection>,
    pub(crate) pool: Vec<Connection>,
    pub(crate) deployment: [u8; 16],
    pub(crate) files: OpenedFiles,
}

/// Opens, checks and migrates. Blocks.
pub(crate) fn open(options: &SqliteOptions) -> Result<Opened, SqliteError> {
    // Absolute, because the driver gives some relative names a special meaning.
    let path = std::path::absolute(&options.path).map_err(|_| unusable("the path of the database is empty"))?;
    file::guard(&path)?;
    let writer = retry_while_busy(options.busy_timeout, || writer(&path, options))?;
    let deployment = deployment(&writer, options)?;
    // Point reads do not wait for locks on the caller's thread; they are repeated on a thread that may block. One wait cannot be
    // turned off: while another process recovers the log or is stopped in it, SQLite tries again for up to ten seconds.
    let readers = options.readers.max(1);
    let point_readers = (0..readers).map(|_| point_reader(&path, readers, options)).collect::<Result<_, _>>()?;
    let pool = (0..options.pool_threads.max(1)).map(|_| reader(&path, options.busy_timeout)).collect::<Result<_, _>>()?;
    let log = log(&path, options)?;
    Ok(Opened { writer, log, point_readers, pool, deployment, files: OpenedFiles::of(&path) })
}

/// Repeats an attempt while the file is locked: unlike other statements, switching a new file to write-ahead logging does
/// not wait for locks.
fn retry_while_busy<T>(longest: Duration, mut attempt: impl FnMut() -> Result<T, SqliteError>) -> Result<T, SqliteError> {
    let mut waited = Duration::ZERO;
    loop {
        match attempt() {
            Err(SqliteError::Busy) if waited < longest => {
                thread::sleep(PAUSE);
                waited += 2 * PAUSE;
            }
            outcome => return outcome,
        }
    }
}

fn writer(path: &Path, options: &SqliteOptions) -> Result<Connection, SqliteError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, PAUSE)?;
    // The file of another program is not changed.
    schema::identify(&connection)?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(unusable("the file system of the database does not allow write-ahead logging"));
    }
    // A commit that was reported to its caller survives a power failure.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Deleted data is overwritten with zeros.
    connection.pragma_update(None, "secure_delete", "ON")?;
    if let Some(pages) = options.max_pages {
        connection.pragma_update(None, "max_page_count", pages)?;
    }
    // A separate thread copies the log.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    keep_pages(&connection, CACHE_KIB)?;
    schema::migrate(&connection)?;
    connection.busy_timeout(options.busy_timeout)?;
    Ok(connection)
}

fn reader(path: &Path, busy_timeout: Duration) -> Result<Connection, SqliteError> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, busy_timeout)
}

/// One of several connections for point reads.
fn point_reader(path: &Path, readers: usize, options: &SqliteOptions) -> Result<Connection, SqliteError> {
    // Setting the size of the cache reads the schema, which may have to wait.
    let connection = reader(path, options.busy_timeout)?;
    keep_pages(&connection, CACHE_KIB / readers)?;
    connection.busy_timeout(Duration::ZERO)?;
    Ok(connection)
}

/// The connection that copies the log.
fn log(path: &Path, options: &SqliteOptions) -> Result<Connection, SqliteError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, options.busy_timeout)?;
    // This also reads the schema. A connection that has read nothing has not opened the log, and copies nothing of it.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.busy_timeout(Duration::ZERO)?;
    Ok(connection)
}

fn keep_pages(connection: &Connection, kib: usize) -> Result<(), SqliteError> {
    let kib = i64::try_from(kib.max(LEAST_CACHE_KIB)).unwrap_or(i64::MAX);
    Ok(connection.pragma_update(None, "cache_size", -kib)?)
}

/// A connection that reads every page from the file: it has no page in memory yet.
pub(crate) fn inspector(path: &Path) -> Result<Connection, SqliteError> {
    reader(path, INSPECTION_WAIT)
}

fn connect(path: &Path, access: OpenFlags, busy_timeout: Duration) -> Result<Connection, SqliteError> {
    // Each connection is used by one thread at a time, so the driver does not have to lock.
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // A tampered schema must not run functions, and no statement must damage the file.
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // The planner does not look at bound values. Otherwise a statement that uses a partial index beside a parameter is
    // prepared again at each run. Terms that a partial index requires are literals.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cell_size_check", "ON")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // A page that is read through a memory map is checked again at each use, and an error of the disk ends the process.
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(connection)
}

/// The id of the deployment: drawn at the first start, or the given one.
fn deployment(connection: &Connection, options: &SqliteOptions) -> Result<[u8; 16], SqliteError> {
    let mut fresh = [0; 16];
    match options.deployment_id {
        Some(given) => fresh = given,
        None => options.random.fill(&mut fresh).map_err(|_| StoreError::Unavailable)?,
    }
    let stored = "SELECT id FROM deployment";
    let read = |row: &rusqlite::Row<'_>| Ok(row.get::<_, [u8; 16]>(0)?);
    if sql::first(connection, stored, [], read)?.is_none() {
        // Two first starts may race; the id of the first one is kept.
        sql::execute(connection, "INSERT INTO deployment VALUES (1, ?1) ON CONFLICT DO NOTHING", params![fresh])?;
    }
    let id = sql::first(connection, stored, [], read)?.ok_or_else(|| inconsistent("deployment", 1, "there is an id"))?;
    if options.deployment_id.is_some_and(|given| given != id) {
        return Err(unusable("the database belongs to another deployment"));
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use grantry_testkit::doubles::{SeededRandom, TestClock};
    use rusqlite::wal::CheckpointMode;

    use super::*;

    fn pragma(connection: &Connection, name: &str) -> String {
        let text = |row: &rusqlite::Row<'_>| {
            row.get::<_, i64>(0).map(|number| number.to_string()).or_else(|_| row.get::<_, String>(0))
        };
        connection.pragma_query_value(None, name, text).unwrap()
    }

    #[test]
    fn r72_connections_have_the_settings_that_keep_data_safe() {
        let folder = tempfile::tempdir().unwrap();
        let (clock, random) = (Arc::new(TestClock::default()), Arc::new(SeededRandom::new(1)));
        let options = SqliteOptions::new(folder.path().join("grantry.db"), clock, random);
        assert_eq!(options.busy_timeout, Duration::from_secs(5));
        let opened = open(&options).unwrap();
        // Before any statement, which would open the log.
        let (pages, copied) = opened.log.wal_checkpoint_v2(rusqlite::DEFAULT_NAME, CheckpointMode::PASSIVE).unwrap();
        assert!(pages > 0 && copied == pages, "{copied} of {pages}");
        let full = "2";
        for (name, value) in
            [("journal_mode", "wal"), ("synchronous", full), ("secure_delete", "1"), ("busy_timeout", "5000")]
        {
            assert_eq!(pragma(&opened.writer, name), value, "{name}");
        }
        for connection in opened.point_readers.iter().chain(&opened.pool).chain([&opened.writer, &opened.log]) {
            let memory = "2";
            let settings = [
                ("trusted_schema", "0"),
                ("foreign_keys", "1"),
                ("cell_size_check", "1"),
                ("temp_store", memory),
                ("mmap_size", "0"),
            ];
            for (name, value) in settings {
                assert_eq!(pragma(connection, name), value, "{name}");
            }
            assert!(connection.db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE).unwrap());
            assert!(connection.db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG).unwrap());
        }
        let kib = |connection| -pragma(connection, "cache_size").parse::<i64>().unwrap();
        assert_eq!(kib(&opened.writer), 16 * 1024);
        let of_reader = (16 * 1024 / i64::try_from(options.readers).unwrap()).max(2000);
        assert!(opened.point_readers.iter().all(|reader| kib(reader) == of_reader));
        for connection in opened.point_readers.iter().chain(&opened.pool) {
            assert!(connection.execute_batch("DELETE FROM sessions").is_err(), "a reader can write");
        }
        assert_eq!(pragma(&opened.log, "synchronous"), full, "a copy of the log is not durable");
        assert!(opened.point_readers.iter().all(|reader| pragma(reader, "busy_timeout") == "0"), "a point read may wait");
    }
}

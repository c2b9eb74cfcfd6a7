//! The probe: deleted and replaced files, and writes that fail.

use std::fs::{self, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};

use grantry_domain::ports::AuditOutbox as _;
use grantry_store_sqlite::{SqliteStore, StoreFault};

use crate::database::TestDatabase;

/// Moves the database and the files beside it to other names, or back.
fn move_files(database: &TestDatabase, from: &str, to: &str) {
    for suffix in ["", "-wal", "-shm"] {
        let name = |base: &str| database.folder.path().join(format!("{base}{suffix}"));
        fs::rename(name(from), name(to)).unwrap();
    }
}

#[tokio::test]
async fn a_probe_commits_and_leaves_nothing_behind() {
    let database = TestDatabase::new();
    let store = database.open().await;
    let before = store.write_counts();
    let logged = || fs::metadata(database.folder.path().join("grantry.db-wal")).unwrap().len();
    let log = logged();
    assert_eq!(store.probe().await, Ok(()));
    assert_eq!(store.write_counts().commits, before.commits + 1);
    assert!(logged() > log, "pages were written");
    let left: i64 =
        database.foreign_connection().query_row("SELECT count(*) FROM tombstones", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

#[cfg(unix)]
#[tokio::test]
async fn a_deleted_file_is_reported_until_it_is_moved_back() {
    let database = TestDatabase::new();
    let store = database.open().await;
    assert_eq!(store.probe().await, Ok(()));
    move_files(&database, "grantry.db", "elsewhere");
    assert_eq!(store.probe().await, Err(StoreFault::FileMissing));
    move_files(&database, "elsewhere", "grantry.db");
    assert_eq!(store.probe().await, Ok(()));
    for suffix in ["-shm", "-wal", ""] {
        fs::remove_file(database.folder.path().join(format!("grantry.db{suffix}"))).unwrap();
        assert_eq!(store.probe().await, Err(StoreFault::FileMissing), "{suffix}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_replaced_file_is_reported() {
    for suffix in ["", "-wal"] {
        let (database, other) = (TestDatabase::new(), TestDatabase::new());
        let (store, _other) = (database.open().await, other.open().await);
        let name = format!("grantry.db{suffix}");
        fs::copy(other.folder.path().join(&name), database.folder.path().join("copy")).unwrap();
        fs::rename(database.folder.path().join("copy"), database.folder.path().join(&name)).unwrap();
        assert_eq!(store.probe().await, Err(StoreFault::FileReplaced), "{name}");
    }
}

#[tokio::test]
async fn the_content_of_another_deployment_is_reported() {
    let database = TestDatabase::new();
    let store = database.open().await;
    assert_eq!(store.probe().await, Ok(()));
    let id = store.deployment_id();
    let set = |id: [u8; 16]| database.foreign_connection().execute("UPDATE deployment SET id = ?1", [id]).unwrap();
    set([7; 16]);
    assert_eq!(store.probe().await, Err(StoreFault::OtherDeployment));
    set(id);
    assert_eq!(store.probe().await, Ok(()));
}

#[tokio::test]
async fn failing_writes_are_reported_until_they_succeed() {
    let database = TestDatabase::new();
    let store = database.open().await;
    let lock = database.foreign_connection();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(store.probe().await, Err(StoreFault::NotWritable));
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.probe().await, Ok(()));
    store.close().await;
    assert!(matches!(store.probe().await, Err(StoreFault::NotReadable | StoreFault::NotWritable)));
}

#[tokio::test]
async fn r72_a_changed_schema_is_reported() {
    let changes = [
        "DROP TABLE sessions",
        "DROP TABLE events",
        "DROP INDEX one_grant",
        "ALTER TABLE authorizations RENAME TO others",
        "ALTER TABLE connectors RENAME COLUMN tag TO tags",
        "ALTER TABLE sessions RENAME TO kept; CREATE VIEW sessions AS SELECT * FROM kept",
        "CREATE TRIGGER refused BEFORE UPDATE ON authorizations BEGIN SELECT RAISE(ABORT, 'no'); END",
    ];
    for change in changes {
        let database = TestDatabase::new();
        let store = database.open().await;
        // Objects of other programs that change no row of this one.
        let accepted = "CREATE TABLE replica (x); CREATE INDEX replica_by_x ON replica (x); ANALYZE";
        database.foreign_connection().execute_batch(accepted).unwrap();
        assert_eq!(store.probe().await, Ok(()));
        database.foreign_connection().execute_batch(change).unwrap();
        assert_eq!(store.probe().await, Err(StoreFault::SchemaChanged), "{change}");
        store.close().await;
        let store = database.open().await;
        assert_eq!(store.probe().await, Err(StoreFault::SchemaChanged), "{change}: after a restart");
    }
}

#[tokio::test]
async fn r72_a_missing_table_that_the_probe_reads_first_is_a_changed_schema() {
    let database = TestDatabase::new();
    let store = database.open().await;
    assert_eq!(store.probe().await, Ok(()));
    database.foreign_connection().execute_batch("DROP TABLE deployment").unwrap();
    assert_eq!(store.probe().await, Err(StoreFault::SchemaChanged));
}

/// Fills the database with events of another program and empties the log into the file.
fn fill(database: &TestDatabase, rows: usize, bytes: usize) {
    let connection = database.foreign_connection();
    let insert = "INSERT INTO events (at, actor_kind, kind, outcome, details) VALUES (1, 'system', 'connected', 'ok', ?1)";
    connection.execute_batch("BEGIN").unwrap();
    for _ in 0..rows {
        connection.execute(insert, ["x".repeat(bytes)]).unwrap();
    }
    connection.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
}

/// A store whose log is not empty, so that the driver does not compare its size with that of the file.
async fn filled(database: &TestDatabase, rows: usize, bytes: usize) -> SqliteStore {
    let store = database.open().await;
    fill(database, rows, bytes);
    assert_eq!(store.probe().await, Ok(()));
    store
}

#[tokio::test]
async fn r72_a_truncated_file_is_reported() {
    for part in [2, 3] {
        let database = TestDatabase::new();
        let store = filled(&database, 100, 1000).await;
        let file = OpenOptions::new().write(true).open(database.path()).unwrap();
        let pages = file.metadata().unwrap().len() / 4096;
        file.set_len((pages - pages / part) * 4096).unwrap();
        assert_eq!(store.probe().await, Err(StoreFault::Damaged), "1/{part}");
        assert_eq!(store.probe().await, Err(StoreFault::Damaged), "1/{part}, again");
    }
}

#[tokio::test]
async fn r72_an_older_copy_of_the_same_database_in_its_place_is_reported() {
    let database = TestDatabase::new();
    let store = database.open().await;
    let copy = database.folder.path().join("older.db");
    database.foreign_connection().execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    fill(&database, 100, 1000);
    assert_eq!(store.probe().await, Ok(()));
    // The same file with other content.
    fs::copy(&copy, database.path()).unwrap();
    assert_eq!(store.probe().await, Err(StoreFault::Older));

    // Later events do not end the fault.
    let database = TestDatabase::new();
    let store = filled(&database, 10, 10).await;
    for (highest, expected) in [(11, Ok(())), (5, Err(StoreFault::Older)), (1000, Err(StoreFault::Older))] {
        let update = "UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'events'";
        database.foreign_connection().execute(update, [highest]).unwrap();
        assert_eq!(store.probe().await, expected, "{highest}");
    }
}

#[tokio::test]
async fn r72_damage_in_a_large_file_is_reported_once_an_access_failed() {
    let database = TestDatabase::new();
    let store = filled(&database, 100, 100_000).await;
    let mut file = OpenOptions::new().write(true).open(database.path()).unwrap();
    let size = file.metadata().unwrap().len();
    assert!(size > 2048 * 4096, "{size}");
    let at = file.seek(SeekFrom::Start(size / 2)).unwrap();
    file.write_all(&vec![0xa5; usize::try_from(size - at).unwrap()]).unwrap();
    assert_eq!(store.probe().await, Ok(()), "a large file is not read without a reason");
    assert!(store.pending_events(100).await.is_err());
    assert_eq!(store.probe().await, Err(StoreFault::Damaged));
    assert_eq!(store.probe().await, Err(StoreFault::Damaged), "it lasts");
}

#[tokio::test]
async fn r76_a_row_that_breaks_a_rule_of_the_schema_is_no_damage_of_the_file() {
    let database = TestDatabase::new();
    let store = database.open().await;
    let row = "INSERT INTO events (at, actor_kind, kind, outcome) VALUES (1, 'root', 'connected', 'ok')";
    let connection = database.foreign_connection();
    connection.execute_batch(&format!("PRAGMA ignore_check_constraints = ON; {row}")).unwrap();
    assert_eq!(store.probe().await, Ok(()));
}

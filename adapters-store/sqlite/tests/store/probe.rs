//! The probe: deleted and replaced files, and writes that fail.

use std::fs;

use grantry_store_sqlite::StoreFault;

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
    lock.execute_batch("CREATE TRIGGER full BEFORE INSERT ON tombstones BEGIN SELECT RAISE(FAIL, 'full'); END").unwrap();
    assert_eq!(store.probe().await, Err(StoreFault::NotWritable));
    lock.execute_batch("DROP TRIGGER full").unwrap();
    assert_eq!(store.probe().await, Ok(()));
    store.close().await;
    assert!(matches!(store.probe().await, Err(StoreFault::NotReadable | StoreFault::NotWritable)));
}

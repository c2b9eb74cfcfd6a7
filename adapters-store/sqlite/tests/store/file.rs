//! The file: its permissions, its identity, and remains of deleted secrets.

use std::fs;
use std::time::Duration;

use grantry_domain::authorization::{AuthorizationRecord, RevocationOutcome, TerminationCause};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditOutbox, AuthorizationStore, ConnectorStore, Housekeeping, LeftOut, RevocationJob, RevocationQueue,
    RevocationUpdate, StoreError, SweepPolicy, TerminationRequest, TerminationScope, UnclaimedTokens,
};
use grantry_store_sqlite::{SqliteOptions, SqliteStore};
use grantry_testkit::doubles::fixtures;

use crate::database::{TestDatabase, find, replace};

/// The error text for the operator.
async fn refusal(database: &TestDatabase) -> &'static str {
    match SqliteStore::open(database.options()).await {
        Err(StoreError::Unusable(text)) => text,
        other => panic!("the file was not refused: {other:?}"),
    }
}

#[cfg(unix)]
fn modes(database: &TestDatabase) -> Vec<u32> {
    use std::os::unix::fs::PermissionsExt;

    let files = fs::read_dir(database.folder.path()).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().permissions().mode() & 0o777).collect()
}

#[cfg(unix)]
#[tokio::test]
async fn r72_file_and_log_have_mode_0600() {
    let database = TestDatabase::new();
    let store = database.open().await;
    database.add_connector(&store).await;
    // The file, its log and its shared memory.
    assert_eq!(modes(&database), [0o600; 3]);
}

#[cfg(unix)]
#[tokio::test]
async fn r72_a_file_that_others_can_read_is_restricted() {
    use std::os::unix::fs::PermissionsExt;

    let database = TestDatabase::new();
    database.open().await.close().await;
    fs::set_permissions(database.path(), fs::Permissions::from_mode(0o644)).unwrap();
    let _store = database.open().await;
    assert!(modes(&database).iter().all(|mode| *mode == 0o600));
}

#[tokio::test]
async fn files_of_other_programs_are_refused_and_not_changed() {
    let database = TestDatabase::new();
    database.foreign_connection().execute_batch("CREATE TABLE other (x); PRAGMA user_version = 3").unwrap();
    let before = database.bytes();
    assert_eq!(refusal(&database).await, "the file is a database of another program");
    assert_eq!(database.bytes(), before);

    let database = TestDatabase::new();
    fs::write(database.path(), "a text that is longer than the header of a database".repeat(20)).unwrap();
    assert_eq!(refusal(&database).await, "the file is not a database");

    let database = TestDatabase::new();
    fs::create_dir(database.path()).unwrap();
    assert_eq!(refusal(&database).await, "the path of the database is not that of a file");

    let database = TestDatabase::new();
    let options = SqliteOptions { path: database.folder.path().join("missing").join("grantry.db"), ..database.options() };
    let error = SqliteStore::open(options).await.unwrap_err();
    assert_eq!(error, StoreError::Unusable("the folder of the database does not exist"));
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let database = TestDatabase::new();
    database.open().await.close().await;
    database.foreign_connection().execute_batch("PRAGMA user_version = 1000").unwrap();
    assert_eq!(refusal(&database).await, "the database was written by a newer version of this program");
}

#[tokio::test]
async fn a_damaged_file_is_refused_or_reported() {
    let database = TestDatabase::new();
    let store = database.open().await;
    let connector = database.add_connector(&store).await;
    let owner = fixtures::authorization_key_of(&connector, "alice");
    for n in 1..200 {
        database.start(&store, fixtures::authorization_id(n), &owner).await;
    }
    store.close().await;

    // The first page is intact; all others are overwritten.
    let mut bytes = fs::read(database.path()).unwrap();
    bytes[4096..].fill(0xa5);
    fs::write(database.path(), &bytes).unwrap();
    let error = match SqliteStore::open(database.options()).await {
        Err(error) => error,
        Ok(store) => store.find(fixtures::authorization_id(7)).await.unwrap_err(),
    };
    assert_eq!(error, StoreError::Unusable("the database file is damaged; restore it from a backup"));
}

#[tokio::test]
async fn the_deployment_id_is_drawn_once_and_compared() {
    let database = TestDatabase::new();
    let first = database.open().await;
    let drawn = first.deployment_id();
    assert_ne!(drawn, [0; 16]);
    first.close().await;
    assert_eq!(database.open().await.deployment_id(), drawn);

    let given = SqliteOptions { deployment_id: Some(drawn), ..database.options() };
    assert_eq!(SqliteStore::open(given).await.unwrap().deployment_id(), drawn);
    let other = SqliteOptions { deployment_id: Some([9; 16]), ..database.options() };
    let error = SqliteStore::open(other).await.unwrap_err();
    assert_eq!(error, StoreError::Unusable("the database belongs to another deployment"));

    let database = TestDatabase::new();
    let given = SqliteOptions { deployment_id: Some([9; 16]), ..database.options() };
    assert_eq!(SqliteStore::open(given).await.unwrap().deployment_id(), [9; 16]);
}

#[tokio::test]
async fn an_answered_write_survives_a_crash() {
    let database = TestDatabase::new();
    let store = database.open().await;
    let connector = database.add_connector(&store).await;
    let grant =
        database.connect(&store, fixtures::authorization_id(1), &fixtures::authorization_key_of(&connector, "alice")).await;

    // The files as a killed process leaves them: the log was not emptied.
    let after = TestDatabase::new();
    for file in ["grantry.db", "grantry.db-wal"] {
        fs::copy(database.folder.path().join(file), after.folder.path().join(file)).unwrap();
    }
    let reopened = after.open().await;
    assert_eq!(find(&reopened, grant.id).await, grant);
    assert_eq!(reopened.deployment_id(), store.deployment_id());
}

#[tokio::test]
async fn closing_empties_the_log_and_later_calls_are_unavailable() {
    let database = TestDatabase::new();
    let store = database.open().await;
    let connector = database.add_connector(&store).await;
    store.close().await;
    let files: Vec<_> = fs::read_dir(database.folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["grantry.db"]);
    assert_eq!(store.get(&connector.key).await, Err(StoreError::Unavailable));
    assert_eq!(ConnectorStore::list(&store, &connector.key.space).await, Err(StoreError::Unavailable));
    assert_eq!(store.record(Vec::new()).await, Err(StoreError::Unavailable));
    store.close().await;
    assert_eq!(database.open().await.get(&connector.key).await.unwrap(), Some(connector));
}

#[tokio::test]
async fn r72_closing_empties_the_log_also_while_another_process_has_the_file_open() {
    let database = TestDatabase::new();
    let store = database.open().await;
    let other = database.open().await;
    let connector = database.add_connector(&store).await;
    assert_eq!(other.get(&connector.key).await.unwrap(), Some(connector));
    store.close().await;
    assert_eq!(fs::metadata(database.folder.path().join("grantry.db-wal")).unwrap().len(), 0);
}

/// A sweep that removes all authorizations that have ended.
const REMOVE_ALL: SweepPolicy = SweepPolicy {
    unused_grants: Duration::from_hours(90 * 24),
    ended_flows: Duration::ZERO,
    ended_grants: Duration::ZERO,
    batch: 1000,
};

#[tokio::test]
async fn r72_no_file_contains_any_part_of_a_deleted_secret() {
    let canary = |label: &str| fixtures::envelope(&format!("canary-{label}-").repeat(200));
    let database = TestDatabase::new();
    let store = database.open().await;
    let connector = database.add_connector(&store).await;
    for n in 1..40 {
        let owner = fixtures::authorization_key_of(&connector, &format!("user-{n}"));
        let grant = database.connect(&store, fixtures::authorization_id(n), &owner).await;
        let sealed = AuthorizationRecord { sealed: Some(canary("grant")), ..grant.clone() };
        replace(&store, &grant, &sealed).await;
        let tokens = UnclaimedTokens {
            sealed: canary("unclaimed"),
            ..fixtures::unclaimed_tokens(fixtures::authorization_id(1000 + n), owner, database.now())
        };
        store.queue_unclaimed(tokens, Vec::new()).await.unwrap();
    }
    assert!(contains(&database.bytes(), b"canary-grant") && contains(&database.bytes(), b"canary-unclaimed"));

    let request = TerminationRequest { cause: TerminationCause::Admin, actor: Actor::System };
    store.terminate(TerminationScope::Space(connector.key.space.clone()), request).await.unwrap();
    while let Some(job) =
        store.claim_revocation([1; 16], Duration::from_mins(1), Duration::from_hours(1), LeftOut::default()).await.unwrap()
    {
        let id = match job {
            RevocationJob::FormerGrant(former) => former.id(),
            RevocationJob::Unclaimed(tokens) => tokens.id,
        };
        store
            .update_revocation(id, [1; 16], RevocationUpdate::Completed(RevocationOutcome::Revoked), Vec::new())
            .await
            .unwrap();
    }
    assert_eq!(store.sweep(REMOVE_ALL, database.now()).await.unwrap().removed, 39);
    // The writer works in order: after this write, the checkpoint requested by the sweep is done.
    store.record(Vec::new()).await.unwrap();
    assert!(!contains(&database.bytes(), b"canary"));
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

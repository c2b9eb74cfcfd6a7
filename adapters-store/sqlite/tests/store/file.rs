//! The file: who may read it, whose it is, and what is left of deleted secrets.

use std::fs;
use std::time::Duration;

use grantry_domain::authorization::{AuthorizationRecord, RevocationOutcome, StateKind, TerminationCause};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuthorizationStore, ConnectorStore, RevocationJob, RevocationUpdate, StoreError, SweepPolicy, TerminationRequest,
    TerminationScope, UnclaimedTokens,
};
use grantry_store_sqlite::{SqliteOptions, SqliteStore};
use grantry_testkit::doubles::fixtures;

use crate::place::Place;

/// What opening answers, in the operator's words.
async fn refusal(place: &Place) -> &'static str {
    match SqliteStore::open(place.options()).await {
        Err(StoreError::Unusable(words)) => words,
        other => panic!("the file was not refused: {other:?}"),
    }
}

#[cfg(unix)]
fn modes(place: &Place) -> Vec<u32> {
    use std::os::unix::fs::PermissionsExt;

    let files = fs::read_dir(place.folder.path()).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().permissions().mode() & 0o777).collect()
}

#[cfg(unix)]
#[tokio::test]
async fn r72_file_and_log_are_for_their_owner_alone() {
    let place = Place::new();
    let store = place.open().await;
    place.add_connector(&store).await;
    // The file, its log and its shared memory.
    assert_eq!(modes(&place), [0o600; 3]);
}

#[cfg(unix)]
#[tokio::test]
async fn r72_a_laxer_file_is_tightened() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::new();
    place.open().await.close().await;
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o644)).unwrap();
    let _store = place.open().await;
    assert!(modes(&place).iter().all(|mode| *mode == 0o600));
}

#[tokio::test]
async fn files_that_are_not_ours_are_refused_in_clear_words_and_left_alone() {
    let place = Place::new();
    place.outsider().execute_batch("CREATE TABLE theirs (x); PRAGMA user_version = 3").unwrap();
    let before = place.bytes();
    assert_eq!(refusal(&place).await, "the file is a database of another program");
    assert_eq!(place.bytes(), before);

    let place = Place::new();
    fs::write(place.path(), "a letter to somebody, longer than the header of a database would be".repeat(20)).unwrap();
    assert_eq!(refusal(&place).await, "the file is not a database");

    let place = Place::new();
    fs::create_dir(place.path()).unwrap();
    assert_eq!(refusal(&place).await, "the path of the database is not that of a file");

    let place = Place::new();
    let options = SqliteOptions { path: place.folder.path().join("missing").join("grantry.db"), ..place.options() };
    let error = SqliteStore::open(options).await.unwrap_err();
    assert_eq!(error, StoreError::Unusable("the folder of the database does not exist"));
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let place = Place::new();
    place.open().await.close().await;
    place.outsider().execute_batch("PRAGMA user_version = 1000").unwrap();
    assert_eq!(refusal(&place).await, "the database was written by a newer version of this program");
}

#[tokio::test]
async fn a_damaged_file_is_refused_or_reported_and_never_believed() {
    let place = Place::new();
    let store = place.open().await;
    let connector = place.add_connector(&store).await;
    let owner = fixtures::ownership_of(&connector, "alice");
    for n in 1..200 {
        place.start(&store, fixtures::grant_id(n), &owner).await;
    }
    store.close().await;

    // The header is fine, everything behind the first page is noise.
    let mut bytes = fs::read(place.path()).unwrap();
    bytes[4096..].fill(0xa5);
    fs::write(place.path(), &bytes).unwrap();
    let error = match SqliteStore::open(place.options()).await {
        Err(error) => error,
        Ok(store) => store.find(fixtures::grant_id(7)).await.unwrap_err(),
    };
    assert_eq!(error, StoreError::Unusable("the database file is damaged; restore it from a backup"));
}

#[tokio::test]
async fn the_deployment_id_is_drawn_once_and_compared() {
    let place = Place::new();
    let first = place.open().await;
    let drawn = first.deployment_id();
    assert_ne!(drawn, [0; 16]);
    first.close().await;
    assert_eq!(place.open().await.deployment_id(), drawn);

    let given = SqliteOptions { deployment_id: Some(drawn), ..place.options() };
    assert_eq!(SqliteStore::open(given).await.unwrap().deployment_id(), drawn);
    let other = SqliteOptions { deployment_id: Some([9; 16]), ..place.options() };
    let error = SqliteStore::open(other).await.unwrap_err();
    assert_eq!(error, StoreError::Unusable("the database belongs to another deployment"));

    let place = Place::new();
    let given = SqliteOptions { deployment_id: Some([9; 16]), ..place.options() };
    assert_eq!(SqliteStore::open(given).await.unwrap().deployment_id(), [9; 16]);
}

#[tokio::test]
async fn what_was_answered_survives_a_crash() {
    let place = Place::new();
    let store = place.open().await;
    let connector = place.add_connector(&store).await;
    let grant = place.connect(&store, fixtures::grant_id(1), &fixtures::ownership_of(&connector, "alice")).await;

    // The files as a killed process leaves them: nothing was closed, the log was not emptied.
    let after = Place::new();
    for file in ["grantry.db", "grantry.db-wal"] {
        fs::copy(place.folder.path().join(file), after.folder.path().join(file)).unwrap();
    }
    let reopened = after.open().await;
    assert_eq!(reopened.find(grant.id).await.unwrap(), Some(grant));
    assert_eq!(reopened.deployment_id(), store.deployment_id());
}

#[tokio::test]
async fn closing_empties_the_log_and_refuses_what_comes_later() {
    let place = Place::new();
    let store = place.open().await;
    let connector = place.add_connector(&store).await;
    store.close().await;
    let files: Vec<_> = fs::read_dir(place.folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["grantry.db"]);
    assert_eq!(store.get(&connector.key).await, Err(StoreError::Unavailable));
    assert_eq!(ConnectorStore::list(&store, &connector.key.space).await, Err(StoreError::Unavailable));
    assert_eq!(store.record(Vec::new()).await, Err(StoreError::Unavailable));
    store.close().await;
    assert_eq!(place.open().await.get(&connector.key).await.unwrap(), Some(connector));
}

#[tokio::test]
async fn r72_closing_empties_the_log_also_while_another_process_has_the_file_open() {
    let place = Place::new();
    let store = place.open().await;
    let other = place.open().await;
    let connector = place.add_connector(&store).await;
    assert_eq!(other.get(&connector.key).await.unwrap(), Some(connector));
    store.close().await;
    assert_eq!(fs::metadata(place.folder.path().join("grantry.db-wal")).unwrap().len(), 0);
}

/// A sweep that removes everything that has ended.
const REMOVE_ALL: SweepPolicy = SweepPolicy {
    unused_grants: Duration::from_hours(90 * 24),
    ended_flows: Duration::ZERO,
    ended_grants: Duration::ZERO,
    batch: 1000,
};

#[tokio::test]
async fn r72_nothing_of_a_deleted_secret_is_left_in_any_file() {
    let canary = |label: &str| fixtures::envelope(&format!("canary-{label}-").repeat(200));
    let place = Place::new();
    let store = place.open().await;
    let connector = place.add_connector(&store).await;
    for n in 1..40 {
        let owner = fixtures::ownership_of(&connector, &format!("user-{n}"));
        let grant = place.connect(&store, fixtures::grant_id(n), &owner).await;
        let sealed = AuthorizationRecord { sealed: Some(canary("grant")), ..grant.clone() };
        let fence = grantry_domain::ports::ExpectedVersion::of(&grant);
        store.replace(sealed, fence, Vec::new()).await.unwrap();
        let orphan = UnclaimedTokens {
            sealed: canary("orphan"),
            ..fixtures::orphan(fixtures::grant_id(1000 + n), owner, place.now())
        };
        store.queue_unclaimed(orphan, Vec::new()).await.unwrap();
    }
    assert!(holds(&place.bytes(), b"canary-grant") && holds(&place.bytes(), b"canary-orphan"));

    let ending = TerminationRequest { cause: TerminationCause::Admin, actor: Actor::System };
    store.end(TerminationScope::Space(connector.key.space.clone()), ending).await.unwrap();
    while let Some(job) = store.claim_revocation([1; 16], Duration::from_mins(1)).await.unwrap() {
        let id = match job {
            RevocationJob::Former(record) => record.id,
            RevocationJob::Unclaimed(orphan) => orphan.id,
        };
        store.update_revocation(id, RevocationUpdate::Completed(RevocationOutcome::Revoked), Vec::new()).await.unwrap();
    }
    assert_eq!(store.sweep(REMOVE_ALL).await.unwrap().removed, 39);
    // The writer works in order: once this is answered, the checkpoint asked for by the sweep is done.
    store.record(Vec::new()).await.unwrap();
    assert!(!holds(&place.bytes(), b"canary"));
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn r76_an_inconsistent_row_is_named_by_table_and_rule_and_not_changed() {
    let place = Place::new();
    let store = place.open().await;
    let connector = place.add_connector(&store).await;
    let grant = place.connect(&store, fixtures::grant_id(1), &fixtures::ownership_of(&connector, "alice")).await;
    assert_eq!(grant.state, StateKind::Authorized);
    let outsider = place.outsider();
    outsider.execute_batch("PRAGMA ignore_check_constraints = ON; UPDATE authorizations SET space = '../secret'").unwrap();

    let error = store.find(grant.id).await.unwrap_err();
    assert!(matches!(error, StoreError::Inconsistent { table: "authorizations", .. }));
    assert!(!error.to_string().contains("secret"));
    let left: i64 =
        outsider.query_row("SELECT count(*) FROM authorizations WHERE sealed NOT NULL", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1);
}

//! Rows: stale writes, retention, inconsistent rows.

use std::fmt::Debug;
use std::time::Duration;

use grantry_domain::authorization::{Authorization, AuthorizationId, AuthorizationRecord, StateKind, TerminationCause};
use grantry_domain::connector::Connector;
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditKind, AuditOutbox, AuditOutcome, AuthorizationFilter, AuthorizationQueries, AuthorizationStore, ConnectorStore,
    ConsumeOutcome, EditEffect, Housekeeping, KeyId, LeaseRequest, LeftOut, RefreshLeases, RevocationJob, RevocationQueue,
    StoreError, SweepPolicy, TerminationRequest, TerminationScope, UnclaimedTokens, WriteOutcome,
};
use grantry_store_sqlite::SqliteStore;
use grantry_testkit::doubles::{PlainVault, fixtures};

use crate::database::{TestDatabase, callback, replace, version};

const SWEEP: SweepPolicy = SweepPolicy {
    unused_grants: Duration::from_hours(90 * 24),
    ended_flows: Duration::from_hours(24),
    ended_grants: Duration::from_hours(30 * 24),
    batch: 1000,
};

#[tokio::test]
async fn r20_a_flow_read_before_its_callback_does_not_become_usable_again() {
    let database = TestDatabase::new();
    let store = database.open().await;
    let connector = database.add_connector(&store).await;
    let owner = fixtures::authorization_key_of(&connector, "alice");
    let read = database.start(&store, fixtures::authorization_id(1), &owner).await;
    let consumed = store.consume(callback(&read), Vec::new()).await.unwrap();
    assert!(matches!(consumed, ConsumeOutcome::Consumed { .. }));

    // State and revision are still the same.
    let written = store.replace(fixtures::authorization(&read), version(&read), Vec::new()).await.unwrap();
    assert!(matches!(written, WriteOutcome::Stale(_)));
    let again = store.consume(callback(&read), Vec::new()).await.unwrap();
    assert!(matches!(again, ConsumeOutcome::AlreadyUsed(_)));
}

#[tokio::test]
async fn r50_a_superseded_client_secret_is_destroyed_after_a_day_even_if_it_is_needed() {
    let database = TestDatabase::new();
    let store = database.open().await;
    let connector = database.add_connector(&store).await;
    let secret = fixtures::client_secret(&connector);
    database.connect(&store, fixtures::authorization_id(1), &fixtures::authorization_key_of(&connector, "alice")).await;
    let next = Connector { epoch: connector.epoch.next(), revision: 2, ..connector.clone() };
    let present = fixtures::client_secret(&next);
    store.update(next, 1, Some(present.clone()), EditEffect::ExpireGrants, Actor::System, Vec::new()).await.unwrap();

    database.clock.advance(Duration::from_hours(24) - Duration::from_millis(1));
    assert_eq!(store.sweep(SWEEP, database.now()).await.unwrap().secrets_destroyed, 0);
    assert_eq!(store.client_secret(secret.key).await.unwrap(), Some(secret.clone()));
    database.clock.advance(Duration::from_millis(1));
    assert_eq!(store.sweep(SWEEP, database.now()).await.unwrap().secrets_destroyed, 1);
    assert_eq!(store.client_secret(secret.key).await.unwrap(), None);
    assert_eq!(store.client_secret(present.key).await.unwrap(), Some(present));
}

#[tokio::test]
async fn r75_envelopes_are_counted_by_the_key_in_their_header() {
    let database = TestDatabase::new();
    let store = database.open().await;
    let connector = database.add_connector(&store).await;
    let owner = fixtures::authorization_key_of(&connector, "alice");
    let grant = database.connect(&store, fixtures::authorization_id(1), &owner).await;
    let other = KeyId([7; 8]);
    let resealed = fixtures::envelope_with(other, "other");
    let tokens = fixtures::unclaimed_tokens(fixtures::authorization_id(2), owner, database.now());
    store.queue_unclaimed(UnclaimedTokens { sealed: resealed.clone(), ..tokens }, Vec::new()).await.unwrap();
    let sorted = |mut usage: Vec<(KeyId, u64)>| {
        usage.sort_unstable();
        usage
    };
    // The connector, its client secret and the grant; the unclaimed tokens.
    let usage = sorted(store.key_usage().await.unwrap());
    assert_eq!(usage, sorted(vec![(PlainVault::FIRST_KEY, 3), (other, 1)]));

    let next = AuthorizationRecord { sealed: Some(resealed), ..grant.clone() };
    replace(&store, &grant, &next).await;
    let usage = sorted(store.key_usage().await.unwrap());
    assert_eq!(usage, sorted(vec![(PlainVault::FIRST_KEY, 2), (other, 2)]));
}

#[tokio::test]
async fn sequence_numbers_increase_after_all_events_were_removed() {
    let database = TestDatabase::new();
    let store = database.open().await;
    let connector = database.add_connector(&store).await;
    let flow = fixtures::initiated(
        fixtures::authorization_id(1),
        fixtures::authorization_key_of(&connector, "alice"),
        database.now(),
    );
    let event = || fixtures::event(AuditKind::AccessTokenIssued, &flow, database.now());
    store.record(vec![event(), event()]).await.unwrap();
    let last = store.pending_events(10).await.unwrap().last().unwrap().sequence;
    store.forget_events(last).await.unwrap();
    store.close().await;

    let store = database.open().await;
    store.record(vec![event()]).await.unwrap();
    assert!(store.pending_events(10).await.unwrap()[0].sequence > last);
}

#[tokio::test]
async fn r80_an_event_that_cannot_be_read_is_reported_and_does_not_keep_others_from_being_delivered() {
    let corruptions = [
        "kind = 'no_such_kind'",
        "kind = CAST(x'ff' AS TEXT)",
        "outcome = 'secret'",
        "details = 'a secret with spaces?'",
        "details = ''",
        "actor_kind = 'root'",
        "actor_kind = 'system', actor = 'u_alice'",
        "actor_kind = 'user', actor = NULL",
        "actor_kind = 'user', actor = ''",
        "space = '../secret'",
        "connector = 'NO CONNECTOR'",
        "user = ''",
        "connection = 'SECRET'",
        "authorization_id = x'00'",
        "sequence = -1",
        "sequence = -9223372036854775808",
    ];
    let database = TestDatabase::new();
    let store = database.open().await;
    let connector = database.add_connector(&store).await;
    let owner = fixtures::authorization_key_of(&connector, "alice");
    let flow = fixtures::initiated(fixtures::authorization_id(1), owner, database.now());
    let event = || fixtures::event(AuditKind::AccessTokenIssued, &flow, database.now());
    for corruption in corruptions {
        store.record(vec![event(), event(), event()]).await.unwrap();
        let second = store.pending_events(10).await.unwrap()[1].sequence;
        let connection = database.foreign_connection();
        connection.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
        connection.execute(&format!("UPDATE events SET {corruption} WHERE sequence = {second}"), []).unwrap();

        let found = store.pending_events(10).await.unwrap();
        let (unreadable, others): (Vec<_>, Vec<_>) =
            found.iter().partition(|recorded| recorded.event.kind == AuditKind::AuditEventUnreadable);
        assert!(others.len() == 2 && others.iter().all(|recorded| recorded.event == event()), "{corruption}: {found:?}");
        let [reported] = unreadable[..] else { panic!("{corruption}: {found:?}") };
        let expected = if corruption.starts_with("sequence") { 0 } else { second };
        assert_eq!((reported.sequence, reported.event.outcome), (expected, AuditOutcome::Malformed), "{corruption}");
        assert!(!format!("{reported:?}").to_lowercase().contains("secret"), "{corruption}");
        assert!(found.is_sorted_by(|left, right| left.sequence < right.sequence), "{corruption}");

        store.forget_events(found[2].sequence).await.unwrap();
        let left: i64 = connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "{corruption}");
    }
}

/// Changes the only row of the authorizations as no write of this program does.
fn corrupt(database: &TestDatabase, assignment: &str) {
    let connection = database.foreign_connection();
    let statement = format!("PRAGMA ignore_check_constraints = ON; UPDATE authorizations SET {assignment}");
    connection.execute_batch(&statement).unwrap();
}

fn assert_inconsistent<T: Debug>(result: Result<T, StoreError>, rule: &str) {
    match result {
        Err(StoreError::Inconsistent { table: "authorizations", row: 1, rule: broken }) => assert_eq!(broken, rule),
        other => panic!("expected a row that breaks the rule {rule:?}: {other:?}"),
    }
}

#[tokio::test]
async fn r76_an_inconsistent_row_is_reported_by_table_row_and_rule_and_not_changed() {
    let corruptions = [
        ("space = '../secret'", "a space id is well formed"),
        ("connection = 'SECRET'", "a connection name is well formed"),
        ("digest = x'736563726574'", "an id or a hash has its length"),
        ("scopes = CAST(x'736563726574ff' AS TEXT)", "a text is UTF-8"),
        ("cause = 'secret'", "the cause is one of its state"),
        ("revision = 0", "a grant has a token revision"),
        ("last_used_day = NULL", "a grant has a day of last use"),
    ];
    for (assignment, rule) in corruptions {
        let database = TestDatabase::new();
        let store = database.open().await;
        let connector = database.add_connector(&store).await;
        let owner = fixtures::authorization_key_of(&connector, "alice");
        let grant = database.connect(&store, fixtures::authorization_id(1), &owner).await;
        assert_eq!(grant.state, StateKind::Authorized);
        corrupt(&database, assignment);

        let error = store.find(grant.id).await.unwrap_err();
        assert!(!format!("{error} {error:?}").to_lowercase().contains("secret"));
        assert_inconsistent::<()>(Err(error), rule);
        let sealed = "SELECT count(*) FROM authorizations WHERE sealed NOT NULL";
        let left: i64 = database.foreign_connection().query_row(sealed, [], |row| row.get(0)).unwrap();
        assert_eq!(left, 1);
    }
}

#[tokio::test]
async fn r76_no_read_reports_an_inconsistent_row_as_missing() {
    const RULE: &str = "a grant has a day of last use";
    let database = TestDatabase::new();
    let store = database.open().await;
    let connector = database.add_connector(&store).await;
    let owner = fixtures::authorization_key_of(&connector, "alice");
    let grant = database.connect(&store, fixtures::authorization_id(1), &owner).await;
    corrupt(&database, "last_used_day = NULL");

    let (space, user) = (&connector.key.space, &owner.user);
    assert_inconsistent(store.find(grant.id).await, RULE);
    assert_inconsistent(store.find_by_state(fixtures::state_hash(grant.id)).await, RULE);
    assert_inconsistent(store.access_token_view(&connector.key, user, None).await, RULE);
    assert_inconsistent(store.access_token_view(&connector.key, user, Some(owner.connection.clone())).await, RULE);
    assert_inconsistent(store.statuses(space, None, user).await, RULE);
    assert_inconsistent(store.statuses(space, Some(connector.key.id.clone()), user).await, RULE);
    assert_inconsistent(AuthorizationQueries::list(&store, space, AuthorizationFilter::default(), None, 10).await, RULE);
    assert_inconsistent(store.consume(callback(&grant), Vec::new()).await, RULE);
    assert_inconsistent(store.take_lease(lease(grant.id, &grant)).await, RULE);
}

/// Grants of alice and bob.
async fn two_grants(database: &TestDatabase, store: &SqliteStore) -> [AuthorizationId; 2] {
    let connector = database.add_connector(store).await;
    let ids = [1, 2].map(fixtures::authorization_id);
    for (id, who) in ids.into_iter().zip(["alice", "bob"]) {
        database.connect(store, id, &fixtures::authorization_key_of(&connector, who)).await;
    }
    ids
}

#[tokio::test]
async fn a_row_that_cannot_be_read_does_not_keep_others_from_being_refreshed() {
    let database = TestDatabase::new();
    let store = database.open().await;
    let [_, of_bob] = two_grants(&database, &store).await;
    corrupt(&database, "digest = x'00' WHERE user = 'alice'");
    let due = store.due_for_refresh(0, database.now().plus(Duration::from_hours(2)), 10).await.unwrap();
    assert_eq!(due.iter().map(Authorization::id).collect::<Vec<_>>(), [of_bob]);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_does_not_keep_others_from_being_revoked() {
    let database = TestDatabase::new();
    let store = database.open().await;
    let [of_alice, of_bob] = two_grants(&database, &store).await;
    for id in [of_alice, of_bob] {
        let request = TerminationRequest { cause: TerminationCause::Admin, actor: Actor::System };
        assert_eq!(store.terminate(TerminationScope::One(id), request).await.unwrap().queued, 1);
    }
    corrupt(&database, "digest = x'00' WHERE user = 'alice'");
    let claimed =
        store.claim_revocation([1; 16], Duration::from_mins(1), Duration::from_hours(1), LeftOut::default()).await.unwrap();
    let Some(RevocationJob::FormerGrant(former)) = claimed else { panic!("tokens of a former grant") };
    assert_eq!(former.id(), of_bob);
    assert_eq!(
        store.claim_revocation([2; 16], Duration::from_mins(1), Duration::from_hours(1), LeftOut::default()).await.unwrap(),
        None
    );
}

fn lease(id: AuthorizationId, grant: &AuthorizationRecord) -> LeaseRequest {
    LeaseRequest {
        id,
        revision: grant.revision,
        holder: [1; 16],
        length: Duration::from_mins(1),
        longest: Duration::from_mins(2),
    }
}

#[tokio::test]
async fn a_user_has_one_grant_per_connection() {
    let database = TestDatabase::new();
    let store = database.open().await;
    let connector = database.add_connector(&store).await;
    for (n, name) in [(1, "home"), (2, "work"), (3, "work")] {
        let owner = fixtures::named_key_of(&connector, "alice", name);
        database.connect(&store, fixtures::authorization_id(n), &owner).await;
    }
    let view = store.access_token_view(&connector.key, &fixtures::user("alice"), None).await.unwrap().unwrap();
    let grants = view.grants.iter().map(|grant| grant.value.id());
    assert_eq!(grants.collect::<Vec<_>>(), [1, 3].map(fixtures::authorization_id));

    let second = "UPDATE authorizations SET connection = 'home' WHERE role = 'grant'";
    let error = database.foreign_connection().execute_batch(second).unwrap_err();
    assert!(error.to_string().contains("UNIQUE constraint failed"), "{error}");
}

#[tokio::test]
async fn default_connections_are_removed_with_the_connector_and_with_the_user() {
    let rows = |database: &TestDatabase| -> i64 {
        let count = "SELECT count(*) FROM default_connections";
        database.foreign_connection().query_row(count, [], |row| row.get(0)).unwrap()
    };
    let database = TestDatabase::new();
    let store = database.open().await;
    let connector = database.add_connector(&store).await;
    for (n, user) in [(1, "alice"), (2, "bob")] {
        let owner = fixtures::authorization_key_of(&connector, user);
        database.connect(&store, fixtures::authorization_id(n), &owner).await;
        let (incarnation, name) = (connector.incarnation, Some(owner.connection));
        assert!(store.set_default_connection(incarnation, owner.user, name, Vec::new()).await.unwrap());
    }
    assert_eq!(rows(&database), 2);
    let request = TerminationRequest { cause: TerminationCause::UserRemoved, actor: Actor::System };
    store.terminate(TerminationScope::User(fixtures::user("alice")), request).await.unwrap();
    assert_eq!(rows(&database), 1);
    store.delete(&connector.key, Actor::System, Vec::new()).await.unwrap();
    assert_eq!(rows(&database), 0);
}

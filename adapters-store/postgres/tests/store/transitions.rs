//! The predicate updates change each row exactly as the domain's transition changes the authorization.

use std::time::Duration;

use grantry_domain::authorization::{AuthorizationId, AuthorizationRecord, Input, StateKind, TerminationCause};
use grantry_domain::connector::Connector;
use grantry_domain::identity::{Actor, ConnectionName};
use grantry_domain::ports::{
    AuditEvent, AuditKind, AuditOutbox, AuthorizationStore, ConnectorStore, EditEffect, Housekeeping, LeaseRequest,
    RefreshLeases, SweepPolicy, TerminationRequest, TerminationScope,
};
use grantry_domain::time::Timestamp;
use grantry_store_postgres::PostgresStore;
use grantry_testkit::doubles::fixtures;

use crate::database::{HIGH_LIMITS, TestDatabase, find, replace};

/// One authorization of every kind, each of another user of one connector, and a second connection of one user.
async fn one_of_each(database: &TestDatabase, store: &PostgresStore, connector: &Connector) -> Vec<AuthorizationRecord> {
    let owner = |user: &str| fixtures::authorization_key_of(connector, user);
    let id = fixtures::authorization_id;
    let initiated = fixtures::initiated(id(1), owner("initiated"), database.now());
    store.insert_flow(fixtures::authorization(&initiated), HIGH_LIMITS, Vec::new()).await.unwrap();
    database.start(store, id(2), &owner("awaiting")).await;
    database.consume(store, id(3), &owner("consumed")).await;
    database.connect(store, id(4), &owner("grant")).await;
    let in_doubt = database.connect(store, id(5), &owner("in-doubt")).await;
    let request = LeaseRequest {
        id: id(5),
        revision: in_doubt.revision,
        holder: [5; 16],
        length: Duration::from_mins(1),
        longest: Duration::from_mins(2),
    };
    store.take_lease(request).await.unwrap();
    let now = database.now();
    let terminated = |cause| Input::Terminated { cause, revoke: true };
    let rejected = database.connect(store, id(6), &owner("rejected")).await;
    replace(store, &rejected, &fixtures::refresh_rejected(&rejected, now)).await;
    let changed = database.connect(store, id(7), &owner("changed")).await;
    replace(store, &changed, &fixtures::after(&changed, Input::ConnectorChanged, now)).await;
    let ended = database.connect(store, id(8), &owner("ended")).await;
    replace(store, &ended, &fixtures::after(&ended, terminated(TerminationCause::Admin), now)).await;
    let cancelled = database.start(store, id(9), &owner("cancelled")).await;
    replace(store, &cancelled, &fixtures::after(&cancelled, terminated(TerminationCause::Cancelled), now)).await;
    database.connect(store, id(10), &fixtures::named_key_of(connector, "grant", "work")).await;
    store.forget_events(u64::MAX).await.unwrap();
    all(store).await
}

async fn all(store: &PostgresStore) -> Vec<AuthorizationRecord> {
    let mut records = Vec::new();
    for n in 1..=10 {
        records.push(find(store, fixtures::authorization_id(n)).await);
    }
    records
}

/// The record after the domain's transition; unchanged if the domain refuses the input.
fn by_domain(record: &AuthorizationRecord, input: Input, actor: &Actor, now: Timestamp) -> AuthorizationRecord {
    let before = fixtures::authorization(record);
    match before.clone().on(input, now) {
        Ok(after) if after != before => after.ended_by(actor).to_record(),
        Ok(_) | Err(_) => record.clone(),
    }
}

/// Compares the events of the store with the records that changed.
async fn assert_events(
    store: &PostgresStore,
    before: &[AuthorizationRecord],
    after: &[AuthorizationRecord],
    actor: &Actor,
    now: Timestamp,
) {
    let mut written: Vec<(Option<AuthorizationId>, AuditEvent)> = Vec::new();
    let recorded = store.pending_events(1000).await.unwrap();
    for recorded in recorded.into_iter().filter(|recorded| recorded.event.kind != AuditKind::UserDeprovisioned) {
        written.push((recorded.event.authorization, recorded.event));
    }
    written.sort_by_key(|(id, _)| *id);
    let changed = before.iter().zip(after).filter(|(before, after)| before != after);
    let expected = changed.map(|(_, record)| {
        let ended = fixtures::authorization(record);
        (Some(record.id), AuditEvent::of_termination(&ended, actor.clone(), now))
    });
    assert_eq!(written, expected.collect::<Vec<_>>());
}

fn in_scope(scope: &TerminationScope, record: &AuthorizationRecord) -> bool {
    let owner = &record.owner;
    match scope {
        TerminationScope::One(id) => record.id == *id,
        TerminationScope::Connection { connector, user, connection } => {
            (&owner.connector_key(), &owner.user, &owner.connection) == (connector, user, connection)
        }
        TerminationScope::User(user) => owner.user == *user,
        TerminationScope::UserSpace { user, space } => (&owner.user, &owner.space) == (user, space),
        TerminationScope::Space(space) => owner.space == *space,
    }
}

#[tokio::test]
async fn r49_termination_by_predicate_equals_the_transition_of_each_record() {
    let user = fixtures::user("grant");
    let scopes = |connector: &Connector| {
        let (connector, space) = (connector.key.clone(), connector.key.space.clone());
        vec![
            (TerminationScope::Space(space.clone()), 8),
            (TerminationScope::One(fixtures::authorization_id(5)), 1),
            (TerminationScope::User(user.clone()), 2),
            (TerminationScope::UserSpace { user: user.clone(), space }, 2),
            (TerminationScope::Connection { connector, user: user.clone(), connection: ConnectionName::default() }, 1),
        ]
    };
    for at in 0..5 {
        let database = TestDatabase::new().await;
        let store = database.open().await;
        let connector = database.add_connector(&store).await;
        let before = one_of_each(&database, &store, &connector).await;
        database.clock.advance(Duration::from_secs(5));
        let (scope, expected_changes) = scopes(&connector).swap_remove(at);
        let actor = Actor::Person(fixtures::user("admin"));
        let request = TerminationRequest { cause: TerminationCause::SpaceRemoved, actor: actor.clone() };
        let report = store.terminate(scope.clone(), request).await.unwrap();

        let terminate = |record: &AuthorizationRecord| {
            let input = Input::Terminated { cause: TerminationCause::SpaceRemoved, revoke: true };
            if in_scope(&scope, record) { by_domain(record, input, &actor, database.now()) } else { record.clone() }
        };
        let after = all(&store).await;
        assert_eq!(after, before.iter().map(terminate).collect::<Vec<_>>());
        assert_events(&store, &before, &after, &actor, database.now()).await;
        let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count() as u64;
        assert_eq!(changed, expected_changes, "{scope:?}");
        assert_eq!(report.flows + report.grants + report.former, changed);
        assert_eq!(report.queued, report.grants);
    }
}

#[tokio::test]
async fn r52_an_edit_equals_the_transition_of_each_record() {
    for effect in [EditEffect::KeepGrants, EditEffect::ExpireGrants] {
        let database = TestDatabase::new().await;
        let store = database.open().await;
        let connector = database.add_connector(&store).await;
        let before = one_of_each(&database, &store, &connector).await;
        database.clock.advance(Duration::from_secs(5));
        let next = Connector { epoch: connector.epoch.next(), revision: 2, ..connector.clone() };
        let actor = Actor::Person(fixtures::user("editor"));
        store.update(next, connector.revision, None, effect, actor.clone(), Vec::new()).await.unwrap();

        let edit = |record: &AuthorizationRecord| match effect {
            EditEffect::KeepGrants => record.clone(),
            EditEffect::ExpireGrants => by_domain(record, Input::ConnectorChanged, &actor, database.now()),
        };
        let after = all(&store).await;
        assert_eq!(after, before.iter().map(edit).collect::<Vec<_>>());
        assert_events(&store, &before, &after, &actor, database.now()).await;
    }
}

#[tokio::test]
async fn r53_a_delete_equals_the_transition_of_each_record() {
    let database = TestDatabase::new().await;
    let store = database.open().await;
    let connector = database.add_connector(&store).await;
    let before = one_of_each(&database, &store, &connector).await;
    database.clock.advance(Duration::from_secs(5));
    let actor = Actor::Person(fixtures::user("editor"));
    assert_eq!(store.delete(&connector.key, actor.clone(), Vec::new()).await.unwrap(), Some(3));

    let delete = |record: &AuthorizationRecord| {
        let input = Input::Terminated { cause: TerminationCause::ConnectorDeleted, revoke: true };
        by_domain(record, input, &actor, database.now())
    };
    let after = all(&store).await;
    assert_eq!(after, before.iter().map(delete).collect::<Vec<_>>());
    assert_events(&store, &before, &after, &actor, database.now()).await;
}

#[tokio::test]
async fn r55_a_sweep_equals_the_transition_of_each_record() {
    let policy = SweepPolicy {
        unused_grants: Duration::from_hours(90 * 24),
        ended_flows: Duration::from_hours(1000 * 24),
        ended_grants: Duration::from_hours(1000 * 24),
        batch: 1000,
    };
    let database = TestDatabase::new().await;
    let store = database.open().await;
    let connector = database.add_connector(&store).await;
    let before = one_of_each(&database, &store, &connector).await;
    // The flows are over. The grants have a refresh token without an expiry, and were not used since.
    database.clock.advance(Duration::from_hours(91 * 24));
    store.sweep(policy, database.now()).await.unwrap();

    let sweep = |record: &AuthorizationRecord| match record.state {
        StateKind::Authorized => by_domain(
            record,
            Input::Terminated { cause: TerminationCause::Unused, revoke: true },
            &Actor::System,
            database.now(),
        ),
        StateKind::Initiated | StateKind::AwaitingCallback | StateKind::Expired | StateKind::Revoked => {
            by_domain(record, Input::DeadlinePassed, &Actor::System, database.now())
        }
    };
    let after = all(&store).await;
    assert_eq!(after, before.iter().map(sweep).collect::<Vec<_>>());
    assert_events(&store, &before, &after, &Actor::System, database.now()).await;
}

#[tokio::test]
async fn an_expired_grant_equals_the_transition() {
    let policy = SweepPolicy {
        unused_grants: Duration::from_hours(1),
        ended_flows: Duration::from_hours(24),
        ended_grants: Duration::from_hours(24),
        batch: 1000,
    };
    let database = TestDatabase::new().await;
    let store = database.open().await;
    let connector = database.add_connector(&store).await;
    let owner = |user: &str| fixtures::authorization_key_of(&connector, user);
    let without = database.connect(&store, fixtures::authorization_id(1), &owner("a")).await;
    let limited = database.connect(&store, fixtures::authorization_id(2), &owner("b")).await;
    let expiry = database.now().plus(Duration::from_hours(2));
    let kinds = [
        (&without, AuthorizationRecord { refreshable: false, ..without.clone() }),
        (&limited, AuthorizationRecord { refresh_expires_at: Some(expiry), ..limited.clone() }),
    ];
    for (read, next) in &kinds {
        replace(&store, read, next).await;
    }
    database.clock.advance(Duration::from_hours(2));
    assert_eq!(store.sweep(policy, database.now()).await.unwrap().expired, 2);
    for (_, record) in &kinds {
        let expected = by_domain(record, Input::DeadlinePassed, &Actor::System, database.now());
        assert_eq!(expected.state, StateKind::Expired);
        assert_eq!(find(&store, record.id).await, expected);
    }
}

//! The predicate updates do to each row exactly what the domain's transition does to the record.

use std::time::Duration;

use grantry_domain::authorization::{
    Authorization, AuthorizationId, AuthorizationRecord, Input, StateKind, TerminationCause,
};
use grantry_domain::connector::Connector;
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditEvent, AuthorizationStore, Cascade, ConnectorStore, ExpectedVersion, LeaseRequest, SweepPolicy, TerminationRequest,
    TerminationScope,
};
use grantry_domain::time::Timestamp;
use grantry_store_sqlite::SqliteStore;
use grantry_testkit::doubles::fixtures;

use crate::place::{Place, ROOMY};

/// One record of every kind, each of another user of one connector.
async fn one_of_each(place: &Place, store: &SqliteStore, connector: &Connector) -> Vec<AuthorizationRecord> {
    let owner = |user: &str| fixtures::ownership_of(connector, user);
    let id = fixtures::grant_id;
    let initiated = fixtures::initiated(id(1), owner("initiated"), place.now());
    store.insert_pending(initiated, ROOMY, Vec::new()).await.unwrap();
    place.start(store, id(2), &owner("awaiting")).await;
    place.consume(store, id(3), &owner("consumed")).await;
    place.connect(store, id(4), &owner("grant")).await;
    let doubtful = place.connect(store, id(5), &owner("doubtful")).await;
    let request = LeaseRequest {
        id: id(5),
        revision: doubtful.revision,
        owner: [5; 16],
        length: Duration::from_mins(1),
        longest: Duration::from_mins(2),
    };
    store.take_lease(request).await.unwrap();
    let lost = place.connect(store, id(6), &owner("lost")).await;
    let lost_next = fixtures::refused(&lost, place.now());
    store.replace(lost_next, ExpectedVersion::of(&lost), Vec::new()).await.unwrap();
    let owing = place.connect(store, id(7), &owner("owing")).await;
    let owing_next = fixtures::after(&owing, Input::ConnectorChanged, place.now());
    store.replace(owing_next, ExpectedVersion::of(&owing), Vec::new()).await.unwrap();
    let ended = place.connect(store, id(8), &owner("ended")).await;
    let ended_next =
        fixtures::after(&ended, Input::Terminated { cause: TerminationCause::Admin, revoke: true }, place.now());
    store.replace(ended_next, ExpectedVersion::of(&ended), Vec::new()).await.unwrap();
    let over = place.start(store, id(9), &owner("over")).await;
    let over_next =
        fixtures::after(&over, Input::Terminated { cause: TerminationCause::Cancelled, revoke: true }, place.now());
    store.replace(over_next, ExpectedVersion::of(&over), Vec::new()).await.unwrap();
    store.forget_events(u64::MAX).await.unwrap();
    all(store).await
}

async fn all(store: &SqliteStore) -> Vec<AuthorizationRecord> {
    let mut records = Vec::new();
    for n in 1..=9 {
        records.push(store.find(fixtures::grant_id(n)).await.unwrap().unwrap());
    }
    records
}

/// What the domain makes of a record; unchanged where it refuses.
fn by_domain(record: &AuthorizationRecord, input: Input, now: Timestamp) -> AuthorizationRecord {
    let grant = Authorization::restore(record.clone()).unwrap();
    grant.on(input, now).map_or_else(|_| record.clone(), |grant| grant.to_record())
}

/// The events of the store, each against the record it tells of.
async fn assert_events(
    store: &SqliteStore,
    before: &[AuthorizationRecord],
    after: &[AuthorizationRecord],
    actor: &Actor,
    now: Timestamp,
) {
    let mut written: Vec<(Option<AuthorizationId>, AuditEvent)> = Vec::new();
    for recorded in store.pending_events(1000).await.unwrap() {
        written.push((recorded.event.grant, recorded.event));
    }
    written.sort_by_key(|(grant, _)| *grant);
    let changed = before.iter().zip(after).filter(|(before, after)| before != after);
    let expected: Vec<_> =
        changed.map(|(_, record)| (Some(record.id), AuditEvent::ending(record, actor.clone(), now))).collect();
    assert_eq!(written, expected);
}

#[tokio::test]
async fn r49_ending_by_predicate_equals_the_transition_of_each_record() {
    let alone = TerminationScope::User(fixtures::user("grant"));
    let scopes = |connector: &Connector| {
        vec![
            TerminationScope::Space(connector.key.space.clone()),
            TerminationScope::One(fixtures::grant_id(5)),
            alone.clone(),
        ]
    };
    for at in 0..3 {
        let place = Place::new();
        let store = place.open().await;
        let connector = place.add_connector(&store).await;
        let before = one_of_each(&place, &store, &connector).await;
        place.clock.advance(Duration::from_secs(5));
        let scope = scopes(&connector).swap_remove(at);
        let actor = Actor::Person(fixtures::user("admin"));
        let ending = TerminationRequest { cause: TerminationCause::SpaceRemoved, actor: actor.clone() };
        let ended = store.end(scope.clone(), ending).await.unwrap();

        let in_scope = |record: &AuthorizationRecord| match &scope {
            TerminationScope::One(id) => record.id == *id,
            TerminationScope::User(user) => record.owner.user == *user,
            TerminationScope::UserConnector { .. } | TerminationScope::UserSpace { .. } | TerminationScope::Space(_) => true,
        };
        let end = |record: &AuthorizationRecord| {
            let input = Input::Terminated { cause: TerminationCause::SpaceRemoved, revoke: true };
            if in_scope(record) { by_domain(record, input, place.now()) } else { record.clone() }
        };
        let after = all(&store).await;
        assert_eq!(after, before.iter().map(end).collect::<Vec<_>>());
        assert_events(&store, &before, &after, &actor, place.now()).await;
        let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count() as u64;
        assert_eq!(ended.flows + ended.grants + ended.former, changed);
        assert_eq!(ended.queued, ended.grants);
    }
}

#[tokio::test]
async fn r52_an_edit_equals_the_transition_of_each_record() {
    for cascade in [Cascade::Keep, Cascade::Changed, Cascade::Disabled] {
        let place = Place::new();
        let store = place.open().await;
        let connector = place.add_connector(&store).await;
        let before = one_of_each(&place, &store, &connector).await;
        place.clock.advance(Duration::from_secs(5));
        let next = Connector { epoch: connector.epoch.next(), revision: 2, ..connector.clone() };
        let actor = Actor::Person(fixtures::user("editor"));
        store.update(next, connector.revision, None, cascade, actor.clone(), Vec::new()).await.unwrap();

        let edit = |record: &AuthorizationRecord| {
            let former = record.state == StateKind::Expired;
            let input = match cascade {
                Cascade::Keep => return record.clone(),
                Cascade::Changed => Input::ConnectorChanged,
                Cascade::Disabled if former => return record.clone(),
                Cascade::Disabled => Input::Terminated { cause: TerminationCause::ConnectorDisabled, revoke: true },
            };
            by_domain(record, input, place.now())
        };
        let after = all(&store).await;
        assert_eq!(after, before.iter().map(edit).collect::<Vec<_>>());
        assert_events(&store, &before, &after, &actor, place.now()).await;
    }
}

#[tokio::test]
async fn r53_a_delete_equals_the_transition_of_each_record() {
    let place = Place::new();
    let store = place.open().await;
    let connector = place.add_connector(&store).await;
    let before = one_of_each(&place, &store, &connector).await;
    place.clock.advance(Duration::from_secs(5));
    let actor = Actor::Person(fixtures::user("editor"));
    assert_eq!(store.delete(&connector.key, actor.clone(), Vec::new()).await.unwrap(), Some(2));

    let end = |record: &AuthorizationRecord| {
        by_domain(record, Input::Terminated { cause: TerminationCause::ConnectorDeleted, revoke: true }, place.now())
    };
    let after = all(&store).await;
    assert_eq!(after, before.iter().map(end).collect::<Vec<_>>());
    assert_events(&store, &before, &after, &actor, place.now()).await;
}

#[tokio::test]
async fn r55_a_sweep_equals_the_transition_of_each_record() {
    let policy = SweepPolicy {
        unused_grants: Duration::from_hours(90 * 24),
        ended_flows: Duration::from_hours(1000 * 24),
        ended_grants: Duration::from_hours(1000 * 24),
        batch: 1000,
    };
    let place = Place::new();
    let store = place.open().await;
    let connector = place.add_connector(&store).await;
    let before = one_of_each(&place, &store, &connector).await;
    // Flows are over; grants have a refresh token without an end, and were not used since.
    place.clock.advance(Duration::from_hours(91 * 24));
    store.sweep(policy).await.unwrap();

    let sweep = |record: &AuthorizationRecord| match record.state {
        StateKind::Authorized => {
            by_domain(record, Input::Terminated { cause: TerminationCause::Unused, revoke: true }, place.now())
        }
        StateKind::Initiated | StateKind::AwaitingCallback | StateKind::Expired | StateKind::Revoked => {
            by_domain(record, Input::DeadlinePassed, place.now())
        }
    };
    let after = all(&store).await;
    assert_eq!(after, before.iter().map(sweep).collect::<Vec<_>>());
    assert_events(&store, &before, &after, &Actor::System, place.now()).await;
}

#[tokio::test]
async fn a_lapsed_grant_equals_the_transition() {
    let policy = SweepPolicy {
        unused_grants: Duration::from_hours(1),
        ended_flows: Duration::from_hours(24),
        ended_grants: Duration::from_hours(24),
        batch: 1000,
    };
    let place = Place::new();
    let store = place.open().await;
    let connector = place.add_connector(&store).await;
    let without = place.connect(&store, fixtures::grant_id(1), &fixtures::ownership_of(&connector, "a")).await;
    let limited = place.connect(&store, fixtures::grant_id(2), &fixtures::ownership_of(&connector, "b")).await;
    let lapse = place.now().plus(Duration::from_hours(2));
    let kinds = [
        (&without, AuthorizationRecord { refreshable: false, ..without.clone() }),
        (&limited, AuthorizationRecord { refresh_expires_at: Some(lapse), ..limited.clone() }),
    ];
    for (read, next) in &kinds {
        store.replace(next.clone(), ExpectedVersion::of(read), Vec::new()).await.unwrap();
    }
    place.clock.advance(Duration::from_hours(2));
    assert_eq!(store.sweep(policy).await.unwrap().expired, 2);
    for (_, record) in &kinds {
        let expected = by_domain(record, Input::DeadlinePassed, place.now());
        assert_eq!(expected.state, StateKind::Expired);
        assert_eq!(store.find(record.id).await.unwrap(), Some(expected));
    }
}

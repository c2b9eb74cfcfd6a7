//! Several nodes on one database.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::{RevocationOutcome, StateKind, TerminationCause};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditEvent, AuditKind, AuditOutbox, AuthorizationQueries, AuthorizationStore, CommitOutcome, ConnectorStore, EditEffect,
    Housekeeping, InsertOutcome, Lease, LeaseRequest, LeftOut, PendingLimits, RefreshLeases, RevocationJob, RevocationQueue,
    RevocationUpdate, RowTag, Session, SessionHash, SessionStore, StoreClock, SweepPolicy, TerminationRequest,
    TerminationScope, Updated,
};
use grantry_store_postgres::{PostgresOptions, PostgresStore};
use grantry_testkit::doubles::fixtures;
use tokio::task::JoinSet;

use crate::database::{HIGH_LIMITS, TestDatabase, find, options_of, wait_for_waiters};

/// Three nodes.
async fn nodes(database: &TestDatabase) -> [Arc<PostgresStore>; 3] {
    [Arc::new(database.open().await), Arc::new(database.open().await), Arc::new(database.open().await)]
}

fn event(database: &TestDatabase, text: &str) -> AuditEvent {
    AuditEvent::new(AuditKind::DecryptFailed, Actor::Agent(text.to_owned()), database.now())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r36_exactly_one_of_many_nodes_takes_the_lease() {
    let database = TestDatabase::new().await;
    let nodes = nodes(&database).await;
    let connector = database.add_connector(&nodes[0]).await;
    let owner = fixtures::authorization_key_of(&connector, "alice");
    let grant = database.connect(&nodes[0], fixtures::authorization_id(1), &owner).await;
    let mut attempts = JoinSet::new();
    for n in 0..30 {
        let store = nodes[n % 3].clone();
        let holder = [u8::try_from(n).unwrap(); 16];
        let (length, longest) = (Duration::from_mins(1), Duration::from_mins(2));
        let request = LeaseRequest { id: grant.id, revision: grant.revision, holder, length, longest };
        attempts.spawn(async move { store.take_lease(request).await });
    }
    let mut taken = 0;
    for attempt in attempts.join_all().await {
        match attempt.unwrap() {
            Lease::Taken { was_in_doubt, .. } => {
                assert!(!was_in_doubt);
                taken += 1;
            }
            Lease::Held { .. } => {}
            unexpected @ (Lease::Stale(_) | Lease::NotFound) => panic!("{unexpected:?}"),
        }
    }
    assert_eq!(taken, 1);
    assert!(find(&nodes[1], grant.id).await.refresh.in_doubt_since.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r18_the_limit_of_a_user_is_exact_over_all_nodes() {
    let database = TestDatabase::new().await;
    let nodes = nodes(&database).await;
    let connector = database.add_connector(&nodes[0]).await;
    let limits = PendingLimits { per_user: 5, deployment: 1000 };
    let mut starts = JoinSet::new();
    for n in 0..24_u64 {
        let store = nodes[usize::try_from(n).unwrap() % 3].clone();
        let owner = fixtures::named_key_of(&connector, "alice", &format!("name-{n}"));
        let flow = fixtures::initiated(fixtures::authorization_id(n + 1), owner, database.now());
        starts.spawn(async move { store.insert_flow(fixtures::authorization(&flow), limits, Vec::new()).await.unwrap() });
    }
    let outcomes = starts.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == InsertOutcome::Inserted).count(), 5);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == InsertOutcome::TooManyPending).count(), 19);
}

/// Commits race with what ends the user, the connection or the connector. Afterwards no grant is left that was to end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r26_no_grant_survives_a_termination_that_it_races_with() {
    let database = TestDatabase::new().await;
    let nodes = nodes(&database).await;
    for round in 0..12_u64 {
        let connector = database.connector_named(&nodes[0], &format!("c{round}"), u8::try_from(round + 1).unwrap()).await;
        let mut commits = JoinSet::new();
        let mut ids = Vec::new();
        for n in 0..4_u64 {
            let user = format!("user-{round}-{n}");
            let (id, owner) =
                (fixtures::authorization_id(round * 100 + n), fixtures::authorization_key_of(&connector, &user));
            database.consume(&nodes[0], id, &owner).await;
            ids.push(id);
            let store = nodes[usize::try_from(n).unwrap() % 3].clone();
            let grant = fixtures::authorization(&fixtures::authorized(id, owner, database.now()));
            commits.spawn(async move { store.commit_grant(grant, true, Vec::new()).await.unwrap() });
        }
        let request = TerminationRequest { cause: TerminationCause::Admin, actor: Actor::System };
        match round % 3 {
            0 => {
                nodes[2].terminate(TerminationScope::Space(connector.key.space.clone()), request).await.unwrap();
            }
            1 => {
                nodes[2].delete(&connector.key, Actor::System, Vec::new()).await.unwrap();
            }
            _ => {
                for n in 0..4 {
                    let user = fixtures::user(&format!("user-{round}-{n}"));
                    nodes[2].terminate(TerminationScope::User(user), request.clone()).await.unwrap();
                }
            }
        }
        for outcome in commits.join_all().await {
            let expected =
                [CommitOutcome::Committed, CommitOutcome::FlowEnded, CommitOutcome::ConnectorGone, CommitOutcome::UserGone];
            assert!(expected.contains(&outcome), "{outcome:?}");
        }
        for id in ids {
            assert_eq!(find(&nodes[1], id).await.state, StateKind::Revoked, "round {round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r26_no_grant_survives_an_edit_that_it_races_with() {
    let database = TestDatabase::new().await;
    let nodes = nodes(&database).await;
    let mut connector = database.add_connector(&nodes[0]).await;
    for round in 0..10 {
        let id = fixtures::authorization_id(round + 1);
        let owner = fixtures::authorization_key_of(&connector, "alice");
        database.consume(&nodes[0], id, &owner).await;
        let grant = fixtures::authorization(&fixtures::authorized(id, owner, database.now()));
        let store = nodes[1].clone();
        let commit = tokio::spawn(async move { store.commit_grant(grant, true, Vec::new()).await.unwrap() });
        let mut next = connector.clone();
        (next.epoch, next.revision) = (connector.epoch.next(), connector.revision + 1);
        let edit =
            nodes[2].update(next.clone(), connector.revision, None, EditEffect::ExpireGrants, Actor::System, Vec::new());
        assert!(matches!(edit.await.unwrap(), Updated::Done { .. }));
        commit.await.unwrap();
        assert_ne!(find(&nodes[0], id).await.state, StateKind::Authorized);
        connector = next;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r50_each_revocation_is_claimed_by_one_node() {
    let database = TestDatabase::new().await;
    let nodes = nodes(&database).await;
    let connector = database.add_connector(&nodes[0]).await;
    for n in 1..=30 {
        let owner = fixtures::authorization_key_of(&connector, &format!("user-{n}"));
        database.connect(&nodes[0], fixtures::authorization_id(n), &owner).await;
    }
    let request = TerminationRequest { cause: TerminationCause::Admin, actor: Actor::System };
    nodes[0].terminate(TerminationScope::Space(connector.key.space.clone()), request).await.unwrap();
    let mut workers = JoinSet::new();
    for (n, store) in (1..).zip(nodes.iter().cycle().take(6).cloned()) {
        workers.spawn(async move {
            let mut claimed = Vec::new();
            let (length, pause) = (Duration::from_mins(1), Duration::from_hours(1));
            while let Some(RevocationJob::FormerGrant(former)) =
                store.claim_revocation([n; 16], length, pause, LeftOut::default()).await.unwrap()
            {
                let done = RevocationUpdate::Completed(RevocationOutcome::Revoked);
                store.update_revocation(former.id(), [n; 16], done, Vec::new()).await.unwrap();
                claimed.push(former.id());
            }
            claimed
        });
    }
    let claimed = workers.join_all().await.concat();
    assert_eq!(claimed.len(), 30);
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>().len(), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r55_sweeps_of_several_nodes_change_each_row_once() {
    let database = TestDatabase::new().await;
    let nodes = nodes(&database).await;
    let connector = database.add_connector(&nodes[0]).await;
    for n in 1..=40 {
        let owner = fixtures::authorization_key_of(&connector, &format!("user-{n}"));
        database.start(&nodes[0], fixtures::authorization_id(n), &owner).await;
    }
    nodes[0].forget_events(u64::MAX).await.unwrap();
    database.clock.advance(Duration::from_hours(1));
    let policy = SweepPolicy {
        unused_grants: Duration::from_hours(90 * 24),
        ended_flows: Duration::from_hours(24),
        ended_grants: Duration::from_hours(24),
        batch: 7,
    };
    let mut sweeps = JoinSet::new();
    for store in nodes.clone() {
        let now = database.now();
        sweeps.spawn(async move {
            let mut timed_out = 0;
            for _ in 0..20 {
                timed_out += store.sweep(policy, now).await.unwrap().timed_out;
            }
            timed_out
        });
    }
    assert_eq!(sweeps.join_all().await.into_iter().sum::<u64>(), 40);
    let ended = nodes[0].pending_events(1000).await.unwrap();
    assert_eq!(ended.iter().filter(|recorded| recorded.event.kind == AuditKind::FlowEnded).count(), 40);
}

/// Events of transactions that commit in another order than they were added are all delivered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r80_no_event_is_removed_before_it_was_delivered() {
    let database = TestDatabase::new().await;
    let nodes = nodes(&database).await;
    let mut writers = JoinSet::new();
    for (worker, store) in nodes.iter().cloned().enumerate() {
        let events: Vec<_> = (0..60).map(|n| event(&database, &format!("{worker}-{n}"))).collect();
        writers.spawn(async move {
            for event in events {
                store.record(vec![event]).await.unwrap();
            }
        });
    }
    let mut delivered = Vec::new();
    let mut last = 0;
    let mut is_written = false;
    loop {
        let events = nodes[0].pending_events(7).await.unwrap();
        if events.is_empty() && is_written {
            break;
        }
        is_written = writers.is_empty() || {
            writers.try_join_next();
            writers.is_empty()
        };
        for recorded in events {
            assert!(recorded.sequence > last);
            last = recorded.sequence;
            delivered.push(recorded.event.actor);
        }
        nodes[0].forget_events(last).await.unwrap();
    }
    assert_eq!(delivered.len(), 180);
}

#[tokio::test]
async fn one_node_at_a_time_delivers_events() {
    let database = TestDatabase::new().await;
    let options = || PostgresOptions { event_claim: Duration::from_secs(30), ..database.options() };
    let one = PostgresStore::open(options()).await.unwrap();
    let two = PostgresStore::open(options()).await.unwrap();
    one.record(vec![event(&database, "1")]).await.unwrap();
    assert_eq!(one.pending_events(10).await.unwrap().len(), 1);
    assert_eq!(two.pending_events(10).await.unwrap(), []);
    database.clock.advance(Duration::from_secs(29));
    assert_eq!(one.pending_events(10).await.unwrap().len(), 1);
    database.clock.advance(Duration::from_secs(29));
    assert_eq!(two.pending_events(10).await.unwrap(), []);
    database.clock.advance(Duration::from_secs(1));
    assert_eq!(two.pending_events(10).await.unwrap().len(), 1);
    assert_eq!(one.pending_events(10).await.unwrap(), []);
    // A claim that a clock ahead of time left behind does not last.
    database.clock.step_wall(database.now().minus(Duration::from_hours(1)));
    assert_eq!(one.pending_events(10).await.unwrap().len(), 1);
}

/// A node that prepares its statements reads and writes like the others, also on connections that replace ended ones.
#[tokio::test]
async fn statements_can_be_prepared_once() {
    let database = TestDatabase::new().await;
    let options = PostgresOptions { statement_cache: true, ..database.options() };
    let store = PostgresStore::open(options).await.unwrap();
    let connector = database.add_connector(&store).await;
    for n in 1..=8 {
        let owner = fixtures::authorization_key_of(&connector, &format!("user-{n}"));
        let grant = database.connect(&store, fixtures::authorization_id(n), &owner).await;
        let view = store.access_token_view(&connector.key, &owner.user, None).await.unwrap().unwrap();
        assert_eq!(view.grants[0].value.to_record(), grant);
        if n == 4 {
            database.database.disconnect_all().await;
        }
    }
}

#[tokio::test]
async fn a_node_sees_what_another_node_wrote() {
    let database = TestDatabase::new().await;
    let nodes = nodes(&database).await;
    let connector = database.add_connector(&nodes[0]).await;
    let owner = fixtures::authorization_key_of(&connector, "alice");
    let flow = fixtures::initiated(fixtures::authorization_id(7), owner.clone(), database.now());
    nodes[1].insert_flow(fixtures::authorization(&flow), HIGH_LIMITS, Vec::new()).await.unwrap();
    assert_eq!(find(&nodes[2], flow.id).await, flow);
    let grant = database.connect(&nodes[2], fixtures::authorization_id(8), &owner).await;
    let view = nodes[0].access_token_view(&connector.key, &owner.user, None).await.unwrap().unwrap();
    assert_eq!(view.grants[0].value.to_record(), grant);
}

/// Each node may have another duration; a claim lasts for the duration of the node that took it.
#[tokio::test]
async fn a_claim_of_the_delivery_lasts_as_long_as_its_node_says() {
    let database = TestDatabase::new().await;
    let options = |seconds| PostgresOptions { event_claim: Duration::from_secs(seconds), ..database.options() };
    let one = PostgresStore::open(options(60)).await.unwrap();
    let two = PostgresStore::open(options(1)).await.unwrap();
    one.record(vec![event(&database, "1")]).await.unwrap();
    assert_eq!(one.pending_events(10).await.unwrap().len(), 1);
    database.clock.advance(Duration::from_secs(30));
    assert_eq!(two.pending_events(10).await.unwrap(), []);
    // A node that is closed hands the delivery over.
    one.close().await;
    assert_eq!(two.pending_events(10).await.unwrap().len(), 1);
}

/// Two log-ins of a user without a session, at the same time, many times over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_log_ins_count_each_other() {
    const USERS: u8 = 8;
    let database = TestDatabase::new().await;
    let options = || PostgresOptions { connections: usize::from(USERS), ..database.options() };
    let nodes =
        [Arc::new(PostgresStore::open(options()).await.unwrap()), Arc::new(PostgresStore::open(options()).await.unwrap())];
    let other = database.database.client().await;
    // Sessions can be read and locked, and not be added.
    other.batch_execute("BEGIN; LOCK TABLE sessions IN SHARE MODE").await.unwrap();
    let mut inserts = JoinSet::new();
    let now = database.now();
    for user in 0..USERS {
        for (node, store) in (0..).zip(nodes.iter().cloned()) {
            let session =
                Session { user: fixtures::user(&user.to_string()), created_at: now, seen_at: now, tag: RowTag::NONE };
            let mut hash = [user; 32];
            hash[0] = 100 + node;
            inserts.spawn(async move { store.insert(SessionHash(hash), session, 1).await.unwrap() });
        }
    }
    wait_for_waiters(&database, i64::from(USERS) * 2).await;
    other.batch_execute("ROLLBACK").await.unwrap();
    inserts.join_all().await;
    let count = "SELECT count(*) FROM sessions";
    assert_eq!(other.query_one(count, &[]).await.unwrap().get::<_, i64>(0), i64::from(USERS));
}

/// A trigger that makes a statement wait, for tests of what runs beside it.
async fn wait_in(database: &TestDatabase, trigger: &str) -> tokio_postgres::Client {
    let client = database.database.client().await;
    let create = format!(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NEW; END'; \
         CREATE TRIGGER wait BEFORE UPDATE ON authorizations FOR EACH ROW {trigger} EXECUTE FUNCTION wait(); \
         SELECT pg_advisory_lock(7)"
    );
    client.batch_execute(&create).await.unwrap();
    client
}

/// The default connection is set while the connection is made again: there is a grant before and after.
#[tokio::test]
async fn a_default_connection_can_be_set_beside_a_reconnect() {
    let database = TestDatabase::new().await;
    let nodes = nodes(&database).await;
    let connector = database.add_connector(&nodes[0]).await;
    let owner = fixtures::authorization_key_of(&connector, "alice");
    database.connect(&nodes[0], fixtures::authorization_id(1), &owner).await;
    let id = fixtures::authorization_id(2);
    database.consume(&nodes[0], id, &owner).await;
    // After the former grant was ended, before the new one is written.
    let client = wait_in(&database, "WHEN (NEW.state = 'authorized')").await;
    let (store, grant) =
        (nodes[0].clone(), fixtures::authorization(&fixtures::authorized(id, owner.clone(), database.now())));
    let commit = tokio::spawn(async move { store.commit_grant(grant, true, Vec::new()).await.unwrap() });
    wait_for_waiters(&database, 1).await;
    let store = nodes[1].clone();
    let set = tokio::spawn(async move {
        store.set_default_connection(owner.incarnation, owner.user, Some(owner.connection), Vec::new()).await.unwrap()
    });
    wait_for_waiters(&database, 2).await;
    client.batch_execute("SELECT pg_advisory_unlock_all()").await.unwrap();
    assert_eq!(commit.await.unwrap(), CommitOutcome::Committed);
    assert!(set.await.unwrap());
}

/// A worker locks the row that it claims, and no other.
#[tokio::test]
async fn r50_a_worker_claims_what_another_one_left() {
    let database = TestDatabase::new().await;
    let nodes = nodes(&database).await;
    let connector = database.add_connector(&nodes[0]).await;
    let owner = fixtures::authorization_key_of(&connector, "alice");
    let grant = database.connect(&nodes[0], fixtures::authorization_id(1), &owner).await;
    let request = TerminationRequest { cause: TerminationCause::Admin, actor: Actor::System };
    nodes[0].terminate(TerminationScope::One(grant.id), request).await.unwrap();
    database.clock.advance(Duration::from_secs(1));
    let tokens = fixtures::unclaimed_tokens(fixtures::authorization_id(2), owner, database.now());
    nodes[0].queue_unclaimed(tokens.clone(), Vec::new()).await.unwrap();
    let client = wait_in(&database, "WHEN (NEW.claimed_by IS NOT NULL)").await;
    let claim = |node: usize| {
        let store = nodes[node].clone();
        let (worker, length, pause) = ([u8::try_from(node).unwrap(); 16], Duration::from_mins(1), Duration::from_hours(1));
        async move { store.claim_revocation(worker, length, pause, LeftOut::default()).await.unwrap() }
    };
    let first = tokio::spawn(claim(0));
    wait_for_waiters(&database, 1).await;
    assert_eq!(claim(1).await, Some(RevocationJob::Unclaimed(Box::new(tokens))));
    client.batch_execute("SELECT pg_advisory_unlock_all()").await.unwrap();
    assert!(matches!(first.await.unwrap(), Some(RevocationJob::FormerGrant(former)) if former.id() == grant.id));
    assert_eq!(claim(2).await, None);
}

/// Leases and claims on the clock of the database, as in production.
#[tokio::test]
async fn leases_and_claims_use_the_clock_of_the_database() {
    let database = TestDatabase::new().await;
    let store = PostgresStore::open(options_of(&database.database.url())).await.unwrap();
    // The connector and the flow are from before.
    let now = store.now().await.unwrap();
    database.clock.step_wall(now);
    let connector = database.add_connector(&store).await;
    let owner = fixtures::authorization_key_of(&connector, "alice");
    let grant = database.connect(&store, fixtures::authorization_id(1), &owner).await;
    let longest = Duration::from_hours(1);
    let request =
        |holder, length| LeaseRequest { id: grant.id, revision: grant.revision, holder: [holder; 16], length, longest };
    let taken = store.take_lease(request(1, Duration::ZERO)).await.unwrap();
    assert!(matches!(taken, Lease::Taken { was_in_doubt: false, .. }), "{taken:?}");
    let taken = store.take_lease(request(2, longest)).await.unwrap();
    assert!(matches!(taken, Lease::Taken { was_in_doubt: true, .. }), "{taken:?}");
    let held = store.take_lease(request(3, longest)).await.unwrap();
    assert!(matches!(held, Lease::Held { until, .. } if until > now), "{held:?}");
    let request = TerminationRequest { cause: TerminationCause::Admin, actor: Actor::System };
    store.terminate(TerminationScope::One(grant.id), request).await.unwrap();
    let claim = async |length| store.claim_revocation([1; 16], length, longest, LeftOut::default()).await.unwrap();
    assert!(claim(Duration::ZERO).await.is_some());
    assert!(claim(longest).await.is_some());
    assert_eq!(claim(longest).await, None);
}

/// Spans and days beyond what a number of the database contains.
#[tokio::test]
async fn the_greatest_spans_are_not_refused() {
    let database = TestDatabase::new().await;
    let store = database.open().await;
    let claim = store.claim_revocation([1; 16], Duration::MAX, Duration::MAX, LeftOut::default());
    assert_eq!(claim.await, Ok(None));
    assert_eq!(store.due_for_refresh(i64::MAX, database.now(), 10).await, Ok(Vec::new()));
}

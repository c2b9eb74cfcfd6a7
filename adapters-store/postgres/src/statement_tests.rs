//! The statements of the paths that run most often, and those over many rows, find their rows through an index.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::{AuthorizationId, AuthorizationRecord, Revision, RevocationOutcome, TerminationCause};
use grantry_domain::connector::Connector;
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditEvent, AuditKind, AuditOutbox, AuthorizationFilter, AuthorizationQueries, AuthorizationStore, CallbackKey, Clock,
    CommitOutcome, ConnectorDiagnostics, ConnectorStore, ConsumeOutcome, EditEffect, ExpectedVersion, FailedAttempt,
    Housekeeping, InsertOutcome, Lease, LeaseRequest, LeftOut, PendingLimits, RefreshLeases, RevocationJob, RevocationQueue,
    RevocationUpdate, RowTag, Session, SessionHash, SessionStore, SweepPolicy, TerminationRequest, TerminationScope,
    UserStore, WriteOutcome,
};
use grantry_test_postgres::TestDatabase;
use grantry_testkit::doubles::{SeededRandom, TestClock, fixtures};

use crate::connection::Typed;
use crate::{PostgresOptions, PostgresStore, PostgresUrl};

thread_local! {
    static STATEMENTS: RefCell<BTreeMap<String, String>> = const { RefCell::new(BTreeMap::new()) };
    static RUNS: Cell<usize> = const { Cell::new(0) };
}

/// Called with each statement that this thread runs, and its parameters.
pub(crate) fn record(sql: &str, parameters: &[Typed<'_>]) {
    RUNS.set(RUNS.get() + 1);
    let kinds: Vec<_> = parameters.iter().map(|(_, kind)| kind.name()).collect();
    STATEMENTS.with_borrow_mut(|statements| statements.insert(sql.to_owned(), kinds.join(", ")));
}

const LIMITS: PendingLimits = PendingLimits { per_user: 10, deployment: 1_000_000 };
const MINUTE: Duration = Duration::from_mins(1);
const SWEEP: SweepPolicy = SweepPolicy {
    unused_grants: Duration::from_hours(90 * 24),
    ended_flows: Duration::from_hours(24),
    ended_grants: Duration::from_hours(30 * 24),
    batch: 100,
};
/// Tables with a row per user or more.
const LARGE: [&str; 4] = ["authorizations", "sessions", "users", "events"];

/// A store with one connector.
struct Site {
    database: TestDatabase,
    clock: TestClock,
    store: PostgresStore,
    connector: Connector,
    /// The number of the next authorization.
    next: u64,
}

impl Site {
    async fn new() -> Self {
        let (database, clock) = (TestDatabase::new().await, TestClock::default());
        let options = PostgresOptions {
            clock: Some(Arc::new(clock.clone())),
            ..PostgresOptions::new(PostgresUrl::parse(&database.url()).unwrap(), Arc::new(SeededRandom::new(1)))
        };
        let (store, connector) = (PostgresStore::open(options).await.unwrap(), fixtures::connector(clock.now()));
        store.create(connector.clone(), Some(fixtures::client_secret(&connector)), Vec::new()).await.unwrap();
        Self { database, clock, store, connector, next: 1 }
    }

    fn id(&mut self) -> AuthorizationId {
        self.next += 1;
        fixtures::authorization_id(self.next)
    }

    async fn start(&mut self, user: &str) -> AuthorizationRecord {
        let (id, owner, now) = (self.id(), fixtures::authorization_key_of(&self.connector, user), self.clock.now());
        let flow = fixtures::authorization(&fixtures::initiated(id, owner.clone(), now));
        let event = fixtures::event(AuditKind::FlowStarted, &flow.to_record(), now);
        let expected = ExpectedVersion::of(&flow);
        assert_eq!(self.store.insert_flow(flow, LIMITS, vec![event]).await, Ok(InsertOutcome::Inserted));
        let issued = fixtures::awaiting(id, owner, now);
        let written = self.store.replace(fixtures::authorization(&issued), expected, Vec::new()).await;
        assert_eq!(written, Ok(WriteOutcome::Written));
        issued
    }

    async fn connect(&mut self, user: &str) -> AuthorizationRecord {
        let flow = self.start(user).await;
        let key = CallbackKey {
            state_hash: fixtures::state_hash(flow.id),
            user: flow.owner.user.clone(),
            flow_cookies: vec![fixtures::flow_cookie_hash(flow.id)],
        };
        assert!(self.store.find_by_state(key.state_hash).await.unwrap().is_some());
        assert!(matches!(self.store.consume(key, Vec::new()).await, Ok(ConsumeOutcome::Consumed { .. })));
        let grant = fixtures::authorized(flow.id, flow.owner, self.clock.now());
        let committed = self.store.commit_grant(fixtures::authorization(&grant), true, Vec::new()).await;
        assert_eq!(committed, Ok(CommitOutcome::Committed));
        grant
    }

    async fn refresh(&self, grant: &AuthorizationRecord) {
        let request =
            LeaseRequest { id: grant.id, revision: Revision::FIRST, holder: [1; 16], length: MINUTE, longest: MINUTE };
        assert!(matches!(self.store.take_lease(request).await, Ok(Lease::Taken { .. })));
        let attempt = FailedAttempt { outcome_known: true, not_before: self.clock.now(), refusal: None };
        self.store.fail_attempt(grant.id, [1; 16], attempt, Vec::new()).await.unwrap();
        assert!(matches!(self.store.take_lease(request).await, Ok(Lease::Taken { .. })));
        let stored = AuthorizationStore::find(&self.store, grant.id).await.unwrap().unwrap();
        let next = fixtures::authorization(&fixtures::refreshed(&stored.value.to_record(), self.clock.now()));
        assert_eq!(self.store.replace(next, stored.version, Vec::new()).await, Ok(WriteOutcome::Written));
    }

    /// What requests of the hot paths do.
    async fn serve(&mut self, user: &str) {
        let (key, now) = (self.connector.key.clone(), self.clock.now());
        let grant = self.connect(user).await;
        let (id, user) = (grant.id, grant.owner.user.clone());
        self.refresh(&grant).await;
        self.start(user.as_str()).await;
        let store = &self.store;
        for name in [None, Some(grant.owner.connection.clone())] {
            let view = store.access_token_view(&key, &user, name).await.unwrap().unwrap();
            assert_eq!(view.grants.len(), 1);
        }
        for only in [None, Some(key.id.clone())] {
            assert_eq!(store.statuses(&key.space, only, &user).await.unwrap().len(), 1);
        }
        assert!(store.get(&key).await.unwrap().is_some());
        assert_eq!(store.removed_at(&user).await, Ok(None));
        assert!(store.stored_user(&user).await.unwrap().is_some());
        store.record_use(vec![(id, now.day())]).await.unwrap();
        store.record(vec![fixtures::event(AuditKind::AccessTokenIssued, &grant, now)]).await.unwrap();
        let name = Some(grant.owner.connection.clone());
        store.set_default_connection(grant.owner.incarnation, user.clone(), name, Vec::new()).await.unwrap();
        let (session, tag) = (SessionHash(fixtures::state_hash(id).0), RowTag::NONE);
        let row = Session { user, created_at: now, seen_at: now, tag };
        SessionStore::insert(store, session, row, 10).await.unwrap();
        store.touch(session, now.plus(MINUTE), tag).await.unwrap();
        assert!(SessionStore::find(store, session).await.unwrap().is_some());
    }

    /// What background jobs and administrators do.
    async fn maintain(&mut self, user: &str) {
        let grant = self.connect(user).await;
        let (key, owner) = (self.connector.key.clone(), grant.owner.clone());
        let request = TerminationRequest { cause: TerminationCause::Disconnected, actor: Actor::System };
        let (user, connection) = (owner.user.clone(), owner.connection.clone());
        for scope in [
            TerminationScope::Connection { connector: key.clone(), user: user.clone(), connection },
            TerminationScope::UserSpace { user: user.clone(), space: key.space.clone() },
            TerminationScope::One(grant.id),
            TerminationScope::User(user.clone()),
        ] {
            self.store.terminate(scope, request.clone()).await.unwrap();
        }
        let store = &self.store;
        let claimed = store.claim_revocation([1; 16], MINUTE, MINUTE * 60, LeftOut::default()).await.unwrap();
        if let Some(RevocationJob::FormerGrant(former)) = claimed {
            let done = RevocationUpdate::Completed(RevocationOutcome::Revoked);
            store.update_revocation(former.id(), [1; 16], done, Vec::new()).await.unwrap();
        }
        store.sweep(SWEEP, self.clock.now()).await.unwrap();
        store.due_for_refresh(0, self.clock.now(), 10).await.unwrap();
        store.grant_holders(None, 10).await.unwrap();
        store.keys_in_use().await.unwrap();
        store.stored_users(None, 10).await.unwrap();
        store.open_authorizations(&user).await.unwrap();
        store.count_connected_users(owner.incarnation).await.unwrap();
        let filter = AuthorizationFilter { user: Some(user), ..AuthorizationFilter::default() };
        for filter in [AuthorizationFilter::default(), filter] {
            AuthorizationQueries::list(store, &key.space, filter, Some(grant.id), 10).await.unwrap();
        }
        let events = store.pending_events(5).await.unwrap();
        store.forget_events(events.last().unwrap().sequence).await.unwrap();
        let next = Connector { revision: self.connector.revision + 1, ..self.connector.clone() };
        let expected = self.connector.revision;
        store.update(next.clone(), expected, None, EditEffect::ExpireGrants, Actor::System, Vec::new()).await.unwrap();
        self.connector = next;
    }

    /// Multiplies the rows of large tables, for other users, in other spaces.
    async fn multiply(&self, by: u32) {
        let client = self.database.client().await;
        for table in LARGE {
            let columns = "SELECT column_name::text FROM information_schema.columns WHERE table_name = $1 \
                 AND is_generated = 'NEVER' AND is_identity = 'NO' AND table_schema = 'public'";
            let rows = client.query(columns, &[&table]).await.unwrap();
            let columns: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            let values = columns.iter().map(|name| match (table, name.as_str()) {
                ("events", "id") => "gen_random_uuid()".to_owned(),
                ("events", "sequence") => "NULL".to_owned(),
                (_, "id" | "state_hash" | "hash") => {
                    let random = "sha256(convert_to(n || '-' || r, 'UTF8'))";
                    format!(
                        "CASE WHEN {name} IS NULL THEN NULL ELSE substring({random} FROM 1 FOR octet_length({name})) END"
                    )
                }
                (_, "incarnation") => "substring(sha256(convert_to((n % 50)::text, 'UTF8')) FROM 1 FOR 16)".to_owned(),
                (_, "space") => "'space-' || n % 50".to_owned(),
                (_, "user_id") => "user_id || '-' || n || '-' || r".to_owned(),
                // Most revocations, and most sweeps, are not due.
                (_, "deadline" | "revoke_at" | "since" | "expires_at") => format!("{name} + 1000000000::bigint * (n % 100)"),
                (_, name) => name.to_owned(),
            });
            let (names, values) = (columns.join(", "), values.collect::<Vec<_>>().join(", "));
            let insert = format!(
                "INSERT INTO {table} ({names}) SELECT {values} FROM generate_series(1, {by}) AS n, \
                 (SELECT *, row_number() OVER () AS r FROM {table}) AS t"
            );
            client.batch_execute(&insert).await.unwrap();
        }
        client.batch_execute("ANALYZE").await.unwrap();
    }

    /// The steps of the plan of a statement whose values are not looked at.
    async fn plan(&self, sql: &str, kinds: &str) -> Vec<String> {
        let client = self.database.client().await;
        let kinds_of = if kinds.is_empty() { String::new() } else { format!("({kinds})") };
        let nulls = kinds.split(", ").map(|_| "NULL").collect::<Vec<_>>().join(", ");
        let arguments = if kinds.is_empty() { String::new() } else { format!("({nulls})") };
        client
            .batch_execute(&format!("SET plan_cache_mode = force_generic_plan; PREPARE s {kinds_of} AS {sql}"))
            .await
            .unwrap();
        let explained = client.simple_query(&format!("EXPLAIN (COSTS OFF) EXECUTE s {arguments}")).await.unwrap();
        let rows = explained.into_iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            tokio_postgres::SimpleQueryMessage::CommandComplete(_)
            | tokio_postgres::SimpleQueryMessage::RowDescription(_)
            | _ => None,
        });
        rows.collect()
    }
}

#[tokio::test]
async fn statements_find_their_rows_through_an_index() {
    let mut site = Site::new().await;
    STATEMENTS.with_borrow_mut(BTreeMap::clear);
    for user in ["alice", "bob", "carol"] {
        site.serve(user).await;
        site.clock.advance(MINUTE);
    }
    site.maintain("dave").await;
    let statements = STATEMENTS.with_borrow(BTreeMap::clone);
    assert!(statements.len() > 60, "{}", statements.len());
    site.multiply(3000).await;
    let mut scans = Vec::new();
    for (sql, kinds) in &statements {
        let plan = site.plan(sql, kinds).await;
        for step in &plan {
            let scans_table = LARGE.iter().any(|table| step.contains(&format!("Seq Scan on {table}")));
            if scans_table {
                scans.push(format!("{sql}\n{}", plan.join("\n")));
            }
        }
    }
    assert!(scans.is_empty(), "{}", scans.join("\n\n"));
}

#[tokio::test]
async fn the_read_of_an_issue_is_one_statement_that_uses_the_index_of_grants() {
    let mut site = Site::new().await;
    let grant = site.connect("alice").await;
    site.multiply(3000).await;
    for name in [None, Some(grant.owner.connection.clone())] {
        STATEMENTS.with_borrow_mut(BTreeMap::clear);
        let view = site.store.access_token_view(&site.connector.key, &grant.owner.user, name).await.unwrap();
        assert_eq!(view.unwrap().grants.len(), 1);
        let statements = STATEMENTS.with_borrow(BTreeMap::clone);
        assert_eq!(statements.len(), 1);
        for (sql, kinds) in &statements {
            let plan = site.plan(sql, kinds).await;
            // Both find the grants of the user by keys.
            let uses = |index| plan.iter().any(|step| step.contains(index));
            assert!(uses("one_grant") || uses("authorizations_by_user"), "{}", plan.join("\n"));
            assert!(!uses("Seq Scan on authorizations"), "{}", plan.join("\n"));
        }
    }
}

/// The flush after an outage is not one round trip per event.
#[tokio::test]
async fn r80_many_events_are_written_by_few_statements_in_their_order() {
    let site = Site::new().await;
    let name = |n: i32| Actor::Agent(n.to_string());
    let event = |n| AuditEvent::new(AuditKind::DecryptFailed, name(n), site.clock.now());
    RUNS.set(0);
    site.store.record((0..1200).map(event).collect()).await.unwrap();
    assert_eq!(RUNS.get(), 3);
    let written = site.store.pending_events(2000).await.unwrap();
    assert!(written.into_iter().map(|recorded| recorded.event).eq((0..1200).map(event)));
}

#[tokio::test]
async fn the_parts_of_the_diagnostics_are_of_one_moment() {
    let site = Site::new().await;
    RUNS.set(0);
    site.store.diagnostics(site.connector.incarnation).await.unwrap();
    assert_eq!(RUNS.get(), 1);
}

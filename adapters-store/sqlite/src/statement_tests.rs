//! The statements of the paths that run most often are prepared once, build no index of their own and scan no table, with
//! few rows and with many, before and after `ANALYZE`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::{AuthorizationId, AuthorizationRecord, Revision};
use grantry_domain::connector::Connector;
use grantry_domain::ports::{
    AuditKind, AuditOutbox, AuthorizationQueries, AuthorizationStore, CallbackKey, Clock, CommitOutcome, ConnectorStore,
    ConsumeOutcome, ExpectedVersion, FailedAttempt, InsertOutcome, Lease, LeaseRequest, PendingLimits, RefreshLeases,
    RowTag, Session, SessionHash, SessionStore, UserStore, WriteOutcome,
};
use grantry_testkit::doubles::{SeededRandom, TestClock, fixtures};
use rusqlite::{Connection, StatementStatus};

use crate::{SqliteOptions, SqliteStore};

thread_local! {
    static STATEMENTS: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// Called with each statement that this thread runs.
pub(crate) fn note(sql: &str) {
    STATEMENTS.with_borrow_mut(|statements| {
        if !statements.contains(sql) {
            statements.insert(sql.to_owned());
        }
    });
}

/// A statement, how often it ran, and the counters that are expected to be zero.
struct Used {
    sql: String,
    runs: i32,
    prepared_again: i32,
    automatic_indexes: i32,
    scanned_rows: i32,
}

/// The statements that this thread has run on its connection, which keeps each with its counters.
fn used(connection: &Connection) -> Vec<Used> {
    let statements = STATEMENTS.with_borrow(|statements| statements.iter().cloned().collect::<Vec<_>>());
    let of = |sql: String| {
        let statement = connection.prepare_cached(&sql).unwrap();
        let count = |status| statement.get_status(status);
        Used {
            runs: count(StatementStatus::Run),
            prepared_again: count(StatementStatus::RePrepare),
            automatic_indexes: count(StatementStatus::AutoIndex),
            scanned_rows: count(StatementStatus::FullscanStep),
            sql,
        }
    };
    statements.into_iter().map(of).collect()
}

const LIMITS: PendingLimits = PendingLimits { per_user: 10, deployment: 1_000_000 };
const MINUTE: Duration = Duration::from_mins(1);

/// A store with one connector.
struct Site {
    folder: tempfile::TempDir,
    clock: TestClock,
    store: SqliteStore,
    connector: Connector,
    /// The number of the next authorization.
    next: u64,
}

impl Site {
    async fn new() -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), TestClock::default());
        let (store, connector) = (open(&folder, &clock).await, fixtures::connector(clock.now()));
        store.create(connector.clone(), Some(fixtures::client_secret(&connector)), Vec::new()).await.unwrap();
        Self { folder, clock, store, connector, next: 1 }
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
        store
            .set_default_connection(incarnation_of(&grant), user.clone(), Some(grant.owner.connection), Vec::new())
            .await
            .unwrap();
        let (session, tag) = (SessionHash(fixtures::state_hash(id).0), RowTag::NONE);
        let row = Session { user, created_at: now, seen_at: now, tag };
        SessionStore::insert(store, session, row, 10).await.unwrap();
        store.touch(session, now.plus(MINUTE), tag).await.unwrap();
        assert!(SessionStore::find(store, session).await.unwrap().is_some());
    }

    /// Multiplies the authorizations and sessions, for other users.
    fn multiply(&self, by: u32) {
        let connection = Connection::open(self.folder.path().join("grantry.db")).unwrap();
        connection.execute_batch("PRAGMA synchronous = OFF").unwrap();
        for table in ["authorizations", "sessions"] {
            // Generated columns are not among these.
            let mut columns = connection.prepare("SELECT name FROM pragma_table_info(?1) WHERE name <> 'seq'").unwrap();
            let columns = columns.query_map([table], |row| row.get(0)).unwrap();
            let columns: Vec<String> = columns.map(Result::unwrap).collect();
            let number = format!("(1000000 * (seq + (SELECT max(seq) FROM {table})) + n)");
            let values = columns.iter().map(|name| match name.as_str() {
                "id" | "state_hash" | "hash" => {
                    let text = format!("printf('%0' || length({name}) || 'd', {number})");
                    format!("iif({name} IS NULL, NULL, CAST({text} AS BLOB))")
                }
                "user" => format!("user || '-' || {number}"),
                name => name.to_owned(),
            });
            let values = values.collect::<Vec<_>>().join(", ");
            let numbers = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)";
            let insert =
                format!("INSERT INTO {table} ({}) {numbers} SELECT {values} FROM numbers, {table}", columns.join(", "));
            connection.execute(&insert, [by]).unwrap();
        }
    }

    fn analyze(&self) {
        Connection::open(self.folder.path().join("grantry.db")).unwrap().execute_batch("ANALYZE").unwrap();
    }

    /// Opens the store again, so that statements are prepared with the present statistics.
    async fn reopen(self) -> Self {
        self.store.close().await;
        let store = open(&self.folder, &self.clock).await;
        Self { store, ..self }
    }

    /// The statements of all connections since the store was opened.
    async fn used(&self) -> Vec<Used> {
        let mut found = self.store.write(|connection, _| Ok(used(connection))).await.unwrap();
        found.extend(self.store.long_read(|connection| Ok(used(connection))).await.unwrap());
        found.extend(self.store.point_read(|connection| Ok(used(connection))).await.unwrap());
        found
    }
}

async fn open(folder: &tempfile::TempDir, clock: &TestClock) -> SqliteStore {
    let options =
        SqliteOptions::new(folder.path().join("grantry.db"), Arc::new(clock.clone()), Arc::new(SeededRandom::new(1)));
    // One connection of each kind, so that one thread uses it.
    SqliteStore::open(SqliteOptions { readers: 1, pool_threads: 1, ..options }).await.unwrap()
}

fn incarnation_of(grant: &AuthorizationRecord) -> grantry_domain::connector::Incarnation {
    grant.owner.incarnation
}

async fn check(mut site: Site, state: &str) -> Site {
    STATEMENTS.with_borrow_mut(BTreeSet::clear);
    for user in ["alice", "bob", "carol"] {
        site.serve(user).await;
        site.clock.advance(MINUTE);
    }
    let used = site.used().await;
    let used: Vec<_> = used.into_iter().filter(|statement| statement.runs > 0).collect();
    assert!(used.len() > 20, "{}", used.len());
    for statement in &used {
        let counters = [statement.prepared_again, statement.automatic_indexes, statement.scanned_rows];
        assert_eq!(counters, [0; 3], "{state}: {}", statement.sql);
    }
    site
}

#[tokio::test]
async fn statements_of_hot_paths_are_prepared_once_and_scan_nothing() {
    let site = check(Site::new().await.reopen().await, "no rows").await;
    site.multiply(150);
    let site = check(site.reopen().await, "a thousand rows").await;
    site.analyze();
    let site = check(site.reopen().await, "a thousand rows, analyzed").await;
    site.multiply(100);
    let site = check(site.reopen().await, "a hundred thousand rows, statistics of a thousand").await;
    site.analyze();
    check(site.reopen().await, "a hundred thousand rows, analyzed").await;
}

//! A transaction that fails at any of its calls changes nothing, and one that reads calls nothing that writes.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use grantry_domain::authorization::{Input, RevocationOutcome, TerminationCause};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditEvent, AuditKind, AuditOutbox as _, AuthorizationStore as _, Clock as _, ConnectorStore as _, Diagnostics,
    EditEffect, Housekeeping as _, KeyId, LeaseRequest, LeftOut, PendingLimits, RecordedEvent, RefreshLeases as _,
    RevocationQueue as _, RevocationUpdate, RowTag, Session, SessionHash, SessionStore as _, StoreError, SweepPolicy,
    TerminationRequest, TerminationScope,
};
use grantry_domain::time::Timestamp;
use grantry_store_memory::{Memory, MemoryStore};
use grantry_store_rules::{
    Access, AuthorizationRow, AuthorizationSelection, Claim, ClientSecret, ClientSecretSelection, ConnectorRow,
    ConnectorSelection, Database, DefaultConnection, DefaultConnectionSelection, Record, SessionRow, SessionSelection,
    StoredCallback, Table, TableStore, Tables, Tombstone, TombstoneSelection, UnclaimedRow, UnclaimedSelection,
};
use grantry_testkit::contract::{Backend, Node, differential};
use grantry_testkit::doubles::{TestClock, fixtures};

const WORKER: [u8; 16] = [9; 16];
const NEVER: usize = usize::MAX;

/// A database whose tables fail at a call of each transaction.
struct Unreliable {
    memory: Memory,
    /// How many calls of a transaction succeed.
    calls: Arc<AtomicUsize>,
    /// Whether the call after them panics, or returns an error.
    panics: bool,
}

impl Default for Unreliable {
    fn default() -> Self {
        Self { memory: Memory::default(), calls: Arc::new(AtomicUsize::new(NEVER)), panics: false }
    }
}

impl Database for Unreliable {
    async fn transact<T, W>(&self, access: Access, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut dyn Tables) -> Result<T, StoreError> + Send + 'static,
    {
        let (left, panics) = (self.calls.load(Ordering::Relaxed), self.panics);
        self.memory.transact(access, move |tables| work(&mut Failing { tables, left, panics, access })).await
    }
}

struct Failing<'t> {
    tables: &'t mut (dyn Tables + 't),
    left: usize,
    panics: bool,
    access: Access,
}

impl<'t> Failing<'t> {
    fn read(&mut self) -> Result<&mut (dyn Tables + 't), StoreError> {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None if self.panics => panic!("a call that panics"),
            None => return Err(StoreError::Unavailable),
        }
        Ok(self.tables)
    }

    fn write(&mut self) -> Result<&mut (dyn Tables + 't), StoreError> {
        assert_eq!(self.access, Access::Write, "a transaction that reads has changed a table");
        self.read()
    }
}

impl<'t, R: Record> Table<R> for Failing<'t>
where
    dyn Tables + 't: Table<R>,
{
    fn get(&mut self, key: &R::Key) -> Result<Option<R>, StoreError> {
        Table::<R>::get(self.read()?, key)
    }

    fn select(&mut self, selection: &R::Selection, limit: usize) -> Result<Vec<R>, StoreError> {
        Table::<R>::select(self.read()?, selection, limit)
    }

    fn put(&mut self, record: R) -> Result<(), StoreError> {
        self.write()?.put(record)
    }

    fn remove(&mut self, key: &R::Key) -> Result<(), StoreError> {
        Table::<R>::remove(self.write()?, key)
    }
}

impl Tables for Failing<'_> {
    fn append_event(&mut self, event: AuditEvent) -> Result<(), StoreError> {
        self.write()?.append_event(event)
    }

    fn events(&mut self, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        self.read()?.events(limit)
    }

    fn remove_events(&mut self, through: u64) -> Result<(), StoreError> {
        self.write()?.remove_events(through)
    }
}

type Store = TableStore<Unreliable>;
/// A call of a port, made at an instant.
type Call = fn(Store, Timestamp) -> Work;
type Work = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// Everything that is stored.
#[derive(Debug, PartialEq)]
struct Content {
    rows: Vec<AuthorizationRow>,
    unclaimed: Vec<UnclaimedRow>,
    connectors: Vec<ConnectorRow>,
    secrets: Vec<ClientSecret>,
    defaults: Vec<DefaultConnection>,
    tombstones: Vec<Tombstone>,
    sessions: Vec<SessionRow>,
    events: Vec<RecordedEvent>,
    keys: BTreeMap<KeyId, u64>,
}

async fn content(store: &Store) -> Content {
    let read = |tables: &mut dyn Tables| {
        let alice = fixtures::user("alice");
        Ok(Content {
            rows: Table::select(tables, &AuthorizationSelection::OfSpace(fixtures::space("default")), NEVER)?,
            unclaimed: Table::select(tables, &UnclaimedSelection::All, NEVER)?,
            connectors: Table::select(tables, &ConnectorSelection::All, NEVER)?,
            secrets: Table::select(tables, &ClientSecretSelection::All, NEVER)?,
            defaults: Table::select(tables, &DefaultConnectionSelection::OfUser(alice.clone()), NEVER)?,
            tombstones: Table::select(tables, &TombstoneSelection::After(None), NEVER)?,
            sessions: Table::select(tables, &SessionSelection::OfUser(alice), NEVER)?,
            events: tables.events(NEVER)?,
            keys: tables.key_usage()?,
        })
    };
    store.database().memory.transact(Access::Read, read).await.expect("the memory is readable")
}

fn session(created_at: Timestamp) -> Session {
    Session { user: fixtures::user("alice"), created_at, seen_at: created_at, tag: RowTag::new([0; 8], [0; 32]) }
}

/// A connector with a grant, flows, a former grant with a claimed revocation, unclaimed tokens, sessions and events.
async fn filled(panics: bool) -> (Store, Timestamp) {
    let clock = TestClock::default();
    let now = clock.now();
    let store = Store::with_database(Arc::new(clock), Unreliable { panics, ..Unreliable::default() });
    let fill = move |tables: &mut dyn Tables| {
        let drive = fixtures::connector(now);
        let [alice, bob] = ["alice", "bob"].map(|user| fixtures::authorization_key_of(&drive, user));
        let id = fixtures::authorization_id;
        let revoke = || Input::Terminated { cause: TerminationCause::Disconnected, revoke: true };
        let records = [
            (fixtures::authorized(id(1), alice.clone(), now), None),
            (fixtures::awaiting(id(2), alice.clone(), now), None),
            (fixtures::consumed(id(3), alice.clone(), now), None),
            (fixtures::authorized(id(4), bob.clone(), now), None),
            (
                fixtures::after(&fixtures::authorized(id(5), bob.clone(), now), revoke(), now),
                Some(Claim { worker: WORKER, until: now.plus(Duration::from_mins(1)) }),
            ),
        ];
        for (record, claim) in records {
            let callback = record.state_hash.zip(record.flow_cookie_hash);
            let callback = callback.map(|(state_hash, flow_cookie_hash)| StoredCallback { state_hash, flow_cookie_hash });
            tables.put(AuthorizationRow { authorization: fixtures::authorization(&record), callback, claim })?;
        }
        let tokens = fixtures::unclaimed_tokens(id(6), bob, now);
        tables.put(UnclaimedRow { tokens, due_at: now, claim: None })?;
        tables.put(DefaultConnection { incarnation: drive.incarnation, user: alice.user, connection: alice.connection })?;
        tables.put(ClientSecret { record: fixtures::client_secret(&drive), superseded_at: None })?;
        tables.put(ConnectorRow { connector: drive, diagnostics: Diagnostics::default() })?;
        for n in [1, 2] {
            tables.put(SessionRow { id: SessionHash([n; 32]), session: session(now) })?;
            tables.append_event(AuditEvent::of_system(AuditKind::UserReinstated, now))?;
        }
        Ok(())
    };
    store.database().memory.transact(Access::Write, fill).await.expect("the memory is writable");
    (store, now)
}

fn events(now: Timestamp) -> Vec<AuditEvent> {
    vec![AuditEvent::of_system(AuditKind::UserReinstated, now); 2]
}

fn insert_flow(store: Store, now: Timestamp) -> Work {
    let owner = fixtures::authorization_key_of(&fixtures::connector(now), "alice");
    let flow = fixtures::authorization(&fixtures::initiated(fixtures::authorization_id(10), owner, now));
    let limits = PendingLimits { per_user: 10, deployment: 10 };
    Box::pin(async move { store.insert_flow(flow, limits, events(now)).await.map(drop) })
}

fn commit_grant(store: Store, now: Timestamp) -> Work {
    let owner = fixtures::authorization_key_of(&fixtures::connector(now), "alice");
    let grant = fixtures::authorization(&fixtures::authorized(fixtures::authorization_id(3), owner, now));
    Box::pin(async move { store.commit_grant(grant, true, events(now)).await.map(drop) })
}

fn remove_user(store: Store, _: Timestamp) -> Work {
    let scope = TerminationScope::User(fixtures::user("alice"));
    let request = TerminationRequest { cause: TerminationCause::UserRemoved, actor: Actor::System };
    Box::pin(async move { store.terminate(scope, request).await.map(drop) })
}

fn edit_connector(store: Store, now: Timestamp) -> Work {
    let mut next = fixtures::connector(now);
    let expected = next.revision;
    next.revision += 1;
    next.epoch = next.epoch.next();
    let secret = fixtures::client_secret(&next);
    Box::pin(async move {
        let effect = EditEffect::ExpireGrants;
        store.update(next, expected, Some(secret), effect, Actor::System, events(now)).await.map(drop)
    })
}

fn delete_connector(store: Store, now: Timestamp) -> Work {
    let key = fixtures::connector(now).key;
    Box::pin(async move { store.delete(&key, Actor::System, events(now)).await.map(drop) })
}

fn take_lease(store: Store, now: Timestamp) -> Work {
    let owner = fixtures::authorization_key("alice");
    let revision = fixtures::authorized(fixtures::authorization_id(1), owner, now).revision;
    let (length, longest) = (Duration::from_secs(30), Duration::from_mins(1));
    let request = LeaseRequest { id: fixtures::authorization_id(1), revision, holder: WORKER, length, longest };
    Box::pin(async move { store.take_lease(request).await.map(drop) })
}

fn claim_revocation(store: Store, _: Timestamp) -> Work {
    let (length, pause) = (Duration::from_mins(1), Duration::from_hours(1));
    Box::pin(async move { store.claim_revocation([1; 16], length, pause, LeftOut::default()).await.map(drop) })
}

fn complete_revocation(store: Store, now: Timestamp) -> Work {
    let update = RevocationUpdate::Completed(RevocationOutcome::Revoked);
    let job = fixtures::authorization_id(5);
    Box::pin(async move { store.update_revocation(job, WORKER, update, events(now)).await.map(drop) })
}

fn sweep(store: Store, now: Timestamp) -> Work {
    let day = Duration::from_hours(24);
    let policy = SweepPolicy { unused_grants: day, ended_flows: day, ended_grants: day, batch: 10 };
    Box::pin(async move { store.sweep(policy, now.plus(3 * day)).await.map(drop) })
}

fn log_in(store: Store, now: Timestamp) -> Work {
    Box::pin(async move { store.insert(SessionHash([3; 32]), session(now), 1).await })
}

fn record_events(store: Store, now: Timestamp) -> Work {
    Box::pin(async move { store.record(events(now)).await })
}

fn forget_events(store: Store, _: Timestamp) -> Work {
    Box::pin(async move { store.forget_events(2).await })
}

/// Makes a call with tables that fail at the first call, the second one, and so on, until it succeeds. Returns how many times it
/// has failed.
async fn failures(call: Call, panics: bool) -> usize {
    for calls in 0.. {
        let (store, now) = filled(panics).await;
        let before = content(&store).await;
        store.database().calls.store(calls, Ordering::Relaxed);
        let result = tokio::spawn(call(store.clone(), now)).await;
        store.database().calls.store(NEVER, Ordering::Relaxed);
        let after = content(&store).await;
        match result {
            Ok(Ok(())) => {
                assert_ne!(after, before, "it has changed nothing after {calls} calls");
                return calls;
            }
            Ok(Err(error)) => assert_eq!((error, panics), (StoreError::Unavailable, false)),
            Err(stopped) => assert!(panics && stopped.is_panic()),
        }
        assert_eq!(after, before, "a part of its changes was made before call {calls}");
        // The numbers of events that were not stored are free.
        store.record(events(now)).await.expect("the tables work again");
        let numbers = content(&store).await.events.into_iter().map(|event| event.sequence);
        assert!(numbers.eq(1..=4));
    }
    unreachable!("the loop ends when the call succeeds");
}

#[tokio::test]
async fn a_failed_transaction_changes_nothing() {
    let calls: [(Call, usize); 12] = [
        (insert_flow, 8),
        (commit_grant, 8),
        (remove_user, 8),
        (edit_connector, 8),
        (delete_connector, 8),
        (take_lease, 2),
        (claim_revocation, 3),
        (complete_revocation, 4),
        (sweep, 8),
        (log_in, 4),
        (record_events, 2),
        (forget_events, 1),
    ];
    for (number, (call, at_least)) in calls.into_iter().enumerate() {
        let failed = failures(call, false).await;
        assert!(failed >= at_least, "call {number} has failed {failed} times");
    }
}

#[tokio::test]
async fn a_transaction_that_panics_changes_nothing() {
    assert!(failures(remove_user, true).await >= 8);
}

#[test]
fn a_transaction_that_reads_changes_no_table() {
    async fn strict(clock: TestClock) -> Backend {
        let store = Store::new(Arc::new(clock.clone()));
        Backend::new(clock, Node::of(store))
    }

    async fn reference(clock: TestClock) -> Backend {
        let store = MemoryStore::new(Arc::new(clock.clone()));
        Backend::new(clock, Node::of(store))
    }

    differential(32, strict, reference);
}

//! A record that cannot be read stops no background job and no new flow, and a termination that meets it changes nothing. A
//! selection that finds too much does not keep a sweep from coming to an end.

use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::{Input, RevocationOutcome, StateKind, TerminationCause};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditEvent, AuthorizationStore as _, Clock as _, ConnectorStore as _, Diagnostics, Housekeeping as _, InsertOutcome,
    LeftOut, PendingLimits, RecordedEvent, RevocationJob, RevocationQueue as _, RevocationUpdate, StoreError, SweepPolicy,
    TerminationRequest, TerminationScope, UserStore as _,
};
use grantry_domain::time::Timestamp;
use grantry_store_memory::Memory;
use grantry_store_rules::{
    Access, AuthorizationRow, AuthorizationSelection, ClientSecret, ClientSecretSelection, ConnectorRow, Database,
    DefaultConnection, Record, Selection as _, SessionRow, Table, TableStore, Tables, Tombstone, UnclaimedRow,
};
use grantry_testkit::doubles::{TestClock, fixtures};

const DAMAGED: StoreError = StoreError::Inconsistent { table: "a table", row: 7, rule: "a record can be read" };
const DAY: Duration = Duration::from_hours(24);
const WORKER: [u8; 16] = [9; 16];

trait Faulty: Record {
    /// Whether a record cannot be read: those of the user `damaged`.
    fn is_damaged(&self) -> bool {
        false
    }

    /// A selection that finds more.
    fn widened(_: &Self::Selection) -> Option<Self::Selection> {
        None
    }
}

impl Faulty for AuthorizationRow {
    fn is_damaged(&self) -> bool {
        self.authorization.owner().user == fixtures::user("damaged")
    }

    fn widened(selection: &AuthorizationSelection) -> Option<AuthorizationSelection> {
        let everything = AuthorizationSelection::OfSpace(fixtures::space("default"));
        matches!(selection, AuthorizationSelection::Due { .. }).then_some(everything)
    }
}

impl Faulty for UnclaimedRow {
    fn is_damaged(&self) -> bool {
        self.tokens.owner.user == fixtures::user("damaged")
    }
}

impl Faulty for ConnectorRow {}

/// The secret of the first epoch.
impl Faulty for ClientSecret {
    fn is_damaged(&self) -> bool {
        self.superseded_at == Some(Timestamp::from_millis(1))
    }

    fn widened(selection: &ClientSecretSelection) -> Option<ClientSecretSelection> {
        matches!(selection, ClientSecretSelection::Superseded).then_some(ClientSecretSelection::All)
    }
}

impl Faulty for DefaultConnection {}
impl Faulty for Tombstone {}
impl Faulty for SessionRow {}

/// A database that contains damaged records, or whose selections for the sweep find everything.
struct FaultyDatabase {
    memory: Memory,
    is_wide: bool,
}

impl Database for FaultyDatabase {
    async fn transact<T, W>(&self, access: Access, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut dyn Tables) -> Result<T, StoreError> + Send + 'static,
    {
        let is_wide = self.is_wide;
        self.memory.transact(access, move |tables| work(&mut FaultyTables { tables, is_wide })).await
    }
}

struct FaultyTables<'t> {
    tables: &'t mut (dyn Tables + 't),
    is_wide: bool,
}

impl<'t, R: Faulty> Table<R> for FaultyTables<'t>
where
    dyn Tables + 't: Table<R>,
{
    fn get(&mut self, key: &R::Key) -> Result<Option<R>, StoreError> {
        match Table::<R>::get(self.tables, key)? {
            Some(record) if record.is_damaged() && !self.is_wide => Err(DAMAGED),
            found => Ok(found),
        }
    }

    fn select(&mut self, selection: &R::Selection, limit: usize) -> Result<Vec<R>, StoreError> {
        if self.is_wide {
            let widened = R::widened(selection);
            return Table::<R>::select(self.tables, widened.as_ref().unwrap_or(selection), limit);
        }
        let mut found = Table::<R>::select(self.tables, selection, usize::MAX)?;
        if selection.leaves_out_unreadable() {
            found.retain(|record| !record.is_damaged());
        } else if found.iter().any(Faulty::is_damaged) {
            return Err(DAMAGED);
        }
        found.truncate(limit);
        Ok(found)
    }

    fn put(&mut self, record: R) -> Result<(), StoreError> {
        self.tables.put(record)
    }

    fn remove(&mut self, key: &R::Key) -> Result<(), StoreError> {
        Table::<R>::remove(self.tables, key)
    }
}

impl Tables for FaultyTables<'_> {
    fn append_event(&mut self, event: AuditEvent) -> Result<(), StoreError> {
        self.tables.append_event(event)
    }

    fn events(&mut self, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        self.tables.events(limit)
    }

    fn remove_events(&mut self, through: u64) -> Result<(), StoreError> {
        self.tables.remove_events(through)
    }
}

type Store = TableStore<FaultyDatabase>;

/// For the users `damaged` and `alice`, in this order: a flow, a grant, a former grant and unclaimed tokens whose revocations are
/// due; and a superseded secret that cannot be read.
async fn filled(is_wide: bool) -> (Store, TestClock) {
    let clock = TestClock::default();
    let now = clock.now();
    let store = Store::with_database(Arc::new(clock.clone()), FaultyDatabase { memory: Memory::default(), is_wide });
    let fill = move |tables: &mut dyn Tables| {
        let drive = fixtures::connector(now);
        let revoke = || Input::Terminated { cause: TerminationCause::Disconnected, revoke: true };
        for (n, user) in [(0_u64, "damaged"), (10, "alice")] {
            let owner = fixtures::authorization_key_of(&drive, user);
            let id = |last| fixtures::authorization_id(n + last);
            let former = fixtures::authorized(id(3), owner.clone(), now);
            let records = [
                fixtures::initiated(id(1), owner.clone(), now),
                fixtures::authorized(id(2), owner.clone(), now),
                fixtures::after(&former, revoke(), now),
            ];
            for record in records {
                tables.put(AuthorizationRow {
                    authorization: fixtures::authorization(&record),
                    callback: None,
                    claim: None,
                })?;
            }
            tables.put(UnclaimedRow { tokens: fixtures::unclaimed_tokens(id(4), owner, now), due_at: now, claim: None })?;
        }
        let mut record = fixtures::client_secret(&drive);
        tables.put(ClientSecret { record: record.clone(), superseded_at: None })?;
        record.key.epoch = record.key.epoch.next();
        tables.put(ClientSecret { record, superseded_at: Some(Timestamp::from_millis(1)) })?;
        tables.put(ConnectorRow { connector: drive, diagnostics: Diagnostics::default() })
    };
    store.database().memory.transact(Access::Write, fill).await.expect("the memory is writable");
    (store, clock)
}

#[tokio::test]
async fn the_queue_goes_on_with_the_others() {
    let (store, _) = filled(false).await;
    let (length, pause) = (Duration::from_mins(1), Duration::from_hours(1));
    let mut claimed = Vec::new();
    while let Some(job) = store.claim_revocation(WORKER, length, pause, LeftOut::default()).await.unwrap() {
        let id = match job {
            RevocationJob::FormerGrant(former) => former.id(),
            RevocationJob::Unclaimed(tokens) => tokens.id,
        };
        let update = RevocationUpdate::Completed(RevocationOutcome::Revoked);
        assert_eq!(store.update_revocation(id, WORKER, update, Vec::new()).await, Ok(true));
        claimed.push(id);
    }
    assert_eq!(claimed, [13, 14].map(fixtures::authorization_id));
}

#[tokio::test]
async fn a_sweep_goes_on_with_the_others() {
    let (store, clock) = filled(false).await;
    let policy = SweepPolicy { unused_grants: DAY, ended_flows: DAY, ended_grants: DAY, batch: 1 };
    clock.advance(3 * DAY);
    let (mut timed_out, mut unused) = (0, 0);
    loop {
        let report = store.sweep(policy, clock.now()).await.unwrap();
        timed_out += report.timed_out;
        unused += report.unused;
        if !report.more {
            break;
        }
    }
    assert_eq!((timed_out, unused), (1, 1));
    let ended = store.find(fixtures::authorization_id(11)).await.unwrap().unwrap();
    assert_eq!(ended.value.state().kind(), StateKind::Expired);
    assert_eq!(store.find(fixtures::authorization_id(1)).await, Err(DAMAGED), "never absent");
}

#[tokio::test]
async fn flows_start_and_grants_are_read_for_the_other_users() {
    let (store, clock) = filled(false).await;
    let owner = fixtures::authorization_key_of(&fixtures::connector(clock.now()), "bob");
    let flow = fixtures::authorization(&fixtures::initiated(fixtures::authorization_id(20), owner, clock.now()));
    let limits = PendingLimits { per_user: 10, deployment: 10 };
    assert_eq!(store.insert_flow(flow, limits, Vec::new()).await, Ok(InsertOutcome::Inserted));
    let alice = (fixtures::user("alice"), fixtures::space("default"));
    assert_eq!(store.grant_holders(None, 10).await, Ok(vec![alice]));
    assert_eq!(store.stored_users(None, 10).await.unwrap().len(), 1);
    assert!(store.due_for_refresh(0, clock.now().plus(DAY), 10).await.unwrap().len() == 1);
    // A key must not be reported as unused.
    assert_eq!(store.keys_in_use().await, Err(DAMAGED));
}

#[tokio::test]
async fn a_termination_that_meets_it_changes_nothing() {
    let (store, clock) = filled(false).await;
    let request = || TerminationRequest { cause: TerminationCause::UserRemoved, actor: Actor::System };
    let user = |user| TerminationScope::User(fixtures::user(user));
    assert_eq!(store.terminate(user("damaged"), request()).await, Err(DAMAGED));
    assert_eq!(store.removed_at(&fixtures::user("damaged")).await, Ok(None));
    let space = TerminationScope::Space(fixtures::space("default"));
    assert_eq!(store.terminate(space, request()).await, Err(DAMAGED));
    let drive = fixtures::connector(clock.now());
    assert_eq!(store.delete(&drive.key, Actor::System, Vec::new()).await, Err(DAMAGED));
    assert_eq!(store.get(&drive.key).await.unwrap(), Some(drive));
    let ended = store.terminate(user("alice"), request()).await.unwrap();
    assert_eq!((ended.flows, ended.grants), (1, 1));
}

#[tokio::test]
async fn a_sweep_ends_if_a_selection_finds_what_is_not_due() {
    let (store, clock) = filled(true).await;
    let policy = SweepPolicy { unused_grants: 9 * DAY, ended_flows: DAY, ended_grants: DAY, batch: 10 };
    clock.advance(2 * DAY);
    // Two flows are over.
    let swept = store.sweep(policy, clock.now()).await.unwrap();
    assert_eq!((swept.timed_out, swept.more), (2, true));
    // The superseded secret is old, and the present one stays.
    assert_eq!(swept.secrets_destroyed, 1);
    let refused = store.sweep(policy, clock.now()).await;
    assert!(matches!(refused, Err(StoreError::Inconsistent { table: "authorizations", row: 1, .. })), "{refused:?}");
    let drive = fixtures::connector(clock.now());
    let present = fixtures::client_secret(&drive);
    assert_eq!(store.client_secret(present.key).await, Ok(Some(present)));
}

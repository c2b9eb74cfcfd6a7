//! A store of a third party: [`MaintenanceStore`] puts another store into a maintenance mode, in which it is read and not
//! written, so that an operator can back up the data while users still see their connections. A refresh that has already
//! been sent keeps its new token in memory until maintenance ends, so the process must not be stopped meanwhile.
//!
//! It implements every port of a store, one method each. `app/tests/custom_store.rs` proves with the contract suite of the
//! test kit that it is a store; a store with another database is proven in the same way. `cargo run -p grantry
//! --example custom_store` shows a write that is refused during maintenance.

use std::error::Error;
use std::future::Future;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grantry::store::AppStore;
use grantry_domain::authorization::{Authorization, AuthorizationId, StateHash};
use grantry_domain::connector::{Connector, ConnectorId, ConnectorKey, Incarnation};
use grantry_domain::identity::{Actor, ConnectionName, SpaceId, UserId};
use grantry_domain::ports::{
    AccessTokenView, Anomaly, AuditEvent, AuditKind, AuditOutbox, AuthorizationFilter, AuthorizationPage,
    AuthorizationQueries, AuthorizationStore, CallbackKey, ClientSecretKey, ClientSecretRecord, Clock, CommitOutcome,
    ConnectorDiagnostics, ConnectorFailure, ConnectorStore, ConsumeOutcome, Created, Diagnostics, EditEffect,
    ExpectedVersion, FailedAttempt, Housekeeping, InsertOutcome, KeyId, Lease, LeaseRequest, LeftOut, PendingLimits,
    RecordedEvent, RefreshLeases, RevocationJob, RevocationQueue, RevocationUpdate, RowTag, Session, SessionHash,
    SessionStore, StatusRow, Store, StoreClock, StoreError, StoredUser, SweepPolicy, SweepReport, TerminationReport,
    TerminationRequest, TerminationScope, UnclaimedTokens, Updated, UserStore, Versioned, WriteOutcome,
};
use grantry_domain::time::Timestamp;
use grantry_runtime::SystemClock;
use grantry_store_memory::MemoryStore;
use tokio::sync::RwLock;

/// A store with a maintenance mode. Clones share the data and the mode.
#[derive(Clone)]
pub(crate) struct MaintenanceStore {
    inner: Arc<dyn Store>,
    /// Whether maintenance is in progress. A write holds the lock for reading until it is complete.
    maintenance: Arc<RwLock<bool>>,
}

impl MaintenanceStore {
    /// A store that is not in maintenance.
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, maintenance: Arc::default() }
    }

    /// Begins maintenance. Returns when every write that began earlier is complete; a later write is refused.
    pub(crate) async fn begin_maintenance(&self) {
        *self.maintenance.write().await = true;
    }

    /// Ends maintenance.
    pub(crate) async fn end_maintenance(&self) {
        *self.maintenance.write().await = false;
    }

    /// Refuses a write during maintenance with an error that callers take as transient, without a change.
    async fn write<T>(&self, work: impl Future<Output = Result<T, StoreError>> + Send) -> Result<T, StoreError> {
        let maintenance = self.maintenance.read().await;
        if *maintenance { Err(StoreError::Unavailable) } else { work.await }
    }
}

/// Awaits the work of a method that reads or writes.
macro_rules! guarded {
    (read $store:ident $work:expr) => {
        $work.await
    };
    (write $store:ident $work:expr) => {
        $store.write($work).await
    };
}

/// Implements ports by forwarding each method, which reads or writes.
macro_rules! forward {
    ($($port:ident { $($access:ident $method:ident($($argument:ident: $type:ty),*) -> $result:ty;)* })*) => {$(
        #[async_trait]
        impl $port for MaintenanceStore {
            $(
                async fn $method(&self, $($argument: $type),*) -> Result<$result, StoreError> {
                    guarded!($access self $port::$method(&*self.inner, $($argument),*))
                }
            )*
        }
    )*};
}

type Audit = Vec<AuditEvent>;
type Found = Option<Versioned<Authorization>>;
type Secret = Option<ClientSecretRecord>;
type Holder = (UserId, SpaceId);

forward! {
    StoreClock {
        read now() -> Timestamp;
    }
    AuthorizationStore {
        write insert_flow(flow: Authorization, limits: PendingLimits, audit: Audit) -> InsertOutcome;
        write replace(next: Authorization, expected: ExpectedVersion, audit: Audit) -> WriteOutcome;
        write consume(key: CallbackKey, audit: Audit) -> ConsumeOutcome;
        write commit_grant(grant: Authorization, revoke_superseded: bool, audit: Audit) -> CommitOutcome;
        read find(id: AuthorizationId) -> Found;
        read find_by_state(state: StateHash) -> Found;
        write terminate(scope: TerminationScope, request: TerminationRequest) -> TerminationReport;
        write set_default_connection(
            incarnation: Incarnation,
            user: UserId,
            connection: Option<ConnectionName>,
            audit: Audit
        ) -> bool;
    }
    AuthorizationQueries {
        read access_token_view(
            connector: &ConnectorKey,
            user: &UserId,
            connection: Option<ConnectionName>
        ) -> Option<AccessTokenView>;
        read statuses(space: &SpaceId, only: Option<ConnectorId>, user: &UserId) -> Vec<StatusRow>;
        read list(
            space: &SpaceId,
            filter: AuthorizationFilter,
            after: Option<AuthorizationId>,
            limit: u32
        ) -> AuthorizationPage;
        read count_connected_users(incarnation: Incarnation) -> u64;
    }
    RefreshLeases {
        write take_lease(request: LeaseRequest) -> Lease;
        write fail_attempt(id: AuthorizationId, holder: [u8; 16], attempt: FailedAttempt, audit: Audit) -> ();
    }
    RevocationQueue {
        write queue_unclaimed(tokens: UnclaimedTokens, audit: Audit) -> ();
        write claim_revocation(
            worker: [u8; 16],
            length: Duration,
            longest_pause: Duration,
            left_out: LeftOut
        ) -> Option<RevocationJob>;
        write update_revocation(job: AuthorizationId, update: RevocationUpdate, audit: Audit) -> ();
    }
    Housekeeping {
        write sweep(policy: SweepPolicy, now: Timestamp) -> SweepReport;
        read grant_holders(after: Option<Holder>, limit: u32) -> Vec<Holder>;
        read due_for_refresh(used_since_day: i64, expiring_before: Timestamp, limit: u32) -> Vec<Authorization>;
        read key_usage() -> Vec<(KeyId, u64)>;
        read keys_in_use() -> Vec<KeyId>;
    }
    AuditOutbox {
        write record(audit: Audit) -> ();
        write record_use(uses: Vec<(AuthorizationId, i64)>) -> ();
        read pending_events(limit: u32) -> Vec<RecordedEvent>;
        write forget_events(through: u64) -> ();
    }
    ConnectorStore {
        write create(connector: Connector, secret: Secret, audit: Audit) -> Created;
        read get(key: &ConnectorKey) -> Option<Connector>;
        read list(space: &SpaceId) -> Vec<Connector>;
        write update(
            next: Connector,
            expected: u64,
            secret: Secret,
            effect: EditEffect,
            actor: Actor,
            audit: Audit
        ) -> Updated;
        write delete(key: &ConnectorKey, actor: Actor, audit: Audit) -> Option<u64>;
        read client_secret(key: ClientSecretKey) -> Secret;
    }
    ConnectorDiagnostics {
        write record_failure(connector: Incarnation, failure: ConnectorFailure) -> ();
        write record_anomalies(connector: Incarnation, anomalies: Vec<Anomaly>) -> ();
        write client_refused(connector: Incarnation, revision: u64, since: Timestamp) -> ();
        write client_accepted(connector: Incarnation) -> ();
        read diagnostics(connector: Incarnation) -> Diagnostics;
    }
    SessionStore {
        write insert(id: SessionHash, session: Session, at_most: u32) -> ();
        read find(id: SessionHash) -> Option<Session>;
        write touch(id: SessionHash, seen_at: Timestamp, tag: RowTag) -> ();
        write remove(id: SessionHash) -> ();
        write purge(created_before: Timestamp, seen_before: Timestamp, after: Timestamp) -> u64;
    }
    UserStore {
        read removed_at(user: &UserId) -> Option<Timestamp>;
        read stored_user(user: &UserId) -> Option<StoredUser>;
        write reinstate(user: UserId, audit: Audit) -> bool;
        read stored_users(after: Option<UserId>, limit: u32) -> Vec<StoredUser>;
        read open_authorizations(user: &UserId) -> Vec<Authorization>;
    }
}

/// What `App::builder` takes. A store with a database keeps the random deployment id beside its data.
pub(crate) fn app_store(store: &MaintenanceStore) -> AppStore {
    AppStore::new(Arc::new(store.clone()), [7; 16])
}

/// Writes one audit event during and after maintenance. Returns the outcome of both.
pub(crate) async fn two_writes(store: &MaintenanceStore) -> [Result<(), StoreError>; 2] {
    let event = AuditEvent::of_system(AuditKind::UserReinstated, SystemClock.now());
    store.begin_maintenance().await;
    let during = store.record(vec![event.clone()]).await;
    store.end_maintenance().await;
    [during, store.record(vec![event]).await]
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = MaintenanceStore::new(Arc::new(MemoryStore::new(Arc::new(SystemClock))));
    let [during, after] = two_writes(&store).await;
    let stored = store.pending_events(10).await?.len();
    let id = app_store(&store).deployment_id();
    writeln!(io::stdout(), "deployment {id:?}: {during:?} during maintenance, {after:?} after it, {stored} stored event")?;
    Ok(())
}

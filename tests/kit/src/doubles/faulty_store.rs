//! A store with faults.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::authorization::{Authorization, AuthorizationId, StateHash};
use grantry_domain::connector::{Connector, ConnectorId, ConnectorKey, Incarnation};
use grantry_domain::identity::{Actor, ConnectionName, SpaceId, UserId};
use grantry_domain::ports::{
    AccessTokenView, Anomaly, AuditEvent, AuditOutbox, AuthorizationFilter, AuthorizationPage, AuthorizationQueries,
    AuthorizationStore, CallbackKey, ClientSecretKey, ClientSecretRecord, CommitOutcome, ConnectorDiagnostics,
    ConnectorFailure, ConnectorStore, ConsumeOutcome, Created, Diagnostics, EditEffect, ExpectedVersion, FailedAttempt,
    Housekeeping, InsertOutcome, KeyId, Lease, LeaseRequest, LeftOut, PendingLimits, RecordedEvent, RefreshLeases,
    RevocationJob, RevocationQueue, RevocationUpdate, RowTag, Session, SessionHash, SessionStore, StatusRow, Store,
    StoreClock, StoreError, StoredUser, SweepPolicy, SweepReport, TerminationReport, TerminationRequest, TerminationScope,
    UnclaimedTokens, Updated, UserStore, Versioned, WriteOutcome,
};
use grantry_domain::time::Timestamp;

use super::locked;
use crate::provider::Gate;

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call fails and changes nothing.
    Refused(StoreError),
    /// The change is made, and the caller gets [`StoreError::OutcomeUnknown`]: a connection that broke at commit.
    OutcomeLost,
}

impl Fault {
    /// The store is unavailable.
    pub const UNAVAILABLE: Self = Self::Refused(StoreError::Unavailable);
}

/// Forwards to another store, with the faults a test asks for. Clones share the data and the faults.
///
/// Every call yields to other tasks first, so that concurrent use cases interleave at each access to the store.
#[derive(Clone)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    next: HashMap<Method, VecDeque<Fault>>,
    always: HashMap<Method, Fault>,
    unavailable: bool,
    gates: HashMap<Method, Gate>,
    calls: HashMap<Method, usize>,
    committed: Vec<Authorization>,
    /// State of the generator of yields; zero yields once per call.
    interleaving: u64,
}

impl Script {
    fn next_yields(&mut self) -> u64 {
        if self.interleaving == 0 {
            return 1;
        }
        // A linear congruential generator is random enough for an order of tasks.
        let next = self.interleaving.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.interleaving = next | 1;
        (self.interleaving >> 33) % 4
    }
}

impl FaultyStore {
    /// A store without faults.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, script: Arc::default() }
    }

    /// The store behind the faults.
    pub fn inner(&self) -> &Arc<dyn Store> {
        &self.inner
    }

    /// Another node on the same data, with separate faults.
    #[must_use]
    pub fn another_node(&self) -> Self {
        Self::new(self.inner.clone())
    }

    /// The next call fails, after the failures that are queued already.
    pub fn fail_next(&self, method: Method, fault: Fault) {
        locked(&self.script).next.entry(method).or_default().push_back(fault);
    }

    /// Every call fails until [`clear_faults`](Self::clear_faults).
    pub fn fail_always(&self, method: Method, fault: Fault) {
        locked(&self.script).always.insert(method, fault);
    }

    /// Every call of every method fails with [`Fault::UNAVAILABLE`] until [`clear_faults`](Self::clear_faults).
    pub fn fail_all(&self) {
        locked(&self.script).unavailable = true;
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        let mut script = locked(&self.script);
        script.next.clear();
        script.always.clear();
        script.unavailable = false;
    }

    /// Holds every further call of a method until the gate is opened.
    pub fn hold(&self, method: Method) -> Gate {
        let gate = Gate::closed();
        locked(&self.script).gates.insert(method, gate.clone());
        gate
    }

    /// Selects another interleaving of concurrent tasks for every seed.
    pub fn shuffle(&self, seed: u32) {
        locked(&self.script).interleaving = u64::from(seed) << 1 | 1;
    }

    /// How many calls of a method there were.
    pub fn count(&self, method: Method) -> usize {
        locked(&self.script).calls.get(&method).copied().unwrap_or(0)
    }

    /// Every grant that was written, in order, also where the outcome was lost.
    pub fn committed(&self) -> Vec<Authorization> {
        locked(&self.script).committed.clone()
    }

    fn record_commit(&self, written: Authorization) {
        if written.as_grant().is_some() {
            locked(&self.script).committed.push(written);
        }
    }

    async fn call<T>(
        &self,
        method: Method,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let (gate, yields) = {
            let mut script = locked(&self.script);
            *script.calls.entry(method).or_default() += 1;
            (script.gates.get(&method).cloned(), script.next_yields())
        };
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        if let Some(gate) = gate {
            gate.pass().await;
        }
        let fault = {
            let mut script = locked(&self.script);
            let queued = script.next.get_mut(&method).and_then(VecDeque::pop_front);
            let always = script.always.get(&method).copied();
            queued.or(always).or_else(|| script.unavailable.then_some(Fault::UNAVAILABLE))
        };
        match fault {
            None => work.await,
            Some(Fault::Refused(error)) => Err(error),
            Some(Fault::OutcomeLost) => work.await.and(Err(StoreError::OutcomeUnknown)),
        }
    }
}

/// Implements the ports by forwarding, and declares [`Method`] with a variant per method. Methods that do more than forward
/// are written out after `@by_hand`.
macro_rules! forward {
    ($($port:ident {
        $($variant:ident: $method:ident($($argument:ident: $type:ty),*) -> $result:ty;)*
        $(@by_hand $($written:ident),* { $($body:tt)* })?
    })*) => {
        /// A method of a store, for selecting where a fault applies.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Method {
            $(
                $(
                    #[doc = concat!("`", stringify!($port), "::", stringify!($method), "`.")]
                    $variant,
                )*
                $($(
                    #[doc = concat!("A method of `", stringify!($port), "`.")]
                    $written,
                )*)?
            )*
        }

        $(
            #[async_trait]
            impl $port for FaultyStore {
                $(
                    async fn $method(&self, $($argument: $type),*) -> Result<$result, StoreError> {
                        self.call(Method::$variant, $port::$method(&*self.inner, $($argument),*)).await
                    }
                )*
                $($($body)*)?
            }
        )*
    };
}

forward! {
    StoreClock {
        Now: now() -> Timestamp;
    }
    AuthorizationStore {
        InsertFlow: insert_flow(flow: Authorization, limits: PendingLimits, audit: Vec<AuditEvent>) -> InsertOutcome;
        Consume: consume(key: CallbackKey, audit: Vec<AuditEvent>) -> ConsumeOutcome;
        Find: find(id: AuthorizationId) -> Option<Versioned<Authorization>>;
        FindByState: find_by_state(state: StateHash) -> Option<Versioned<Authorization>>;
        Terminate: terminate(scope: TerminationScope, request: TerminationRequest) -> TerminationReport;
        SetDefaultConnection: set_default_connection(
            incarnation: Incarnation,
            user: UserId,
            connection: Option<ConnectionName>,
            audit: Vec<AuditEvent>
        ) -> bool;
        @by_hand Replace, CommitGrant {
            async fn replace(
                &self,
                next: Authorization,
                expected: ExpectedVersion,
                audit: Vec<AuditEvent>,
            ) -> Result<WriteOutcome, StoreError> {
                let work = async {
                    let outcome = self.inner.replace(next.clone(), expected, audit).await?;
                    if outcome == WriteOutcome::Written {
                        self.record_commit(next);
                    }
                    Ok(outcome)
                };
                self.call(Method::Replace, work).await
            }

            async fn commit_grant(
                &self,
                grant: Authorization,
                revoke_superseded: bool,
                audit: Vec<AuditEvent>,
            ) -> Result<CommitOutcome, StoreError> {
                let work = async {
                    let outcome = self.inner.commit_grant(grant.clone(), revoke_superseded, audit).await?;
                    if outcome == CommitOutcome::Committed {
                        self.record_commit(grant);
                    }
                    Ok(outcome)
                };
                self.call(Method::CommitGrant, work).await
            }
        }
    }
    AuthorizationQueries {
        AccessTokenView: access_token_view(
            connector: &ConnectorKey,
            user: &UserId,
            connection: Option<ConnectionName>
        ) -> Option<AccessTokenView>;
        Statuses: statuses(space: &SpaceId, only: Option<ConnectorId>, user: &UserId) -> Vec<StatusRow>;
        List: list(
            space: &SpaceId,
            filter: AuthorizationFilter,
            after: Option<AuthorizationId>,
            limit: u32
        ) -> AuthorizationPage;
        CountConnectedUsers: count_connected_users(incarnation: Incarnation) -> u64;
    }
    RefreshLeases {
        TakeLease: take_lease(request: LeaseRequest) -> Lease;
        FailAttempt: fail_attempt(
            id: AuthorizationId,
            holder: [u8; 16],
            attempt: FailedAttempt,
            audit: Vec<AuditEvent>
        ) -> ();
    }
    RevocationQueue {
        QueueUnclaimed: queue_unclaimed(tokens: UnclaimedTokens, audit: Vec<AuditEvent>) -> ();
        ClaimRevocation: claim_revocation(
            worker: [u8; 16],
            length: Duration,
            longest_pause: Duration,
            left_out: LeftOut
        ) -> Option<RevocationJob>;
        UpdateRevocation: update_revocation(
            job: AuthorizationId,
            worker: [u8; 16],
            update: RevocationUpdate,
            audit: Vec<AuditEvent>
        ) -> bool;
    }
    Housekeeping {
        Sweep: sweep(policy: SweepPolicy, now: Timestamp) -> SweepReport;
        GrantHolders: grant_holders(after: Option<(UserId, SpaceId)>, limit: u32) -> Vec<(UserId, SpaceId)>;
        DueForRefresh: due_for_refresh(
            used_since_day: i64,
            expiring_before: Timestamp,
            limit: u32
        ) -> Vec<Authorization>;
        KeyUsage: key_usage() -> Vec<(KeyId, u64)>;
        KeysInUse: keys_in_use() -> Vec<KeyId>;
    }
    AuditOutbox {
        Record: record(audit: Vec<AuditEvent>) -> ();
        RecordUse: record_use(uses: Vec<(AuthorizationId, i64)>) -> ();
        PendingEvents: pending_events(limit: u32) -> Vec<RecordedEvent>;
        ForgetEvents: forget_events(through: u64) -> ();
    }
    ConnectorStore {
        CreateConnector: create(
            connector: Connector,
            secret: Option<ClientSecretRecord>,
            audit: Vec<AuditEvent>
        ) -> Created;
        GetConnector: get(key: &ConnectorKey) -> Option<Connector>;
        ListConnectors: list(space: &SpaceId) -> Vec<Connector>;
        UpdateConnector: update(
            next: Connector,
            expected: u64,
            secret: Option<ClientSecretRecord>,
            effect: EditEffect,
            actor: Actor,
            audit: Vec<AuditEvent>
        ) -> Updated;
        DeleteConnector: delete(key: &ConnectorKey, actor: Actor, audit: Vec<AuditEvent>) -> Option<u64>;
        ClientSecret: client_secret(key: ClientSecretKey) -> Option<ClientSecretRecord>;
    }
    UserStore {
        RemovedAt: removed_at(user: &UserId) -> Option<Timestamp>;
        StoredUser: stored_user(user: &UserId) -> Option<StoredUser>;
        Reinstate: reinstate(user: UserId, audit: Vec<AuditEvent>) -> bool;
        StoredUsers: stored_users(after: Option<UserId>, limit: u32) -> Vec<StoredUser>;
        OpenAuthorizations: open_authorizations(user: &UserId) -> Vec<Authorization>;
    }
    ConnectorDiagnostics {
        RecordFailure: record_failure(connector: Incarnation, failure: ConnectorFailure) -> ();
        RecordAnomalies: record_anomalies(connector: Incarnation, anomalies: Vec<Anomaly>) -> ();
        ClientRefused: client_refused(connector: Incarnation, revision: u64, since: Timestamp) -> ();
        ClientAccepted: client_accepted(connector: Incarnation) -> ();
        ReadDiagnostics: diagnostics(connector: Incarnation) -> Diagnostics;
    }
    SessionStore {
        InsertSession: insert(id: SessionHash, session: Session, at_most: u32) -> ();
        FindSession: find(id: SessionHash) -> Option<Session>;
        TouchSession: touch(id: SessionHash, seen_at: Timestamp, tag: RowTag) -> ();
        RemoveSession: remove(id: SessionHash) -> ();
        PurgeSessions: purge(created_before: Timestamp, seen_before: Timestamp, after: Timestamp) -> u64;
    }
}

//! The reference store, with faults where a test wants them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::authorization::{AuthorizationId, AuthorizationRecord, StateHash, StateKind};
use grantry_domain::connector::{Connector, ConnectorId, ConnectorKey, Incarnation};
use grantry_domain::identity::{Actor, SpaceId, UserId};
use grantry_domain::ports::{
    AccessTokenView, AuditEvent, AuthorizationFilter, AuthorizationPage, AuthorizationStore, CallbackKey, Cascade,
    ClientSecretKey, ClientSecretRecord, CommitOutcome, ConnectorStore, ConsumeOutcome, Created, ExpectedVersion,
    FailedAttempt, InsertOutcome, KeyId, Lease, LeaseRequest, PendingLimits, RecordedEvent, RevocationJob, RevocationUpdate,
    StatusRow, StoreError, SweepPolicy, SweepReport, TerminationReport, TerminationRequest, TerminationScope,
    UnclaimedTokens, Updated, WriteOutcome,
};
use grantry_domain::time::Timestamp;
use grantry_store_memory::MemoryStore;

use super::gate::Gate;

/// The methods that tests make fail, hold or count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Method {
    Now,
    InsertPending,
    Replace,
    Consume,
    CommitGrant,
    Find,
    AccessTokenView,
    Statuses,
    TakeLease,
    FailAttempt,
    End,
    QueueUnclaimed,
    ClaimRevocation,
    EndRevocation,
    Sweep,
    Record,
    NoteUse,
    GetConnector,
    UpdateConnector,
    ClientSecret,
    /// All that no test names.
    Other,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is done.
    Refused(StoreError),
    /// It is done, and nobody is told (T31: connection cut at commit).
    AnswerLost,
}

pub(crate) const DOWN: Fault = Fault::Refused(StoreError::Unavailable);

/// Hands everything to a [`MemoryStore`], unless told otherwise. Every call gives other tasks a turn first, so that what
/// runs at once is interleaved at each access to the store.
pub(crate) struct FaultyStore {
    inner: MemoryStore,
    script: Mutex<Script>,
}

#[derive(Default)]
struct Script {
    next: HashMap<Method, VecDeque<Fault>>,
    always: HashMap<Method, Fault>,
    down: bool,
    gates: HashMap<Method, Gate>,
    calls: HashMap<Method, usize>,
    /// Records with tokens that were written, in order.
    committed: Vec<AuthorizationRecord>,
    /// Where the turns given to others come from; zero gives one turn each time.
    turns: u64,
}

impl Script {
    /// How many turns the next call gives to others.
    fn next_turns(&mut self) -> u64 {
        if self.turns == 0 {
            return 1;
        }
        // A linear congruential generator is random enough for an order of tasks.
        self.turns = self.turns.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) | 1;
        (self.turns >> 33) % 4
    }
}

impl FaultyStore {
    pub(crate) fn new(inner: MemoryStore) -> Self {
        Self { inner, script: Mutex::default() }
    }

    /// The store below, without faults: to look, and to act as an operator.
    pub(crate) fn inner(&self) -> &MemoryStore {
        &self.inner
    }

    /// Another way to the same data, with faults of its own.
    pub(crate) fn another_way(&self) -> Self {
        Self::new(self.inner.clone())
    }

    /// The next call fails, after those that are to fail already.
    pub(crate) fn fail_next(&self, method: Method, fault: Fault) {
        self.script().next.entry(method).or_default().push_back(fault);
    }

    /// Every call fails until [`mend`](Self::mend).
    pub(crate) fn fail_always(&self, method: Method, fault: Fault) {
        self.script().always.insert(method, fault);
    }

    /// Nothing answers until [`mend`](Self::mend).
    pub(crate) fn go_down(&self) {
        self.script().down = true;
    }

    /// No fault is left.
    pub(crate) fn mend(&self) {
        let mut script = self.script();
        script.next.clear();
        script.always.clear();
        script.down = false;
    }

    /// Holds every call of this method from now on.
    pub(crate) fn hold(&self, method: Method) -> Gate {
        let gate = Gate::closed();
        self.script().gates.insert(method, gate.clone());
        gate
    }

    /// Interleaves what runs at once in another way for every seed.
    pub(crate) fn shuffle(&self, seed: u32) {
        self.script().turns = u64::from(seed) << 1 | 1;
    }

    /// Every record with tokens that was ever written, also where the answer was lost.
    pub(crate) fn committed(&self) -> Vec<AuthorizationRecord> {
        self.script().committed.clone()
    }

    fn note_commit(&self, record: AuthorizationRecord) {
        if record.state == StateKind::Authorized {
            self.script().committed.push(record);
        }
    }

    /// How many calls there were.
    pub(crate) fn count(&self, method: Method) -> usize {
        self.script().calls.get(&method).copied().unwrap_or(0)
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn around<T>(
        &self,
        method: Method,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let (gate, turns) = {
            let mut script = self.script();
            *script.calls.entry(method).or_default() += 1;
            (script.gates.get(&method).cloned(), script.next_turns())
        };
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        if let Some(gate) = gate {
            gate.pass().await;
        }
        let fault = {
            let mut script = self.script();
            let queued = script.next.get_mut(&method).and_then(VecDeque::pop_front);
            let always = script.always.get(&method).copied();
            queued.or(always).or_else(|| script.down.then_some(DOWN))
        };
        match fault {
            None => work.await,
            Some(Fault::Refused(error)) => Err(error),
            Some(Fault::AnswerLost) => work.await.and(Err(StoreError::OutcomeUnknown)),
        }
    }
}

#[async_trait]
impl AuthorizationStore for FaultyStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.around(Method::Now, self.inner.now()).await
    }

    async fn insert_pending(
        &self,
        flow: AuthorizationRecord,
        limits: PendingLimits,
        audit: Vec<AuditEvent>,
    ) -> Result<InsertOutcome, StoreError> {
        self.around(Method::InsertPending, self.inner.insert_pending(flow, limits, audit)).await
    }

    async fn replace(
        &self,
        next: AuthorizationRecord,
        fence: ExpectedVersion,
        audit: Vec<AuditEvent>,
    ) -> Result<WriteOutcome, StoreError> {
        let work = async {
            let answer = self.inner.replace(next.clone(), fence, audit).await?;
            if answer == WriteOutcome::Written {
                self.note_commit(next);
            }
            Ok(answer)
        };
        self.around(Method::Replace, work).await
    }

    async fn consume(&self, key: CallbackKey, audit: Vec<AuditEvent>) -> Result<ConsumeOutcome, StoreError> {
        self.around(Method::Consume, self.inner.consume(key, audit)).await
    }

    async fn commit_grant(
        &self,
        grant: AuthorizationRecord,
        revoke_superseded: bool,
        audit: Vec<AuditEvent>,
    ) -> Result<CommitOutcome, StoreError> {
        let work = async {
            let answer = self.inner.commit_grant(grant.clone(), revoke_superseded, audit).await?;
            if answer == CommitOutcome::Committed {
                self.note_commit(grant);
            }
            Ok(answer)
        };
        self.around(Method::CommitGrant, work).await
    }

    async fn find(&self, id: AuthorizationId) -> Result<Option<AuthorizationRecord>, StoreError> {
        self.around(Method::Find, self.inner.find(id)).await
    }

    async fn find_by_state(&self, state: StateHash) -> Result<Option<AuthorizationRecord>, StoreError> {
        self.around(Method::Other, self.inner.find_by_state(state)).await
    }

    async fn access_token_view(
        &self,
        connector: &ConnectorKey,
        user: &UserId,
    ) -> Result<Option<AccessTokenView>, StoreError> {
        self.around(Method::AccessTokenView, self.inner.access_token_view(connector, user)).await
    }

    async fn statuses(
        &self,
        space: &SpaceId,
        only: Option<ConnectorId>,
        user: &UserId,
    ) -> Result<Vec<StatusRow>, StoreError> {
        self.around(Method::Statuses, self.inner.statuses(space, only, user)).await
    }

    async fn list(
        &self,
        space: &SpaceId,
        filter: AuthorizationFilter,
        after: Option<AuthorizationId>,
        limit: u32,
    ) -> Result<AuthorizationPage, StoreError> {
        self.around(Method::Other, AuthorizationStore::list(&self.inner, space, filter, after, limit)).await
    }

    async fn take_lease(&self, request: LeaseRequest) -> Result<Lease, StoreError> {
        self.around(Method::TakeLease, self.inner.take_lease(request)).await
    }

    async fn fail_attempt(
        &self,
        id: AuthorizationId,
        owner: [u8; 16],
        attempt: FailedAttempt,
        audit: Vec<AuditEvent>,
    ) -> Result<(), StoreError> {
        self.around(Method::FailAttempt, self.inner.fail_attempt(id, owner, attempt, audit)).await
    }

    async fn end(&self, scope: TerminationScope, ending: TerminationRequest) -> Result<TerminationReport, StoreError> {
        self.around(Method::End, self.inner.end(scope, ending)).await
    }

    async fn record_use(&self, uses: Vec<(AuthorizationId, i64)>) -> Result<(), StoreError> {
        self.around(Method::NoteUse, self.inner.record_use(uses)).await
    }

    async fn queue_unclaimed(&self, orphan: UnclaimedTokens, audit: Vec<AuditEvent>) -> Result<(), StoreError> {
        self.around(Method::QueueUnclaimed, self.inner.queue_unclaimed(orphan, audit)).await
    }

    async fn claim_revocation(&self, owner: [u8; 16], length: Duration) -> Result<Option<RevocationJob>, StoreError> {
        self.around(Method::ClaimRevocation, self.inner.claim_revocation(owner, length)).await
    }

    async fn update_revocation(
        &self,
        job: AuthorizationId,
        end: RevocationUpdate,
        audit: Vec<AuditEvent>,
    ) -> Result<(), StoreError> {
        self.around(Method::EndRevocation, self.inner.update_revocation(job, end, audit)).await
    }

    async fn sweep(&self, policy: SweepPolicy) -> Result<SweepReport, StoreError> {
        self.around(Method::Sweep, self.inner.sweep(policy)).await
    }

    async fn grant_holders(
        &self,
        after: Option<(UserId, SpaceId)>,
        limit: u32,
    ) -> Result<Vec<(UserId, SpaceId)>, StoreError> {
        self.around(Method::Other, self.inner.grant_holders(after, limit)).await
    }

    async fn due_for_refresh(
        &self,
        used_since_day: i64,
        expiring_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<AuthorizationRecord>, StoreError> {
        self.around(Method::Other, self.inner.due_for_refresh(used_since_day, expiring_before, limit)).await
    }

    async fn record(&self, audit: Vec<AuditEvent>) -> Result<(), StoreError> {
        self.around(Method::Record, self.inner.record(audit)).await
    }

    async fn pending_events(&self, limit: u32) -> Result<Vec<RecordedEvent>, StoreError> {
        self.around(Method::Other, self.inner.pending_events(limit)).await
    }

    async fn forget_events(&self, through: u64) -> Result<(), StoreError> {
        self.around(Method::Other, self.inner.forget_events(through)).await
    }

    async fn key_usage(&self) -> Result<Vec<(KeyId, u64)>, StoreError> {
        self.around(Method::Other, self.inner.key_usage()).await
    }
}

#[async_trait]
impl ConnectorStore for FaultyStore {
    async fn create(
        &self,
        connector: Connector,
        secret: Option<ClientSecretRecord>,
        audit: Vec<AuditEvent>,
    ) -> Result<Created, StoreError> {
        self.around(Method::Other, self.inner.create(connector, secret, audit)).await
    }

    async fn get(&self, key: &ConnectorKey) -> Result<Option<Connector>, StoreError> {
        self.around(Method::GetConnector, self.inner.get(key)).await
    }

    async fn list(&self, space: &SpaceId) -> Result<Vec<Connector>, StoreError> {
        self.around(Method::Other, ConnectorStore::list(&self.inner, space)).await
    }

    async fn update(
        &self,
        next: Connector,
        expected: u64,
        secret: Option<ClientSecretRecord>,
        cascade: Cascade,
        actor: Actor,
        audit: Vec<AuditEvent>,
    ) -> Result<Updated, StoreError> {
        let update = self.inner.update(next, expected, secret, cascade, actor, audit);
        self.around(Method::UpdateConnector, update).await
    }

    async fn count_grants(&self, incarnation: Incarnation) -> Result<u64, StoreError> {
        self.around(Method::Other, self.inner.count_grants(incarnation)).await
    }

    async fn delete(&self, key: &ConnectorKey, actor: Actor, audit: Vec<AuditEvent>) -> Result<Option<u64>, StoreError> {
        self.around(Method::Other, self.inner.delete(key, actor, audit)).await
    }

    async fn client_secret(&self, key: ClientSecretKey) -> Result<Option<ClientSecretRecord>, StoreError> {
        self.around(Method::ClientSecret, self.inner.client_secret(key)).await
    }
}

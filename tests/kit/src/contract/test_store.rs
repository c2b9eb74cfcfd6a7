//! The steps that most rules take, and comparisons of what is stored.
//!
//! Rules work with [`AuthorizationRecord`]s, because tests change single fields of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use grantry_domain::authorization::{
    Authorization, AuthorizationId, AuthorizationKey, AuthorizationRecord, ExpiredCause, FailureCode, RevocationOutcome,
    RevocationRecord, RevokedCause, StateKind, TerminalCause, TerminationCause,
};
use grantry_domain::connector::{Connector, Epoch};
use grantry_domain::identity::{Actor, ConnectionName};
use grantry_domain::ports::{
    AuditEvent, AuditKind, CallbackKey, Clock, CommitOutcome, ConsumeOutcome, Created, EditEffect, ExpectedVersion,
    InsertOutcome, Lease, LeaseRequest, LeftOut, PendingLimits, RevocationJob, RevocationUpdate, StoreError, SweepPolicy,
    SweepReport, TerminationReport, TerminationRequest, TerminationScope, Updated, Versioned, WriteOutcome,
};
use grantry_domain::time::Timestamp;

use super::{Backend, Node};
use crate::doubles::{TestClock, fixtures};

/// Limits that no rule reaches by accident.
pub(super) const HIGH_LIMITS: PendingLimits = PendingLimits { per_user: 1000, deployment: 10_000 };

/// The sweep of most rules, in one batch.
pub(super) const SWEEP: SweepPolicy = SweepPolicy {
    unused_grants: Duration::from_hours(90 * 24),
    ended_flows: Duration::from_hours(24),
    ended_grants: Duration::from_hours(30 * 24),
    batch: 1000,
};

/// The worker that claims revocations.
pub(super) const WORKER: [u8; 16] = [9; 16];
/// Duration of a worker's claim on a revocation.
pub(super) const CLAIM: Duration = Duration::from_mins(1);
/// The longest pause between two attempts of a revocation.
pub(super) const PAUSE: Duration = Duration::from_hours(1);

/// A store under test.
pub(super) struct TestStore {
    pub(super) clock: TestClock,
    pub(super) node: Node,
    pub(super) other: Node,
    last_id: AtomicU64,
    ids: Mutex<Vec<AuthorizationId>>,
    _backend: Backend,
}

/// The records of every authorization of a test, and the audit events that were not read yet.
#[derive(Debug, PartialEq)]
pub(super) struct Snapshot {
    pub(super) records: Vec<Option<AuthorizationRecord>>,
    pub(super) events: Vec<AuditEvent>,
}

impl Snapshot {
    /// The records that an earlier snapshot has as well.
    pub(super) fn records_of(&self, earlier: &Self) -> &[Option<AuthorizationRecord>] {
        &self.records[..earlier.records.len()]
    }
}

impl TestStore {
    /// A store with the connector `drive` in space `default`.
    pub(super) async fn with_drive(backend: Backend) -> (Self, Connector) {
        let store = Self::new(backend);
        let drive = store.add(fixtures::connector(store.now())).await;
        (store, drive)
    }

    pub(super) fn new(backend: Backend) -> Self {
        Self {
            clock: backend.clock.clone(),
            node: backend.node.clone(),
            other: backend.other.clone(),
            last_id: AtomicU64::new(0),
            ids: Mutex::default(),
            _backend: backend,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn advance(&self, span: Duration) {
        self.clock.advance(span);
    }

    pub(super) fn new_id(&self) -> AuthorizationId {
        let id = fixtures::authorization_id(self.last_id.fetch_add(1, Ordering::SeqCst) + 1);
        self.ids.lock().expect("no test has failed yet").push(id);
        id
    }

    // Connectors.

    pub(super) async fn add(&self, connector: Connector) -> Connector {
        let secret = fixtures::client_secret(&connector);
        let created = self.node.connectors.create(connector.clone(), Some(secret), Vec::new()).await.unwrap_or_fail();
        assert_eq!(created, Created::Done);
        connector
    }

    /// Edits a connector; an edit that expires grants begins a new epoch. Returns the connector and how many grants ended.
    pub(super) async fn edit(&self, connector: &Connector, effect: EditEffect) -> (Connector, u64) {
        let epoch = match effect {
            EditEffect::KeepGrants => connector.epoch,
            EditEffect::ExpireGrants => connector.epoch.next(),
        };
        let next = Connector { epoch, revision: connector.revision + 1, updated_at: self.now(), ..connector.clone() };
        let next = fixtures::tagged(next);
        let secret = (next.epoch != Epoch::FIRST).then(|| fixtures::client_secret(&next));
        let events = vec![updated_event(&next, self.now())];
        let update = self.node.connectors.update(next.clone(), connector.revision, secret, effect, editor(), events);
        match update.await.unwrap_or_fail() {
            Updated::Done { ended_grants } => (next, ended_grants),
            refused @ (Updated::Conflict | Updated::NotFound) => panic!("the edit was refused: {refused:?}"),
        }
    }

    pub(super) async fn delete(&self, connector: &Connector) -> Option<u64> {
        self.node.connectors.delete(&connector.key, editor(), Vec::new()).await.unwrap_or_fail()
    }

    pub(super) async fn has_secret(&self, connector: &Connector) -> bool {
        let key = fixtures::client_secret(connector).key;
        self.node.connectors.client_secret(key).await.unwrap_or_fail().is_some()
    }

    // Flows.

    pub(super) async fn try_insert(
        &self,
        owner: &AuthorizationKey,
        limits: PendingLimits,
    ) -> (AuthorizationId, InsertOutcome) {
        let flow = fixtures::awaiting(self.new_id(), owner.clone(), self.now());
        let inserted = self.insert_record(&flow, limits).await;
        (flow.id, inserted)
    }

    async fn insert_record(&self, flow: &AuthorizationRecord, limits: PendingLimits) -> InsertOutcome {
        let event = self.event(AuditKind::FlowStarted, flow);
        let insert = self.node.authorizations.insert_flow(fixtures::authorization(flow), limits, vec![event]);
        insert.await.unwrap_or_fail()
    }

    /// A flow whose authorization URL was not issued yet.
    pub(super) async fn insert(&self, owner: &AuthorizationKey) -> AuthorizationRecord {
        let flow = fixtures::initiated(self.new_id(), owner.clone(), self.now());
        assert_eq!(self.insert_record(&flow, HIGH_LIMITS).await, InsertOutcome::Inserted);
        self.get(flow.id).await
    }

    /// A flow whose user is at the provider.
    pub(super) async fn start(&self, owner: &AuthorizationKey) -> AuthorizationRecord {
        let (id, inserted) = self.try_insert(owner, HIGH_LIMITS).await;
        assert_eq!(inserted, InsertOutcome::Inserted);
        self.get(id).await
    }

    pub(super) async fn consume(&self, flow: &AuthorizationRecord) -> ConsumeOutcome {
        let event = self.event(AuditKind::CallbackConsumed, flow);
        self.node.authorizations.consume(callback(flow), vec![event]).await.unwrap_or_fail()
    }

    /// A flow that was consumed just now.
    pub(super) async fn exchange(&self, owner: &AuthorizationKey) -> AuthorizationRecord {
        let flow = self.start(owner).await;
        match self.consume(&flow).await {
            ConsumeOutcome::Consumed { flow, .. } => flow.value.to_record(),
            refused @ (ConsumeOutcome::NotFound
            | ConsumeOutcome::UserMismatch(_)
            | ConsumeOutcome::BrowserMismatch(_)
            | ConsumeOutcome::Expired(_)
            | ConsumeOutcome::AlreadyUsed(_)) => panic!("the flow was not consumed: {refused:?}"),
        }
    }

    pub(super) async fn commit(&self, flow: &AuthorizationRecord) -> CommitOutcome {
        let granted = fixtures::authorized(flow.id, flow.owner.clone(), self.now());
        let grant = AuthorizationRecord { created_at: flow.created_at, ..granted };
        let event = self.event(AuditKind::Connected, &grant);
        self.node.authorizations.commit_grant(fixtures::authorization(&grant), true, vec![event]).await.unwrap_or_fail()
    }

    /// A grant, by start, callback and commit.
    pub(super) async fn connect(&self, owner: &AuthorizationKey) -> AuthorizationRecord {
        let flow = self.exchange(owner).await;
        assert_eq!(self.commit(&flow).await, CommitOutcome::Committed);
        self.get(flow.id).await
    }

    // Grants.

    pub(super) async fn replace(&self, next: AuthorizationRecord, read: &AuthorizationRecord) -> WriteOutcome {
        let event = self.event(AuditKind::Refreshed, &next);
        let (next, expected) = (fixtures::authorization(&next), version_of(read));
        self.node.authorizations.replace(next, expected, vec![event]).await.unwrap_or_fail()
    }

    pub(super) async fn replaced(&self, next: AuthorizationRecord, read: &AuthorizationRecord) -> AuthorizationRecord {
        let id = next.id;
        assert_eq!(self.replace(next, read).await, WriteOutcome::Written);
        self.get(id).await
    }

    /// A former grant whose refresh token the provider rejected.
    pub(super) async fn reject_refresh(&self, grant: &AuthorizationRecord) -> AuthorizationRecord {
        self.replaced(fixtures::refresh_rejected(grant, self.now()), grant).await
    }

    pub(super) async fn lease(&self, grant: &AuthorizationRecord, holder: u8) -> Lease {
        self.node.leases.take_lease(lease_of(grant, holder)).await.unwrap_or_fail()
    }

    pub(super) async fn terminate(&self, scope: TerminationScope, cause: TerminationCause) -> TerminationReport {
        let request = TerminationRequest { cause, actor: editor() };
        self.node.authorizations.terminate(scope, request).await.unwrap_or_fail()
    }

    pub(super) async fn disconnect(&self, grant: &AuthorizationRecord) -> AuthorizationRecord {
        self.terminate(TerminationScope::One(grant.id), TerminationCause::Disconnected).await;
        self.get(grant.id).await
    }

    /// Sets or clears the default connection of the user of this key.
    pub(super) async fn set_default(&self, owner: &AuthorizationKey, name: Option<&str>) -> bool {
        let (connection, audit) = (name.map(fixtures::connection), vec![self.default_event(owner)]);
        let set = self.node.authorizations.set_default_connection(owner.incarnation, owner.user.clone(), connection, audit);
        set.await.unwrap_or_fail()
    }

    /// The default connection of the user of this key, which both queries return.
    pub(super) async fn default_of(&self, owner: &AuthorizationKey) -> Option<ConnectionName> {
        let (key, user) = (owner.connector_key(), &owner.user);
        let view = self.node.queries.access_token_view(&key, user, None).await.unwrap_or_fail()?;
        let rows = self.node.queries.statuses(&key.space, Some(key.id), user).await.unwrap_or_fail();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].default_connection, view.default_connection);
        view.default_connection
    }

    // Background jobs.

    pub(super) async fn claim(&self) -> Option<RevocationJob> {
        self.claim_except(LeftOut::default()).await
    }

    pub(super) async fn claim_except(&self, left_out: LeftOut) -> Option<RevocationJob> {
        self.node.revocations.claim_revocation(WORKER, CLAIM, PAUSE, left_out).await.unwrap_or_fail()
    }

    /// Claims as another worker.
    pub(super) async fn claim_as(&self, worker: [u8; 16]) -> Option<RevocationJob> {
        let claimed = self.node.revocations.claim_revocation(worker, CLAIM, PAUSE, LeftOut::default());
        claimed.await.unwrap_or_fail()
    }

    pub(super) async fn update_job(&self, job: AuthorizationId, update: RevocationUpdate) -> bool {
        self.update_job_as(WORKER, job, update).await
    }

    /// Updates as another worker.
    pub(super) async fn update_job_as(&self, worker: [u8; 16], job: AuthorizationId, update: RevocationUpdate) -> bool {
        let event = completed_event(job, self.now());
        self.node.revocations.update_revocation(job, worker, update, vec![event]).await.unwrap_or_fail()
    }

    pub(super) async fn sweep(&self) -> SweepReport {
        self.node.housekeeping.sweep(SWEEP, self.now()).await.unwrap_or_fail()
    }

    // Reading.

    pub(super) async fn find(&self, id: AuthorizationId) -> Option<AuthorizationRecord> {
        self.node.authorizations.find(id).await.unwrap_or_fail().as_ref().map(record_of)
    }

    pub(super) async fn get(&self, id: AuthorizationId) -> AuthorizationRecord {
        self.find(id).await.expect("the authorization is stored")
    }

    /// The state in which an authorization is stored now.
    pub(super) async fn state(&self, record: &AuthorizationRecord) -> (StateKind, Option<TerminalCause>) {
        state_of(&self.get(record.id).await)
    }

    pub(super) fn event(&self, kind: AuditKind, record: &AuthorizationRecord) -> AuditEvent {
        fixtures::event(kind, record, self.now())
    }

    pub(super) fn default_event(&self, owner: &AuthorizationKey) -> AuditEvent {
        let event = AuditEvent::new(AuditKind::DefaultConnectionSet, Actor::Person(owner.user.clone()), self.now());
        event.of_connection(&owner.connector_key(), &owner.user, &owner.connection)
    }

    /// The audit events since the last call.
    pub(super) async fn new_events(&self) -> Vec<AuditEvent> {
        let recorded = self.node.outbox.pending_events(10_000).await.unwrap_or_fail();
        if let Some(last) = recorded.last() {
            self.node.outbox.forget_events(last.sequence).await.unwrap_or_fail();
        }
        recorded.into_iter().map(|recorded| recorded.event).collect()
    }

    /// Everything that a refused call must leave unchanged.
    pub(super) async fn snapshot(&self) -> Snapshot {
        let ids = self.ids.lock().expect("no test has failed yet").clone();
        let mut records = Vec::new();
        for id in ids {
            records.push(self.find(id).await);
        }
        let events = self.node.outbox.pending_events(10_000).await.unwrap_or_fail();
        Snapshot { records, events: events.into_iter().map(|recorded| recorded.event).collect() }
    }
}

/// A result of a store that no rule expects to fail.
pub(super) trait Succeeds<T> {
    fn unwrap_or_fail(self) -> T;
}

impl<T> Succeeds<T> for Result<T, StoreError> {
    fn unwrap_or_fail(self) -> T {
        self.expect("the store works")
    }
}

/// The record of an authorization that was read. Asserts that it has the version of what it contains.
pub(super) fn record_of(read: &Versioned<Authorization>) -> AuthorizationRecord {
    assert_eq!(read.version, ExpectedVersion::of(&read.value), "the version is that of the stored authorization");
    read.value.to_record()
}

pub(super) fn version_of(record: &AuthorizationRecord) -> ExpectedVersion {
    ExpectedVersion::of(&fixtures::authorization(record))
}

/// What a port returns for an authorization that is stored like this.
pub(super) fn stored(record: &AuthorizationRecord) -> Box<Versioned<Authorization>> {
    Box::new(Versioned::stored(fixtures::authorization(record)))
}

/// What the browser of the flow's user presents.
pub(super) fn callback(flow: &AuthorizationRecord) -> CallbackKey {
    CallbackKey {
        state_hash: fixtures::state_hash(flow.id),
        user: flow.owner.user.clone(),
        flow_cookies: vec![fixtures::flow_cookie_hash(flow.id)],
    }
}

/// A request for a lease of one minute; one that ends more than two minutes ahead is implausible.
pub(super) fn lease_of(grant: &AuthorizationRecord, holder: u8) -> LeaseRequest {
    LeaseRequest {
        id: grant.id,
        revision: grant.revision,
        holder: [holder; 16],
        length: Duration::from_mins(1),
        longest: Duration::from_mins(2),
    }
}

/// All authorizations of one connection.
pub(super) fn connection_scope(owner: &AuthorizationKey) -> TerminationScope {
    let AuthorizationKey { user, connection, .. } = owner.clone();
    TerminationScope::Connection { connector: owner.connector_key(), user, connection }
}

/// The actor that edits connectors and terminates authorizations in these rules.
pub(super) fn editor() -> Actor {
    Actor::Person(fixtures::user("u_editor"))
}

pub(super) fn updated_event(connector: &Connector, now: Timestamp) -> AuditEvent {
    AuditEvent::new(AuditKind::ConnectorUpdated, editor(), now).at_connector(&connector.key)
}

pub(super) fn completed_event(job: AuthorizationId, now: Timestamp) -> AuditEvent {
    let event = AuditEvent::of_system(AuditKind::RevocationCompleted, now).outcome(RevocationOutcome::Revoked);
    AuditEvent { authorization: Some(job), ..event }
}

/// The event that a store writes for an authorization it ended.
pub(super) fn terminated_event(ended: &AuthorizationRecord, actor: Actor, now: Timestamp) -> AuditEvent {
    AuditEvent::of_termination(&fixtures::authorization(ended), actor, now)
}

/// The in-doubt mark of a pending revocation; `None` if none is pending.
pub(super) fn pending_in_doubt(record: &AuthorizationRecord) -> Option<bool> {
    match &record.revocation {
        Some(RevocationRecord::Pending { in_doubt, .. }) => Some(*in_doubt),
        Some(RevocationRecord::Completed(_)) | None => None,
    }
}

pub(super) fn state_of(record: &AuthorizationRecord) -> (StateKind, Option<TerminalCause>) {
    (record.state, record.cause)
}

pub(super) fn expired(cause: ExpiredCause) -> (StateKind, Option<TerminalCause>) {
    (StateKind::Expired, Some(TerminalCause::Expired(cause)))
}

pub(super) fn terminated(cause: TerminationCause) -> (StateKind, Option<TerminalCause>) {
    (StateKind::Revoked, Some(TerminalCause::Revoked(RevokedCause::Terminated(cause))))
}

pub(super) fn failed(code: FailureCode) -> (StateKind, Option<TerminalCause>) {
    (StateKind::Revoked, Some(TerminalCause::Revoked(RevokedCause::Failed(code))))
}

//! Steps that most rules take, and ways to look at what became of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use grantry_domain::authorization::{
    AuthorizationId, AuthorizationKey, AuthorizationRecord, RevocationRecord, StateKind, TerminationCause,
};
use grantry_domain::connector::{Connector, Epoch};
use grantry_domain::identity::{Actor, UserId};
use grantry_domain::ports::{
    AuditEvent, AuditKind, CallbackKey, Cascade, Clock, CommitOutcome, ConsumeOutcome, Created, ExpectedVersion,
    InsertOutcome, Lease, LeaseRequest, PendingLimits, RevocationJob, RevocationUpdate, SweepPolicy, SweepReport,
    TerminationReport, TerminationRequest, TerminationScope, Updated, WriteOutcome,
};
use grantry_domain::time::Timestamp;

use super::{Backend, Node};
use crate::doubles::{TestClock, fixtures};

/// Caps that no rule reaches by accident.
pub(super) const ROOMY: PendingLimits = PendingLimits { per_user: 1000, deployment: 10_000 };

/// The sweep of most rules, in one batch.
pub(super) const SWEEP: SweepPolicy = SweepPolicy {
    unused_grants: Duration::from_hours(90 * 24),
    ended_flows: Duration::from_hours(24),
    ended_grants: Duration::from_hours(30 * 24),
    batch: 1000,
};

/// How long a worker of these rules claims a revocation.
pub(super) const CLAIM: Duration = Duration::from_mins(1);

/// A store under test, with one connector of which most rules need no other.
pub(super) struct World {
    pub(super) clock: TestClock,
    pub(super) store: Node,
    pub(super) other: Node,
    backend: Backend,
    last: AtomicU64,
    known: Mutex<Vec<AuthorizationId>>,
}

/// Everything that can be seen of the authorizations of a test, and the events so far.
#[derive(Debug, PartialEq)]
pub(super) struct Image(Vec<Option<AuthorizationRecord>>, Vec<AuditEvent>);

impl World {
    /// A world with the connector `drive` in space `default`.
    pub(super) async fn with_drive(backend: Backend) -> (Self, Connector) {
        let world = Self::new(backend);
        let drive = world.add(fixtures::connector(world.now())).await;
        (world, drive)
    }

    pub(super) fn new(backend: Backend) -> Self {
        Self {
            clock: backend.clock.clone(),
            store: backend.node.clone(),
            other: backend.other.clone(),
            backend,
            last: AtomicU64::new(0),
            known: Mutex::default(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.backend.clock.now()
    }

    pub(super) fn pass(&self, span: Duration) {
        self.clock.advance(span);
    }

    pub(super) fn new_id(&self) -> AuthorizationId {
        let id = fixtures::grant_id(self.last.fetch_add(1, Ordering::SeqCst) + 1);
        self.known.lock().expect("no test has failed yet").push(id);
        id
    }

    // Connectors.

    pub(super) async fn add(&self, connector: Connector) -> Connector {
        let secret = fixtures::client_secret(&connector);
        let created = self.store.connectors.create(connector.clone(), Some(secret), Vec::new()).await.unwrap_or_fail();
        assert_eq!(created, Created::Done);
        connector
    }

    /// Edits a connector so that its epoch rises; answers the new one and how many grants that ended.
    pub(super) async fn edit(&self, connector: &Connector, cascade: Cascade) -> (Connector, u64) {
        let epoch = if cascade == Cascade::Keep { connector.epoch } else { connector.epoch.next() };
        let next = Connector {
            epoch,
            enabled: cascade != Cascade::Disabled,
            revision: connector.revision + 1,
            updated_at: self.now(),
            ..connector.clone()
        };
        let secret = (next.epoch != Epoch::FIRST).then(|| fixtures::client_secret(&next));
        let done = self.store.connectors.update(
            next.clone(),
            connector.revision,
            secret,
            cascade,
            editor(),
            vec![edited(&next, self.now())],
        );
        match done.await.unwrap_or_fail() {
            Updated::Done { ended_grants } => (next, ended_grants),
            refused @ (Updated::Conflict | Updated::NotFound) => panic!("the edit was refused: {refused:?}"),
        }
    }

    pub(super) async fn delete(&self, connector: &Connector) -> Option<u64> {
        self.store.connectors.delete(&connector.key, editor(), Vec::new()).await.unwrap_or_fail()
    }

    pub(super) async fn has_secret(&self, connector: &Connector) -> bool {
        let key = fixtures::client_secret(connector).key;
        self.store.connectors.client_secret(key).await.unwrap_or_fail().is_some()
    }

    // Flows.

    pub(super) async fn try_initiate(
        &self,
        owner: &AuthorizationKey,
        limits: PendingLimits,
    ) -> (AuthorizationId, InsertOutcome) {
        let flow = fixtures::initiated(self.new_id(), owner.clone(), self.now());
        let event = fixtures::event(AuditKind::FlowStarted, &flow, self.now());
        (flow.id, self.store.authorizations.insert_pending(flow, limits, vec![event]).await.unwrap_or_fail())
    }

    /// A flow whose URL was not issued yet.
    pub(super) async fn initiate(&self, owner: &AuthorizationKey) -> AuthorizationRecord {
        let (id, inserted) = self.try_initiate(owner, ROOMY).await;
        assert_eq!(inserted, InsertOutcome::Inserted);
        self.get(id).await
    }

    /// A flow whose user is at the provider.
    pub(super) async fn start(&self, owner: &AuthorizationKey) -> AuthorizationRecord {
        let flow = self.initiate(owner).await;
        let issued = fixtures::awaiting(flow.id, owner.clone(), flow.created_at);
        self.replaced(issued, &flow).await;
        self.get(flow.id).await
    }

    pub(super) async fn consume(&self, flow: &AuthorizationRecord) -> ConsumeOutcome {
        self.store
            .authorizations
            .consume(callback(flow), vec![self.event(AuditKind::CallbackConsumed, flow)])
            .await
            .unwrap_or_fail()
    }

    /// A flow that was consumed just now.
    pub(super) async fn exchange(&self, owner: &AuthorizationKey) -> AuthorizationRecord {
        let flow = self.start(owner).await;
        match self.consume(&flow).await {
            ConsumeOutcome::Consumed { record, .. } => *record,
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
        self.store.authorizations.commit_grant(grant, true, vec![event]).await.unwrap_or_fail()
    }

    /// A grant, by the whole way.
    pub(super) async fn connect(&self, owner: &AuthorizationKey) -> AuthorizationRecord {
        let flow = self.exchange(owner).await;
        assert_eq!(self.commit(&flow).await, CommitOutcome::Committed);
        self.get(flow.id).await
    }

    // Grants.

    pub(super) async fn replace(&self, next: AuthorizationRecord, read: &AuthorizationRecord) -> WriteOutcome {
        let event = self.event(AuditKind::Refreshed, &next);
        self.store.authorizations.replace(next, ExpectedVersion::of(read), vec![event]).await.unwrap_or_fail()
    }

    pub(super) async fn replaced(&self, next: AuthorizationRecord, read: &AuthorizationRecord) -> AuthorizationRecord {
        let id = next.id;
        assert_eq!(self.replace(next, read).await, WriteOutcome::Written);
        self.get(id).await
    }

    /// A former grant whose refresh token was refused.
    pub(super) async fn refuse(&self, grant: &AuthorizationRecord) -> AuthorizationRecord {
        self.replaced(fixtures::refused(grant, self.now()), grant).await
    }

    pub(super) async fn lease(&self, grant: &AuthorizationRecord, owner: u8) -> Lease {
        self.store.authorizations.take_lease(lease_of(grant, owner)).await.unwrap_or_fail()
    }

    pub(super) async fn end(&self, scope: TerminationScope, cause: TerminationCause) -> TerminationReport {
        self.store.authorizations.end(scope, TerminationRequest { cause, actor: editor() }).await.unwrap_or_fail()
    }

    pub(super) async fn disconnect(&self, grant: &AuthorizationRecord) -> AuthorizationRecord {
        self.end(TerminationScope::One(grant.id), TerminationCause::Disconnected).await;
        self.get(grant.id).await
    }

    // Jobs.

    pub(super) async fn claim(&self) -> Option<RevocationJob> {
        self.store.authorizations.claim_revocation([9; 16], CLAIM).await.unwrap_or_fail()
    }

    pub(super) async fn end_job(&self, job: AuthorizationId, end: RevocationUpdate) {
        self.store.authorizations.update_revocation(job, end, vec![settled(job, self.now())]).await.unwrap_or_fail();
    }

    pub(super) async fn sweep(&self) -> SweepReport {
        self.store.authorizations.sweep(SWEEP).await.unwrap_or_fail()
    }

    // Looking.

    pub(super) async fn find(&self, id: AuthorizationId) -> Option<AuthorizationRecord> {
        self.store.authorizations.find(id).await.unwrap_or_fail()
    }

    pub(super) async fn get(&self, id: AuthorizationId) -> AuthorizationRecord {
        self.find(id).await.expect("the record is there")
    }

    pub(super) async fn cause(&self, record: &AuthorizationRecord) -> Option<String> {
        self.get(record.id).await.cause
    }

    pub(super) fn event(&self, kind: AuditKind, record: &AuthorizationRecord) -> AuditEvent {
        fixtures::event(kind, record, self.now())
    }

    /// The events since the last look.
    pub(super) async fn news(&self) -> Vec<AuditEvent> {
        let recorded = self.store.authorizations.pending_events(10_000).await.unwrap_or_fail();
        if let Some(last) = recorded.last() {
            self.store.authorizations.forget_events(last.sequence).await.unwrap_or_fail();
        }
        recorded.into_iter().map(|recorded| recorded.event).collect()
    }

    /// Everything that can be seen, for rules by which nothing may change.
    pub(super) async fn image(&self) -> Image {
        let known = self.known.lock().expect("no test has failed yet").clone();
        let mut records = Vec::new();
        for id in known {
            records.push(self.find(id).await);
        }
        let events = self.store.authorizations.pending_events(10_000).await.unwrap_or_fail();
        Image(records, events.into_iter().map(|recorded| recorded.event).collect())
    }
}

impl Image {
    /// The records.
    pub(super) fn records(&self) -> &[Option<AuthorizationRecord>] {
        &self.0
    }

    /// The records that an earlier image has as well.
    pub(super) fn records_of(&self, earlier: &Self) -> &[Option<AuthorizationRecord>] {
        &self.0[..earlier.0.len()]
    }
}

/// A result of a store that no rule expects to fail.
pub(super) trait Succeeds<T> {
    fn unwrap_or_fail(self) -> T;
}

impl<T> Succeeds<T> for Result<T, grantry_domain::ports::StoreError> {
    fn unwrap_or_fail(self) -> T {
        self.expect("the store works")
    }
}

/// What the starter's browser presents.
pub(super) fn callback(flow: &AuthorizationRecord) -> CallbackKey {
    CallbackKey {
        state_hash: fixtures::state_hash(flow.id),
        user: flow.owner.user.clone(),
        flow_cookies: vec![fixtures::flow_cookie_hash(flow.id)],
    }
}

/// A request for a lease of one minute; one that ends more than two minutes ahead is implausible.
pub(super) fn lease_of(grant: &AuthorizationRecord, owner: u8) -> LeaseRequest {
    LeaseRequest {
        id: grant.id,
        revision: grant.revision,
        owner: [owner; 16],
        length: Duration::from_mins(1),
        longest: Duration::from_mins(2),
    }
}

/// Who edits connectors and ends authorizations here.
pub(super) fn editor() -> Actor {
    Actor::Person(editing_user())
}

fn editing_user() -> UserId {
    fixtures::user("u_editor")
}

pub(super) fn edited(connector: &Connector, now: Timestamp) -> AuditEvent {
    AuditEvent {
        at: now,
        actor: editor(),
        kind: AuditKind::ConnectorUpdated,
        space: Some(connector.key.space.clone()),
        connector: Some(connector.key.id.clone()),
        user: None,
        grant: None,
        outcome: "ok".to_owned(),
    }
}

pub(super) fn settled(job: AuthorizationId, now: Timestamp) -> AuditEvent {
    AuditEvent {
        at: now,
        actor: Actor::System,
        kind: AuditKind::RevocationCompleted,
        space: None,
        connector: None,
        user: None,
        grant: Some(job),
        outcome: "revoked".to_owned(),
    }
}

/// Whether a revocation is owed, and whether in doubt.
pub(super) fn owed(record: &AuthorizationRecord) -> Option<bool> {
    match &record.revocation {
        Some(RevocationRecord::Pending { in_doubt, .. }) => Some(*in_doubt),
        Some(RevocationRecord::Completed(_)) | None => None,
    }
}

/// StateKind and cause, the short form of a record.
pub(super) fn state_of(record: &AuthorizationRecord) -> (StateKind, Option<&str>) {
    (record.state, record.cause.as_deref())
}

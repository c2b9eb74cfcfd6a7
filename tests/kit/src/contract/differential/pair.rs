//! Two stores with the same history.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use grantry_domain::authorization::{
    AuthorizationId, AuthorizationKey, AuthorizationRecord, FailureCode, Input, Revision, RevocationOutcome, StateKind,
    TerminationCause,
};
use grantry_domain::connector::Connector;
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditEvent, AuditKind, CallbackKey, ClientSecretKey, Clock, ConsumeOutcome, EditEffect, FailedAttempt, KeyId,
    PendingLimits, Refusal, RevocationUpdate, StoreError, SweepPolicy, TerminationRequest, TerminationScope,
};
use grantry_domain::time::Timestamp;

use super::drain::{claimed, new_events, swept};
use super::invariants;
use super::step::{Caller, Connection, Lifetimes, Pick, Scope, Step};
use crate::contract::revocations::id_of;
use crate::contract::test_store::{
    CLAIM, HIGH_LIMITS, SWEEP, Succeeds, WORKER, completed_event, connection_scope, editor, lease_of, record_of,
    updated_event, version_of,
};
use crate::contract::{Backend, Node};
use crate::doubles::{TestClock, fixtures};

pub(super) const USERS: [&str; 3] = ["alice", "bob", "carol"];
pub(super) const SPACES: [&str; 2] = ["default", "marketing"];
pub(super) const NAMES: [&str; 3] = ["default", "work", "0.x_y-z"];
/// Two connectors of one space, and one with the same id in another space.
const CONNECTORS: [(&str, &str); 3] = [("default", "drive"), ("default", "mail"), ("marketing", "drive")];

/// The model, the subject, and the history so far.
pub(super) struct Pair {
    pub(super) model: Backend,
    pub(super) subject: Backend,
    pub(super) clock: TestClock,
    /// The connectors as last seen, and whether they are stored.
    pub(super) connectors: Vec<(Connector, bool)>,
    /// Every record of every authorization so far, the present one last.
    pub(super) records: BTreeMap<AuthorizationId, Vec<AuthorizationRecord>>,
    pub(super) secrets: BTreeSet<ClientSecretKey>,
    consumed: BTreeSet<AuthorizationId>,
    steps: u64,
    last_id: u64,
    incarnations: u8,
}

impl Pair {
    pub(super) async fn new(clock: TestClock, model: Backend, subject: Backend) -> Self {
        let mut pair = Self {
            model,
            subject,
            clock,
            connectors: Vec::new(),
            records: BTreeMap::new(),
            secrets: BTreeSet::new(),
            consumed: BTreeSet::new(),
            steps: 0,
            last_id: 0,
            incarnations: 0,
        };
        for (space, id) in CONNECTORS {
            pair.create(space, id).await;
        }
        pair
    }

    /// Applies a step to both stores. Compares the results, then all records and audit events, and checks the invariants.
    pub(super) async fn take(&mut self, step: Step) {
        self.steps += 1;
        self.apply(step).await;
        let before: Vec<_> = self.records.values().filter_map(|states| states.last().cloned()).collect();
        let mut now = Vec::new();
        for id in self.records.keys().copied() {
            let found = self.both(async |node: Node| node.authorizations.find(id).await).await;
            now.push(found.as_ref().map(record_of));
        }
        invariants::check(&before, &now, &self.connectors);
        for record in now.into_iter().flatten() {
            let states = self.records.entry(record.id).or_default();
            if states.last() != Some(&record) {
                states.push(record);
            }
        }
        assert_eq!(
            new_events(&self.subject.node).await,
            new_events(&self.model.node).await,
            "the subject writes other audit events than the model"
        );
        if self.steps.is_multiple_of(8) {
            self.compare_queries().await;
        }
    }

    async fn apply(&mut self, step: Step) {
        match step {
            Step::Start { connection, low_limits } => {
                let limits = if low_limits { PendingLimits { per_user: 2, deployment: 4 } } else { HIGH_LIMITS };
                self.start(connection, limits).await;
            }
            Step::Issue { flow } => {
                let Some(flow) = self.pick(flow) else { return };
                self.issue(&flow).await;
            }
            Step::Consume { flow, by } => {
                let Some(flow) = self.pick(flow) else { return };
                self.consume(&flow, by).await;
            }
            Step::Commit { flow, life, revoke } => {
                let Some(flow) = self.pick(flow) else { return };
                self.commit(&flow, life, revoke).await;
            }
            Step::Connect { connection, life } => {
                let flow = self.start(connection, HIGH_LIMITS).await;
                self.issue(&flow).await;
                self.consume(&flow, Caller::Starter).await;
                self.commit(&flow, life, true).await;
            }
            Step::Continue { authorization, life } => {
                let Some(record) = self.pick(authorization) else { return };
                self.continue_with(&record, life).await;
            }
            Step::FailFlow { flow } => {
                let Some(flow) = self.pick(flow) else { return };
                self.apply_input(&flow, Input::Failed(FailureCode::ExchangeFailed)).await;
            }
            Step::Lease { grant, holder } => {
                let Some(grant) = self.pick(grant) else { return };
                self.lease(&grant, holder).await;
            }
            Step::FailAttempt { grant, holder, outcome_known, refused, wait } => {
                let Some(grant) = self.pick(grant) else { return };
                let refusal = refused.map(|counts| Refusal { http_status: 400, counts });
                let attempt = FailedAttempt { outcome_known, not_before: self.now().plus(wait), refusal };
                let audit = self.audit(AuditKind::RefreshFailed, &grant);
                self.both(async |node: Node| node.leases.fail_attempt(grant.id, [holder; 16], attempt, audit.clone()).await)
                    .await;
            }
            Step::Refresh { grant, life, changes_ago } => {
                let Some(read) = self.pick_read(grant, changes_ago) else { return };
                if read.state == StateKind::Authorized {
                    self.refresh(&read, life).await;
                }
            }
            Step::RejectRefresh { grant, changes_ago } => {
                let Some(read) = self.pick_read(grant, changes_ago) else { return };
                self.apply_input(&read, Input::RefreshRejected).await;
            }
            Step::Reseal { grant } => {
                let Some(grant) = self.pick(grant).filter(|record| record.sealed.is_some()) else { return };
                let sealed = Some(fixtures::envelope_with(KeyId(*b"key-0002"), "resealed"));
                self.replace(AuthorizationRecord { sealed, ..grant.clone() }, &grant).await;
            }
            Step::Use { grant, days } => {
                let Some(grant) = self.pick(grant) else { return };
                let uses = vec![(grant.id, self.now().day() + days)];
                self.both(async |node: Node| node.outbox.record_use(uses.clone()).await).await;
            }
            Step::Terminate { scope, cause } => self.terminate(scope, cause).await,
            Step::SetDefault { connection, clear } => self.set_default(connection, clear).await,
            Step::Edit { connector, effect, stale } => self.edit(connector, effect, stale).await,
            Step::DeleteOrCreate { connector } => self.delete_or_create(connector).await,
            Step::QueueUnclaimed { flow } => {
                let Some(flow) = self.pick(flow) else { return };
                let unclaimed = fixtures::unclaimed_tokens(self.new_id(), flow.owner.clone(), self.now());
                let audit = self.audit(AuditKind::UnclaimedTokensQueued, &flow);
                self.both(async |node: Node| node.revocations.queue_unclaimed(unclaimed.clone(), audit.clone()).await).await;
            }
            Step::Revoke { first_update } => self.revoke(first_update).await,
            Step::Sweep { batch } => {
                let policy = SweepPolicy { batch, ..SWEEP };
                let now = self.now();
                self.both(async |node: Node| Ok(swept(&node, policy, now).await)).await;
            }
            Step::Pass(span) => self.clock.advance(span),
            Step::SetBack(span) => self.clock.step_wall(self.now().minus(span)),
        }
    }

    // Steps of flows.

    async fn start(&mut self, connection: Connection, limits: PendingLimits) -> AuthorizationRecord {
        let flow = fixtures::initiated(self.new_id(), self.key_of(connection), self.now());
        let given = fixtures::authorization(&flow);
        let audit = self.audit(AuditKind::FlowStarted, &flow);
        self.both(async |node: Node| node.authorizations.insert_flow(given.clone(), limits, audit.clone()).await).await;
        self.records.insert(flow.id, vec![flow.clone()]);
        flow
    }

    async fn issue(&self, flow: &AuthorizationRecord) {
        if flow.state == StateKind::Initiated {
            let issued = fixtures::awaiting(flow.id, flow.owner.clone(), flow.created_at);
            self.replace(issued, flow).await;
        }
    }

    async fn consume(&mut self, flow: &AuthorizationRecord, by: Caller) {
        let right = CallbackKey {
            state_hash: fixtures::state_hash(flow.id),
            user: flow.owner.user.clone(),
            flow_cookies: vec![fixtures::flow_cookie_hash(flow.id)],
        };
        let key = match by {
            Caller::Starter => right,
            Caller::OtherUser => CallbackKey { user: fixtures::user("mallory"), ..right },
            Caller::OtherBrowser => {
                CallbackKey { flow_cookies: vec![fixtures::flow_cookie_hash(fixtures::authorization_id(0))], ..right }
            }
        };
        let audit = self.audit(AuditKind::CallbackConsumed, flow);
        let outcome = self.both(async |node: Node| node.authorizations.consume(key.clone(), audit.clone()).await).await;
        if let ConsumeOutcome::Consumed { flow, .. } = outcome {
            assert!(self.consumed.insert(flow.value.id()), "a flow was consumed twice");
            assert!(matches!(by, Caller::Starter), "a flow was consumed by another caller");
        }
    }

    async fn commit(&self, flow: &AuthorizationRecord, life: Lifetimes, revoke: bool) {
        let now = self.now();
        let granted = fixtures::authorized(flow.id, flow.owner.clone(), now);
        let grant = AuthorizationRecord { created_at: flow.created_at, ..with_life(granted, life, now) };
        let audit = self.audit(AuditKind::Connected, &grant);
        let grant = fixtures::authorization(&grant);
        self.both(async |node: Node| node.authorizations.commit_grant(grant.clone(), revoke, audit.clone()).await).await;
    }

    async fn continue_with(&mut self, record: &AuthorizationRecord, life: Lifetimes) {
        match record.state {
            StateKind::Initiated => self.issue(record).await,
            StateKind::AwaitingCallback if record.consumed_at.is_none() => self.consume(record, Caller::Starter).await,
            StateKind::AwaitingCallback => self.commit(record, life, true).await,
            StateKind::Authorized if record.refresh.holder.is_none() => self.lease(record, 1).await,
            StateKind::Authorized => self.refresh(record, life).await,
            StateKind::Expired | StateKind::Revoked => {}
        }
    }

    // Steps of grants.

    async fn lease(&self, grant: &AuthorizationRecord, holder: u8) {
        let request = lease_of(grant, holder);
        self.both(async |node: Node| node.leases.take_lease(request).await).await;
    }

    async fn refresh(&self, read: &AuthorizationRecord, life: Lifetimes) {
        let now = self.now();
        self.replace(with_life(fixtures::refreshed(read, now), life, now), read).await;
    }

    async fn replace(&self, next: AuthorizationRecord, read: &AuthorizationRecord) {
        let (expected, audit) = (version_of(read), self.audit(AuditKind::Refreshed, &next));
        let next = fixtures::authorization(&next);
        self.both(async |node: Node| node.authorizations.replace(next.clone(), expected, audit.clone()).await).await;
    }

    /// Applies an input to an authorization as it was read and writes the result, if the state accepts the input.
    async fn apply_input(&self, read: &AuthorizationRecord, input: Input) {
        if let Ok(next) = fixtures::authorization(read).on(input, self.now()) {
            self.replace(next.to_record(), read).await;
        }
    }

    async fn terminate(&mut self, scope: Scope, cause: TerminationCause) {
        let scope = match scope {
            Scope::One(pick) => {
                let Some(record) = self.pick(pick) else { return };
                TerminationScope::One(record.id)
            }
            Scope::Connection(connection) => connection_scope(&self.key_of(connection)),
            Scope::User(user) => TerminationScope::User(fixtures::user(USERS[user])),
            Scope::UserSpace { user, space } => {
                TerminationScope::UserSpace { user: fixtures::user(USERS[user]), space: fixtures::space(SPACES[space]) }
            }
            Scope::Space(space) => TerminationScope::Space(fixtures::space(SPACES[space])),
        };
        let request = TerminationRequest { cause, actor: editor() };
        self.both(async |node: Node| node.authorizations.terminate(scope.clone(), request.clone()).await).await;
    }

    async fn set_default(&self, connection: Connection, clear: bool) {
        let AuthorizationKey { incarnation, user, connection, .. } = self.key_of(connection);
        let event = AuditEvent::new(AuditKind::DefaultConnectionSet, Actor::Person(user.clone()), self.now());
        let (name, audit) = ((!clear).then_some(connection), vec![event.of_user(&user)]);
        self.both(async |node: Node| {
            let (user, name, audit) = (user.clone(), name.clone(), audit.clone());
            node.authorizations.set_default_connection(incarnation, user, name, audit).await
        })
        .await;
    }

    async fn revoke(&self, first_update: usize) {
        let (expected, claimed) = (claimed(&self.model.node).await, claimed(&self.subject.node).await);
        assert_eq!(claimed, expected, "other revocations are due in the subject than in the model");
        for (number, job) in expected.iter().map(id_of).enumerate() {
            let update = match (first_update + number) % 6 {
                0 => RevocationUpdate::Completed(RevocationOutcome::Revoked),
                1 => RevocationUpdate::Retry { at: self.now().plus(CLAIM / 2) },
                2 => RevocationUpdate::Refreshed { sealed: fixtures::envelope("received"), revision: Revision(9) },
                3 => RevocationUpdate::Completed(RevocationOutcome::Abandoned),
                4 => RevocationUpdate::Deferred { at: self.now().plus(CLAIM / 2) },
                _abandoned_claim => continue,
            };
            let audit = vec![completed_event(job, self.now())];
            self.both(async |node: Node| {
                node.revocations.update_revocation(job, WORKER, update.clone(), audit.clone()).await
            })
            .await;
        }
    }

    // Steps of connectors.

    async fn create(&mut self, space: &str, id: &str) -> Connector {
        self.incarnations += 1;
        let connector = fixtures::connector_in(space, id, self.incarnations, self.now());
        let secret = fixtures::client_secret(&connector);
        self.secrets.insert(secret.key);
        self.both(async |node: Node| node.connectors.create(connector.clone(), Some(secret.clone()), Vec::new()).await)
            .await;
        self.connectors.retain(|(known, _)| known.key != connector.key);
        self.connectors.push((connector.clone(), true));
        self.connectors.sort_by(|(left, _), (right, _)| left.key.cmp(&right.key));
        connector
    }

    async fn edit(&mut self, connector: usize, effect: EditEffect, stale: bool) {
        let now = self.now();
        let (old, is_stored) = self.connectors[connector].clone();
        let epoch = match effect {
            EditEffect::KeepGrants => old.epoch,
            EditEffect::ExpireGrants => old.epoch.next(),
        };
        let next = fixtures::tagged(Connector { epoch, revision: old.revision + 1, updated_at: now, ..old.clone() });
        let secret = fixtures::client_secret(&next);
        let expected = old.revision + u64::from(stale);
        let audit = vec![updated_event(&next, now)];
        self.both(async |node: Node| {
            let (next, secret) = (next.clone(), Some(secret.clone()));
            node.connectors.update(next, expected, secret, effect, editor(), audit.clone()).await
        })
        .await;
        self.secrets.insert(secret.key);
        if is_stored && !stale {
            self.connectors[connector].0 = next;
        }
    }

    async fn delete_or_create(&mut self, connector: usize) {
        let (old, is_stored) = self.connectors[connector].clone();
        if is_stored {
            let audit = vec![updated_event(&old, self.now())];
            self.both(async |node: Node| node.connectors.delete(&old.key, Actor::System, audit.clone()).await).await;
            self.connectors[connector].1 = false;
        } else {
            self.create(old.key.space.as_str(), old.key.id.as_str()).await;
        }
    }

    // Helpers.

    /// Calls both stores and compares the results. Every second step uses the other node of the subject.
    pub(super) async fn both<T: PartialEq + Debug>(&self, call: impl AsyncFn(Node) -> Result<T, StoreError>) -> T {
        let node = if self.steps.is_multiple_of(2) { &self.subject.node } else { &self.subject.other };
        let expected = call(self.model.node.clone()).await;
        let result = call(node.clone()).await;
        assert_eq!(result, expected, "left: the subject, right: the model");
        expected.unwrap_or_fail()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn new_id(&mut self) -> AuthorizationId {
        self.last_id += 1;
        fixtures::authorization_id(self.last_id)
    }

    fn audit(&self, kind: AuditKind, record: &AuthorizationRecord) -> Vec<AuditEvent> {
        vec![fixtures::event(kind, record, self.now())]
    }

    fn key_of(&self, connection: Connection) -> AuthorizationKey {
        let Connection { user, connector, name } = connection;
        fixtures::named_key_of(&self.connectors[connector].0, USERS[user], NAMES[name])
    }

    /// A record as it was last read.
    fn pick(&self, pick: Pick) -> Option<AuthorizationRecord> {
        self.pick_read(pick, 0)
    }

    /// A record as it was read some changes ago.
    fn pick_read(&self, pick: Pick, changes_ago: usize) -> Option<AuthorizationRecord> {
        let states = self.records.values().rev().nth(pick % self.records.len().max(1))?;
        states.iter().rev().nth(changes_ago % states.len().max(1)).cloned()
    }
}

fn with_life(grant: AuthorizationRecord, life: Lifetimes, now: Timestamp) -> AuthorizationRecord {
    let hours = |hours: u64| Some(now.plus(Duration::from_hours(hours)));
    match life {
        Lifetimes::Refreshable => {
            AuthorizationRecord { expires_at: hours(1), refreshable: true, refresh_expires_at: None, ..grant }
        }
        Lifetimes::Limited => {
            AuthorizationRecord { expires_at: hours(1), refreshable: true, refresh_expires_at: hours(24), ..grant }
        }
        Lifetimes::Short => AuthorizationRecord {
            expires_at: Some(now.plus(Duration::from_mins(30))),
            refreshable: false,
            refresh_expires_at: None,
            ..grant
        },
        Lifetimes::Endless => {
            AuthorizationRecord { expires_at: None, refreshable: false, refresh_expires_at: None, ..grant }
        }
    }
}

//! Two stores that are led through the same history.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use grantry_domain::authorization::{
    Authorization, AuthorizationId, AuthorizationRecord, FailureCode, Input, Revision, RevocationOutcome, StateKind,
    TerminationCause,
};
use grantry_domain::connector::{Connector, Epoch};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditEvent, AuditKind, CallbackKey, Cascade, ClientSecretKey, Clock, ConsumeOutcome, ExpectedVersion, FailedAttempt,
    KeyId, PendingLimits, RevocationUpdate, StoreError, SweepPolicy, TerminationRequest, TerminationScope,
};
use grantry_domain::time::Timestamp;

use super::drain::{claimed, swept, told};
use super::invariants;
use super::step::{Caller, Life, Pick, Scope, Step};
use crate::contract::revocation::id_of;
use crate::contract::world::{CLAIM, ROOMY, SWEEP, Succeeds, edited, editor, lease_of, settled};
use crate::contract::{Backend, Node};
use crate::doubles::{TestClock, fixtures};

pub(super) const USERS: [&str; 3] = ["alice", "bob", "carol"];
pub(super) const SPACES: [&str; 2] = ["default", "marketing"];
/// Two connectors of one space, and one of the same id in another.
const CONNECTORS: [(&str, &str); 3] = [("default", "drive"), ("default", "mail"), ("marketing", "drive")];

/// Model and subject, and what the history has made so far.
pub(super) struct Pair {
    pub(super) model: Backend,
    pub(super) subject: Backend,
    pub(super) clock: TestClock,
    /// The connectors as they were last, and whether they are there.
    pub(super) connectors: Vec<(Connector, bool)>,
    /// Every state of every authorization so far, the present one last.
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

    /// Takes a step on both stores, compares the answers, then all records and events, and holds them to the invariants.
    pub(super) async fn take(&mut self, step: Step) {
        self.steps += 1;
        self.apply(step).await;
        let before: Vec<_> = self.records.values().filter_map(|states| states.last().cloned()).collect();
        let mut now = Vec::new();
        for id in self.records.keys().copied() {
            now.push(self.both(async |node: Node| node.authorizations.find(id).await).await);
        }
        invariants::hold(&before, &now, &self.connectors);
        for record in now.into_iter().flatten() {
            let states = self.records.entry(record.id).or_default();
            if states.last() != Some(&record) {
                states.push(record);
            }
        }
        assert_eq!(
            told(&self.subject.node).await,
            told(&self.model.node).await,
            "the subject leaves other audit events than the model"
        );
        if self.steps.is_multiple_of(8) {
            self.compare_views().await;
        }
    }

    async fn apply(&mut self, step: Step) {
        match step {
            Step::Start { user, connector, tight } => {
                let limits = if tight { PendingLimits { per_user: 2, deployment: 4 } } else { ROOMY };
                self.start(user, connector, limits).await;
            }
            Step::Issue { flow } => {
                let Some(flow) = self.pick(flow) else { return };
                self.issue(&flow).await;
            }
            Step::Consume { flow, by } => {
                let Some(flow) = self.pick(flow) else { return };
                self.consume(&flow, by).await;
            }
            Step::CommitOutcome { flow, life, revoke } => {
                let Some(flow) = self.pick(flow) else { return };
                self.commit(&flow, life, revoke).await;
            }
            Step::Connect { user, connector, life } => {
                let flow = self.start(user, connector, ROOMY).await;
                self.issue(&flow).await;
                self.consume(&flow, Caller::Starter).await;
                self.commit(&flow, life, true).await;
            }
            Step::GoOn { flow, life } => {
                let Some(flow) = self.pick(flow) else { return };
                self.go_on(&flow, life).await;
            }
            Step::FailFlow { flow } => {
                let Some(flow) = self.pick(flow) else { return };
                self.move_on(&flow, Input::Failed(FailureCode::ExchangeFailed)).await;
            }
            Step::Lease { grant, owner } => {
                let Some(grant) = self.pick(grant) else { return };
                self.lease(&grant, owner).await;
            }
            Step::FailAttempt { grant, owner, outcome_known, wait } => {
                let Some(grant) = self.pick(grant) else { return };
                let attempt = FailedAttempt { outcome_known, not_before: self.now().plus(wait) };
                let audit = self.audit(AuditKind::RefreshFailed, &grant);
                self.both(async |node: Node| {
                    node.authorizations.fail_attempt(grant.id, [owner; 16], attempt, audit.clone()).await
                })
                .await;
            }
            Step::Renew { grant, life, reads_ago } => {
                let Some(read) = self.pick_read(grant, reads_ago) else { return };
                if read.state == StateKind::Authorized {
                    self.renew(&read, life).await;
                }
            }
            Step::Refuse { grant, reads_ago } => {
                let Some(read) = self.pick_read(grant, reads_ago) else { return };
                self.move_on(&read, Input::RefreshRejected).await;
            }
            Step::Reseal { grant } => {
                let Some(grant) = self.pick(grant).filter(|record| record.sealed.is_some()) else { return };
                let sealed = Some(fixtures::envelope_with(KeyId(*b"key-0002"), "resealed"));
                self.replace(AuthorizationRecord { sealed, ..grant.clone() }, &grant).await;
            }
            Step::Use { grant, days } => {
                let Some(grant) = self.pick(grant) else { return };
                let uses = vec![(grant.id, self.now().day() + days)];
                self.both(async |node: Node| node.authorizations.record_use(uses.clone()).await).await;
            }
            Step::End { scope, cause } => self.end(scope, cause).await,
            Step::Edit { connector, cascade, stale } => self.edit(connector, cascade, stale).await,
            Step::DeleteOrCreate { connector } => self.delete_or_create(connector).await,
            Step::Orphan { flow } => {
                let Some(flow) = self.pick(flow) else { return };
                let orphan = fixtures::orphan(self.new_id(), flow.owner.clone(), self.now());
                let audit = self.audit(AuditKind::UnclaimedTokensQueued, &flow);
                self.both(async |node: Node| node.authorizations.queue_unclaimed(orphan.clone(), audit.clone()).await).await;
            }
            Step::Work { ends } => self.work(ends).await,
            Step::Sweep { batch } => {
                let policy = SweepPolicy { batch, ..SWEEP };
                self.both(async |node: Node| Ok(swept(&node, policy).await)).await;
            }
            Step::Pass(span) => self.clock.advance(span),
            Step::SetBack(span) => self.clock.step_wall(self.now().minus(span)),
        }
    }

    // Steps of flows.

    async fn start(&mut self, user: usize, connector: usize, limits: PendingLimits) -> AuthorizationRecord {
        let owner = fixtures::ownership_of(&self.connectors[connector].0, USERS[user]);
        let flow = fixtures::initiated(self.new_id(), owner, self.now());
        let audit = self.audit(AuditKind::FlowStarted, &flow);
        self.both(async |node: Node| node.authorizations.insert_pending(flow.clone(), limits, audit.clone()).await).await;
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
                CallbackKey { flow_cookies: vec![fixtures::flow_cookie_hash(fixtures::grant_id(0))], ..right }
            }
        };
        let audit = self.audit(AuditKind::CallbackConsumed, flow);
        let answer = self.both(async |node: Node| node.authorizations.consume(key.clone(), audit.clone()).await).await;
        if let ConsumeOutcome::Consumed { record, .. } = answer {
            assert!(self.consumed.insert(record.id), "a flow was consumed twice");
            assert!(matches!(by, Caller::Starter), "a flow was consumed by somebody else");
        }
    }

    async fn commit(&self, flow: &AuthorizationRecord, life: Life, revoke: bool) {
        let now = self.now();
        let granted = fixtures::authorized(flow.id, flow.owner.clone(), now);
        let grant = AuthorizationRecord { created_at: flow.created_at, ..with_life(granted, life, now) };
        let audit = self.audit(AuditKind::Connected, &grant);
        self.both(async |node: Node| node.authorizations.commit_grant(grant.clone(), revoke, audit.clone()).await).await;
    }

    async fn go_on(&mut self, record: &AuthorizationRecord, life: Life) {
        match record.state {
            StateKind::Initiated => self.issue(record).await,
            StateKind::AwaitingCallback if record.consumed_at.is_none() => self.consume(record, Caller::Starter).await,
            StateKind::AwaitingCallback => self.commit(record, life, true).await,
            StateKind::Authorized if record.refresh.owner.is_none() => self.lease(record, 1).await,
            StateKind::Authorized => self.renew(record, life).await,
            StateKind::Expired | StateKind::Revoked => {}
        }
    }

    // Steps of grants.

    async fn lease(&self, grant: &AuthorizationRecord, owner: u8) {
        let request = lease_of(grant, owner);
        self.both(async |node: Node| node.authorizations.take_lease(request).await).await;
    }

    async fn renew(&self, read: &AuthorizationRecord, life: Life) {
        let now = self.now();
        self.replace(with_life(fixtures::renewed(read, now), life, now), read).await;
    }

    async fn replace(&self, next: AuthorizationRecord, read: &AuthorizationRecord) {
        let (fence, audit) = (ExpectedVersion::of(read), self.audit(AuditKind::Refreshed, &next));
        self.both(async |node: Node| node.authorizations.replace(next.clone(), fence, audit.clone()).await).await;
    }

    /// What the domain does with a record it read: applies an input and writes the result, if the input applies.
    async fn move_on(&self, read: &AuthorizationRecord, input: Input) {
        let grant = Authorization::restore(read.clone()).expect("stores answer with consistent records");
        if let Ok(next) = grant.on(input, self.now()) {
            self.replace(next.to_record(), read).await;
        }
    }

    async fn end(&mut self, scope: Scope, cause: TerminationCause) {
        let scope = match scope {
            Scope::One(pick) => {
                let Some(record) = self.pick(pick) else { return };
                TerminationScope::One(record.id)
            }
            Scope::UserConnector { user, connector } => {
                let incarnation = self.connectors[connector].0.incarnation;
                TerminationScope::UserConnector { incarnation, user: fixtures::user(USERS[user]) }
            }
            Scope::User(user) => TerminationScope::User(fixtures::user(USERS[user])),
            Scope::UserSpace { user, space } => {
                TerminationScope::UserSpace { user: fixtures::user(USERS[user]), space: fixtures::space(SPACES[space]) }
            }
            Scope::Space(space) => TerminationScope::Space(fixtures::space(SPACES[space])),
        };
        let ending = TerminationRequest { cause, actor: editor() };
        self.both(async |node: Node| node.authorizations.end(scope.clone(), ending.clone()).await).await;
    }

    async fn work(&self, ends: usize) {
        let (expected, claimed) = (claimed(&self.model.node).await, claimed(&self.subject.node).await);
        assert_eq!(claimed, expected, "the subject has other revocations due");
        for (number, job) in expected.iter().map(id_of).enumerate() {
            let end = match (ends + number) % 5 {
                0 => RevocationUpdate::Completed(RevocationOutcome::Revoked),
                1 => RevocationUpdate::Retry { at: self.now().plus(CLAIM / 2) },
                2 => RevocationUpdate::Refreshed { sealed: fixtures::envelope("received"), revision: Revision(9) },
                3 => RevocationUpdate::Completed(RevocationOutcome::Abandoned),
                _died => continue,
            };
            let audit = vec![settled(job, self.now())];
            self.both(async |node: Node| node.authorizations.update_revocation(job, end.clone(), audit.clone()).await).await;
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

    async fn edit(&mut self, connector: usize, cascade: Cascade, stale: bool) {
        let now = self.now();
        let (old, there) = self.connectors[connector].clone();
        let epoch = if cascade == Cascade::Keep { old.epoch } else { Epoch(old.epoch.0 + 1) };
        let enabled = cascade != Cascade::Disabled;
        let next = Connector { epoch, enabled, revision: old.revision + 1, updated_at: now, ..old.clone() };
        let secret = fixtures::client_secret(&next);
        let expected = old.revision + u64::from(stale);
        let audit = vec![edited(&next, now)];
        self.both(async |node: Node| {
            let (next, secret) = (next.clone(), Some(secret.clone()));
            node.connectors.update(next, expected, secret, cascade, editor(), audit.clone()).await
        })
        .await;
        self.secrets.insert(secret.key);
        if there && !stale {
            self.connectors[connector].0 = next;
        }
    }

    async fn delete_or_create(&mut self, connector: usize) {
        let (old, there) = self.connectors[connector].clone();
        if there {
            let audit = vec![edited(&old, self.now())];
            self.both(async |node: Node| node.connectors.delete(&old.key, Actor::System, audit.clone()).await).await;
            self.connectors[connector].1 = false;
        } else {
            self.create(old.key.space.as_str(), old.key.id.as_str()).await;
        }
    }

    // Tools.

    /// Asks both stores and compares the answers. Every second step goes to the other node of the subject.
    pub(super) async fn both<T: PartialEq + Debug>(&self, ask: impl AsyncFn(Node) -> Result<T, StoreError>) -> T {
        let node = if self.steps.is_multiple_of(2) { &self.subject.node } else { &self.subject.other };
        let expected = ask(self.model.node.clone()).await;
        let answer = ask(node.clone()).await;
        assert_eq!(answer, expected, "left: the subject, right: the model");
        expected.unwrap_or_fail()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn new_id(&mut self) -> AuthorizationId {
        self.last_id += 1;
        fixtures::grant_id(self.last_id)
    }

    fn audit(&self, kind: AuditKind, record: &AuthorizationRecord) -> Vec<AuditEvent> {
        vec![fixtures::event(kind, record, self.now())]
    }

    /// A record as it was last seen.
    fn pick(&self, pick: Pick) -> Option<AuthorizationRecord> {
        self.pick_read(pick, 0)
    }

    /// A record as it was seen some changes ago.
    fn pick_read(&self, pick: Pick, reads_ago: usize) -> Option<AuthorizationRecord> {
        let states = self.records.values().rev().nth(pick % self.records.len().max(1))?;
        states.iter().rev().nth(reads_ago % states.len().max(1)).cloned()
    }
}

fn with_life(grant: AuthorizationRecord, life: Life, now: Timestamp) -> AuthorizationRecord {
    let hours = |hours: u64| Some(now.plus(Duration::from_hours(hours)));
    match life {
        Life::Refreshable => {
            AuthorizationRecord { expires_at: hours(1), refreshable: true, refresh_expires_at: None, ..grant }
        }
        Life::Capped => {
            AuthorizationRecord { expires_at: hours(1), refreshable: true, refresh_expires_at: hours(24), ..grant }
        }
        Life::Short => AuthorizationRecord {
            expires_at: Some(now.plus(Duration::from_mins(30))),
            refreshable: false,
            refresh_expires_at: None,
            ..grant
        },
        Life::Endless => AuthorizationRecord { expires_at: None, refreshable: false, refresh_expires_at: None, ..grant },
    }
}

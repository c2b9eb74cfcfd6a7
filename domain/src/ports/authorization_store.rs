//! Authorizations: flows, grants and former grants, in one table.
//!
//! Whole records are replaced under a fence of state and token revision. Outside the fence stand only the lease and in-doubt
//! columns, and the day of last use. Every mutating method writes its audit events in the same transaction.

use std::time::Duration;

use async_trait::async_trait;

use crate::authorization::{
    AuthorizationId, AuthorizationKey, AuthorizationRecord, Envelope, FlowCookieHash, Revision, RevocationOutcome,
    StateHash, StateKind, TerminationCause,
};
use crate::connector::{Connector, ConnectorKey, Incarnation};
use crate::identity::{Actor, SpaceId, UserId};
use crate::ports::{AuditEvent, KeyId, RecordedEvent, StoreError};
use crate::time::Timestamp;

/// Caps on unfinished flows (R18).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingLimits {
    /// Per user, over all spaces and connectors.
    pub per_user: u32,
    /// In the whole deployment.
    pub deployment: u32,
}

/// What became of a new flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertOutcome {
    /// It is there; older unconsumed flows of the same user and connector are superseded.
    Inserted,
    /// A cap is reached.
    TooManyPending,
}

/// What a record must still be for a write to apply (R38).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedVersion {
    /// Its state.
    pub state: StateKind,
    /// Its token revision.
    pub revision: Revision,
}

impl ExpectedVersion {
    /// The fence of a record as it was read.
    pub fn of(record: &AuthorizationRecord) -> Self {
        Self { state: record.state, revision: record.revision }
    }
}

/// What became of a fenced write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteOutcome {
    /// Written.
    Written,
    /// The record has moved on; here it is. Nothing was written.
    Stale(Box<AuthorizationRecord>),
    /// There is no such record. Nothing was written.
    NotFound,
}

/// What a callback presents (R03, R20).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackKey {
    /// SHA-256 of `state`.
    pub state_hash: StateHash,
    /// The user of the session.
    pub user: UserId,
    /// SHA-256 of each flow cookie the browser sent; one of them must be this flow's.
    pub flow_cookies: Vec<FlowCookieHash>,
}

/// What became of consuming a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsumeOutcome {
    /// This caller is the one and only. The record as it is now, and the secrets taken out of it.
    Consumed {
        /// The consumed record.
        record: Box<AuthorizationRecord>,
        /// The flow secrets.
        sealed: Envelope,
    },
    /// No flow has this state.
    NotFound,
    /// The flow is another user's. Nothing was changed.
    UserMismatch(Box<AuthorizationRecord>),
    /// The cookie is absent or another flow's. Nothing was changed.
    BrowserMismatch(Box<AuthorizationRecord>),
    /// Too late. Nothing was changed.
    Expired(Box<AuthorizationRecord>),
    /// Consumed before, or ended. Nothing was changed.
    AlreadyUsed(Box<AuthorizationRecord>),
}

/// What became of committing a new grant (R26).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It is the user's grant now; the one before is superseded.
    Committed,
    /// The connector was edited since.
    ConnectorChanged,
    /// The connector is gone or disabled.
    ConnectorGone,
    /// The user was removed since (tombstone).
    UserGone,
    /// The flow was ended meanwhile: cancelled, superseded, interrupted.
    FlowEnded,
}

/// All that a hand-out needs, read at one instant by one indexed query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessTokenView {
    /// The connector.
    pub connector: Connector,
    /// The user's `Authorized` record for this incarnation.
    pub grant: Option<AuthorizationRecord>,
    /// The store's clock.
    pub now: Timestamp,
}

/// All that a status needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRow {
    /// The connector.
    pub connector: Connector,
    /// The `Authorized` record.
    pub grant: Option<AuthorizationRecord>,
    /// The newest former grant, if there is no `Authorized` record.
    pub former: Option<AuthorizationRecord>,
    /// The newest flow that is not over.
    pub pending: Option<AuthorizationRecord>,
}

/// A lease for one renewal attempt (R36).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRequest {
    /// The grant.
    pub id: AuthorizationId,
    /// The revision the caller read.
    pub revision: Revision,
    /// Random per attempt.
    pub owner: [u8; 16],
    /// How long: request deadline plus quarantine (R40).
    pub length: Duration,
    /// A lease that ends farther ahead than this is implausible and counts as in doubt, free to take.
    pub longest: Duration,
}

/// What became of asking for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lease {
    /// Taken; the record is in doubt durably from now on. `was_in_doubt` tells how it was before.
    Taken {
        /// The record, with the lease in it.
        record: Box<AuthorizationRecord>,
        /// Whether an earlier attempt's outcome is unknown.
        was_in_doubt: bool,
    },
    /// Somebody else holds it, or the last attempt failed and it is not yet worth another.
    Held {
        /// Until when.
        until: Timestamp,
        /// The record.
        record: Box<AuthorizationRecord>,
    },
    /// The record has moved on.
    Stale(Box<AuthorizationRecord>),
    /// There is no such record.
    NotFound,
}

/// How a renewal attempt ended without new tokens and without a dead grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedAttempt {
    /// Whether the outcome is known, which clears the in-doubt mark (R37).
    pub outcome_known: bool,
    /// Not worth another attempt before this instant.
    pub not_before: Timestamp,
}

/// Which authorizations are to be ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminationScope {
    /// Exactly one, if it is still of this fence or not terminal.
    One(AuthorizationId),
    /// All of a user for a connector: flows, the grant, former grants that still want re-authorization.
    UserConnector {
        /// The connector.
        incarnation: Incarnation,
        /// The user.
        user: UserId,
    },
    /// All of a user, everywhere; also leaves a tombstone, so that no grant is committed for them any more.
    User(UserId),
    /// All of a user in one space.
    UserSpace {
        /// The user.
        user: UserId,
        /// The space.
        space: SpaceId,
    },
    /// All of a space.
    Space(SpaceId),
}

/// How authorizations are ended: one predicate update, with an audit event for each (R49).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminationRequest {
    /// Cause of the `Revoked` state.
    pub cause: TerminationCause,
    /// Who does it.
    pub actor: Actor,
}

/// What an ending did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TerminationReport {
    /// Flows ended.
    pub flows: u64,
    /// Grants ended.
    pub grants: u64,
    /// Former grants put away.
    pub former: u64,
    /// Revocations now owed.
    pub queued: u64,
}

/// A revocation that is due, claimed by one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevocationJob {
    /// A former grant; its tokens stand in `sealed`.
    Former(Box<AuthorizationRecord>),
    /// Tokens that never became a grant.
    Unclaimed(Box<UnclaimedTokens>),
}

/// Tokens that never became a grant, awaiting revocation (envelope type 04).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnclaimedTokens {
    /// The flow or grant they came from, with fresh randomness: record id of the envelope.
    pub id: AuthorizationId,
    /// Whose they would have been.
    pub owner: AuthorizationKey,
    /// The envelope.
    pub sealed: Envelope,
    /// Since when.
    pub queued_at: Timestamp,
    /// Failed tries so far.
    pub attempts: u32,
}

/// What to do with a claimed revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevocationUpdate {
    /// Over: the tokens are destroyed and the outcome is kept.
    Completed(RevocationOutcome),
    /// Try again.
    Retry {
        /// When.
        at: Timestamp,
    },
    /// The doubtful refresh answered: keep these tokens instead and go on (R49).
    Refreshed {
        /// The new envelope.
        sealed: Envelope,
        /// Its revision.
        revision: Revision,
    },
}

/// What the sweeper enforces (R18, R55).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepPolicy {
    /// Unused grants are revoked after this.
    pub unused_grants: Duration,
    /// Ended flows are removed after this.
    pub ended_flows: Duration,
    /// Former grants are removed after this, never before their revocation is settled.
    pub ended_grants: Duration,
    /// Rows touched in one call at most.
    pub batch: u32,
}

/// What one sweep step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Flows past their deadline, now `Expired{flow_timed_out}`.
    pub timed_out: u64,
    /// Consumed flows of dead processes, now `Revoked{failed(interrupted)}`.
    pub interrupted: u64,
    /// Grants that lapsed.
    pub expired: u64,
    /// Grants unused for too long, now `Revoked{unused}`.
    pub unused: u64,
    /// Terminal rows removed.
    pub removed: u64,
    /// Client secrets that nothing needs any more.
    pub secrets_destroyed: u64,
    /// Whether there is more to do right now.
    pub more: bool,
}

/// Which grants to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthorizationFilter {
    /// Only of this connector.
    pub connector: Option<crate::connector::ConnectorId>,
    /// Only of this user.
    pub user: Option<UserId>,
    /// Only in this state.
    pub state: Option<StateKind>,
}

/// One page of grants and former grants, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationPage {
    /// The records.
    pub records: Vec<AuthorizationRecord>,
    /// Where the next page starts, if there is one.
    pub next: Option<AuthorizationId>,
}

/// Keeps authorizations.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AuthorizationStore: Send + Sync {
    /// The clock shared by all nodes: the database's, for `SQLite` the injected one.
    async fn now(&self) -> Result<Timestamp, StoreError>;

    /// Adds an `Initiated` flow, superseding older unconsumed flows of the same user and connector (R18).
    async fn insert_pending(
        &self,
        flow: AuthorizationRecord,
        limits: PendingLimits,
        audit: Vec<AuditEvent>,
    ) -> Result<InsertOutcome, StoreError>;

    /// Replaces a whole record under its fence. Lease and in-doubt columns are reset to the given record's.
    async fn replace(
        &self,
        next: AuthorizationRecord,
        fence: ExpectedVersion,
        audit: Vec<AuditEvent>,
    ) -> Result<WriteOutcome, StoreError>;

    /// Consumes a flow: one conditional update that sets `consumed_at` and takes the secrets out (R20). A mismatch changes
    /// nothing. `audit` is written only if the flow is consumed.
    async fn consume(&self, key: CallbackKey, audit: Vec<AuditEvent>) -> Result<ConsumeOutcome, StoreError>;

    /// Turns a consumed flow into the user's grant: in one transaction locks the connector, compares epoch and incarnation,
    /// looks for a tombstone of the user, supersedes the grant before (revoking it unless `revoke_superseded` is false), and
    /// writes (R26, R27).
    async fn commit_grant(
        &self,
        grant: AuthorizationRecord,
        revoke_superseded: bool,
        audit: Vec<AuditEvent>,
    ) -> Result<CommitOutcome, StoreError>;

    /// One record.
    async fn find(&self, id: AuthorizationId) -> Result<Option<AuthorizationRecord>, StoreError>;

    /// The flow with this state, consumed or not, as long as its record awaits a callback.
    async fn find_by_state(&self, state: StateHash) -> Result<Option<AuthorizationRecord>, StoreError>;

    /// Connector and grant for a hand-out; `None` if there is no such connector.
    async fn access_token_view(
        &self,
        connector: &ConnectorKey,
        user: &UserId,
    ) -> Result<Option<AccessTokenView>, StoreError>;

    /// A user's rows for every connector of a space, or for one.
    async fn statuses(
        &self,
        space: &SpaceId,
        only: Option<crate::connector::ConnectorId>,
        user: &UserId,
    ) -> Result<Vec<StatusRow>, StoreError>;

    /// Grants and former grants of a space, newest first.
    async fn list(
        &self,
        space: &SpaceId,
        filter: AuthorizationFilter,
        after: Option<AuthorizationId>,
        limit: u32,
    ) -> Result<AuthorizationPage, StoreError>;

    /// Takes the lease of an `Authorized` record and sets its in-doubt mark, in one conditional update with the store's
    /// clock (R36, R37).
    async fn take_lease(&self, request: LeaseRequest) -> Result<Lease, StoreError>;

    /// Notes a failed attempt: counts it, keeps or clears the in-doubt mark, and holds off the next one. Applies only while
    /// `owner` holds the lease.
    async fn fail_attempt(
        &self,
        id: AuthorizationId,
        owner: [u8; 16],
        attempt: FailedAttempt,
        audit: Vec<AuditEvent>,
    ) -> Result<(), StoreError>;

    /// Ends authorizations by predicate, carrying the in-doubt mark into the owed revocation.
    async fn end(&self, scope: TerminationScope, ending: TerminationRequest) -> Result<TerminationReport, StoreError>;

    /// Notes that grants were used on a day; older notes do not overwrite newer ones.
    async fn record_use(&self, uses: Vec<(AuthorizationId, i64)>) -> Result<(), StoreError>;

    /// Queues tokens that never became a grant.
    async fn queue_unclaimed(&self, orphan: UnclaimedTokens, audit: Vec<AuditEvent>) -> Result<(), StoreError>;

    /// Claims one due revocation for a span; another worker gets it only after that.
    async fn claim_revocation(&self, owner: [u8; 16], length: Duration) -> Result<Option<RevocationJob>, StoreError>;

    /// Ends or postpones a claimed revocation. Client secrets that nothing needs any more go with the last one.
    async fn update_revocation(
        &self,
        job: AuthorizationId,
        end: RevocationUpdate,
        audit: Vec<AuditEvent>,
    ) -> Result<(), StoreError>;

    /// One bounded step of sweeping.
    async fn sweep(&self, policy: SweepPolicy) -> Result<SweepReport, StoreError>;

    /// Users and spaces that still have grants, for reconciliation with the host (R53). Pairs after `after`, in order.
    async fn grant_holders(
        &self,
        after: Option<(UserId, SpaceId)>,
        limit: u32,
    ) -> Result<Vec<(UserId, SpaceId)>, StoreError>;

    /// Grants in state `Authorized` that were used on or after a day and whose access token lapses before an instant: for proactive renewal.
    async fn due_for_refresh(
        &self,
        used_since_day: i64,
        expiring_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<AuthorizationRecord>, StoreError>;

    /// Writes audit events that belong to no change.
    async fn record(&self, audit: Vec<AuditEvent>) -> Result<(), StoreError>;

    /// The oldest undelivered audit events.
    async fn pending_events(&self, limit: u32) -> Result<Vec<RecordedEvent>, StoreError>;

    /// Forgets events up to and including a sequence number.
    async fn forget_events(&self, through: u64) -> Result<(), StoreError>;

    /// How many envelopes of any table each key has sealed.
    async fn key_usage(&self) -> Result<Vec<(KeyId, u64)>, StoreError>;
}

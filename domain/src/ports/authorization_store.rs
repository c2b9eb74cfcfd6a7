//! Writing authorizations: flows, grants and former grants.
//!
//! An authorization is replaced as a whole if its stored version is the expected one. Every method writes its audit events
//! in the transaction of the change.

use async_trait::async_trait;

use crate::authorization::{Authorization, AuthorizationId, Envelope, FlowCookieHash, StateHash, TerminationCause};
use crate::connector::{ConnectorKey, Incarnation};
use crate::identity::{Actor, ConnectionName, SpaceId, UserId};
use crate::ports::{AuditEvent, ExpectedVersion, StoreError, Versioned, WriteOutcome};

/// Limits on flows that are not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingLimits {
    /// Per user, over all spaces and connectors.
    pub per_user: u32,
    /// In the whole deployment.
    pub deployment: u32,
}

/// The result of inserting a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertOutcome {
    /// Inserted; older unconsumed flows of the same connection are superseded.
    Inserted,
    /// A limit is reached.
    TooManyPending,
    /// The connector or the user is not the one that the flow was made for.
    Obsolete(Obsolete),
}

/// Why an authorization cannot be stored any more: its connector or user has changed since they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obsolete {
    /// The connector was edited.
    ConnectorChanged,
    /// The connector was deleted.
    ConnectorGone,
    /// The user has been removed (tombstone).
    UserGone,
}

impl From<Obsolete> for CommitOutcome {
    fn from(obsolete: Obsolete) -> Self {
        match obsolete {
            Obsolete::ConnectorChanged => Self::ConnectorChanged,
            Obsolete::ConnectorGone => Self::ConnectorGone,
            Obsolete::UserGone => Self::UserGone,
        }
    }
}

/// What a callback presents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackKey {
    /// SHA-256 of `state`.
    pub state_hash: StateHash,
    /// The user of the session.
    pub user: UserId,
    /// SHA-256 of each flow cookie the browser sent; one of them must belong to this flow.
    pub flow_cookies: Vec<FlowCookieHash>,
}

/// The result of consuming a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsumeOutcome {
    /// This caller consumed it; no other caller will.
    Consumed {
        /// The consumed flow.
        flow: Box<Versioned<Authorization>>,
        /// The flow secrets, removed from the stored flow.
        secrets: Envelope,
    },
    /// No flow has this state.
    NotFound,
    /// The flow belongs to another user. Nothing was changed.
    UserMismatch(Box<Authorization>),
    /// The flow cookie is absent or belongs to another flow. Nothing was changed.
    BrowserMismatch(Box<Authorization>),
    /// The deadline has passed. Nothing was changed.
    Expired(Box<Authorization>),
    /// Consumed before, or ended. Nothing was changed.
    AlreadyUsed(Box<Authorization>),
}

/// The result of committing a new grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It is the user's grant of this connection now; the one before is superseded.
    Committed,
    /// The connector was edited since the user consented.
    ConnectorChanged,
    /// The connector was deleted.
    ConnectorGone,
    /// The user has been removed (tombstone).
    UserGone,
    /// The flow ended in the meantime: cancelled, superseded or interrupted.
    FlowEnded,
}

/// Which authorizations to terminate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminationScope {
    /// Exactly one, if it has not ended.
    One(AuthorizationId),
    /// All of one connection: flows, the grant, and former grants that need a new consent. Space and id of the connector are
    /// those of the authorizations; the connector's row does not matter.
    Connection {
        /// The connector.
        connector: ConnectorKey,
        /// The user.
        user: UserId,
        /// The connection.
        connection: ConnectionName,
    },
    /// All of a user, in every space. Also writes a tombstone with its audit event, unless there is one: no grant of this user is
    /// committed until [`UserStore::reinstate`](crate::ports::UserStore::reinstate).
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

/// Why and in whose name authorizations are terminated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminationRequest {
    /// Cause of the `Revoked` state.
    pub cause: TerminationCause,
    /// Who terminates them.
    pub actor: Actor,
}

/// How many authorizations were terminated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TerminationReport {
    /// Flows.
    pub flows: u64,
    /// Grants.
    pub grants: u64,
    /// Former grants that needed a new consent.
    pub former: u64,
    /// Revocations that are pending now.
    pub queued: u64,
}

/// Writes authorizations, and finds the one that is to be written.
///
/// ```
/// use grantry_domain::authorization::AuthorizationId;
/// use grantry_domain::ports::{AuthorizationStore, StoreError};
///
/// /// Whether a flow or a grant is stored.
/// async fn is_stored(store: &dyn AuthorizationStore, id: AuthorizationId) -> Result<bool, StoreError> {
///     Ok(store.find(id).await?.is_some())
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AuthorizationStore: Send + Sync {
    /// Adds a flow that has not ended, superseding older unconsumed flows of the same connection. In the same transaction, its
    /// connector is compared and its user must not have been removed.
    async fn insert_flow(
        &self,
        flow: Authorization,
        limits: PendingLimits,
        audit: Vec<AuditEvent>,
    ) -> Result<InsertOutcome, StoreError>;

    /// Replaces a whole authorization if its stored version is `expected`. Lease and in-doubt mark become those of `next`.
    async fn replace(
        &self,
        next: Authorization,
        expected: ExpectedVersion,
        audit: Vec<AuditEvent>,
    ) -> Result<WriteOutcome, StoreError>;

    /// Consumes a flow with one conditional update that sets `consumed_at` and removes the secrets. A mismatch changes
    /// nothing. `audit` is written only if the flow is consumed.
    async fn consume(&self, key: CallbackKey, audit: Vec<AuditEvent>) -> Result<ConsumeOutcome, StoreError>;

    /// Turns a consumed flow into the user's grant. One transaction locks the connector, compares epoch and incarnation,
    /// looks for a tombstone of the user, supersedes the grant of the same connection (revoking it unless
    /// `revoke_superseded` is false), and writes.
    async fn commit_grant(
        &self,
        grant: Authorization,
        revoke_superseded: bool,
        audit: Vec<AuditEvent>,
    ) -> Result<CommitOutcome, StoreError>;

    /// One authorization.
    async fn find(&self, id: AuthorizationId) -> Result<Option<Versioned<Authorization>>, StoreError>;

    /// The flow with this state, consumed or not, while it awaits its callback.
    async fn find_by_state(&self, state: StateHash) -> Result<Option<Versioned<Authorization>>, StoreError>;

    /// Terminates authorizations by predicate, with an audit event for each. An in-doubt mark goes into the pending
    /// revocation.
    async fn terminate(&self, scope: TerminationScope, request: TerminationRequest)
    -> Result<TerminationReport, StoreError>;

    /// Sets or clears the default connection of a user, which applies to requests that name no connection. `false` if the
    /// user has no grant of that name; then nothing is changed.
    async fn set_default_connection(
        &self,
        incarnation: Incarnation,
        user: UserId,
        connection: Option<ConnectionName>,
        audit: Vec<AuditEvent>,
    ) -> Result<bool, StoreError>;
}

//! The durable queue of token revocations (RFC 7009).

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;

use crate::authorization::{Authorization, AuthorizationId, AuthorizationKey, Envelope, Revision, RevocationOutcome};
use crate::identity::UserId;
use crate::ports::{AuditEvent, StoreError};
use crate::provider::BindingDigest;
use crate::time::Timestamp;

/// A revocation that is due, claimed by one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevocationJob {
    /// A former grant whose revocation is pending.
    FormerGrant(Box<Authorization>),
    /// Unclaimed tokens.
    Unclaimed(Box<UnclaimedTokens>),
}

/// Tokens received for a flow or a grant that has ended in the meantime (envelope type 04).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnclaimedTokens {
    /// Fresh id: the record id of the envelope.
    pub id: AuthorizationId,
    /// The authorization they were received for.
    pub owner: AuthorizationKey,
    /// The envelope.
    pub sealed: Envelope,
    /// Since when.
    pub queued_at: Timestamp,
    /// Failed attempts so far.
    pub attempts: u32,
}

/// What to do with a claimed revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevocationUpdate {
    /// No more attempts: the tokens are destroyed and the outcome is stored.
    Completed(RevocationOutcome),
    /// The attempt failed: try again.
    Retry {
        /// When.
        at: Timestamp,
    },
    /// No attempt was made: try later.
    Deferred {
        /// When.
        at: Timestamp,
    },
    /// A refresh in doubt brought these tokens: store them in place of the old ones and go on.
    Refreshed {
        /// The new envelope.
        sealed: Envelope,
        /// Its revision.
        revision: Revision,
    },
}

/// Which revocations a worker does not claim now, because it has no place for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Those with these settings.
    pub digests: BTreeSet<BindingDigest>,
    /// Those of these users.
    pub users: BTreeSet<UserId>,
}

/// Queues, claims and updates revocations.
///
/// ```
/// use std::time::Duration;
///
/// use grantry_domain::ports::{LeftOut, RevocationJob, RevocationQueue, StoreError};
///
/// /// Claims a due revocation for a minute.
/// async fn claim(queue: &dyn RevocationQueue, worker: [u8; 16]) -> Result<Option<RevocationJob>, StoreError> {
///     let (length, longest_pause) = (Duration::from_secs(60), Duration::from_secs(86_400));
///     queue.claim_revocation(worker, length, longest_pause, LeftOut::default()).await
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait RevocationQueue: Send + Sync {
    /// Queues unclaimed tokens.
    async fn queue_unclaimed(&self, tokens: UnclaimedTokens, audit: Vec<AuditEvent>) -> Result<(), StoreError>;

    /// Claims one due revocation for a time; another worker gets it only after that. One that is due later than
    /// `longest_pause` from now was postponed before the clock was set back, and is due at once. One that has been pending
    /// for `longest_pause` is claimed also if it is left out, because it ends without a request.
    async fn claim_revocation(
        &self,
        worker: [u8; 16],
        length: Duration,
        longest_pause: Duration,
        left_out: LeftOut,
    ) -> Result<Option<RevocationJob>, StoreError>;

    /// Completes or postpones a revocation that this worker has claimed. Client secrets that no revocation needs any more are
    /// destroyed with the last one. Returns `false` and changes nothing if it is not pending, or if another worker has claimed
    /// it after the end of this claim: a process that was stopped does not overwrite what that worker stores.
    async fn update_revocation(
        &self,
        job: AuthorizationId,
        worker: [u8; 16],
        update: RevocationUpdate,
        audit: Vec<AuditEvent>,
    ) -> Result<bool, StoreError>;
}

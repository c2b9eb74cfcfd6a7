//! What background jobs read and sweep.

use std::time::Duration;

use async_trait::async_trait;

use crate::authorization::Authorization;
use crate::identity::{SpaceId, UserId};
use crate::ports::{KeyId, StoreError};
use crate::time::Timestamp;

/// Retention of authorizations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepPolicy {
    /// Grants that were not used for this long are revoked.
    pub unused_grants: Duration,
    /// Ended flows are removed after this.
    pub ended_flows: Duration,
    /// Former grants are removed after this, but never while their revocation is pending.
    pub ended_grants: Duration,
    /// Rows changed in one call at most.
    pub batch: u32,
}

/// What one sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Flows past their deadline, now `Expired{flow_timed_out}`.
    pub timed_out: u64,
    /// Consumed flows whose process has ended, now `Revoked{failed(interrupted)}`.
    pub interrupted: u64,
    /// Grants that expired.
    pub expired: u64,
    /// Grants that were not used for too long, now `Revoked{unused}`.
    pub unused: u64,
    /// Terminal rows removed.
    pub removed: u64,
    /// Client secrets destroyed because no grant and no revocation needs them.
    pub secrets_destroyed: u64,
    /// Whether there is more to do right now.
    pub more: bool,
}

/// Maintains the stored authorizations. Every call is bounded.
///
/// ```
/// use grantry_domain::ports::{Housekeeping, StoreError, SweepPolicy};
/// use grantry_domain::time::Timestamp;
///
/// /// Sweeps until nothing is due.
/// async fn sweep_all(store: &dyn Housekeeping, policy: SweepPolicy, now: Timestamp) -> Result<(), StoreError> {
///     while store.sweep(policy, now).await?.more {}
///     Ok(())
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Housekeeping: Send + Sync {
    /// Sweeps one batch of what is due at an instant, which is the present one.
    async fn sweep(&self, policy: SweepPolicy, now: Timestamp) -> Result<SweepReport, StoreError>;

    /// Users and spaces that have grants, for reconciliation with the host. Pairs after `after`, in order.
    async fn grant_holders(
        &self,
        after: Option<(UserId, SpaceId)>,
        limit: u32,
    ) -> Result<Vec<(UserId, SpaceId)>, StoreError>;

    /// Grants that were used on or after a day and whose access token expires before an instant. A grant that
    /// cannot be read is logged and left out.
    async fn due_for_refresh(
        &self,
        used_since_day: i64,
        expiring_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<Authorization>, StoreError>;

    /// How many envelopes of any table each key has sealed, and how many connectors it has tagged. Sessions are not counted:
    /// they end within a day.
    async fn key_usage(&self) -> Result<Vec<(KeyId, u64)>, StoreError>;

    /// The keys of [`key_usage`](Self::key_usage) with a count above zero, in order. Unlike the counts they are found in a
    /// time that does not depend on the number of records.
    async fn keys_in_use(&self) -> Result<Vec<KeyId>, StoreError>;
}

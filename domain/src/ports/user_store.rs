//! Users in the store: those with records, and those who were removed.

use async_trait::async_trait;

use crate::authorization::Authorization;
use crate::identity::UserId;
use crate::ports::{AuditEvent, StoreError};
use crate::time::Timestamp;

/// A user with a tombstone, a grant or a former grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredUser {
    /// The user.
    pub id: UserId,
    /// When the user was removed, if a tombstone is stored.
    pub removed_at: Option<Timestamp>,
}

/// Reads users and lifts tombstones. [`TerminationScope::User`](crate::ports::TerminationScope::User) writes them.
///
/// ```
/// use grantry_domain::identity::UserId;
/// use grantry_domain::ports::{StoreError, UserStore};
///
/// /// Whether a user was removed for good.
/// async fn is_removed(users: &dyn UserStore, user: &UserId) -> Result<bool, StoreError> {
///     Ok(users.removed_at(user).await?.is_some())
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait UserStore: Send + Sync {
    /// When a user was removed; `None` without a tombstone.
    async fn removed_at(&self, user: &UserId) -> Result<Option<Timestamp>, StoreError>;

    /// A user with records; `None` if nothing is stored of the user.
    async fn stored_user(&self, user: &UserId) -> Result<Option<StoredUser>, StoreError>;

    /// Removes the tombstone of a user, so that grants are committed again. `false`, without an event, if there is none.
    async fn reinstate(&self, user: UserId, audit: Vec<AuditEvent>) -> Result<bool, StoreError>;

    /// Users with a tombstone, a grant or a former grant, by id. Those after `after`.
    async fn stored_users(&self, after: Option<UserId>, limit: u32) -> Result<Vec<StoredUser>, StoreError>;

    /// What the removal of a user would end, in every space, oldest first: flows, grants, and former grants that need a new
    /// consent.
    async fn open_authorizations(&self, user: &UserId) -> Result<Vec<Authorization>, StoreError>;
}

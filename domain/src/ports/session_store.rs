//! Sessions of the accounts mode. They survive a restart and can be ended.

use async_trait::async_trait;

use crate::identity::UserId;
use crate::ports::{RowTag, StoreError};
use crate::time::Timestamp;

/// SHA-256 of a 256-bit session id: the only form in which it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionHash(pub [u8; 32]);

/// One session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The user.
    pub user: UserId,
    /// When it was created; it ends 24 h later at the latest.
    pub created_at: Timestamp,
    /// When it was last used; it ends 8 h later.
    pub seen_at: Timestamp,
    /// Authenticates the id and all of the above.
    pub tag: RowTag,
}

/// Stores sessions.
///
/// ```
/// use grantry_domain::ports::{SessionHash, SessionStore, StoreError};
///
/// /// Logs a browser out.
/// async fn log_out(sessions: &dyn SessionStore, id: SessionHash) -> Result<(), StoreError> {
///     sessions.remove(id).await
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Adds a session. If its user then has more than `at_most`, those of the others that were created first are ended.
    async fn insert(&self, id: SessionHash, session: Session, at_most: u32) -> Result<(), StoreError>;
    /// Finds a session, whether or not it has expired.
    async fn find(&self, id: SessionHash) -> Result<Option<Session>, StoreError>;
    /// Records that a session was used, with the tag for that instant; does nothing if there is none, or if it was used later.
    async fn touch(&self, id: SessionHash, seen_at: Timestamp, tag: RowTag) -> Result<(), StoreError>;
    /// Ends a session.
    async fn remove(&self, id: SessionHash) -> Result<(), StoreError>;
    /// Ends all sessions created or last used before these instants, or after the last one; returns how many.
    async fn purge(&self, created_before: Timestamp, seen_before: Timestamp, after: Timestamp) -> Result<u64, StoreError>;
}

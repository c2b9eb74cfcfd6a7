//! Sessions of the accounts mode. They survive a restart and can be ended.

use async_trait::async_trait;

use crate::identity::UserId;
use crate::ports::StoreError;
use crate::time::Timestamp;

/// SHA-256 of a 256-bit session id: the only form in which it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionHash(pub [u8; 32]);

/// One session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose.
    pub user: UserId,
    /// Since when; ends 24 h later whatever happens.
    pub created_at: Timestamp,
    /// Last seen; ends 8 h later.
    pub seen_at: Timestamp,
}

/// Keeps sessions.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Adds one.
    async fn insert(&self, id: SessionHash, session: Session) -> Result<(), StoreError>;
    /// Finds one, whether or not it has lapsed.
    async fn find(&self, id: SessionHash) -> Result<Option<Session>, StoreError>;
    /// Notes that it was seen; does nothing if it is gone.
    async fn touch(&self, id: SessionHash, seen_at: Timestamp) -> Result<(), StoreError>;
    /// Ends one.
    async fn remove(&self, id: SessionHash) -> Result<(), StoreError>;
    /// Ends all that were created or seen before these instants; answers how many.
    async fn purge(&self, created_before: Timestamp, seen_before: Timestamp) -> Result<u64, StoreError>;
}

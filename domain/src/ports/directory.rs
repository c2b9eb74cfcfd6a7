//! The host's truth about spaces, users and privileges.

use async_trait::async_trait;
use thiserror::Error;

use crate::identity::{Role, SpaceId, UserId};

/// Where a user stands in a space right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// Whether the space exists.
    pub space_exists: bool,
    /// What is known of the user.
    pub user: UserStatus,
    /// The user's role there; `None` if the space is closed to them.
    pub role: Option<Role>,
}

impl Membership {
    /// Whether the user may use connectors there.
    pub fn may(&self, least: Role) -> bool {
        self.space_exists && self.user == UserStatus::Active && self.role.is_some_and(|role| role >= least)
    }
}

/// What the host knows of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserStatus {
    /// A user in good standing.
    Active,
    /// Disabled: may come back.
    Disabled,
    /// Not known, or removed for good.
    Unknown,
}

/// Asked at start, right before a grant is committed, and at every hand-out. Errors mean deny (R06).
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Directory: Send + Sync {
    /// Space, user and role in one answer.
    async fn membership(&self, user: &UserId, space: &SpaceId) -> Result<Membership, DirectoryError>;
}

/// The host did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the host's directory is unavailable")]
pub struct DirectoryError;

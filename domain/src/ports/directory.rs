//! The host's directory: spaces, users and roles.

use async_trait::async_trait;
use thiserror::Error;

use crate::identity::{Role, SpaceId, UserId};

/// A user's roles in a space at this instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// Whether the space exists.
    pub space_exists: bool,
    /// The user's status at the host, the same for every space.
    pub user: UserStatus,
    /// The user's role there; `None` if the space is closed to the user.
    pub role: Option<Role>,
}

impl Membership {
    /// Whether the user has at least this role there.
    pub fn allows(&self, least: Role) -> bool {
        self.space_exists && self.user == UserStatus::Active && self.role.is_some_and(|role| role >= least)
    }
}

/// A user's status at the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserStatus {
    /// An active user.
    Active,
    /// Disabled; may be enabled again.
    Disabled,
    /// Unknown, or removed for good.
    Unknown,
}

/// A user of the host, for administrators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryUser {
    /// The user.
    pub id: UserId,
    /// A name for display.
    pub name: Option<String>,
    /// Whether the user is disabled at the host.
    pub disabled: bool,
}

/// The users that a directory can list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserListing {
    /// The users.
    pub users: Vec<DirectoryUser>,
    /// Whether these are all users of the host. A directory that cannot list its users reports `false`; the users with records
    /// in the store are then known as well.
    pub complete: bool,
}

/// Decides access: at start, before a grant is committed, and before every access token. An error denies access.
///
/// ```
/// use async_trait::async_trait;
/// use grantry_domain::identity::{Role, SpaceId, UserId};
/// use grantry_domain::ports::{Directory, DirectoryError, Membership, UserStatus};
///
/// /// A host with one space, in which every user may connect.
/// struct OneSpace;
///
/// #[async_trait]
/// impl Directory for OneSpace {
///     async fn membership(&self, _user: &UserId, space: &SpaceId) -> Result<Membership, DirectoryError> {
///         let space_exists = *space == SpaceId::default_space();
///         Ok(Membership { space_exists, user: UserStatus::Active, role: space_exists.then_some(Role::Viewer) })
///     }
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Directory: Send + Sync {
    /// Space, user and role at one instant.
    async fn membership(&self, user: &UserId, space: &SpaceId) -> Result<Membership, DirectoryError>;

    /// The users of the host, for administrators: each once, without those that were removed. If the host does not respond, the
    /// result is an error or a listing that is not complete. The default lists none and reports that.
    async fn users(&self) -> Result<UserListing, DirectoryError> {
        Ok(UserListing::default())
    }
}

/// The host's directory did not respond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the host's directory is unavailable")]
pub struct DirectoryError;

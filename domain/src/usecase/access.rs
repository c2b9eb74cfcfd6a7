//! Authorization of callers: the host's directory decides in every use case.

use std::sync::Arc;

use thiserror::Error;

use crate::identity::{Actor, Role, SpaceId, UserId};
use crate::ports::Directory;

/// Why a caller has no access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AccessError {
    /// The space, the connector or the record does not exist for this caller. A missing space and one without access are not
    /// distinguished.
    #[error("there is no such record")]
    NotFound,
    /// The caller has access to the space, but not for this operation.
    #[error("this is not allowed")]
    Forbidden,
    /// The directory did not respond; access is denied.
    #[error("the host's directory is unavailable")]
    DirectoryUnavailable,
}

impl AccessError {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::DirectoryUnavailable => "directory_unavailable",
        }
    }
}

/// Asks the directory.
#[derive(Clone)]
pub struct Access {
    directory: Arc<dyn Directory>,
}

impl Access {
    /// Access decided by a directory.
    pub fn new(directory: Arc<dyn Directory>) -> Self {
        Self { directory }
    }

    /// Whether a user may act in a space with at least a role.
    pub async fn authorize(&self, user: &UserId, space: &SpaceId, least: Role) -> Result<(), AccessError> {
        let membership = self.directory.membership(user, space).await;
        let membership = membership.map_err(|_| AccessError::DirectoryUnavailable)?;
        if membership.allows(least) {
            Ok(())
        } else if membership.allows(Role::Viewer) {
            Err(AccessError::Forbidden)
        } else {
            Err(AccessError::NotFound)
        }
    }

    /// The user behind an actor, if that user may act in a space with at least a role.
    pub async fn authorize_user<'a>(
        &self,
        actor: &'a Actor,
        space: &SpaceId,
        least: Role,
    ) -> Result<&'a UserId, AccessError> {
        let user = user_of(actor)?;
        self.authorize(user, space, least).await?;
        Ok(user)
    }
}

/// The user behind an actor. Agents and the system have none.
pub(crate) fn user_of(actor: &Actor) -> Result<&UserId, AccessError> {
    match actor {
        Actor::Person(user) => Ok(user),
        Actor::Agent(_) | Actor::System => Err(AccessError::Forbidden),
    }
}

//! A host's directory that a test fills.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use async_trait::async_trait;
use grantry_domain::identity::{Role, SpaceId, UserId};
use grantry_domain::ports::{Directory, DirectoryError, DirectoryUser, Membership, UserListing, UserStatus};

use super::locked;

/// A directory without spaces and users until a test adds them.
#[derive(Debug, Default)]
pub struct TestDirectory(Mutex<Content>);

#[derive(Debug, Default)]
struct Content {
    spaces: HashSet<SpaceId>,
    users: HashMap<UserId, UserStatus>,
    roles: HashMap<(UserId, SpaceId), Role>,
    unavailable: bool,
    unlisted: bool,
    lookups: u64,
}

impl TestDirectory {
    /// Gives a user a role in a space; adds the space, and the user as active.
    pub fn set_role(&self, user: &UserId, space: &SpaceId, role: Role) {
        let mut content = locked(&self.0);
        content.spaces.insert(space.clone());
        content.users.insert(user.clone(), UserStatus::Active);
        content.roles.insert((user.clone(), space.clone()), role);
    }

    /// Removes a user's role in a space.
    pub fn remove_role(&self, user: &UserId, space: &SpaceId) {
        locked(&self.0).roles.remove(&(user.clone(), space.clone()));
    }

    /// Sets the status of a user and keeps the roles.
    pub fn set_user(&self, user: &UserId, status: UserStatus) {
        locked(&self.0).users.insert(user.clone(), status);
    }

    /// Removes a space.
    pub fn remove_space(&self, space: &SpaceId) {
        locked(&self.0).spaces.remove(space);
    }

    /// Whether further calls fail.
    pub fn set_unavailable(&self, unavailable: bool) {
        locked(&self.0).unavailable = unavailable;
    }

    /// From now on it lists no users and reports that, like a directory that cannot.
    pub fn hide_users(&self) {
        locked(&self.0).unlisted = true;
    }

    /// The number of calls.
    pub fn lookups(&self) -> u64 {
        locked(&self.0).lookups
    }
}

#[async_trait]
impl Directory for TestDirectory {
    async fn membership(&self, user: &UserId, space: &SpaceId) -> Result<Membership, DirectoryError> {
        let mut content = locked(&self.0);
        content.lookups += 1;
        if content.unavailable {
            return Err(DirectoryError);
        }
        Ok(Membership {
            space_exists: content.spaces.contains(space),
            user: content.users.get(user).copied().unwrap_or(UserStatus::Unknown),
            role: content.roles.get(&(user.clone(), space.clone())).copied(),
        })
    }

    async fn users(&self) -> Result<UserListing, DirectoryError> {
        let content = locked(&self.0);
        if content.unavailable {
            return Err(DirectoryError);
        }
        if content.unlisted {
            return Ok(UserListing::default());
        }
        let known = content.users.iter().filter(|(_, status)| **status != UserStatus::Unknown);
        let users = known.map(|(id, status)| DirectoryUser {
            id: id.clone(),
            name: None,
            disabled: *status == UserStatus::Disabled,
        });
        Ok(UserListing { users: users.collect(), complete: true })
    }
}

//! A host's directory in memory.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use async_trait::async_trait;
use grantry_domain::identity::{Role, SpaceId, UserId};
use grantry_domain::ports::{Directory, DirectoryError, Membership, UserStatus};

use super::locked;

/// Knows what it was told; everybody else is unknown and every other space does not exist.
#[derive(Debug, Default)]
pub struct TestDirectory(Mutex<Facts>);

#[derive(Debug, Default)]
struct Facts {
    spaces: HashSet<SpaceId>,
    users: HashMap<UserId, UserStatus>,
    roles: HashMap<(UserId, SpaceId), Role>,
    down: bool,
    asked: u64,
}

impl TestDirectory {
    /// Gives a user in good standing a role in a space; makes both known.
    pub fn authorize(&self, user: &UserId, space: &SpaceId, role: Role) {
        let mut facts = locked(&self.0);
        facts.spaces.insert(space.clone());
        facts.users.insert(user.clone(), UserStatus::Active);
        facts.roles.insert((user.clone(), space.clone()), role);
    }

    /// Takes a user's role in a space away.
    pub fn expel(&self, user: &UserId, space: &SpaceId) {
        locked(&self.0).roles.remove(&(user.clone(), space.clone()));
    }

    /// Sets what is known of a user; roles stay.
    pub fn set_user(&self, user: &UserId, standing: UserStatus) {
        locked(&self.0).users.insert(user.clone(), standing);
    }

    /// Removes a space.
    pub fn remove_space(&self, space: &SpaceId) {
        locked(&self.0).spaces.remove(space);
    }

    /// Whether it answers with errors from now on.
    pub fn go_down(&self, down: bool) {
        locked(&self.0).down = down;
    }

    /// How often it was asked.
    pub fn asked(&self) -> u64 {
        locked(&self.0).asked
    }
}

#[async_trait]
impl Directory for TestDirectory {
    async fn membership(&self, user: &UserId, space: &SpaceId) -> Result<Membership, DirectoryError> {
        let mut facts = locked(&self.0);
        facts.asked += 1;
        if facts.down {
            return Err(DirectoryError);
        }
        Ok(Membership {
            space_exists: facts.spaces.contains(space),
            user: facts.users.get(user).copied().unwrap_or(UserStatus::Unknown),
            role: facts.roles.get(&(user.clone(), space.clone())).copied(),
        })
    }
}

//! The people of the tests: who may come in, and what they may do where.
//!
//! | log-in | id | `default` | `marketing` |
//! |---|---|---|---|
//! | alice | `u_alice` | editor | viewer |
//! | bob | `u_bob` | viewer | viewer |
//! | carol | `u_carol` | admin | admin |
//! | dave | `u_dave` | viewer | – |
//!
//! A password is the name with `-pw` behind it.

use std::sync::Arc;

use async_trait::async_trait;
use grantry_domain::identity::{Role, SpaceId, UserId};
use grantry_domain::ports::Directory as _;
use grantry_domain::secret::Secret;
use grantry_http_axum::{AuthenticationError, PasswordVerifier, People, SpaceView, UserView};
use grantry_testkit::doubles::TestDirectory;

/// All spaces.
pub const SPACES: [&str; 2] = ["default", "marketing"];

/// API key of the back end `workflows`, which acts for users in `default` and may fetch tokens.
pub const AGENT_KEY: &str = "gak_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

const ROLES: [(&str, &str, Role); 7] = [
    ("alice", "default", Role::Editor),
    ("alice", "marketing", Role::Viewer),
    ("bob", "default", Role::Viewer),
    ("bob", "marketing", Role::Viewer),
    ("carol", "default", Role::Admin),
    ("carol", "marketing", Role::Admin),
    ("dave", "default", Role::Viewer),
];

/// The immutable id of whoever logs in with this name.
///
/// # Panics
/// For a name that makes no id.
pub fn user(name: &str) -> UserId {
    UserId::new(format!("u_{name}")).expect("a name makes an id")
}

/// A space by its name.
///
/// # Panics
/// For a name that is no id.
pub fn space(name: &str) -> SpaceId {
    SpaceId::new(name).expect("a space")
}

/// Directory, passwords and display names in one, shared by all nodes of this process.
#[derive(Debug, Clone)]
pub struct TestPeople {
    /// What decides. Tests change it in mid-flow.
    pub directory: Arc<TestDirectory>,
}

impl Default for TestPeople {
    fn default() -> Self {
        let directory = TestDirectory::default();
        for (name, place, role) in ROLES {
            directory.authorize(&user(name), &space(place), role);
        }
        Self { directory: Arc::new(directory) }
    }
}

#[async_trait]
impl PasswordVerifier for TestPeople {
    async fn verify(&self, username: &str, password: &Secret) -> Result<Option<UserId>, AuthenticationError> {
        let known = ROLES.iter().any(|(name, ..)| *name == username);
        Ok((known && password.expose() == format!("{username}-pw").as_bytes()).then(|| user(username)))
    }
}

#[async_trait]
impl People for TestPeople {
    async fn describe(&self, user: &UserId) -> Result<Option<UserView>, AuthenticationError> {
        let mut spaces = Vec::new();
        for name in SPACES {
            let id = space(name);
            let standing = self.directory.membership(user, &id).await.map_err(|_| AuthenticationError)?;
            if let Some(role) = standing.role.filter(|_| standing.may(Role::Viewer)) {
                spaces.push(SpaceView { id, name: None, role });
            }
        }
        let username = user.as_str().strip_prefix("u_").map(str::to_owned);
        Ok(username.map(|username| UserView { username: Some(username), display_name: None, spaces }))
    }

    async fn spaces(&self) -> Result<Vec<SpaceId>, AuthenticationError> {
        Ok(SPACES.into_iter().map(space).collect())
    }
}

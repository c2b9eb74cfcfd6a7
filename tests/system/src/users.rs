//! The users of the tests and their roles.
//!
//! | log-in | id | `default` | `marketing` |
//! |---|---|---|---|
//! | alice | `u_alice` | editor | viewer |
//! | bob | `u_bob` | viewer | viewer |
//! | carol | `u_carol` | admin | admin |
//! | dave | `u_dave` | viewer | – |
//!
//! A password is the name followed by `-pw`.

use std::sync::Arc;

use async_trait::async_trait;
use grantry_domain::identity::{Role, SpaceId, UserId};
use grantry_domain::ports::{Directory as _, DirectoryError};
use grantry_domain::secret::Secret;
use grantry_http_axum::{AuthenticationError, PasswordVerifier, SpaceView, UserDirectory, UserView};
use grantry_testkit::doubles::TestDirectory;

/// All spaces.
pub const SPACES: [&str; 2] = ["default", "marketing"];

/// API key of the back end `workflows`, which acts for users in `default` and may fetch access tokens.
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

/// The immutable id of the user with this log-in name.
///
/// # Panics
/// For a name that makes no valid id.
pub fn user(name: &str) -> UserId {
    UserId::new(format!("u_{name}")).expect("a name makes an id")
}

/// A space by its name.
///
/// # Panics
/// For a name that is no valid id.
pub fn space(name: &str) -> SpaceId {
    SpaceId::new(name).expect("a space")
}

/// Directory, passwords and display names, shared by all nodes of this process.
#[derive(Debug, Clone)]
pub struct TestUsers {
    /// The directory that decides about access. Tests change it during a flow.
    pub directory: Arc<TestDirectory>,
}

impl Default for TestUsers {
    fn default() -> Self {
        let directory = TestDirectory::default();
        for (name, space_id, role) in ROLES {
            directory.set_role(&user(name), &space(space_id), role);
        }
        Self { directory: Arc::new(directory) }
    }
}

#[async_trait]
impl PasswordVerifier for TestUsers {
    async fn verify(&self, username: &str, password: &Secret) -> Result<Option<UserId>, AuthenticationError> {
        let exists = ROLES.iter().any(|(name, ..)| *name == username);
        Ok((exists && password.expose() == format!("{username}-pw").as_bytes()).then(|| user(username)))
    }
}

#[async_trait]
impl UserDirectory for TestUsers {
    async fn describe(&self, user: &UserId) -> Result<Option<UserView>, DirectoryError> {
        let mut spaces = Vec::new();
        for name in SPACES {
            let id = space(name);
            let membership = self.directory.membership(user, &id).await?;
            if let Some(role) = membership.role.filter(|_| membership.allows(Role::Viewer)) {
                spaces.push(SpaceView { id, name: None, role });
            }
        }
        let username = user.as_str().strip_prefix("u_").map(str::to_owned);
        Ok(username.map(|username| UserView { username: Some(username), display_name: None, spaces }))
    }

    async fn spaces(&self) -> Result<Vec<SpaceId>, DirectoryError> {
        Ok(SPACES.into_iter().map(space).collect())
    }
}

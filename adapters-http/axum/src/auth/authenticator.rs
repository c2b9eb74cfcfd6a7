//! What the host implements to identify and describe users.

use std::net::IpAddr;

use async_trait::async_trait;
use grantry_domain::identity::{Actor, Role, SpaceId, UserId};
use grantry_domain::ports::{DirectoryError, SessionHash};
use grantry_domain::secret::Secret;
use http::{HeaderMap, HeaderName};
use thiserror::Error;

/// The caller of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A user with an interactive session. Only users may start or finish a flow.
    User {
        /// The immutable id.
        user: UserId,
        /// The session, if this crate keeps it.
        session: Option<SessionHash>,
    },
    /// A back end with an API key.
    Agent(AgentPrincipal),
}

impl Principal {
    /// The actor of the principal in audit events.
    pub fn actor(&self) -> Actor {
        match self {
            Self::User { user, .. } => Actor::Person(user.clone()),
            Self::Agent(agent) => Actor::Agent(agent.name.clone()),
        }
    }
}

/// A back end: executes for named users in its spaces and, if the operator permits it, fetches access tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPrincipal {
    /// Name in configuration and audit events.
    pub name: String,
    /// Where it may act. Every other space is reported as missing.
    pub spaces: Vec<SpaceId>,
    /// Whether it may call `_access_token`.
    pub access_tokens: bool,
}

/// Identifies the caller of a request. The credentials are in the headers; `peer` is the address of the connection, if
/// known.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// `None` for an anonymous request, and for a credential that is wrong, expired or malformed.
    async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Option<Principal>, AuthenticationError>;

    /// The header fields besides `Authorization` and `Cookie` that identify callers, such as one that a proxy adds. The relay
    /// keeps them from the API. Default: none.
    fn credential_fields(&self) -> Vec<HeaderName> {
        Vec::new()
    }
}

/// The caller could not be identified. The request is refused, and may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AuthenticationError {
    /// The users or the sessions of the host are unavailable. The API responds with `directory_unavailable`.
    #[error("the host's users or sessions are unavailable")]
    Host,
    /// The store of the sessions of [`Accounts`](crate::Accounts) is unavailable, or no random number was available. The API
    /// responds with `store_unavailable`.
    #[error("the store of sessions is unavailable")]
    Store,
}

/// Checks a user name and a password. Implementations take equally long whether or not the name exists. The number of
/// concurrent calls is bounded by the cores of the machine, and one.
#[async_trait]
pub trait PasswordVerifier: Send + Sync {
    /// The id of the account, if the password is correct.
    async fn verify(&self, username: &str, password: &Secret) -> Result<Option<UserId>, AuthenticationError>;
}

/// Users and spaces of the host, for display and for choosing a space. Access is decided by the `Directory` port.
#[async_trait]
pub trait UserDirectory: Send + Sync {
    /// A user with the spaces open to them. `None` if the host has no such user (any more).
    async fn describe(&self, user: &UserId) -> Result<Option<UserView>, DirectoryError>;
    /// All spaces: deprovisioning requires an administrator of each.
    async fn spaces(&self) -> Result<Vec<SpaceId>, DirectoryError>;
}

/// A user as the console shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserView {
    /// Name used for log-in, if there is one.
    pub username: Option<String>,
    /// Display name.
    pub display_name: Option<String>,
    /// Spaces open to the user.
    pub spaces: Vec<SpaceView>,
}

/// A space open to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceView {
    /// The space.
    pub id: SpaceId,
    /// Its display name.
    pub name: Option<String>,
    /// The role of the user there.
    pub role: Role,
}

//! Who is asking: the host's answer, as this crate needs it.
//!
//! A host with its own log-in implements [`Authenticator`]. Three implementations are here: [`Accounts`] (sessions in a
//! cookie), [`ProxyHeaderAuthenticator`] (a proxy in front has done it), and [`AgentKeys`] (API keys of back ends, in front of
//! either).

mod accounts;
mod agents;
mod proxy;

use std::net::IpAddr;

use async_trait::async_trait;
use grantry_domain::identity::{Actor, Role, SpaceId, UserId};
use grantry_domain::ports::SessionHash;
use grantry_domain::secret::Secret;
use http::HeaderMap;
use thiserror::Error;

pub use self::accounts::{Accounts, LogInError, SESSION_ABSOLUTE, SESSION_IDLE};
pub use self::agents::{AgentKey, AgentKeys};
pub use self::proxy::{ProxyHeaderAuthenticator, RoleSink};

/// Whoever sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A person with an interactive session: the only kind that may start or finish a flow (R05).
    Person {
        /// The immutable id.
        user: UserId,
        /// The session, where it is one of ours.
        session: Option<SessionHash>,
    },
    /// A back end with an API key.
    Agent(AgentPrincipal),
}

impl Principal {
    /// The principal as the audit trail names it.
    pub fn actor(&self) -> Actor {
        match self {
            Self::Person { user, .. } => Actor::Person(user.clone()),
            Self::Agent(agent) => Actor::Agent(agent.name.clone()),
        }
    }
}

/// A back end: executes, and where the operator allows it fetches tokens, for named users in its spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPrincipal {
    /// Name in configuration and audit.
    pub name: String,
    /// Where it may act; every other space does not exist for it (R60).
    pub spaces: Vec<SpaceId>,
    /// Whether `_access_token` is switched on for it (R44).
    pub access_tokens: bool,
}

/// Tells who sent a request. The credentials are in the headers; `peer` is the address of the connection, if it is known.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// `None` for nobody. A credential that is wrong, expired or malformed is nobody, too.
    async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Option<Principal>, AuthenticationError>;
}

/// Whoever keeps sessions or accounts does not answer. Nobody is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("authentication is unavailable")]
pub struct AuthenticationError;

/// Checks a user name and a password. Implementations take equally long whether or not the name exists.
#[async_trait]
pub trait PasswordVerifier: Send + Sync {
    /// The id of the account, if the password is its.
    async fn verify(&self, username: &str, password: &Secret) -> Result<Option<UserId>, AuthenticationError>;
}

/// What the host tells about people and spaces, for display and for choosing a space. Decisions ask the `Directory` port.
#[async_trait]
pub trait People: Send + Sync {
    /// A person, with the spaces open to them. `None` for somebody the host does not know (any more).
    async fn describe(&self, user: &UserId) -> Result<Option<PersonView>, AuthenticationError>;
    /// Every space there is: an off-boarding needs an administrator of all of them.
    async fn spaces(&self) -> Result<Vec<SpaceId>, AuthenticationError>;
}

/// A person as the console shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonView {
    /// Name used for log-in, if there is one.
    pub username: Option<String>,
    /// Name for people.
    pub display_name: Option<String>,
    /// Spaces open to them.
    pub spaces: Vec<SpaceView>,
}

/// A space open to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceView {
    /// The space.
    pub id: SpaceId,
    /// Its name for people.
    pub name: Option<String>,
    /// The person's role there.
    pub role: Role,
}

/// How people are told apart, as the console needs to know it.
#[derive(Clone)]
pub enum IdentityMode {
    /// Accounts of this deployment, with log-in and log-out here.
    Accounts(std::sync::Arc<Accounts>),
    /// A proxy in front signs people in.
    ProxyHeader,
    /// A token of the host signs people in.
    Jwt,
}

impl IdentityMode {
    /// The name used in configuration and answers.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Accounts(_) => "accounts",
            Self::ProxyHeader => "proxy-header",
            Self::Jwt => "jwt",
        }
    }

    /// Whether there is a log-in page here.
    pub(crate) fn has_log_in(&self) -> bool {
        match self {
            Self::Accounts(_) => true,
            Self::ProxyHeader | Self::Jwt => false,
        }
    }
}

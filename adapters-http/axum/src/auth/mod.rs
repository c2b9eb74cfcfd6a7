//! Authentication of callers.
//!
//! A host that signs users in implements [`Authenticator`]. Three implementations are here: [`Accounts`] (sessions in a
//! cookie), [`ProxyHeaderAuthenticator`] (a proxy in front signs users in), and [`AgentKeys`] (API keys of back ends, in
//! front of either).

mod accounts;
mod agents;
mod authenticator;
mod proxy;
mod queue;

pub use self::accounts::{Accounts, LogInError, SESSION_ABSOLUTE, SESSION_AHEAD, SESSION_IDLE};
pub(crate) use self::agents::bearer;
pub use self::agents::{AgentKey, AgentKeys};
pub use self::authenticator::{
    AgentPrincipal, AuthenticationError, Authenticator, PasswordVerifier, Principal, SpaceView, UserDirectory, UserView,
};
pub use self::proxy::{ProxyHeaderAuthenticator, RoleSink};

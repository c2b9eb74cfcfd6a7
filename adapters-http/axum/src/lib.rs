//! Inbound HTTP of Grantry on axum: the API, the callback and its pages, and the `OpenAPI` document.
//!
//! ```text
//! request → guard (limits, host, origin, headers) → extract (who, where, what) → api or pages → Problem or answer
//! ```
//!
//! A host fills in [`Api`] and mounts [`router`]. This crate decides nothing: it reads requests strictly, asks the domain's
//! use cases, and writes what they say. Names, statuses and codes are the contract with existing front ends.
//!
//! **Architecture invariant:** no error text of another library reaches an answer or a log, and no request's real path or
//! query is recorded (R78, R79). Deliberately absent: CORS, content negotiation, and server-side sessions of other hosts,
//! which implement [`Authenticator`].

mod api;
mod auth;
mod connector_types;
mod consent;
mod cookies;
mod extract;
mod guard;
mod launch;
mod openapi;
mod pages;
mod problem;
mod refusals;
mod return_url;
mod router;
mod state;

#[cfg(test)]
mod tests;

pub use self::auth::{
    Accounts, AgentKey, AgentKeys, AgentPrincipal, AuthenticationError, Authenticator, IdentityMode, LogInError,
    PasswordVerifier, People, PersonView, Principal, ProxyHeaderAuthenticator, RoleSink, SESSION_ABSOLUTE, SESSION_IDLE,
    SpaceView,
};
pub use self::connector_types::{AuthModeName, ConnectorType, ConnectorTypeField, FieldKind};
pub use self::openapi::openapi;
pub use self::problem::{Code, Problem};
pub use self::router::router;
pub use self::state::{Api, ConsoleAsset, ConsoleAssets, Limits, Readiness};

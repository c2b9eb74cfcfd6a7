//! Inbound HTTP of Grantry on axum: the API, the callback and its pages, and the `OpenAPI` document.
//!
//! ```text
//! request → guard (limits, host, origin, headers) → extract (caller, ids, body) → api or pages → Problem or response
//! ```
//!
//! A host fills in [`Api`] and mounts [`router`]. This crate parses requests strictly, calls the use cases of the domain and
//! writes their results. It makes no decisions about access. Names, statuses and codes are a contract with existing front
//! ends.
//!
//! **Architecture invariant:** no error text of another library reaches a response or a log, and neither the path nor the query
//! of a request is recorded. Deliberately absent: CORS, and sessions of other hosts, which implement
//! [`Authenticator`].

mod api;
mod auth;
mod connector_types;
mod consent;
mod cookies;
mod correlation;
mod error_mapping;
mod extract;
mod format;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod host;
mod identity_mode;
mod metrics_access;
mod mount;
mod negotiation;
mod network;
mod openapi;
mod operations;
mod origin;
mod page_assets;
mod pages;
mod problem;
mod public_url;
mod relay_routes;
mod request_metrics;
mod return_url;
mod router;
mod routes;
mod state;
mod static_file;
mod unknown_bodies;
mod urls;
mod user_limit;

#[cfg(test)]
mod tests;

pub use self::auth::{
    Accounts, AgentKey, AgentKeys, AgentPrincipal, AuthenticationError, Authenticator, LogInError, PasswordVerifier,
    Principal, ProxyHeaderAuthenticator, RoleSink, SESSION_ABSOLUTE, SESSION_AHEAD, SESSION_IDLE, SpaceView, UserDirectory,
    UserView,
};
pub use self::connector_types::{AuthModeName, ConnectorType, ConnectorTypeField, ConnectorTypeSetup, FieldKind};
pub use self::correlation::{current_correlation_id, with_current_correlation_id};
pub use self::host::{Api, ConsoleAsset, ConsoleAssets, IdentityMode, Limits, Readiness};
pub use self::metrics_access::MetricsAccess;
pub use self::network::{InvalidNetwork, Network};
pub use self::openapi::openapi;
pub use self::operations::operations_router;
pub use self::problem::{Code, Problem};
pub use self::public_url::{InvalidPublicBaseUrl, PublicBaseUrl};
pub use self::router::router;
pub use self::urls::urls;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! What the domain needs from outside, one port a file. All are dyn-compatible; each names its contract and its error.
//!
//! Stores answer with the instant of their own clock ([`AuthorizationStore::now`]), because comparisons between nodes need one
//! clock. With the `mock` feature every port has a mock beside it.

mod audit;
mod authorization_server;
mod authorization_store;
mod connector_store;
mod directory;
mod event_sink;
mod profiles;
mod rate_limiter;
mod resource_server;
mod session_store;
mod store_error;
mod system;
mod token_vault;
mod urls;

pub use audit::{AuditEvent, AuditKind, RecordedEvent};
pub use authorization_server::*;
pub use authorization_store::*;
pub use connector_store::*;
pub use directory::*;
pub use event_sink::*;
pub use profiles::*;
pub use rate_limiter::*;
pub use resource_server::*;
pub use session_store::*;
pub use store_error::StoreError;
pub use system::*;
pub use token_vault::*;
pub use urls::*;

//! The traits that connect the domain to the outside, one capability per file. Every trait is dyn-compatible and documents
//! its contract and its errors.
//!
//! Comparisons between nodes use the clock of the store ([`StoreClock`]). With the `mock` feature every port has a mock.

mod anomaly;
mod audit;
mod audit_outbox;
mod authorization_queries;
mod authorization_server;
mod authorization_store;
mod connector_diagnostics;
mod connector_store;
mod directory;
mod event_sink;
mod failure_log;
mod housekeeping;
mod profiles;
mod provider_error;
mod rate_limiter;
mod refresh_leases;
mod resource_server;
mod revocation_queue;
mod row_authenticator;
mod session_store;
mod store;
mod store_error;
mod streamed;
mod system;
mod token_vault;
mod urls;
mod user_store;
mod versioned;

pub use anomaly::{Anomalies, Anomaly, AnomalyKind, MemberName};
pub use audit::{AuditDetail, AuditEvent, AuditKind, AuditOutcome, RecordedEvent};
pub use audit_outbox::*;
pub use authorization_queries::*;
pub use authorization_server::*;
pub use authorization_store::*;
pub use connector_diagnostics::*;
pub use connector_store::*;
pub use directory::*;
pub use event_sink::*;
pub use failure_log::*;
pub use housekeeping::*;
pub use profiles::*;
pub use provider_error::{Diagnosis, ProviderError, ProviderErrorKind, ProviderOperation};
pub use rate_limiter::*;
pub use refresh_leases::*;
pub use resource_server::*;
pub use revocation_queue::*;
pub use row_authenticator::*;
pub use session_store::*;
pub use store::*;
pub use store_error::StoreError;
pub use streamed::*;
pub use system::*;
pub use token_vault::*;
pub use urls::*;
pub use user_store::*;
pub use versioned::{ExpectedVersion, Versioned, WriteOutcome};

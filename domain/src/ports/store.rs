//! The store as a whole: its clock, and all of its ports together.

use std::sync::Arc;

use async_trait::async_trait;

use crate::ports::{
    AuditOutbox, AuthorizationQueries, AuthorizationStore, ConnectorDiagnostics, ConnectorStore, Housekeeping,
    RefreshLeases, RevocationQueue, SessionStore, StoreError, UserStore,
};
use crate::time::Timestamp;

/// The clock that all nodes share: the database's, for `SQLite` the clock of the process.
///
/// ```
/// use grantry_domain::ports::{StoreClock, StoreError};
/// use grantry_domain::time::Timestamp;
///
/// /// Whether an instant has passed on the clock that all nodes share.
/// async fn has_passed(clock: &dyn StoreClock, instant: Timestamp) -> Result<bool, StoreError> {
///     Ok(clock.now().await? > instant)
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait StoreClock: Send + Sync {
    /// The present instant.
    async fn now(&self) -> Result<Timestamp, StoreError>;
}

/// Every port of a store. Implemented for each type that implements all of them.
///
/// ```
/// use std::sync::Arc;
///
/// use grantry_domain::ports::{Store, StorePorts};
///
/// /// The ports of one store.
/// fn ports(store: Arc<dyn Store>) -> StorePorts {
///     StorePorts::of(store)
/// }
/// ```
pub trait Store:
    StoreClock
    + AuthorizationStore
    + AuthorizationQueries
    + RefreshLeases
    + RevocationQueue
    + Housekeeping
    + AuditOutbox
    + ConnectorStore
    + ConnectorDiagnostics
    + SessionStore
    + UserStore
{
}

impl<T> Store for T where
    T: StoreClock
        + AuthorizationStore
        + AuthorizationQueries
        + RefreshLeases
        + RevocationQueue
        + Housekeeping
        + AuditOutbox
        + ConnectorStore
        + ConnectorDiagnostics
        + SessionStore
        + UserStore
{
}

/// The ports of a store that the use cases need, one by one, so that a test can replace a single one.
#[derive(Clone)]
pub struct StorePorts {
    /// The clock that all nodes share.
    pub clock: Arc<dyn StoreClock>,
    /// Writing authorizations.
    pub authorizations: Arc<dyn AuthorizationStore>,
    /// Reading authorizations.
    pub queries: Arc<dyn AuthorizationQueries>,
    /// Leases for refreshing.
    pub leases: Arc<dyn RefreshLeases>,
    /// Pending revocations.
    pub revocations: Arc<dyn RevocationQueue>,
    /// Sweeping and reconciliation.
    pub housekeeping: Arc<dyn Housekeeping>,
    /// Audit events.
    pub outbox: Arc<dyn AuditOutbox>,
    /// Connectors and client secrets.
    pub connectors: Arc<dyn ConnectorStore>,
    /// Users and tombstones.
    pub users: Arc<dyn UserStore>,
    /// Failures of connectors, for their editors.
    pub diagnostics: Arc<dyn ConnectorDiagnostics>,
}

impl StorePorts {
    /// All ports of one store.
    pub fn of(store: Arc<dyn Store>) -> Self {
        Self {
            clock: store.clone(),
            authorizations: store.clone(),
            queries: store.clone(),
            leases: store.clone(),
            revocations: store.clone(),
            housekeeping: store.clone(),
            outbox: store.clone(),
            connectors: store.clone(),
            diagnostics: store.clone(),
            users: store,
        }
    }
}

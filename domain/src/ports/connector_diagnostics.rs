//! The last failure of each connector and its recent anomalies, for the editors of the connector.

use async_trait::async_trait;

use crate::connector::Incarnation;
use crate::ports::{Anomaly, AuditOutcome, ProviderOperation, StoreError};
use crate::time::Timestamp;

/// How many different anomalies are kept per connector.
pub const RECENT_ANOMALIES: usize = 16;

/// A failed operation at a provider. Every text is of this program or of a fixed list: no secret, no text of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorFailure {
    /// The operation.
    pub operation: ProviderOperation,
    /// The class of the error.
    pub code: AuditOutcome,
    /// The HTTP status of the response, if there was one.
    pub http_status: Option<u16>,
    /// The OAuth error code, if it may be shown.
    pub oauth_error: Option<String>,
    /// The host of the endpoint, without path and query.
    pub endpoint_host: Option<String>,
    /// What was not understood or not allowed, and what to do where that is known.
    pub hint: Option<String>,
    /// The id of the request that failed; absent for background work.
    pub correlation_id: Option<String>,
}

/// What is stored about a connector.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// The last failure, and when it was recorded.
    pub last_failure: Option<(ConnectorFailure, Timestamp)>,
    /// The revision of the connector whose client the provider refuses, and since when.
    pub client_refused: Option<(u64, Timestamp)>,
    /// Different anomalies with the instant at which each was last recorded, newest first.
    pub anomalies: Vec<(Anomaly, Timestamp)>,
}

impl Diagnostics {
    /// Since when the provider refuses the client of this revision of the connector. An edit may have mended an earlier one.
    pub fn client_refused_since(&self, revision: u64) -> Option<Timestamp> {
        self.client_refused.filter(|(refused, _)| *refused == revision).map(|(_, since)| since)
    }
}

/// Stores diagnostics. They belong to an incarnation and are removed with the connector. Instants are those of the store.
///
/// ```
/// use grantry_domain::connector::Incarnation;
/// use grantry_domain::ports::{ConnectorDiagnostics, StoreError};
///
/// /// Whether the provider refuses the client of a revision of the connector.
/// async fn is_refused(
///     diagnostics: &dyn ConnectorDiagnostics,
///     connector: Incarnation,
///     revision: u64,
/// ) -> Result<bool, StoreError> {
///     Ok(diagnostics.diagnostics(connector).await?.client_refused_since(revision).is_some())
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ConnectorDiagnostics: Send + Sync {
    /// Replaces the last failure. Does nothing if no connector has this incarnation.
    async fn record_failure(&self, connector: Incarnation, failure: ConnectorFailure) -> Result<(), StoreError>;
    /// Adds anomalies, or the instant of those that are stored; keeps the newest [`RECENT_ANOMALIES`]. Does nothing if no
    /// connector has this incarnation.
    async fn record_anomalies(&self, connector: Incarnation, anomalies: Vec<Anomaly>) -> Result<(), StoreError>;
    /// Records that the provider refuses the client of a revision. Keeps the first instant of this revision. Does nothing if no
    /// connector has this incarnation.
    async fn client_refused(&self, connector: Incarnation, revision: u64, since: Timestamp) -> Result<(), StoreError>;
    /// Records that the provider accepts the client.
    async fn client_accepted(&self, connector: Incarnation) -> Result<(), StoreError>;
    /// What is stored; empty if there is nothing.
    async fn diagnostics(&self, connector: Incarnation) -> Result<Diagnostics, StoreError>;
}

//! The operator's log of failures at providers.

use crate::connector::ConnectorKey;
use crate::ports::{Anomaly, ConnectorFailure, StoreError};

/// Writes one line for each failure. No method waits.
///
/// ```
/// use grantry_domain::connector::ConnectorKey;
/// use grantry_domain::ports::{Anomaly, ConnectorFailure, FailureLog, StoreError};
///
/// /// A log on standard error.
/// struct StandardError;
///
/// impl FailureLog for StandardError {
///     fn correlation_id(&self) -> Option<String> {
///         None
///     }
///
///     fn failure(&self, connector: &ConnectorKey, _failure: &ConnectorFailure) {
///         eprintln!("connector {}: a request to the provider failed", connector.id.as_str());
///     }
///
///     fn anomalies(&self, connector: &ConnectorKey, anomalies: &[Anomaly]) {
///         eprintln!("connector {}: {} anomalies", connector.id.as_str(), anomalies.len());
///     }
///
///     fn not_stored(&self, connector: &ConnectorKey, error: &StoreError) {
///         eprintln!("connector {}: not stored: {error}", connector.id.as_str());
///     }
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait FailureLog: Send + Sync {
    /// The id of the request that is being processed, as its response contains it. `None` for background work.
    fn correlation_id(&self) -> Option<String>;
    /// An operation at a provider failed.
    fn failure(&self, connector: &ConnectorKey, failure: &ConnectorFailure);
    /// A token response deviates from the protocol in members that do not prevent its use.
    fn anomalies(&self, connector: &ConnectorKey, anomalies: &[Anomaly]);
    /// The store did not accept what editors would read.
    fn not_stored(&self, connector: &ConnectorKey, error: &StoreError);
}

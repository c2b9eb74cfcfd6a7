//! The operator's log of failures at providers.

use crate::connector::ConnectorKey;
use crate::ports::{Anomaly, ConnectorFailure, StoreError};

/// Writes one line for each failure. No method waits.
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

//! A log of failures that a test reads.

use std::sync::Mutex;

use grantry_domain::connector::ConnectorKey;
use grantry_domain::ports::{Anomaly, ConnectorFailure, FailureLog, StoreError};

use super::locked;

/// Collects what is logged. The correlation id is the one that the test sets.
#[derive(Debug, Default)]
pub struct CollectingFailureLog {
    correlation_id: Mutex<Option<String>>,
    failures: Mutex<Vec<(ConnectorKey, ConnectorFailure)>>,
    anomalies: Mutex<Vec<(ConnectorKey, Vec<Anomaly>)>>,
    not_stored: Mutex<Vec<(ConnectorKey, StoreError)>>,
}

impl CollectingFailureLog {
    /// Sets the correlation id of the requests that follow.
    pub fn set_correlation_id(&self, id: &str) {
        *locked(&self.correlation_id) = Some(id.to_owned());
    }

    /// The failures, oldest first.
    pub fn failures(&self) -> Vec<(ConnectorKey, ConnectorFailure)> {
        locked(&self.failures).clone()
    }

    /// The anomalies of each response, oldest first.
    pub fn recorded_anomalies(&self) -> Vec<(ConnectorKey, Vec<Anomaly>)> {
        locked(&self.anomalies).clone()
    }

    /// The writes that the store did not accept.
    pub fn refused_writes(&self) -> Vec<(ConnectorKey, StoreError)> {
        locked(&self.not_stored).clone()
    }
}

impl FailureLog for CollectingFailureLog {
    fn correlation_id(&self) -> Option<String> {
        locked(&self.correlation_id).clone()
    }

    fn failure(&self, connector: &ConnectorKey, failure: &ConnectorFailure) {
        locked(&self.failures).push((connector.clone(), failure.clone()));
    }

    fn anomalies(&self, connector: &ConnectorKey, anomalies: &[Anomaly]) {
        locked(&self.anomalies).push((connector.clone(), anomalies.to_vec()));
    }

    fn not_stored(&self, connector: &ConnectorKey, error: &StoreError) {
        locked(&self.not_stored).push((connector.clone(), *error));
    }
}

//! Failures and anomalies of connectors.

use async_trait::async_trait;
use grantry_domain::connector::Incarnation;
use grantry_domain::ports::{Anomaly, ConnectorDiagnostics, ConnectorFailure, Diagnostics, RECENT_ANOMALIES, StoreError};
use grantry_domain::time::Timestamp;

use crate::MemoryStore;
use crate::data::Data;

impl Data {
    /// The diagnostics of a connector that exists.
    fn diagnostics_of(&mut self, connector: Incarnation) -> Option<&mut Diagnostics> {
        let exists = self.connectors.values().any(|stored| stored.incarnation == connector);
        exists.then(|| self.diagnostics.entry(connector).or_default())
    }

    fn record_anomalies(&mut self, connector: Incarnation, anomalies: Vec<Anomaly>, now: Timestamp) {
        let Some(diagnostics) = self.diagnostics_of(connector) else { return };
        for anomaly in anomalies {
            diagnostics.anomalies.retain(|(known, _)| *known != anomaly);
            diagnostics.anomalies.insert(0, (anomaly, now));
        }
        diagnostics.anomalies.truncate(RECENT_ANOMALIES);
    }
}

#[async_trait]
impl ConnectorDiagnostics for MemoryStore {
    async fn record_failure(&self, connector: Incarnation, failure: ConnectorFailure) -> Result<(), StoreError> {
        self.transact(|data, now| {
            if let Some(diagnostics) = data.diagnostics_of(connector) {
                diagnostics.last_failure = Some((failure, now));
            }
        });
        Ok(())
    }

    async fn record_anomalies(&self, connector: Incarnation, anomalies: Vec<Anomaly>) -> Result<(), StoreError> {
        self.transact(|data, now| data.record_anomalies(connector, anomalies, now));
        Ok(())
    }

    async fn client_refused(&self, connector: Incarnation, revision: u64, since: Timestamp) -> Result<(), StoreError> {
        self.transact(|data, _| {
            if let Some(diagnostics) = data.diagnostics_of(connector) {
                let is_known = diagnostics.client_refused.is_some_and(|(known, _)| known == revision);
                if !is_known {
                    diagnostics.client_refused = Some((revision, since));
                }
            }
        });
        Ok(())
    }

    async fn client_accepted(&self, connector: Incarnation) -> Result<(), StoreError> {
        self.transact(|data, _| {
            if let Some(diagnostics) = data.diagnostics.get_mut(&connector) {
                diagnostics.client_refused = None;
            }
        });
        Ok(())
    }

    async fn diagnostics(&self, connector: Incarnation) -> Result<Diagnostics, StoreError> {
        Ok(self.transact(|data, _| data.diagnostics.get(&connector).cloned().unwrap_or_default()))
    }
}

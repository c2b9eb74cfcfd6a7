//! Failures and anomalies of connectors.

use async_trait::async_trait;
use grantry_domain::connector::Incarnation;
use grantry_domain::ports::{Anomaly, ConnectorDiagnostics, ConnectorFailure, Diagnostics, RECENT_ANOMALIES, StoreError};
use grantry_domain::time::Timestamp;

use crate::transaction::Transaction;
use crate::{ConnectorRow, ConnectorSelection, Database, TableStore};

impl Transaction<'_> {
    /// Changes the diagnostics of a connector, if it exists.
    fn diagnose(&mut self, connector: Incarnation, change: impl FnOnce(&mut Diagnostics)) -> Result<(), StoreError> {
        let found = self.first::<ConnectorRow>(&ConnectorSelection::OfIncarnation(connector))?;
        let Some(mut row) = found else { return Ok(()) };
        change(&mut row.diagnostics);
        self.put(row)
    }
}

fn add_anomalies(diagnostics: &mut Diagnostics, anomalies: Vec<Anomaly>, now: Timestamp) {
    for anomaly in anomalies {
        diagnostics.anomalies.retain(|(known, _)| *known != anomaly);
        diagnostics.anomalies.insert(0, (anomaly, now));
    }
    diagnostics.anomalies.truncate(RECENT_ANOMALIES);
}

#[async_trait]
impl<D: Database> ConnectorDiagnostics for TableStore<D> {
    async fn record_failure(&self, connector: Incarnation, failure: ConnectorFailure) -> Result<(), StoreError> {
        self.write(move |rules| {
            let now = rules.now;
            rules.diagnose(connector, |diagnostics| diagnostics.last_failure = Some((failure, now)))
        })
        .await
    }

    async fn record_anomalies(&self, connector: Incarnation, anomalies: Vec<Anomaly>) -> Result<(), StoreError> {
        self.write(move |rules| {
            let now = rules.now;
            rules.diagnose(connector, |diagnostics| add_anomalies(diagnostics, anomalies, now))
        })
        .await
    }

    async fn client_refused(&self, connector: Incarnation, revision: u64, since: Timestamp) -> Result<(), StoreError> {
        self.write(move |rules| {
            rules.diagnose(connector, |diagnostics| {
                let since = diagnostics.client_refused_since(revision).unwrap_or(since);
                diagnostics.client_refused = Some((revision, since));
            })
        })
        .await
    }

    async fn client_accepted(&self, connector: Incarnation) -> Result<(), StoreError> {
        self.write(move |rules| rules.diagnose(connector, |diagnostics| diagnostics.client_refused = None)).await
    }

    async fn diagnostics(&self, connector: Incarnation) -> Result<Diagnostics, StoreError> {
        self.read(move |rules| {
            let found = rules.first::<ConnectorRow>(&ConnectorSelection::OfIncarnation(connector))?;
            Ok(found.map(|row| row.diagnostics).unwrap_or_default())
        })
        .await
    }
}

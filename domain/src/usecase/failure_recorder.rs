//! Records failures at providers: one log line each, and the last one of each connector for its editors.
//!
//! Recording is best effort and changes no result. No use case waits for the store, except for the rare changes of whether the
//! provider accepts the client, whose order matters.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;

use crate::authorization::AuthorizationKey;
use crate::connector::{Connector, ConnectorKey, Incarnation};
use crate::ports::{
    Anomaly, AuditOutcome, ConnectorDiagnostics, ConnectorFailure, FailureLog, ProviderError, ProviderErrorKind,
    ProviderOperation, Spawner, StoreError,
};
use crate::time::Timestamp;
use crate::usecase::settings::UnusableConnector;
use crate::usecase::url_parts;

/// Writes failures and anomalies to the log and to the store. Clones share what is not stored yet.
#[derive(Clone)]
pub struct FailureRecorder {
    log: Arc<dyn FailureLog>,
    store: Arc<dyn ConnectorDiagnostics>,
    spawner: Arc<dyn Spawner>,
    unwritten: Arc<Mutex<BTreeMap<Incarnation, ConnectorFailure>>>,
}

/// The connector of a failed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailingConnector {
    key: ConnectorKey,
    incarnation: Incarnation,
}

impl From<&Connector> for FailingConnector {
    fn from(connector: &Connector) -> Self {
        Self { key: connector.key.clone(), incarnation: connector.incarnation }
    }
}

impl From<&AuthorizationKey> for FailingConnector {
    fn from(owner: &AuthorizationKey) -> Self {
        Self { key: owner.connector_key(), incarnation: owner.incarnation }
    }
}

impl FailureRecorder {
    /// A recorder.
    pub fn new(log: Arc<dyn FailureLog>, store: Arc<dyn ConnectorDiagnostics>, spawner: Arc<dyn Spawner>) -> Self {
        Self { log, store, spawner, unwritten: Arc::default() }
    }

    /// Records that a request failed. `operation` and `endpoint` apply where the error does not contain them.
    pub fn record(
        &self,
        connector: impl Into<FailingConnector>,
        operation: ProviderOperation,
        endpoint: &str,
        error: &ProviderError,
    ) {
        let diagnosis = &error.diagnosis;
        let operation = diagnosis.operation.unwrap_or(operation);
        self.write(
            connector.into(),
            ConnectorFailure {
                operation,
                code: error.into(),
                http_status: diagnosis.http_status,
                oauth_error: diagnosis.oauth_error.as_deref().map(str::to_owned),
                endpoint_host: diagnosis.endpoint_host.clone().or_else(|| url_parts::host(endpoint).map(str::to_owned)),
                hint: diagnosis.problem.as_deref().or_else(|| advice(error.kind, operation)).map(str::to_owned),
                correlation_id: self.log.correlation_id(),
            },
        );
    }

    /// Records that no request was sent, because the client secret is missing or cannot be decrypted.
    pub fn record_missing_secret(
        &self,
        connector: impl Into<FailingConnector>,
        operation: ProviderOperation,
        endpoint: &str,
    ) {
        let hint = "the client secret is missing or cannot be decrypted; enter it again".to_owned();
        self.record_unsent(connector.into(), operation, url_parts::host(endpoint), hint);
    }

    /// Records that no request was sent, because the settings of the connector cannot be used any more. A row that is not
    /// authentic has an audit event instead: its columns name nothing for certain.
    pub fn record_unusable_settings(&self, connector: impl Into<FailingConnector>, unusable: &UnusableConnector) {
        let UnusableConnector::Config(invalid) = unusable else { return };
        let hint = format!("the settings of the connector cannot be used; correct or allow {}", invalid.field);
        self.record_unsent(connector.into(), ProviderOperation::Settings, None, hint);
    }

    fn record_unsent(&self, connector: FailingConnector, operation: ProviderOperation, host: Option<&str>, hint: String) {
        self.write(
            connector,
            ConnectorFailure {
                operation,
                code: AuditOutcome::ProviderMisconfigured,
                http_status: None,
                oauth_error: None,
                endpoint_host: host.map(str::to_owned),
                hint: Some(hint),
                correlation_id: self.log.correlation_id(),
            },
        );
    }

    /// Records deviations of a token response.
    pub fn record_anomalies(&self, connector: impl Into<FailingConnector>, anomalies: &[Anomaly]) {
        if anomalies.is_empty() {
            return;
        }
        let connector = connector.into();
        self.log.anomalies(&connector.key, anomalies);
        let (this, anomalies) = (self.clone(), anomalies.to_vec());
        self.spawner.spawn(
            async move {
                let written = this.store.record_anomalies(connector.incarnation, anomalies).await;
                this.report(&connector.key, written);
            }
            .boxed(),
        );
    }

    /// Records since when the provider refuses the client of a revision of a connector.
    pub async fn client_refused(&self, connector: &FailingConnector, revision: u64, since: Timestamp) {
        self.report(&connector.key, self.store.client_refused(connector.incarnation, revision, since).await);
    }

    /// Records that the provider accepts the client of a connector.
    pub async fn client_accepted(&self, connector: &FailingConnector) {
        self.report(&connector.key, self.store.client_accepted(connector.incarnation).await);
    }

    /// Failures of a connector that arrive before the write begins share it: the newest is written.
    fn write(&self, connector: FailingConnector, failure: ConnectorFailure) {
        self.log.failure(&connector.key, &failure);
        if self.locked().insert(connector.incarnation, failure).is_some() {
            return;
        }
        let this = self.clone();
        self.spawner.spawn(
            async move {
                let newest = this.locked().remove(&connector.incarnation);
                if let Some(failure) = newest {
                    let written = this.store.record_failure(connector.incarnation, failure).await;
                    this.report(&connector.key, written);
                }
            }
            .boxed(),
        );
    }

    fn report(&self, connector: &ConnectorKey, written: Result<(), StoreError>) {
        if let Err(error) = written {
            self.log.not_stored(connector, &error);
        }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<Incarnation, ConnectorFailure>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to do about a class of errors whose diagnosis contains no problem.
fn advice(kind: ProviderErrorKind, operation: ProviderOperation) -> Option<&'static str> {
    if kind == ProviderErrorKind::InvalidGrant {
        return Some(if operation == ProviderOperation::Exchange {
            "the provider did not accept the code: it is used, expired, or issued for another redirect URI or client"
        } else {
            "the provider does not accept the refresh token any more; the user must connect again"
        });
    }
    if kind == ProviderErrorKind::NoResponse {
        return Some("the provider reported a failure on its side or did not respond; try again later");
    }
    let is_throttled = matches!(kind, ProviderErrorKind::Throttled { .. });
    is_throttled.then_some("the provider limits the rate of requests; try again later")
}

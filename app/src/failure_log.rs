//! Failures at providers: one log line each, with the correlation id of the request that failed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::connector::ConnectorKey;
use grantry_domain::ports::{Anomaly, ConnectorFailure, Detached, FailureLog, Spawner, StoreError};
use grantry_http_axum::{current_correlation_id, with_current_correlation_id};
use tracing::warn;

/// Writes to the log of the process.
pub(crate) struct TracingFailureLog;

impl FailureLog for TracingFailureLog {
    fn correlation_id(&self) -> Option<String> {
        current_correlation_id()
    }

    fn failure(&self, connector: &ConnectorKey, failure: &ConnectorFailure) {
        // Ids, host and error code are the only untrusted text here. The log format escapes them.
        warn!(
            target: "grantry",
            correlation_id = failure.correlation_id,
            space = %connector.space,
            connector = %connector.id,
            operation = failure.operation.as_str(),
            code = failure.code.as_str(),
            endpoint_host = failure.endpoint_host,
            http_status = failure.http_status,
            oauth_error = failure.oauth_error,
            hint = failure.hint,
            "a request to a provider failed",
        );
    }

    fn anomalies(&self, connector: &ConnectorKey, anomalies: &[Anomaly]) {
        let anomalies: Vec<String> = anomalies.iter().map(ToString::to_string).collect();
        warn!(
            target: "grantry",
            correlation_id = current_correlation_id(),
            space = %connector.space,
            connector = %connector.id,
            anomalies = anomalies.join(" "),
            "a token response deviates from the protocol and was used",
        );
    }

    fn not_stored(&self, connector: &ConnectorKey, error: &StoreError) {
        warn!(
            target: "grantry",
            space = %connector.space,
            connector = %connector.id,
            %error,
            "the diagnostics of a connector could not be stored",
        );
    }
}

/// Detached work keeps the correlation id of the request that starts it.
pub(crate) struct CorrelatedSpawner(Arc<dyn Spawner>);

impl CorrelatedSpawner {
    pub(crate) fn new(spawner: Arc<dyn Spawner>) -> Self {
        Self(spawner)
    }
}

#[async_trait]
impl Spawner for CorrelatedSpawner {
    fn spawn(&self, work: Detached) {
        self.0.spawn(Box::pin(with_current_correlation_id(work)));
    }

    async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }
}

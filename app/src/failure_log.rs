//! Failures at providers: one log line each, with the correlation id of the request that failed, and a bound on repetitions.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::connector::ConnectorKey;
use grantry_domain::ports::{Anomaly, ConnectorFailure, Detached, FailureLog, Spawner, StoreError};
use grantry_http_axum::{current_correlation_id, with_current_correlation_id};
use tracing::warn;

use crate::log_limit::{Admitted, LogLimit};

/// The most lines in a minute of one connector with one code.
const LINES_OF_CODE: usize = 10;

/// Writes to the log of the process.
pub(crate) struct TracingFailureLog {
    lines: LogLimit<(ConnectorKey, &'static str)>,
}

impl Default for TracingFailureLog {
    fn default() -> Self {
        Self { lines: LogLimit::new(LINES_OF_CODE) }
    }
}

impl FailureLog for TracingFailureLog {
    fn correlation_id(&self) -> Option<String> {
        current_correlation_id()
    }

    fn failure(&self, connector: &ConnectorKey, failure: &ConnectorFailure) {
        let code = failure.code.as_str();
        let Some(Admitted { suppressed }) = self.lines.admit((connector.clone(), code)) else { return };
        // Ids, host and error code are the only untrusted text here. The log format escapes them.
        warn!(
            target: "grantry",
            correlation_id = failure.correlation_id,
            space = %connector.space,
            connector = %connector.id,
            operation = failure.operation.as_str(),
            code,
            endpoint_host = failure.endpoint_host,
            http_status = failure.http_status,
            oauth_error = failure.oauth_error,
            hint = failure.hint,
            suppressed,
            "a request to a provider failed",
        );
    }

    fn anomalies(&self, connector: &ConnectorKey, anomalies: &[Anomaly]) {
        let Some(Admitted { suppressed }) = self.lines.admit((connector.clone(), "anomalies")) else { return };
        let anomalies: Vec<String> = anomalies.iter().map(ToString::to_string).collect();
        warn!(
            target: "grantry",
            correlation_id = current_correlation_id(),
            space = %connector.space,
            connector = %connector.id,
            anomalies = anomalies.join(" "),
            suppressed,
            "a token response deviates from the protocol and was used",
        );
    }

    fn not_stored(&self, connector: &ConnectorKey, error: &StoreError) {
        let Some(Admitted { suppressed }) = self.lines.admit((connector.clone(), "not_stored")) else { return };
        warn!(
            target: "grantry",
            space = %connector.space,
            connector = %connector.id,
            %error,
            suppressed,
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use grantry_domain::connector::ConnectorId;
    use grantry_domain::identity::SpaceId;
    use grantry_domain::ports::{AuditOutcome, ProviderOperation};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::log_limit::CountedLines;

    #[test]
    fn r81_repeated_failures_are_ten_lines_a_minute_of_a_connector_and_code() {
        let log = TracingFailureLog::default();
        let connector = |id: &str| ConnectorKey { space: SpaceId::default_space(), id: ConnectorId::new(id).unwrap() };
        let failure = |code| ConnectorFailure {
            operation: ProviderOperation::Refresh,
            code,
            http_status: None,
            oauth_error: None,
            endpoint_host: None,
            hint: None,
            correlation_id: None,
        };
        let lines = |work: &dyn Fn()| {
            let count = Arc::<AtomicUsize>::default();
            let subscriber = tracing_subscriber::registry().with(CountedLines(count.clone()));
            tracing::subscriber::with_default(subscriber, || (0..1000).for_each(|_| work()));
            count.load(Ordering::Relaxed)
        };
        let (drive, mail) = (connector("drive"), connector("mail"));
        let refused = failure(AuditOutcome::ClientRefused);
        assert_eq!(lines(&|| log.failure(&drive, &refused)), LINES_OF_CODE);
        assert_eq!(lines(&|| log.failure(&mail, &refused)), LINES_OF_CODE, "another connector");
        assert_eq!(lines(&|| log.failure(&drive, &failure(AuditOutcome::StoreUnavailable))), LINES_OF_CODE, "another code");
        assert_eq!(lines(&|| log.anomalies(&drive, &[])), LINES_OF_CODE);
        assert_eq!(lines(&|| log.not_stored(&drive, &StoreError::Unavailable)), LINES_OF_CODE);
    }
}

//! What the store contains about failed requests of one connector: whether the provider refuses its client, the last
//! failure, and deviations of its responses.

use grantry_domain::connector::Connector;
use grantry_domain::ports::{Anomaly, ConnectorDiagnostics, ConnectorFailure};
use grantry_domain::time::Timestamp;

use crate::app::App;
use crate::audit::rfc3339;
use crate::check::{Finding, Status, finding};

/// One finding for each kind of which there is something in the store.
pub(super) async fn check(app: &App, subject: &str, connector: &Connector) -> Vec<Finding> {
    let stored = match ConnectorDiagnostics::diagnostics(&*app.store().ports, connector.incarnation).await {
        Ok(stored) => stored,
        Err(error) => return vec![finding(subject, Status::Failed, error.to_string())],
    };
    let refused = stored.client_refused_since(connector.revision).map(refusal);
    let failure = stored.last_failure.map(|(failure, at)| last_failure(&failure, at));
    let anomalies = (!stored.anomalies.is_empty()).then(|| deviations(&stored.anomalies));
    [(Status::Failed, refused), (Status::Warning, failure), (Status::Info, anomalies)]
        .into_iter()
        .filter_map(|(status, message)| Some(finding(subject, status, message?)))
        .collect()
}

fn refusal(since: Timestamp) -> String {
    format!(
        "the provider has refused the client since {}; correct the client id and the client secret here or at the provider",
        rfc3339(since)
    )
}

fn last_failure(failure: &ConnectorFailure, at: Timestamp) -> String {
    let facts = [
        ("code", Some(failure.code.as_str().to_owned())),
        ("host", failure.endpoint_host.clone()),
        ("HTTP status", failure.http_status.map(|status| status.to_string())),
        ("OAuth error", failure.oauth_error.clone()),
        ("correlation id", failure.correlation_id.clone()),
    ];
    let facts: String =
        facts.into_iter().filter_map(|(name, value)| value.map(|value| format!(", {name} {value}"))).collect();
    let hint = failure.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("the last failure was at {}: {}{facts}{hint}", rfc3339(at), failure.operation)
}

fn deviations(anomalies: &[(Anomaly, Timestamp)]) -> String {
    let each: Vec<String> = anomalies.iter().map(|(anomaly, at)| format!("{anomaly} ({})", rfc3339(*at))).collect();
    format!("members of responses deviated from the protocol and were interpreted or ignored: {}", each.join(", "))
}

//! Checks one connector: its settings are complete, its endpoints are allowed, their hosts resolve to allowed addresses, and
//! what is stored about its failed requests.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use grantry_domain::connector::Connector;
use grantry_domain::provider::{ProviderSettings, ProviderSnapshot};
use grantry_domain::usecase::ConnectorView;

use crate::app::App;
use crate::check::{Finding, Status, diagnostics, finding};

/// The deadline of a name look-up.
const LOOKUP_DEADLINE: Duration = Duration::from_secs(5);

/// The finding about the settings, then those about failed requests.
pub(super) async fn check(app: &App, connector: Connector) -> Vec<Finding> {
    let subject = format!("{}/{}", connector.key.space, connector.key.id);
    let requests = diagnostics::check(app, &subject, &connector).await;
    let mut findings = vec![settings(app, &subject, connector).await];
    findings.extend(requests);
    findings
}

async fn settings(app: &App, subject: &str, connector: Connector) -> Finding {
    let view = app.connections().describe(connector);
    let settings = match &view.settings {
        Ok(settings) => &settings.provider,
        Err(invalid) => return finding(subject, Status::Failed, invalid.to_string()),
    };
    match endpoints(app, &view, settings).await {
        Ok(hosts) => complete(subject, &view, settings, &hosts),
        Err(message) => finding(subject, Status::Failed, message),
    }
}

fn complete(subject: &str, view: &ConnectorView, settings: &ProviderSettings, hosts: &str) -> Finding {
    if let Some(missing) = &settings.missing {
        return finding(subject, Status::Warning, format!("{missing} is not set yet"));
    }
    if view.is_missing_secrets {
        return finding(subject, Status::Warning, "the client id or the client secret is not set yet");
    }
    finding(subject, Status::Ok, format!("endpoints at {hosts}; redirect URI {}", redirect_uri(view)))
}

/// It is absent only where the settings are as well.
fn redirect_uri(view: &ConnectorView) -> &str {
    view.redirect_uri.as_deref().unwrap_or_default()
}

/// Resolves the endpoints, by discovery if the connector has an issuer, and looks up every host. Returns their names.
async fn endpoints(app: &App, view: &ConnectorView, settings: &ProviderSettings) -> Result<String, String> {
    let resolving = app.inspection.provider.resolve(settings, redirect_uri(view), &view.connector.config.settings);
    let provider = resolving.await.map_err(|error| match &error.diagnosis.problem {
        Some(problem) => format!("{error}: {problem}"),
        None => error.to_string(),
    })?;
    let mut hosts = BTreeMap::new();
    for url in urls(&provider, settings.base_url.as_deref().unwrap_or_default()) {
        let allowed = app.inspection.egress.check(url).map_err(|refused| format!("an endpoint {refused}"))?;
        let port = allowed.as_url().port_or_known_default().unwrap_or(443);
        hosts.insert(format!("{}:{port}", allowed.host()), allowed.address_scope());
    }
    for (target, scope) in &hosts {
        let addresses = resolve(target).await.map_err(|()| format!("{target} cannot be resolved"))?;
        if let Some(refused) = addresses.iter().find(|address| !scope.allows(address.ip())) {
            return Err(format!(
                "{target} resolves to {}, which is not allowed; add it to `egress.allow` if it is intended",
                refused.ip()
            ));
        }
    }
    Ok(hosts.into_keys().collect::<Vec<_>>().join(", "))
}

fn urls<'a>(provider: &'a ProviderSnapshot, base_url: &'a str) -> impl Iterator<Item = &'a str> {
    let endpoints = &provider.endpoints;
    let optional = [&endpoints.revocation, &endpoints.userinfo, &endpoints.jwks];
    [endpoints.authorization.as_str(), &endpoints.token, base_url]
        .into_iter()
        .chain(optional.into_iter().filter_map(Option::as_deref))
        .filter(|url| !url.is_empty())
}

/// The addresses of a host and port.
pub(super) async fn resolve(target: &str) -> Result<Vec<SocketAddr>, ()> {
    let found = tokio::time::timeout(LOOKUP_DEADLINE, tokio::net::lookup_host(target)).await;
    let addresses: Vec<SocketAddr> = found.map_err(drop)?.map_err(drop)?.collect();
    if addresses.is_empty() { Err(()) } else { Ok(addresses) }
}

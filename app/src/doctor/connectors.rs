//! One connector: is it complete, are its endpoints allowed, and do their names lead somewhere that may be called?

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use grantry_domain::connector::Connector;
use grantry_domain::provider::{ProviderSettings, ProviderSnapshot};
use grantry_domain::usecase::ConnectorView;

use crate::compose::Assembly;
use crate::doctor::{Finding, Status, finding};

/// How long a name may take.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn examine(assembly: &Assembly, connector: Connector) -> Finding {
    let subject = format!("{}/{}", connector.key.space, connector.key.id);
    let view = assembly.connections.described(connector);
    let settings = match &view.settings {
        Ok(settings) => settings,
        Err(invalid) => return finding(&subject, Status::Failed, invalid.to_string()),
    };
    match endpoints(assembly, &view, settings).await {
        Ok(hosts) => complete(&subject, &view, settings, &hosts),
        Err(says) => finding(&subject, Status::Failed, says),
    }
}

fn complete(subject: &str, view: &ConnectorView, settings: &ProviderSettings, hosts: &str) -> Finding {
    if let Some(missing) = &settings.missing {
        return finding(subject, Status::Warning, format!("{missing} is not set yet"));
    }
    if view.is_missing_secrets {
        return finding(subject, Status::Warning, "client id or client secret is not entered yet");
    }
    if !view.connector.enabled {
        return finding(subject, Status::Warning, "is disabled");
    }
    finding(subject, Status::Ok, format!("endpoints at {hosts}; redirect URI {}", view.redirect_uri))
}

/// Settles the endpoints, by discovery where there is an issuer, and looks every host up. Answers their names.
async fn endpoints(assembly: &Assembly, view: &ConnectorView, settings: &ProviderSettings) -> Result<String, String> {
    let resolving =
        assembly.connections.ports().provider.resolve(settings, &view.redirect_uri, &view.connector.config.settings);
    let provider = resolving.await.map_err(|error| error.to_string())?;
    let mut hosts = BTreeMap::new();
    for url in urls(&provider, &settings.base_url) {
        let allowed = assembly.profiles.policy().check(url).map_err(|refused| format!("an endpoint {refused}"))?;
        let port = allowed.as_url().port_or_known_default().unwrap_or(443);
        hosts.insert(format!("{}:{port}", allowed.host()), allowed.address_scope());
    }
    for (target, scope) in &hosts {
        let addresses = resolve(target).await.map_err(|()| format!("{target} has no address"))?;
        if let Some(refused) = addresses.iter().find(|address| !scope.allows(address.ip())) {
            return Err(format!(
                "{target} leads to {}, which is not allowed; list it under [egress] allow if it is meant",
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
    let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host(target)).await;
    let addresses: Vec<SocketAddr> = found.map_err(drop)?.map_err(drop)?.collect();
    if addresses.is_empty() { Err(()) } else { Ok(addresses) }
}

//! Information that is shown to a user before the redirect to a provider.

use std::collections::BTreeSet;

use grantry_domain::connector::ConnectorKey;
use grantry_domain::provider::{EndpointSource, Endpoints, ProviderSettings};
use grantry_domain::usecase::{AuthenticSettings, Consent, ConsentVersion, StartError};
use serde::Serialize;
use url::{Host, Url};
use utoipa::ToSchema;

use crate::extract::User;
use crate::origin::origin_in_normal_form;
use crate::problem::{Code, Problem};
use crate::state::App;

/// The provider of a flow, and every host that receives something of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ConsentFacts {
    /// Changes with the scopes and with everything that decides who receives something: `consentVersion` of a start.
    pub(crate) version: String,
    /// Host of the provider that will ask for consent: the log-in host.
    pub(crate) provider_host: String,
    /// Scopes that will be requested.
    pub(crate) scopes: Vec<String>,
    /// Hosts of the API that tokens may be sent to; `*.example.com` stands for the hosts at or below a domain: the provider names
    /// one of them at the consent.
    pub(crate) destination_hosts: Vec<String>,
    /// Every host that receives something, the log-in host first.
    pub(crate) receivers: Vec<Receiver>,
    /// Whether the operator has approved the provider. If not, a warning is due.
    pub(crate) approved: bool,
}

/// A host, and what it receives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Receiver {
    /// Host, with a port that is not the default; `*.example.com` for the hosts at or below a domain.
    pub(crate) host: String,
    /// What it receives.
    pub(crate) receives: Vec<Received>,
    /// Whether it is not of the site of the log-in host, so that a warning is due. The site is the log-in host without its
    /// first label, and all hosts below; the log-in host itself where the rest could be a public suffix.
    pub(crate) other_site: bool,
}

/// What a host receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Received {
    /// The log-in and the consent of the user.
    LogIn,
    /// It is the issuer: its metadata names the hosts for log-in, code and tokens. Not in the response of `getConsent`, which
    /// has read the metadata.
    Metadata,
    /// The client credentials and the authorization code, and the refresh token where no other host is named for it.
    CodeAndTokens,
    /// The client credentials and the refresh token.
    Refresh,
    /// The access token, in the request for the account.
    Userinfo,
    /// Tokens that are to end.
    Revocation,
    /// The access token, in calls of the API.
    Api,
}

impl ConsentFacts {
    /// The hosts that are not of the site of the log-in host.
    pub(crate) fn hosts_of_other_sites(&self) -> Vec<&str> {
        self.receivers.iter().filter(|receiver| receiver.other_site).map(|receiver| receiver.host.as_str()).collect()
    }

    /// The facts that the settings alone give. With an issuer, they lack the hosts that its metadata names.
    pub(crate) fn of_settings(settings: &AuthenticSettings) -> Self {
        let provider = &settings.provider;
        Self::of(provider, provider.endpoints.as_ref(), settings.consent)
    }

    fn of(settings: &ProviderSettings, endpoints: Option<&Endpoints>, version: ConsentVersion) -> Self {
        let authorization = endpoints.map(|endpoints| endpoints.authorization.as_str());
        let hosts = settings.destinations.iter().map(|origin| host_of(origin.as_str()));
        let destinations: BTreeSet<String> = hosts.chain(settings.api_domains.iter().map(|domain| below(domain))).collect();
        Self {
            version: version.to_text(),
            provider_host: authorization.or(settings.issuer.as_deref()).map(host_of).unwrap_or_default(),
            scopes: settings.requested_scopes.iter().map(str::to_owned).collect(),
            destination_hosts: destinations.into_iter().collect(),
            receivers: receivers(settings, endpoints),
            approved: settings.endpoint_source == EndpointSource::Operator,
        }
    }
}

impl From<&Consent> for ConsentFacts {
    fn from(consent: &Consent) -> Self {
        Self::of(&consent.settings, Some(&consent.endpoints), consent.version)
    }
}

/// What the confirm and launch pages show.
pub(crate) struct ConsentSummary {
    pub(crate) name: String,
    pub(crate) space: String,
    pub(crate) owner: String,
    pub(crate) facts: ConsentFacts,
}

impl ConsentSummary {
    pub(crate) async fn of(app: &App, user: &User, key: &ConnectorKey) -> Result<Self, Problem> {
        let consent = consent_of(app, user, key).await?;
        let described = app.api.users.describe(&user.id).await?.ok_or_else(|| Problem::new(Code::NotSignedIn))?;
        let space = described.spaces.into_iter().find(|space| space.id == key.space).and_then(|space| space.name);
        Ok(Self {
            name: consent.connector.name.as_str().to_owned(),
            space: space.unwrap_or_else(|| key.space.as_str().to_owned()),
            owner: described.display_name.or(described.username).unwrap_or_else(|| user.id.as_str().to_owned()),
            facts: ConsentFacts::from(&consent),
        })
    }
}

/// What a flow of a connector would use. The request is valid even if the settings of the connector are not.
pub(crate) async fn consent_of(app: &App, user: &User, key: &ConnectorKey) -> Result<Consent, Problem> {
    let read = app.api.connections.consent(&user.actor(), key).await;
    read.map_err(|error| {
        let is_invalid = matches!(&error, StartError::Config(invalid) if !invalid.host_not_allowed);
        if is_invalid { Problem::new(Code::ProviderMisconfigured) } else { error.into() }
    })
}

/// What each URL of the settings receives, by host, and the hosts that are known at the consent only.
fn receivers(settings: &ProviderSettings, endpoints: Option<&Endpoints>) -> Vec<Receiver> {
    let mut urls: Vec<(Received, &str)> = Vec::new();
    match endpoints {
        Some(endpoints) => {
            urls.push((Received::LogIn, &endpoints.authorization));
            urls.push((Received::CodeAndTokens, &endpoints.token));
            let refresh = endpoints.refresh.as_deref().filter(|url| host_of(url) != host_of(&endpoints.token));
            urls.extend(refresh.map(|url| (Received::Refresh, url)));
            urls.extend(endpoints.userinfo.as_deref().map(|url| (Received::Userinfo, url)));
            urls.extend(endpoints.revocation.as_deref().map(|url| (Received::Revocation, url)));
        }
        None => urls.extend(settings.issuer.as_deref().map(|url| (Received::Metadata, url))),
    }
    urls.extend(settings.destinations.iter().map(|origin| (Received::Api, origin.as_str())));
    let log_in = urls.first().map(|(_, url)| *url).unwrap_or_default();
    let mut receivers: Vec<Receiver> = Vec::new();
    for (received, url) in urls {
        let host = host_of(url);
        match receivers.iter_mut().find(|receiver| receiver.host == host) {
            Some(receiver) if receiver.receives.contains(&received) => {}
            Some(receiver) => receiver.receives.push(received),
            None => receivers.push(Receiver { host, receives: vec![received], other_site: !is_same_site(log_in, url) }),
        }
    }
    receivers.extend(settings.api_domains.iter().map(|domain| Receiver {
        host: below(domain),
        receives: vec![Received::Api],
        // The log-in host of an account, such as `acme.my.example.com`, can be below the domain as well.
        other_site: !is_same_site(log_in, &format!("https://{domain}")) && !is_below(&host_of(log_in), domain),
    }));
    receivers
}

/// Whether a host is at or below a domain.
fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The hosts at or below a domain, for display.
fn below(domain: &str) -> String {
    format!("*.{domain}")
}

/// Whether the host of a URL is of the site of the log-in host. Without the list of public suffixes this is an approximation:
/// two customers of a hosting service below the same domain count as one site.
fn is_same_site(log_in: &str, url: &str) -> bool {
    let (Ok(log_in), Ok(url)) = (Url::parse(log_in), Url::parse(url)) else { return false };
    match (log_in.host(), url.host()) {
        (Some(Host::Domain(log_in)), Some(Host::Domain(host))) => {
            let site = site_of(log_in);
            host == log_in || host == site || host.strip_suffix(site).is_some_and(|rest| rest.ends_with('.'))
        }
        (log_in, host) => log_in == host,
    }
}

/// Labels of more than three letters below a country code that are public suffixes.
const LONG_SUFFIXES: [&str; 8] = ["asso", "firm", "gouv", "govt", "info", "muni", "name", "school"];

/// The domain without its first label. The domain itself, if the rest has one label or looks like `co.uk`: a short label, or
/// one of [`LONG_SUFFIXES`], below a country code.
fn site_of(domain: &str) -> &str {
    let parent = domain.split_once('.').map_or("", |(_, parent)| parent);
    let labels: Vec<&str> = parent.split('.').collect();
    match labels.as_slice() {
        [_] | [.., ""] => domain,
        [name, country] if country.len() == 2 && (name.len() <= 3 || LONG_SUFFIXES.contains(name)) => domain,
        _ => parent,
    }
}

/// Host and port of a URL, for display.
fn host_of(url: &str) -> String {
    if let Some(host) = host_in_normal_form(url) {
        return host.to_owned();
    }
    let Ok(url) = Url::parse(url) else { return String::new() };
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => String::new(),
    }
}

/// Host and port of a URL in the form that parsing would give them; `None` for other texts. Stored URLs are normalised, and a list
/// of connectors shows several hosts of each.
fn host_in_normal_form(url: &str) -> Option<&str> {
    let end = url.match_indices('/').nth(2).map_or(url.len(), |(end, _)| end);
    let origin = origin_in_normal_form(url.get(..end)?)?;
    let scheme = origin.as_str().find("://")?;
    url.get(scheme + "://".len()..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_normalised_url_is_recognised() {
        for (url, host) in [
            ("https://login.example.com", "login.example.com"),
            ("https://login.example.com/authorize?a=https://b@c", "login.example.com"),
            ("http://127.0.0.1:8081/", "127.0.0.1:8081"),
        ] {
            assert_eq!(host_in_normal_form(url), Some(host));
            assert_eq!(host_of(url), host);
        }
        for (url, host) in [
            ("https://user@login.example.com/", "login.example.com"),
            ("https://Login.example.com?a/b/c", "login.example.com"),
            ("https://login.example.com?a", "login.example.com"),
            ("https://[::1]:81/", "[::1]:81"),
            ("", ""),
            ("///", ""),
        ] {
            assert_eq!(host_in_normal_form(url), None, "{url}");
            assert_eq!(host_of(url), host);
        }
    }

    #[test]
    fn r19_hosts_of_another_site_are_recognised() {
        for (log_in, host, expected) in [
            ("github.com", "github.com", true),
            ("github.com", "api.github.com", true),
            ("github.com", "agithub.com", false),
            ("github.com", "github.com.evil.example", false),
            ("github.com", "gitlab.com", false),
            ("github.com", "com", false),
            ("login.honest.example", "api.honest.example", true),
            ("login.honest.example", "honest.example", true),
            ("login.honest.example", "a.b.honest.example", true),
            ("login.honest.example", "login.dishonest.example", false),
            ("login.honest.example", "example", false),
            ("honest.co.uk", "evil.co.uk", false),
            ("honest.govt.nz", "evil.govt.nz", false),
            ("honest.co.uk", "api.honest.co.uk", true),
            ("login.honest.co.uk", "api.honest.co.uk", true),
            ("honest.example.", "evil.example.", false),
            ("login.honest.example.", "evil.example.", false),
            ("localhost", "evil.localhost", true),
            ("localhost", "example", false),
            ("127.0.0.1:8080", "127.0.0.1:9090", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("10.1.0.1", "10.2.0.1", false),
            ("[::1]", "[::2]", false),
            ("127.0.0.1", "localhost", false),
        ] {
            let url = |host: &str| format!("https://{host}/x");
            assert_eq!(is_same_site(&url(log_in), &url(host)), expected, "{log_in} {host}");
        }
        assert!(!is_same_site("", "https://as.example"), "nothing is of the site of an unknown host");
    }
}

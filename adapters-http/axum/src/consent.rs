//! What a person should know before leaving for a provider (R19).

use std::collections::BTreeSet;

use grantry_domain::provider::{CallbackPath, ProviderSettings};
use serde::Serialize;
use utoipa::ToSchema;

/// Where a flow leads, and where its tokens may go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ConsentFacts {
    /// Host of the provider that will ask for consent.
    pub(crate) provider_host: String,
    /// Scopes that will be asked for.
    pub(crate) scopes: Vec<String>,
    /// Hosts the tokens may be sent to.
    pub(crate) destination_hosts: Vec<String>,
    /// Whether the provider is one the operator has approved. If not, a warning is due.
    pub(crate) approved: bool,
}

impl ConsentFacts {
    pub(crate) fn of(settings: &ProviderSettings) -> Self {
        let authorization = settings.endpoints.as_ref().map(|endpoints| endpoints.authorization.as_str());
        let destinations: BTreeSet<String> = settings.destinations.iter().map(|origin| host_of(origin.as_str())).collect();
        Self {
            provider_host: authorization.or(settings.issuer.as_deref()).map(host_of).unwrap_or_default(),
            scopes: settings.requested_scopes.iter().map(str::to_owned).collect(),
            destination_hosts: destinations.into_iter().collect(),
            // Whatever has its own callback can be pointed at any host; so can an issuer that somebody wrote down.
            approved: settings.callback == CallbackPath::Shared && settings.profile.as_str() != ".oauth2",
        }
    }
}

/// Host and port of a URL, for people.
fn host_of(url: &str) -> String {
    let Ok(url) = url::Url::parse(url) else { return String::new() };
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => String::new(),
    }
}

//! Information that is shown to a user before the redirect to a provider.

use std::collections::BTreeSet;

use grantry_domain::connector::ConnectorKey;
use grantry_domain::provider::{EndpointSource, ProviderSettings};
use grantry_domain::usecase::UnusableConnector;
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::User;
use crate::problem::{Code, Problem};
use crate::state::App;

/// The provider of a flow, and where its tokens may be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ConsentFacts {
    /// Host of the provider that will ask for consent.
    pub(crate) provider_host: String,
    /// Scopes that will be requested.
    pub(crate) scopes: Vec<String>,
    /// Hosts that tokens may be sent to.
    pub(crate) destination_hosts: Vec<String>,
    /// Whether the operator has approved the provider. If not, a warning is due.
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
            approved: settings.endpoint_source == EndpointSource::Operator,
        }
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
        app.api.connections.may_start(&user.actor()).await?;
        let view = app.api.connections.connector(&user.actor(), key).await?;
        let settings = view.settings.as_ref().map_err(|unusable| match unusable {
            UnusableConnector::Config(_) => Problem::new(Code::ProviderMisconfigured),
            UnusableConnector::Tampered(tampered) => Problem::new(Code::of(tampered.code())),
        })?;
        let described = app.api.users.describe(&user.id).await?.ok_or_else(|| Problem::new(Code::NotSignedIn))?;
        let space = described.spaces.into_iter().find(|space| space.id == key.space).and_then(|space| space.name);
        Ok(Self {
            name: view.connector.name.as_str().to_owned(),
            space: space.unwrap_or_else(|| key.space.as_str().to_owned()),
            owner: described.display_name.or(described.username).unwrap_or_else(|| user.id.as_str().to_owned()),
            facts: ConsentFacts::of(settings),
        })
    }
}

/// Host and port of a URL, for display.
fn host_of(url: &str) -> String {
    let Ok(url) = url::Url::parse(url) else { return String::new() };
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => String::new(),
    }
}

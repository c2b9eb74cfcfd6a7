//! What the confirm and launch pages show before anybody leaves for a provider (R19).

use grantry_domain::connector::ConnectorKey;

use crate::consent::ConsentFacts;
use crate::extract::Person;
use crate::problem::{Code, Problem};
use crate::state::App;

/// Connector, space, owner, provider, scopes, destinations.
pub(super) struct Facts {
    pub(super) name: String,
    pub(super) space: String,
    pub(super) owner: String,
    pub(super) provider_host: String,
    pub(super) scopes: Vec<String>,
    pub(super) destination_hosts: Vec<String>,
    pub(super) approved: bool,
}

impl Facts {
    pub(super) async fn of(app: &App, person: &Person, key: &ConnectorKey) -> Result<Self, Problem> {
        let view = app.api.connections.connector(&person.actor(), key).await?;
        let Ok(settings) = &view.settings else { return Err(Problem::new(Code::ProviderMisconfigured)) };
        let ConsentFacts { provider_host, scopes, destination_hosts, approved } = ConsentFacts::of(settings);
        let described = app.api.people.describe(&person.user).await?.ok_or_else(|| Problem::new(Code::NotSignedIn))?;
        let space = described.spaces.into_iter().find(|space| space.id == key.space).and_then(|space| space.name);
        Ok(Self {
            name: view.connector.name.as_str().to_owned(),
            space: space.unwrap_or_else(|| key.space.as_str().to_owned()),
            owner: described.display_name.or(described.username).unwrap_or_else(|| person.user.as_str().to_owned()),
            provider_host,
            scopes,
            destination_hosts,
            approved,
        })
    }
}

//! What a user is asked to consent to before a flow starts.

use crate::connector::{Connector, ConnectorKey};
use crate::identity::{Actor, Role};
use crate::ports::Operation;
use crate::provider::{Endpoints, ProviderSettings};
use crate::usecase::consent_version::ConsentVersion;
use crate::usecase::flows::Flows;
use crate::usecase::start::StartError;

/// What a flow of a connector would use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// The connector.
    pub connector: Connector,
    /// Its settings.
    pub settings: ProviderSettings,
    /// The endpoints: those of the settings, or those that the issuer's metadata names.
    pub endpoints: Endpoints,
    /// The version, for [`StartRequest::shown`](super::StartRequest::shown).
    pub version: ConsentVersion,
}

impl Flows {
    /// Refuses users and modes that a start refuses. With an issuer, its metadata is read as in a start.
    pub(super) async fn consent(&self, actor: &Actor, key: &ConnectorKey) -> Result<Consent, StartError> {
        let user = self.access.authorize_user(actor, &key.space, Role::Viewer).await?;
        self.refuse_deprovisioned(user).await?;
        let (connector, read) = self.per_user_connector(key).await?;
        let settings = &read.provider;
        self.limit_user(user, if settings.endpoints.is_some() { Operation::Status } else { Operation::Discovery }).await?;
        let (endpoints, version) = if let Some(endpoints) = &settings.endpoints {
            (endpoints.clone(), read.consent)
        } else {
            let discovered = self.resolve(&connector, settings).await?.endpoints;
            let version = read.consent.with_discovered(&discovered);
            (discovered, version)
        };
        Ok(Consent { settings: settings.clone(), connector, endpoints, version })
    }
}

//! A connector's settings, as every use case reads them.

use std::sync::Arc;

use crate::authorization::RequiredBinding;
use crate::connector::{CallbackId, Connector, ConnectorConfig};
use crate::encoding::sha256;
use crate::ports::{InvalidConfig, ProviderProfiles, Urls};
use crate::provider::{BindingDigest, CallbackPath, ProviderSettings};

/// Parses connector configurations and builds URLs of the host.
#[derive(Clone)]
pub struct ConnectorSettings {
    profiles: Arc<dyn ProviderProfiles>,
    urls: Arc<dyn Urls>,
}

impl ConnectorSettings {
    /// Settings parsed by profiles, with the URLs of a host.
    pub fn new(profiles: Arc<dyn ProviderProfiles>, urls: Arc<dyn Urls>) -> Self {
        Self { profiles, urls }
    }

    /// The settings of a configuration and their binding digest.
    pub fn parse(&self, config: &ConnectorConfig) -> Result<(ProviderSettings, BindingDigest), InvalidConfig> {
        let settings = self.profiles.settings(config)?;
        let digest = BindingDigest(sha256(&settings.binding_bytes()));
        Ok((settings, digest))
    }

    /// The settings of a connector and their binding digest.
    pub fn of(&self, connector: &Connector) -> Result<(ProviderSettings, BindingDigest), InvalidConfig> {
        self.parse(&connector.config)
    }

    /// What a connector requires of a grant.
    pub fn required_binding(&self, connector: &Connector) -> Result<RequiredBinding, InvalidConfig> {
        let (settings, digest) = self.of(connector)?;
        Ok(RequiredBinding { digest, required_scopes: settings.required_scopes, expected_scopes: settings.expected_scopes })
    }

    /// The URL of a callback with this id in its path, or of the shared callback.
    pub fn callback_url(&self, callback_id: Option<CallbackId>) -> String {
        match callback_id {
            None => self.urls.shared_callback(),
            Some(id) => self.urls.connector_callback(id),
        }
    }

    /// The redirect URI to register at the provider (RFC 6749 §3.1.2).
    pub fn redirect_uri(&self, connector: &Connector, callback: CallbackPath) -> String {
        self.callback_url(match callback {
            CallbackPath::Shared => None,
            CallbackPath::PerConnector => Some(connector.callback_id),
        })
    }
}

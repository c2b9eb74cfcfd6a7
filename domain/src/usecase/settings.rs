//! A connector's settings, as every use case reads them.

use std::sync::Arc;

use crate::connector::{Connector, ConnectorConfig};
use crate::encoding::sha256;
use crate::authorization::RequiredBinding;
use crate::ports::{InvalidConfig, ProviderProfiles, Urls};
use crate::provider::{BindingDigest, CallbackPath, ProviderSettings};

/// Parses connector configurations and knows the URLs of the host.
#[derive(Clone)]
pub(crate) struct ConnectorSettings {
    profiles: Arc<dyn ProviderProfiles>,
    urls: Arc<dyn Urls>,
}

impl ConnectorSettings {
    pub(crate) fn new(profiles: Arc<dyn ProviderProfiles>, urls: Arc<dyn Urls>) -> Self {
        Self { profiles, urls }
    }

    /// The settings of a configuration and their binding digest.
    pub(crate) fn parse(&self, config: &ConnectorConfig) -> Result<(ProviderSettings, BindingDigest), InvalidConfig> {
        let settings = self.profiles.settings(config)?;
        let digest = BindingDigest(sha256(&settings.binding_bytes()));
        Ok((settings, digest))
    }

    /// The settings of a connector and their binding digest.
    pub(crate) fn of(&self, connector: &Connector) -> Result<(ProviderSettings, BindingDigest), InvalidConfig> {
        self.parse(&connector.config)
    }

    /// What a connector requires of a grant; `None` if its configuration cannot be parsed.
    pub(crate) fn required_binding(&self, connector: &Connector) -> Option<RequiredBinding> {
        let (settings, digest) = self.of(connector).ok()?;
        Some(RequiredBinding {
            digest,
            required_scopes: settings.required_scopes,
            requested_scopes: settings.requested_scopes,
        })
    }

    /// The redirect URI to register at the provider (RFC 6749 §3.1.2).
    pub(crate) fn redirect_uri(&self, connector: &Connector, callback: CallbackPath) -> String {
        match callback {
            CallbackPath::Shared => self.urls.shared_callback(),
            CallbackPath::PerConnector => self.urls.connector_callback(connector.callback_id),
        }
    }
}

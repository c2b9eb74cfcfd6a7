//! A connector's settings, as every use case reads them: only after its row was authenticated.

use std::sync::Arc;

use thiserror::Error;

use crate::authorization::RequiredBinding;
use crate::connector::{AuthMode, Connector, ConnectorConfig};
use crate::encoding::sha256;
use crate::ports::{
    AuditEvent, AuditKind, AuthenticatedRow, Clock, InvalidConfig, ProviderProfiles, RowAuthenticator, RowTag, Urls,
    VaultError,
};
use crate::provider::{BindingDigest, Callback, CallbackPath, ProviderSettings};
use crate::usecase::audit_buffer::AuditBuffer;

/// The row of a connector is not authentic: a writer of the database changed it, or its key is not configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the stored connector is not authentic")]
pub struct ConnectorTampered;

impl ConnectorTampered {
    /// The stable code.
    pub fn code(self) -> &'static str {
        "connector_tampered"
    }
}

/// Why a connector has no settings.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnusableConnector {
    /// The configuration cannot be used; names the field.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// Its row is not authentic.
    #[error(transparent)]
    Tampered(#[from] ConnectorTampered),
}

/// Authenticates connectors, parses their configurations and builds URLs of the host.
#[derive(Clone)]
pub struct ConnectorSettings {
    profiles: Arc<dyn ProviderProfiles>,
    urls: Arc<dyn Urls>,
    rows: Arc<dyn RowAuthenticator>,
    clock: Arc<dyn Clock>,
    audit: AuditBuffer,
}

impl ConnectorSettings {
    /// Settings parsed by profiles, with the URLs of a host. A connector whose row is not authentic leaves an audit event.
    pub fn new(
        profiles: Arc<dyn ProviderProfiles>,
        urls: Arc<dyn Urls>,
        rows: Arc<dyn RowAuthenticator>,
        clock: Arc<dyn Clock>,
        audit: AuditBuffer,
    ) -> Self {
        Self { profiles, urls, rows, clock, audit }
    }

    /// The settings of a configuration that is not stored, and their binding digest.
    pub fn parse(
        &self,
        config: &ConnectorConfig,
        mode: AuthMode,
    ) -> Result<(ProviderSettings, BindingDigest), InvalidConfig> {
        let settings = self.profiles.settings(config)?;
        let digest = BindingDigest(sha256(&settings.binding_bytes(mode)));
        Ok((settings, digest))
    }

    /// The settings of a stored connector and their binding digest, for use. The only way to them, so that no use case can
    /// omit the authentication.
    pub fn of(&self, connector: &Connector) -> Result<(ProviderSettings, BindingDigest), UnusableConnector> {
        if let Err(error) = self.verify(connector) {
            let event = AuditEvent::of_system(AuditKind::ConnectorTampered, self.clock.now()).at_connector(&connector.key);
            self.audit.record(event.outcome(error));
            return Err(ConnectorTampered.into());
        }
        Ok(self.parse(&connector.config, connector.auth_mode)?)
    }

    /// The same for display: without an audit event.
    pub fn read(&self, connector: &Connector) -> Result<(ProviderSettings, BindingDigest), UnusableConnector> {
        self.verify(connector).map_err(|_| ConnectorTampered)?;
        Ok(self.parse(&connector.config, connector.auth_mode)?)
    }

    fn verify(&self, connector: &Connector) -> Result<(), VaultError> {
        self.rows.verify(&AuthenticatedRow::Connector(connector), &connector.tag)
    }

    /// The tag for the row of a connector.
    pub fn tag(&self, connector: &Connector) -> RowTag {
        self.rows.tag(&AuthenticatedRow::Connector(connector))
    }

    /// What a connector requires of a grant, for display; `None` if it cannot be used.
    pub fn required_binding(&self, connector: &Connector) -> Option<RequiredBinding> {
        self.read(connector).ok().map(RequiredBinding::from)
    }

    /// The URL of a callback.
    pub fn callback_url(&self, callback: Callback) -> String {
        match callback {
            Callback::Issuers => self.urls.issuer_callback(),
            Callback::Profiles => self.urls.profile_callback(),
            Callback::Connector(id) => self.urls.connector_callback(id),
        }
    }

    /// The redirect URI to register at the provider (RFC 6749 §3.1.2).
    pub fn redirect_uri(&self, connector: &Connector, callback: CallbackPath) -> String {
        self.callback_url(match callback {
            CallbackPath::Issuers => Callback::Issuers,
            CallbackPath::Profiles => Callback::Profiles,
            CallbackPath::PerConnector => Callback::Connector(connector.callback_id),
        })
    }
}

impl From<(ProviderSettings, BindingDigest)> for RequiredBinding {
    fn from((settings, digest): (ProviderSettings, BindingDigest)) -> Self {
        Self { digest, required_scopes: settings.required_scopes, expected_scopes: settings.expected_scopes }
    }
}

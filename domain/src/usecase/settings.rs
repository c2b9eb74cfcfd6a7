//! A connector's settings, as every use case reads them: only after its row was authenticated.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use thiserror::Error;

use crate::authorization::RequiredBinding;
use crate::connector::{AuthMode, Connector, ConnectorConfig, ConnectorKey};
use crate::encoding::sha256;
use crate::ports::{
    AuditEvent, AuditKind, AuthenticatedRow, Clock, InvalidConfig, Probe, ProviderProfiles, RowAuthenticator, RowTag, Urls,
    VaultError,
};
use crate::provider::{BindingDigest, Callback, CallbackPath, ProviderSettings};
use crate::usecase::audit_buffer::AuditBuffer;
use crate::usecase::consent_version::ConsentVersion;

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

/// The settings of a connector whose row is authentic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticSettings {
    /// The parsed settings.
    pub provider: ProviderSettings,
    /// What they require of a grant.
    pub required: RequiredBinding,
    /// The version of what a user is shown of them.
    pub consent: ConsentVersion,
    /// A request that succeeds with every valid token, if there is one to a host that may receive tokens.
    pub probe: Option<Probe>,
    /// Whether users try their connections with it. A shared connector has no connections.
    pub can_be_tried: bool,
}

/// For how many connectors the settings are kept.
const KEPT: usize = 1024;

/// The settings of connectors, as they were parsed last: used for a row with an equal tag, which authenticates its configuration
/// and its mode, while the profiles are the same.
#[derive(Clone, Default)]
struct ParsedBefore(Arc<RwLock<HashMap<ConnectorKey, Parsed>>>);

struct Parsed {
    tag: RowTag,
    generation: u64,
    settings: Arc<AuthenticSettings>,
}

impl ParsedBefore {
    fn get(&self, connector: &Connector, generation: u64) -> Option<Arc<AuthenticSettings>> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(&connector.key)?;
        (entry.generation == generation && entry.tag == connector.tag).then(|| entry.settings.clone())
    }

    fn insert(&self, connector: &Connector, generation: u64, settings: &Arc<AuthenticSettings>) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= KEPT && !entries.contains_key(&connector.key) {
            let other = entries.keys().next().cloned();
            other.and_then(|other| entries.remove(&other));
        }
        let parsed = Parsed { tag: connector.tag, generation, settings: settings.clone() };
        entries.insert(connector.key.clone(), parsed);
    }
}

/// Authenticates connectors, parses their configurations and builds URLs of the host.
#[derive(Clone)]
pub struct ConnectorSettings {
    profiles: Arc<dyn ProviderProfiles>,
    urls: Arc<dyn Urls>,
    rows: Arc<dyn RowAuthenticator>,
    clock: Arc<dyn Clock>,
    audit: AuditBuffer,
    parsed_before: ParsedBefore,
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
        Self { profiles, urls, rows, clock, audit, parsed_before: ParsedBefore::default() }
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

    /// The settings of a stored connector, for use. The only way to them, so that no use case can omit the authentication.
    pub fn of(&self, connector: &Connector) -> Result<Arc<AuthenticSettings>, UnusableConnector> {
        self.authenticate_and_parse(connector, |error| {
            let event = AuditEvent::of_system(AuditKind::ConnectorTampered, self.clock.now()).at_connector(&connector.key);
            self.audit.record(event.outcome(error));
        })
    }

    /// The same for display: without an audit event.
    pub fn read(&self, connector: &Connector) -> Result<Arc<AuthenticSettings>, UnusableConnector> {
        self.authenticate_and_parse(connector, |_| ())
    }

    fn authenticate_and_parse(
        &self,
        connector: &Connector,
        on_tampered: impl FnOnce(VaultError),
    ) -> Result<Arc<AuthenticSettings>, UnusableConnector> {
        if let Err(error) = self.rows.verify(&AuthenticatedRow::Connector(connector), &connector.tag) {
            on_tampered(error);
            return Err(ConnectorTampered.into());
        }
        // Read before the settings, so that a change in between is not missed.
        let generation = self.profiles.generation();
        if let Some(settings) = self.parsed_before.get(connector, generation) {
            return Ok(settings);
        }
        let (provider, digest) = self.parse(&connector.config, connector.auth_mode)?;
        let required = RequiredBinding {
            digest,
            required_scopes: provider.required_scopes.clone(),
            expected_scopes: provider.expected_scopes.clone(),
        };
        let consent = ConsentVersion::of_settings(&provider, digest);
        let probe = self.profiles.probe(&connector.config);
        let probe = probe.filter(|probe| provider.destinations.contains(&probe.origin));
        let can_be_tried = connector.auth_mode == AuthMode::PerUser && probe.is_some();
        let settings = Arc::new(AuthenticSettings { provider, required, consent, probe, can_be_tried });
        self.parsed_before.insert(connector, generation, &settings);
        Ok(settings)
    }

    /// The tag for the row of a connector.
    pub fn tag(&self, connector: &Connector) -> RowTag {
        self.rows.tag(&AuthenticatedRow::Connector(connector))
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

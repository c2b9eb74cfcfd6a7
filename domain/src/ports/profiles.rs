//! Parsing a connector's configuration.

use thiserror::Error;

use crate::connector::ConnectorConfig;
use crate::provider::{Origin, ProviderSettings};

/// Turns a configuration into provider settings. Pure computation without requests, cheap enough for every access token.
///
/// ```
/// use grantry_domain::connector::ConnectorConfig;
/// use grantry_domain::ports::ProviderProfiles;
///
/// /// What an editor has to correct, if anything.
/// fn mistake(profiles: &dyn ProviderProfiles, config: &ConnectorConfig) -> Option<String> {
///     profiles.settings(config).err().map(|invalid| format!("{}: {}", invalid.field, invalid.problem))
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait ProviderProfiles: Send + Sync {
    /// Parses a configuration and applies the egress policy to every URL in it; an error names the field.
    fn settings(&self, config: &ConnectorConfig) -> Result<ProviderSettings, InvalidConfig>;

    /// Another number whenever [`settings`](Self::settings) may return something else for an equal configuration than before: what
    /// it returned is kept until then. Always the same for profiles that do not change while the process runs.
    fn generation(&self) -> u64;

    /// The request with which users try their connections, if the provider has one. Of a configuration whose
    /// [`settings`](Self::settings) can be used.
    fn probe(&self, config: &ConnectorConfig) -> Option<Probe>;
}

/// A GET that succeeds with every valid token, and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The URL, which the egress policy allows.
    pub url: String,
    /// Its origin.
    pub origin: Origin,
    /// Header fields that the provider requires.
    pub headers: Vec<(String, String)>,
}

/// A configuration that cannot be used. Names the field and never contains its value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
pub struct InvalidConfig {
    /// Path of the field, such as `config.tokenUrl`.
    pub field: String,
    /// What is wrong with it, for display.
    pub problem: String,
    /// Whether the operator does not allow the host of a URL (`host_not_allowed`).
    pub host_not_allowed: bool,
}

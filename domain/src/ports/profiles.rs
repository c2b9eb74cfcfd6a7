//! Parsing a connector's configuration.

use thiserror::Error;

use crate::connector::ConnectorConfig;
use crate::provider::ProviderSettings;

/// Turns a configuration into provider settings. Pure computation without requests, cheap enough for every access token.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait ProviderProfiles: Send + Sync {
    /// Parses a configuration and applies the egress policy to every URL in it; an error names the field.
    fn settings(&self, config: &ConnectorConfig) -> Result<ProviderSettings, InvalidConfig>;

    /// Another number whenever [`settings`](Self::settings) may return something else for an equal configuration than before: what
    /// it returned is kept until then. Always the same for profiles that do not change while the process runs.
    fn generation(&self) -> u64;
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

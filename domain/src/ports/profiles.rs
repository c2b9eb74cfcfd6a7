//! Understanding a connector's configuration.

use thiserror::Error;

use crate::connector::ConnectorConfig;
use crate::provider::ProviderSettings;

/// Turns a definition into settings. Pure computation: no request, the same answer every time, cheap enough for every
/// hand-out.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait ProviderProfiles: Send + Sync {
    /// Understands a definition, applying the egress policy to every URL in it (R70), or names the field that is wrong.
    fn settings(&self, definition: &ConnectorConfig) -> Result<ProviderSettings, InvalidConfig>;
}

/// A definition that cannot be used. Names the field; never repeats its value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
pub struct InvalidConfig {
    /// Path of the field, such as `config.tokenUrl`.
    pub field: String,
    /// What is wrong with it, for people.
    pub problem: String,
    /// Whether the host of a URL is outside what the operator allows (`host_not_allowed`).
    pub host_not_allowed: bool,
}

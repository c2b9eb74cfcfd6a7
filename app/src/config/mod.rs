//! The configuration: a TOML file with the environment on top, parsed and checked before anything starts.
//!
//! [`Settings`] declares every setting once. From this declaration follow the keys of the file, the refusal of unknown keys,
//! and the environment variables: `oauth.flow_ttl` is `GRANTRY_OAUTH_FLOW_TTL`. In a variable, lists are separated by commas or
//! written as JSON, and tables are JSON. A `GRANTRY_…` variable that belongs to no setting is refused, except one that `[keys]`
//! names as `env:…`. An error names the key or the variable and never contains a value.

mod error;
mod settings;
mod tree;
mod validate;
mod value;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use grantry_crypto_aes_gcm::KeySource;
use grantry_domain::identity::SpaceId;
use grantry_http_axum::PublicBaseUrl;
use grantry_provider_oauth2::EgressPolicy;
use serde::Deserialize as _;

use tree::Node;

pub use error::ConfigError;
pub use settings::{
    Account, Agent, Egress, Execute, Identity, Keys, OAuth, Providers, Proxy, Rates, Retention, Settings, Store, Telemetry,
};
pub use value::{Digest, IdentityMode, LogFilter, Within};

pub(crate) use value::Value;

/// The prefix of all environment variables.
const PREFIX: &str = "GRANTRY_";

/// A valid configuration. Keys and store are examined later, at start.
pub struct Config {
    /// The folder of the file. Relative paths start here.
    pub folder: PathBuf,
    /// The URL under which users reach this server.
    pub public_base_url: PublicBaseUrl,
    /// The key that seals records.
    pub write_key: KeySource,
    /// The database file.
    pub database: PathBuf,
    /// All spaces, `default` first.
    pub spaces: Vec<SpaceId>,
    /// Where requests may go.
    pub egress: EgressPolicy,
    /// Addresses of proxies whose headers are used.
    pub trusted_proxies: Vec<IpAddr>,
    /// The settings as given.
    pub settings: Settings,
}

impl Config {
    /// Reads a file, with the environment of this process on top.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), kind: error.kind() })?;
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        // A name that is not Unicode is no `GRANTRY_…` name. A value that is not Unicode is valid for no setting.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
        Self::parse(&text, path, folder, environment)
    }

    /// Parses the text of a file, with an environment on top. `path` only appears in errors.
    pub fn parse(
        text: &str,
        path: &Path,
        folder: PathBuf,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let table: toml::Table = toml::from_str(text).map_err(|error| syntax(path, text, &error))?;
        let mut root = Node::root(table);
        let unknown_variables = overlay(&mut root, environment);
        let config = validate::validate(Settings::deserialize(root)?, folder)?;
        match unknown_variables.into_iter().find(|name| !config.reads_variable(name)) {
            Some(name) => Err(ConfigError::UnknownVariable { name }),
            None => Ok(config),
        }
    }

    /// Whether a key is read from this environment variable.
    fn reads_variable(&self, variable: &str) -> bool {
        std::iter::once(&self.write_key)
            .chain(&self.settings.keys.read)
            .any(|source| matches!(source, KeySource::Environment(name) if name == variable))
    }
}

/// The key of every setting, such as `oauth.flow_ttl`.
fn keys() -> Vec<String> {
    fn collect(parent: &str, table: &toml::Table, keys: &mut Vec<String>) {
        for (name, value) in table {
            let key = if parent.is_empty() { name.clone() } else { format!("{parent}.{name}") };
            match value {
                toml::Value::Table(section) => collect(&key, section, keys),
                toml::Value::String(_)
                | toml::Value::Integer(_)
                | toml::Value::Float(_)
                | toml::Value::Boolean(_)
                | toml::Value::Datetime(_)
                | toml::Value::Array(_) => keys.push(key),
            }
        }
    }
    let mut keys = Vec::new();
    collect("", &defaults(), &mut keys);
    keys
}

/// The default of every setting, in the form of the file.
fn defaults() -> toml::Table {
    // Every setting has a TOML form; a test compares the result with the example file.
    toml::Table::try_from(Settings::default()).unwrap_or_default()
}

/// The environment variable of a setting.
fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// Lays the environment over the file. Returns the `GRANTRY_…` variables that belong to no setting.
fn overlay(root: &mut Node, environment: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
    let keys = keys();
    let mut unknown_variables = Vec::new();
    for (name, text) in environment.into_iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        match keys.iter().find(|key| variable(key) == name) {
            Some(key) => root.replace(key, &name, text),
            None => unknown_variables.push(name),
        }
    }
    unknown_variables.sort();
    unknown_variables
}

/// The position at which the text stops being TOML. The message of the parser quotes the line, which may contain a secret.
fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    ConfigError::Syntax {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

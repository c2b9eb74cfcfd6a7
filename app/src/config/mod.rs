//! The configuration: a TOML file, overlaid by the environment, understood as a whole before anything starts.
//!
//! Three steps, each with its own errors: [`keys`] refuses unknown keys and wrong kinds by name, `file` is the shape as
//! written, and [`Config`] is what it means. A value is never repeated in an error (R78).
//!
//! Every key is also an environment variable, which wins over the file: `oauth.flow_ttl` is `GRANTRY_OAUTH_FLOW_TTL`. Lists of
//! texts are separated by commas or written as JSON, lists of tables are JSON. A `GRANTRY_…` variable that belongs to no key
//! is refused, except one that `[keys]` names as `env:…`.

mod error;
mod file;
mod identity;
pub(crate) mod keys;
mod validate;
mod values;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use grantry_crypto_aes_gcm::KeySource;
use grantry_domain::connector::ProfileId;
use grantry_domain::identity::SpaceId;
use grantry_domain::usecase::PublicBaseUrl;
use grantry_provider_oauth2::EgressPolicy;
use grantry_runtime::RateLimits;

pub use error::ConfigError;
pub(crate) use identity::role;
pub use identity::{Account, Agent, Identity, Proxy};

/// A configuration that is complete and consistent in itself. Whether keys and store are there is found out at start.
pub struct Config {
    /// Where relative paths start: the folder of the file.
    pub folder: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where this deployment is reached.
    pub public_base_url: PublicBaseUrl,
    /// The database file.
    pub database: PathBuf,
    /// The deployment id the database must have.
    pub deployment_id: Option<[u8; 16]>,
    /// The key to write with.
    pub write_key: KeySource,
    /// Older keys, which only read.
    pub read_keys: Vec<KeySource>,
    /// All spaces, `default` first.
    pub spaces: Vec<SpaceId>,
    /// How people are told apart.
    pub identity: Identity,
    /// Addresses of proxies in front, whose forwarded headers are believed (R57).
    pub trusted_proxies: Vec<IpAddr>,
    /// Back ends with an API key.
    pub agents: Vec<Agent>,
    /// Where requests may go.
    pub egress: EgressPolicy,
    /// Life of a flow.
    pub flow_ttl: Duration,
    /// Unfinished flows of one user.
    pub pending_per_user: u32,
    /// Token hosts whose connectors may do without PKCE.
    pub pkce_off_hosts: Vec<String>,
    /// How often somebody may do what.
    pub rate_limits: RateLimits,
    /// Longest body of `_execute`, in bytes.
    pub max_body: usize,
    /// Profiles that may not be used.
    pub denied_profiles: Vec<ProfileId>,
    /// Unused grants are revoked after this.
    pub unused_grants: Duration,
    /// Former grants are forgotten after this.
    pub ended: Duration,
    /// What is logged, such as `info` or `info,grantry=debug`.
    pub log: String,
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
        // A variable that is not Unicode has no name of ours, or a value that no key takes.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
        Self::parse(&text, path, folder, environment)
    }

    /// Understands the text of a file and an environment. `path` is only named in errors.
    pub fn parse(
        text: &str,
        path: &Path,
        folder: PathBuf,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut table: toml::Table = toml::from_str(text).map_err(|error| syntax(path, text, &error))?;
        keys::check(&table)?;
        let unknown_variables = overlay(&mut table, environment)?;
        let file: file::File = table
            .try_into()
            // The kinds were checked key by key; what is left cannot be said without repeating values.
            .map_err(|_| ConfigError::invalid("configuration", "does not have the expected shape"))?;
        let config = validate::validate(file, folder)?;
        match unknown_variables.into_iter().find(|name| !config.reads_variable(name)) {
            Some(name) => Err(ConfigError::UnknownVariable { name }),
            None => Ok(config),
        }
    }

    /// Whether a key is read from this environment variable.
    fn reads_variable(&self, variable: &str) -> bool {
        std::iter::once(&self.write_key)
            .chain(&self.read_keys)
            .any(|source| matches!(source, KeySource::Environment(name) if name == variable))
    }
}

/// Lays the environment over the file; answers the `GRANTRY_…` variables that belong to no key.
fn overlay(
    table: &mut toml::Table,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<String>, ConfigError> {
    let mut unknown_variables = Vec::new();
    for (name, text) in environment {
        if !name.starts_with(keys::PREFIX) {
            continue;
        }
        match keys::KEYS.iter().find(|(path, _)| keys::variable(path) == name) {
            Some((path, kind)) => {
                let value = kind.parse(&name, &text)?;
                kind.check(&name, &value)?;
                keys::insert(table, path, value);
            }
            None => unknown_variables.push(name),
        }
    }
    unknown_variables.sort();
    Ok(unknown_variables)
}

/// Where the text stops being TOML. The parser's own message would quote the line, and a key may stand in it.
fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    ConfigError::Syntax {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

//! The configuration: a TOML file with the environment on top, parsed and checked before anything starts.
//!
//! [`Settings`] declares every setting once. From this declaration follow the keys of the file, the refusal of unknown keys,
//! and the environment variables: `oauth.flow_ttl` is `GRANTRY_OAUTH_FLOW_TTL`. In a variable, lists are separated by commas or
//! written as JSON, and tables are JSON. A `GRANTRY_…` variable that belongs to no setting is refused, except one that `[keys]`
//! or `telemetry.metrics_token` names as `env:…`. An error names the key or the variable and never contains a value.

mod error;
mod service_links;
mod settings;
mod similar;
mod tree;
mod validate;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use grantry_crypto_aes_gcm::KeySource;
use grantry_domain::identity::SpaceId;
use grantry_http_axum::{Network, PublicBaseUrl};
use grantry_provider_oauth2::EgressPolicy;
use serde::Deserialize as _;

use service_links::is_service_link;
use similar::similar;
use tree::Node;
use validate::Validator;

use crate::store::Database;

pub use error::{ConfigError, Mistake, MistakeKind, Mistakes};
pub use settings::{
    Account, Agent, Audit, Egress, Execute, Identity, Keys, OAuth, Providers, Proxy, Rates, Retention, Settings, Store,
    Telemetry,
};
pub use value::{Digest, IdentityMode, LogFilter, Within};

pub(crate) use value::Value;

/// The most mistakes that are looked for in a file: each one takes a new reading of the whole, or of the mistakes before it.
const MOST_MISTAKES: usize = 100;

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
    /// The database.
    pub database: Database,
    /// All spaces, `default` first.
    pub spaces: Vec<SpaceId>,
    /// Where requests may go.
    pub egress: EgressPolicy,
    /// Display names of spaces.
    pub space_names: BTreeMap<SpaceId, String>,
    /// Networks of proxies whose headers are used.
    pub trusted_proxies: Vec<Network>,
    /// Variables with the prefix of the settings that are links to services of Kubernetes.
    pub ignored_variables: Vec<String>,
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
        let table = toml::de::DeTable::parse(text).map_err(|error| syntax(path, text, &error))?;
        let mut root = Node::root(table.get_ref());
        let Variables { unknown, service_links } = overlay(&mut root, environment);
        let complete = root.clone();
        let (settings, mut mistakes) = deserialize(&mut root);
        let read = settings.as_ref().map(Settings::secret_variables).unwrap_or_default();
        mistakes.extend(unknown.iter().filter(|name| !read.contains(name)).map(|name| unknown_variable(name)));
        let mut validator = Validator { tree: &root, mistakes: &mut mistakes };
        let config = settings.and_then(|settings| validator.validate(settings, folder));
        for mistake in &mut mistakes {
            mistake.line = complete.position_of(&mistake.key).map(|position| position_in(text, position).0);
        }
        match (config, Mistakes::new(mistakes)) {
            (Some(config), None) => Ok(Self { ignored_variables: service_links, ..config }),
            (_, Some(mistakes)) => Err(mistakes.into()),
            (None, None) => Err(Mistakes::of(Mistake::invalid("settings", "cannot be used together")).into()),
        }
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

/// The `GRANTRY_…` variables that belong to no setting.
#[derive(Default)]
struct Variables {
    unknown: Vec<String>,
    service_links: Vec<String>,
}

/// Lays the environment over the file.
fn overlay(root: &mut Node, environment: impl IntoIterator<Item = (String, String)>) -> Variables {
    let keys = keys();
    let mut others = Variables::default();
    for (name, text) in environment.into_iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        match keys.iter().find(|key| variable(key) == name) {
            Some(key) => root.replace(key, &name, text),
            None if is_service_link(&name, &text) => others.service_links.push(name),
            None => others.unknown.push(name),
        }
    }
    others.unknown.sort();
    others.service_links.sort();
    others
}

/// The settings of a tree. A node that does not deserialize is removed, so that the mistakes after it are found as well.
fn deserialize(root: &mut Node) -> (Option<Settings>, Vec<Mistake>) {
    let mut mistakes: Vec<Mistake> = Vec::new();
    loop {
        let refusal = match Settings::deserialize(root.clone()) {
            Ok(settings) => return (Some(settings), mistakes),
            Err(refusal) => refusal,
        };
        // A key that was removed as a mistake is missing afterwards.
        if !mistakes.iter().any(|mistake| mistake.key == refusal.key()) {
            mistakes.push(refusal.mistake(suggestion));
        }
        if mistakes.len() >= MOST_MISTAKES || !root.remove(refusal.removable()) {
            return (None, mistakes);
        }
    }
}

/// An existing key that is similar to an unknown one: beside it, or of the same name in another section.
fn suggestion(unknown: &str, known: &[&str]) -> Option<String> {
    let (section, name) = unknown.rsplit_once('.').map_or(("", unknown), |(section, name)| (section, name));
    let beside = |found: &str| if section.is_empty() { found.to_owned() } else { format!("{section}.{found}") };
    similar(name, known.iter().copied()).map(beside).or_else(|| {
        let keys = keys();
        keys.into_iter().find(|key| key.rsplit('.').next() == Some(name))
    })
}

fn unknown_variable(name: &str) -> Mistake {
    // The prefix is the same in all of them, so only the rest is compared.
    let rests: Vec<String> = keys().iter().map(|key| variable(key).split_off(PREFIX.len())).collect();
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    let suggestion = similar(rest, rests.iter().map(String::as_str)).map(|rest| format!("{PREFIX}{rest}"));
    Mistake { key: name.to_owned(), line: None, problem: MistakeKind::UnknownVariable { suggestion } }
}

/// The position at which the text stops being TOML. The message of the parser quotes the line, which may contain a secret.
fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let (line, column) = position_in(text, error.span().map_or(0, |span| span.start));
    ConfigError::Syntax { path: path.to_owned(), line, column }
}

/// Line and column of a position in a text, from 1.
fn position_in(text: &str, position: usize) -> (usize, usize) {
    let before = text.get(..position).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

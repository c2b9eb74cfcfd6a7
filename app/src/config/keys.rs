//! Every key there is: its path in the file, its kind, and with both its name in the environment.
//!
//! One table serves three readers: it refuses unknown keys by name, it names the environment variables, and a test holds the
//! example file to it.

use crate::config::ConfigError;

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text, also for durations, addresses and URLs.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Flag,
    /// A list of texts. In the environment: separated by commas, or JSON.
    Texts,
    /// A table from free names to texts. In the environment: JSON.
    Names,
    /// A list of tables with these keys. In the environment: JSON.
    Tables(&'static [(&'static str, Kind)]),
}

/// All keys, by their path.
pub(crate) const KEYS: &[(&str, Kind)] = &[
    ("listen", Kind::Text),
    ("public_base_url", Kind::Text),
    ("store.url", Kind::Text),
    ("store.deployment_id", Kind::Text),
    ("keys.write", Kind::Text),
    ("keys.read", Kind::Texts),
    ("spaces", Kind::Tables(&[("id", Kind::Text)])),
    ("identity.mode", Kind::Text),
    ("identity.accounts", Kind::Tables(ACCOUNT)),
    ("identity.agents", Kind::Tables(AGENT)),
    ("identity.proxy.user_header", Kind::Text),
    ("identity.proxy.roles_header", Kind::Text),
    ("identity.proxy.trusted_proxies", Kind::Texts),
    ("identity.jwt.issuer", Kind::Text),
    ("identity.jwt.audience", Kind::Text),
    ("identity.jwt.jwks_url", Kind::Text),
    ("identity.jwt.roles_claim", Kind::Text),
    ("egress.allowed_hosts", Kind::Texts),
    ("egress.allow", Kind::Texts),
    ("oauth.flow_ttl", Kind::Text),
    ("oauth.pending_per_user", Kind::Number),
    ("oauth.callback_mode", Kind::Text),
    ("oauth.pkce_off_hosts", Kind::Texts),
    ("oauth.rate_limits.start", Kind::Text),
    ("oauth.rate_limits.callback", Kind::Text),
    ("oauth.rate_limits.log_in", Kind::Text),
    ("oauth.rate_limits.status", Kind::Text),
    ("oauth.rate_limits.disconnect", Kind::Text),
    ("execute.max_body", Kind::Number),
    ("providers.deny", Kind::Texts),
    ("retention.unused_grants", Kind::Text),
    ("retention.ended", Kind::Text),
    ("telemetry.log", Kind::Text),
    ("telemetry.otlp_endpoint", Kind::Text),
];

const ACCOUNT: &[(&str, Kind)] =
    &[("id", Kind::Text), ("username", Kind::Text), ("password_hash", Kind::Text), ("roles", Kind::Names)];

const AGENT: &[(&str, Kind)] =
    &[("name", Kind::Text), ("key_sha256", Kind::Text), ("spaces", Kind::Texts), ("access_tokens", Kind::Flag)];

/// The environment variable of a key: `oauth.flow_ttl` is `GRANTRY_OAUTH_FLOW_TTL`.
pub(crate) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "_").to_uppercase())
}

/// What the names of all variables begin with.
pub(crate) const PREFIX: &str = "GRANTRY_";

impl Kind {
    /// What is expected, ready to stand behind "must be".
    fn expected(self) -> &'static str {
        match self {
            Self::Text => "text in quotes",
            Self::Number => "a whole number",
            Self::Flag => "true or false",
            Self::Texts => "a list of texts",
            Self::Names => "a table of texts",
            Self::Tables(_) => "a list of tables",
        }
    }

    /// Refuses a value of another kind, and keys in it that do not exist.
    pub(crate) fn check(self, path: &str, value: &toml::Value) -> Result<(), ConfigError> {
        let of_this_kind = match (self, value) {
            (Self::Text, toml::Value::String(_))
            | (Self::Number, toml::Value::Integer(_))
            | (Self::Flag, toml::Value::Boolean(_)) => true,
            (Self::Texts, toml::Value::Array(items)) => items.iter().all(toml::Value::is_str),
            (Self::Names, toml::Value::Table(names)) => names.values().all(toml::Value::is_str),
            (Self::Tables(fields), toml::Value::Array(rows)) => {
                return rows.iter().enumerate().try_for_each(|(index, row)| {
                    let path = format!("{path}[{index}]");
                    let row = row.as_table().ok_or_else(|| self.refused(&path))?;
                    row.iter()
                        .try_for_each(|(name, value)| known(fields, &path, name)?.check(&format!("{path}.{name}"), value))
                });
            }
            _ => false,
        };
        if of_this_kind { Ok(()) } else { Err(self.refused(path)) }
    }

    fn refused(self, path: &str) -> ConfigError {
        ConfigError::invalid(path, format!("must be {}", self.expected()))
    }

    /// Reads the value of an environment variable.
    pub(crate) fn parse(self, name: &str, text: &str) -> Result<toml::Value, ConfigError> {
        let refused = |expected| ConfigError::invalid(name, format!("must be {expected}"));
        match self {
            Self::Text => Ok(text.into()),
            Self::Number => text.trim().parse::<i64>().map(Into::into).map_err(|_| refused("a whole number")),
            Self::Flag => text.trim().parse::<bool>().map(Into::into).map_err(|_| refused("true or false")),
            Self::Texts if !text.trim_start().starts_with('[') => {
                Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect::<Vec<_>>().into())
            }
            // The parser's own words would repeat what it did not understand.
            Self::Texts => {
                serde_json::from_str(text).map_err(|_| refused("a list separated by commas, or a JSON array of texts"))
            }
            Self::Names => serde_json::from_str(text).map_err(|_| refused("a JSON object of texts")),
            Self::Tables(_) => serde_json::from_str(text).map_err(|_| refused("a JSON array of objects")),
        }
    }
}

/// Refuses a key that does not exist, naming those that do.
fn known(fields: &[(&str, Kind)], path: &str, name: &str) -> Result<Kind, ConfigError> {
    let found = fields.iter().find(|(known, _)| *known == name);
    found.map(|(_, kind)| *kind).ok_or_else(|| ConfigError::Unknown {
        key: format!("{path}.{name}"),
        known: fields.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", "),
    })
}

/// Refuses unknown keys and values of the wrong kind in a whole file.
pub(crate) fn check(table: &toml::Table) -> Result<(), ConfigError> {
    check_below("", table)
}

fn check_below(parent: &str, table: &toml::Table) -> Result<(), ConfigError> {
    for (name, value) in table {
        let path = if parent.is_empty() { name.clone() } else { format!("{parent}.{name}") };
        if let Some((_, kind)) = KEYS.iter().find(|(known, _)| *known == path) {
            kind.check(&path, value)?;
            continue;
        }
        let is_section = KEYS.iter().any(|(known, _)| known.strip_prefix(&path).is_some_and(|rest| rest.starts_with('.')));
        if !is_section {
            return Err(ConfigError::Unknown { key: path, known: siblings(parent) });
        }
        let section = value.as_table().ok_or_else(|| ConfigError::invalid(&path, "must be a table"))?;
        check_below(&path, section)?;
    }
    Ok(())
}

/// The keys and sections that may stand directly below a section.
fn siblings(parent: &str) -> String {
    let mut names: Vec<&str> = KEYS
        .iter()
        .filter_map(|(path, _)| {
            let rest = if parent.is_empty() { path } else { path.strip_prefix(parent)?.strip_prefix('.')? };
            rest.split('.').next()
        })
        .collect();
    names.dedup();
    names.join(", ")
}

/// Puts a value where its key stands.
pub(crate) fn insert(table: &mut toml::Table, path: &str, value: toml::Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((section, rest)) => {
            let section = table.entry(section).or_insert_with(|| toml::Table::new().into());
            if let toml::Value::Table(section) = section {
                insert(section, rest, value);
            }
        }
    }
}

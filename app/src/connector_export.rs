//! Moving definitions of connectors between deployments: what they are, never their secrets or anybody's grants.

use std::collections::BTreeMap;

use grantry_domain::connector::{AuthMode, Connector, ConnectorId, ConnectorKey, ConnectorName, ProfileId};
use grantry_domain::identity::{Actor, SpaceId};
use grantry_domain::ports::{ConnectorStore, StoreError};
use grantry_domain::usecase::{ConnectorDraft, ConnectorError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::app::App;
use crate::config::Config;
use crate::progress::Steps;

/// The form of the file.
const VERSION: u32 = 1;

/// Definitions of connectors, as they stand in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Definitions {
    version: u32,
    #[serde(default)]
    pub(crate) connectors: Vec<ConnectorFile>,
}

/// One connector. The client id is public; the client secret stays behind and is entered again.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectorFile {
    #[serde(default = "default_space")]
    space: String,
    id: String,
    name: String,
    connector_type_id: String,
    #[serde(default = "per_user")]
    auth_mode: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    // A table: in TOML it must stand last.
    #[serde(default)]
    config: BTreeMap<String, serde_json::Value>,
}

fn default_space() -> String {
    SpaceId::default_space().to_string()
}

fn per_user() -> String {
    AuthMode::PerUser.as_str().to_owned()
}

/// What became of every definition.
#[derive(Debug, Serialize)]
pub(crate) struct ImportReport {
    dry_run: bool,
    pub(crate) entries: Vec<ImportEntry>,
}

/// What became of one definition.
#[derive(Debug, Serialize)]
pub(crate) struct ImportEntry {
    pub(crate) space: String,
    pub(crate) id: String,
    pub(crate) outcome: ImportOutcome,
    pub(crate) message: String,
}

/// What an import did with a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ImportOutcome {
    /// It was not there and is now; in a dry run: it would be.
    Created,
    /// It is there and the same.
    Unchanged,
    /// It is there and different, and was left as it is.
    Differs,
    /// It cannot be used here.
    Refused,
}

impl ImportOutcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Unchanged => "unchanged",
            Self::Differs => "differs",
            Self::Refused => "refused",
        }
    }
}

impl ImportReport {
    /// Whether the connectors are now as in the file.
    pub(crate) fn ok(&self) -> bool {
        self.entries.iter().all(|entry| matches!(entry.outcome, ImportOutcome::Created | ImportOutcome::Unchanged))
    }
}

/// Why definitions were not moved.
#[derive(Debug, Error)]
pub(crate) enum TransferError {
    /// Not a file of ours.
    #[error("the file is neither TOML nor JSON as `grantry connectors export` writes it{0}")]
    NotUnderstood(String),
    /// A file of another version.
    #[error("the file has version {0}, and this program reads version {VERSION}")]
    Version(u32),
    /// A space that is not configured.
    #[error("space `{0}` does not exist; add it to the configuration under [[spaces]]")]
    UnknownSpace(String),
    /// A definition with `null` in it has no TOML form.
    #[error("a connector holds a value that TOML cannot express; use --format json")]
    NotToml,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Definitions {
    /// Reads TOML or JSON.
    pub(crate) fn parse(text: &str) -> Result<Self, TransferError> {
        // Their own messages would quote the file (R78); the line is all that is told.
        let definitions: Self = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| {
                TransferError::NotUnderstood(format!(" (line {}, column {})", error.line(), error.column()))
            })?
        } else {
            toml::from_str(text).map_err(|error: toml::de::Error| {
                let line =
                    error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
                TransferError::NotUnderstood(line.map_or_else(String::new, |line| format!(" (line {line})")))
            })?
        };
        if definitions.version == VERSION { Ok(definitions) } else { Err(TransferError::Version(definitions.version)) }
    }

    /// The TOML form.
    pub(crate) fn to_toml(&self) -> Result<String, TransferError> {
        toml::to_string_pretty(self).map_err(|_| TransferError::NotToml)
    }
}

/// The connectors of some spaces, or of all.
pub(crate) async fn export(app: &App, config: &Config, spaces: &[String]) -> Result<Definitions, TransferError> {
    if let Some(unknown) = spaces.iter().find(|name| config.spaces.iter().all(|space| space.as_str() != *name)) {
        return Err(TransferError::UnknownSpace(unknown.clone()));
    }
    let wanted = |space: &&SpaceId| spaces.is_empty() || spaces.iter().any(|name| name == space.as_str());
    let mut connectors = Vec::new();
    for space in config.spaces.iter().filter(wanted) {
        connectors.extend(app.store.list(space).await?.iter().map(definition));
    }
    Ok(Definitions { version: VERSION, connectors })
}

fn definition(connector: &Connector) -> ConnectorFile {
    ConnectorFile {
        space: connector.key.space.to_string(),
        id: connector.key.id.to_string(),
        name: connector.name.as_str().to_owned(),
        connector_type_id: connector.config.profile.to_string(),
        auth_mode: connector.auth_mode.as_str().to_owned(),
        client_id: connector.config.client_id.clone(),
        config: serde_json::from_str(&connector.config.settings).unwrap_or_default(),
    }
}

/// Creates what is not there. Doing it again changes nothing.
pub(crate) async fn import(
    app: &App,
    config: &Config,
    definitions: &Definitions,
    dry_run: bool,
    steps: &mut Steps,
) -> Result<ImportReport, TransferError> {
    let mut entries = Vec::with_capacity(definitions.connectors.len());
    for wanted in &definitions.connectors {
        steps.begin(&wanted.id);
        let (outcome, message) = import_one(app, config, wanted, dry_run).await?;
        entries.push(ImportEntry { space: wanted.space.clone(), id: wanted.id.clone(), outcome, message });
        steps.end();
    }
    Ok(ImportReport { dry_run, entries })
}

async fn import_one(
    app: &App,
    config: &Config,
    wanted: &ConnectorFile,
    dry_run: bool,
) -> Result<(ImportOutcome, String), TransferError> {
    let refused = |message: String| Ok((ImportOutcome::Refused, message));
    let Some(space) = config.spaces.iter().find(|space| space.as_str() == wanted.space) else {
        return refused(TransferError::UnknownSpace(wanted.space.clone()).to_string());
    };
    let (id, draft) = match draft(wanted) {
        Ok(understood) => understood,
        Err(message) => return refused(message),
    };
    let key = ConnectorKey { space: space.clone(), id: id.clone() };
    if let Some(present) = app.store.get(&key).await? {
        return Ok(if definition(&present) == *wanted {
            (ImportOutcome::Unchanged, "is there and the same".to_owned())
        } else {
            (ImportOutcome::Differs, "is there and different; left as it is".to_owned())
        });
    }
    let profiles = &app.connections.ports().profiles;
    let understood = profiles.settings(&grantry_domain::connector::ConnectorConfig {
        profile: draft.profile.clone(),
        settings: draft.config.clone(),
        client_id: draft.client_id.clone(),
    });
    let needs_secret = match understood {
        Ok(settings) => settings.authentication.needs_secret(),
        Err(invalid) => return refused(invalid.to_string()),
    };
    if !dry_run {
        match app.connections.install_connector(&Actor::System, space, Some(id), draft).await {
            Ok(_) => {}
            Err(ConnectorError::Store(error)) => return Err(error.into()),
            Err(error) => return refused(error.to_string()),
        }
    }
    let message = if needs_secret { "enter its client secret before anybody connects" } else { "ready" };
    Ok((ImportOutcome::Created, message.to_owned()))
}

fn draft(wanted: &ConnectorFile) -> Result<(ConnectorId, ConnectorDraft), String> {
    let id = ConnectorId::new(wanted.id.as_str()).map_err(|error| error.to_string())?;
    let draft = ConnectorDraft {
        name: ConnectorName::new(wanted.name.as_str()).map_err(|error| error.to_string())?,
        profile: ProfileId::new(wanted.connector_type_id.as_str()).map_err(|error| error.to_string())?,
        auth_mode: AuthMode::parse(&wanted.auth_mode).ok_or("auth_mode must be \"per-user\" or \"shared\"")?,
        config: serde_json::to_string(&wanted.config).map_err(|_| "config has no JSON form")?,
        client_id: wanted.client_id.clone(),
        client_secret: None,
    };
    Ok((id, draft))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Definitions {
        Definitions {
            version: 1,
            connectors: vec![ConnectorFile {
                space: "marketing".to_owned(),
                id: "files".to_owned(),
                name: "Files".to_owned(),
                connector_type_id: ".oauth2".to_owned(),
                auth_mode: "per-user".to_owned(),
                client_id: Some("id".to_owned()),
                config: BTreeMap::from([
                    ("issuer".to_owned(), "https://id.example.com".into()),
                    ("destinations".to_owned(), serde_json::json!(["https://api.example.com"])),
                ]),
            }],
        }
    }

    #[test]
    fn definitions_survive_both_forms() {
        let toml = example().to_toml().unwrap();
        let json = serde_json::to_string(&example()).unwrap();
        for text in [toml, json] {
            assert_eq!(Definitions::parse(&text).unwrap().connectors, example().connectors, "{text}");
        }
    }

    #[test]
    fn r78_a_file_that_is_not_understood_is_not_repeated() {
        for (text, place) in [
            ("{\"version\": 1,\n \"connectors\": [{\"clientSecret\": \"canary\"}]}", "line 2"),
            ("version = 1\n[[connectors]]\nid = \"x\"\nclient_secret = \"canary\"\n", "line"),
            ("version = \"canary", "line 1"),
        ] {
            let error = Definitions::parse(text).unwrap_err().to_string();
            assert!(error.contains(place) && !error.contains("canary"), "{error}");
        }
        assert!(matches!(Definitions::parse("version = 2"), Err(TransferError::Version(2))));
    }
}

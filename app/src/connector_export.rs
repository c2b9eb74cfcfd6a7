//! Export and import of connector definitions, without client secrets and grants.

use std::collections::BTreeMap;

use grantry_domain::connector::{AuthMode, Connector, ConnectorId, ConnectorKey, ConnectorName, ProfileId};
use grantry_domain::identity::{Actor, SpaceId};
use grantry_domain::ports::{ConnectorStore, StoreError};
use grantry_domain::usecase::{ConnectorDraft, ConnectorError, UnusableConnector};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::app::App;
use crate::config::Config;
use crate::progress::Steps;

/// The version of the file format.
const VERSION: u32 = 1;

/// The content of a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Definitions {
    version: u32,
    #[serde(default)]
    pub(crate) connectors: Vec<ConnectorFile>,
}

/// One connector. The client id is public; the client secret is not exported and must be entered again.
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
    // TOML requires tables after plain values.
    #[serde(default)]
    config: BTreeMap<String, serde_json::Value>,
}

fn default_space() -> String {
    SpaceId::default_space().to_string()
}

fn per_user() -> String {
    AuthMode::PerUser.as_str().to_owned()
}

/// The result of an import.
#[derive(Debug, Serialize)]
pub(crate) struct ImportReport {
    dry_run: bool,
    pub(crate) entries: Vec<ImportEntry>,
}

/// The result for one definition.
#[derive(Debug, Serialize)]
pub(crate) struct ImportEntry {
    pub(crate) space: String,
    pub(crate) id: String,
    pub(crate) outcome: ImportOutcome,
    pub(crate) message: String,
}

/// What the import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ImportOutcome {
    /// The connector was created. In a dry run: it would be.
    Created,
    /// The connector exists and equals the definition.
    Unchanged,
    /// The connector exists and differs; it is unchanged.
    Differs,
    /// The definition is not valid here.
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
    /// Whether every connector of the file now exists as defined.
    pub(crate) fn ok(&self) -> bool {
        self.entries.iter().all(|entry| matches!(entry.outcome, ImportOutcome::Created | ImportOutcome::Unchanged))
    }
}

/// Why an export or import failed.
#[derive(Debug, Error)]
pub(crate) enum ExportError {
    /// The file does not have the format of an export.
    #[error("the file is not TOML or JSON in the format of `grantry connectors export`{0}")]
    Malformed(String),
    /// The format has another version.
    #[error("the file has version {0}; this program reads version {VERSION}")]
    Version(u32),
    /// A space that is not configured.
    #[error("space `{0}` does not exist; add it to the configuration under [[spaces]]")]
    UnknownSpace(String),
    /// A row that is not authentic.
    #[error("the stored connector {space}/{id} is not authentic, or its key is not configured; it is not exported")]
    Tampered {
        /// Its space.
        space: SpaceId,
        /// Its id.
        id: ConnectorId,
    },
    /// A definition contains `null`, which TOML lacks.
    #[error("a connector contains a value that TOML cannot express; use --format json")]
    NotToml,
    /// The store does not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Definitions {
    /// Reads TOML or JSON.
    pub(crate) fn parse(text: &str) -> Result<Self, ExportError> {
        // The messages of the parsers quote the file, which may contain secrets. Only the position is reported.
        let definitions: Self = if text.trim_start().starts_with('{') {
            serde_json::from_str(text)
                .map_err(|error| ExportError::Malformed(format!(" (line {}, column {})", error.line(), error.column())))?
        } else {
            toml::from_str(text).map_err(|error: toml::de::Error| {
                let line =
                    error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
                ExportError::Malformed(line.map_or_else(String::new, |line| format!(" (line {line})")))
            })?
        };
        if definitions.version == VERSION { Ok(definitions) } else { Err(ExportError::Version(definitions.version)) }
    }

    /// The TOML form.
    pub(crate) fn to_toml(&self) -> Result<String, ExportError> {
        toml::to_string_pretty(self).map_err(|_| ExportError::NotToml)
    }
}

/// The connectors of some spaces, or of all.
pub(crate) async fn export(app: &App, config: &Config, spaces: &[String]) -> Result<Definitions, ExportError> {
    if let Some(unknown) = spaces.iter().find(|name| config.spaces.iter().all(|space| space.as_str() != *name)) {
        return Err(ExportError::UnknownSpace(unknown.clone()));
    }
    let selected = |space: &&SpaceId| spaces.is_empty() || spaces.iter().any(|name| name == space.as_str());
    let mut connectors = Vec::new();
    for space in config.spaces.iter().filter(selected) {
        for connector in ConnectorStore::list(&*app.store().ports, space).await? {
            let view = app.connections().describe(connector);
            // An import of the file would make the changes of another program authentic.
            if let Err(UnusableConnector::Tampered(_)) = view.settings {
                let ConnectorKey { space, id } = view.connector.key;
                return Err(ExportError::Tampered { space, id });
            }
            connectors.push(exported(&view.connector));
        }
    }
    Ok(Definitions { version: VERSION, connectors })
}

fn exported(connector: &Connector) -> ConnectorFile {
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

/// Creates the connectors that do not exist. A second import changes nothing.
pub(crate) async fn import(
    app: &App,
    config: &Config,
    definitions: &Definitions,
    dry_run: bool,
    steps: &mut Steps,
) -> Result<ImportReport, ExportError> {
    let mut entries = Vec::with_capacity(definitions.connectors.len());
    for file in &definitions.connectors {
        steps.begin(&file.id);
        let (outcome, message) = import_one(app, config, file, dry_run).await?;
        entries.push(ImportEntry { space: file.space.clone(), id: file.id.clone(), outcome, message });
        steps.end();
    }
    Ok(ImportReport { dry_run, entries })
}

async fn import_one(
    app: &App,
    config: &Config,
    file: &ConnectorFile,
    dry_run: bool,
) -> Result<(ImportOutcome, String), ExportError> {
    let refused = |message: String| Ok((ImportOutcome::Refused, message));
    let Some(space) = config.spaces.iter().find(|space| space.as_str() == file.space) else {
        return refused(ExportError::UnknownSpace(file.space.clone()).to_string());
    };
    let (id, draft) = match draft(file) {
        Ok(parsed) => parsed,
        Err(message) => return refused(message),
    };
    let key = ConnectorKey { space: space.clone(), id: id.clone() };
    if let Some(present) = ConnectorStore::get(&*app.store().ports, &key).await? {
        return Ok(if exported(&present) == *file {
            (ImportOutcome::Unchanged, "exists and is the same".to_owned())
        } else {
            (ImportOutcome::Differs, "exists and differs; not changed".to_owned())
        });
    }
    let settings = app.inspection.profiles.settings(&grantry_domain::connector::ConnectorConfig {
        profile: draft.profile.clone(),
        settings: draft.settings.clone(),
        client_id: draft.client_id.clone(),
    });
    let needs_secret = match settings {
        Ok(settings) => settings.authentication.needs_secret(),
        Err(invalid) => return refused(invalid.to_string()),
    };
    if !dry_run {
        match app.connections().install_connector(&Actor::System, space, Some(id), draft).await {
            Ok(_) => {}
            Err(ConnectorError::Store(error)) => return Err(error.into()),
            Err(error) => return refused(error.to_string()),
        }
    }
    let message = if needs_secret { "set its client secret before users connect" } else { "ready" };
    Ok((ImportOutcome::Created, message.to_owned()))
}

fn draft(file: &ConnectorFile) -> Result<(ConnectorId, ConnectorDraft), String> {
    let id = ConnectorId::new(file.id.as_str()).map_err(|error| error.to_string())?;
    let draft = ConnectorDraft {
        name: ConnectorName::new(file.name.as_str()).map_err(|error| error.to_string())?,
        profile: ProfileId::new(file.connector_type_id.as_str()).map_err(|error| error.to_string())?,
        auth_mode: AuthMode::parse(&file.auth_mode).ok_or("auth_mode must be \"per-user\" or \"shared\"")?,
        settings: serde_json::to_string(&file.config).map_err(|_| "config has no JSON form")?,
        client_id: file.client_id.clone(),
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
    fn definitions_round_trip_in_both_formats() {
        let toml = example().to_toml().unwrap();
        let json = serde_json::to_string(&example()).unwrap();
        for text in [toml, json] {
            assert_eq!(Definitions::parse(&text).unwrap().connectors, example().connectors, "{text}");
        }
    }

    #[test]
    fn r78_a_malformed_file_is_not_quoted() {
        for (text, place) in [
            ("{\"version\": 1,\n \"connectors\": [{\"clientSecret\": \"canary\"}]}", "line 2"),
            ("version = 1\n[[connectors]]\nid = \"x\"\nclient_secret = \"canary\"\n", "line"),
            ("version = \"canary", "line 1"),
        ] {
            let error = Definitions::parse(text).unwrap_err().to_string();
            assert!(error.contains(place) && !error.contains("canary"), "{error}");
        }
        assert!(matches!(Definitions::parse("version = 2"), Err(ExportError::Version(2))));
    }
}

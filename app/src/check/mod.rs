//! `grantry check`: checks everything that a start requires, and every connector, without starting.
//!
//! It changes nothing: it creates no database, and requests only the public metadata of providers.

mod connectors;
mod diagnostics;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use grantry_crypto_aes_gcm::Keyring;
use grantry_domain::connector::Connector;
use grantry_domain::encoding::hex;
use grantry_domain::ports::{Clock, ConnectorStore, StoreError};
use grantry_domain::time::Timestamp;
use grantry_domain::usecase::PolicyBounds;
use grantry_provider_oauth2::{ProfileOptions, Profiles};
use grantry_runtime::SystemClock;
use serde::Serialize;

use crate::app::{App, BuildError, policy};
use crate::config::{Config, ConfigError};
use crate::profile_folder;
use crate::progress::Steps;
use crate::serve::{self, ServeError};
use crate::store::{self, Database};

/// 2026-01-01, when this check was written. A clock before it is wrong.
const EARLIEST: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// How far ahead of the clock a record may be.
const TOLERANCE: Duration = Duration::from_mins(5);

/// The result of all checks.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Whether no check failed.
    pub(crate) ok: bool,
    pub(crate) findings: Vec<Finding>,
}

/// The result of one check.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) subject: String,
    pub(crate) status: Status,
    pub(crate) message: String,
}

/// The status of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// The check passed.
    Ok,
    /// A fact that requires no action.
    Info,
    /// The server starts, but the operator should review this.
    Warning,
    /// The server would not start, or this connector does not work.
    Failed,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl Report {
    fn new(findings: Vec<Finding>) -> Self {
        Self { ok: findings.iter().all(|finding| finding.status != Status::Failed), findings }
    }
}

fn finding(subject: &str, status: Status, message: impl Into<String>) -> Finding {
    Finding { subject: subject.to_owned(), status, message: message.into() }
}

/// Checks everything. `steps` creates the progress display of the connector checks.
pub(crate) async fn run(path: &Path, steps: impl FnOnce(u64) -> Steps) -> Report {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(error) => return Report::new(mistakes(&error)),
    };
    let mut findings = vec![finding("configuration", Status::Ok, format!("{} is valid", path.display()))];
    findings.push(limits(&config));
    findings.extend(profiles(&config));
    let (keys, keyring) = keys(&config);
    findings.push(keys);
    findings.push(public_url(&config).await);
    findings.push(listen("listen", config.settings.listen).await);
    if let Some(address) = config.settings.telemetry.listen {
        findings.push(listen("telemetry", address).await);
    }
    let app = match (keyring, store::is_new(&config.database).await) {
        (None, _) => None,
        (Some(_), Err(error)) => {
            findings.push(finding("store", Status::Failed, BuildError::from(error).to_string()));
            None
        }
        (Some(_), Ok(true)) => {
            findings.push(new_database(&config.database));
            None
        }
        (Some(_), Ok(false)) => match build(&config).await {
            Ok(app) => {
                let id = hex(&app.store().deployment_id());
                let message = format!("{} opens; deployment_id = {id}", config.database);
                findings.push(finding("store", Status::Ok, message));
                Some(app)
            }
            Err(error) => {
                findings.push(finding("store", Status::Failed, error.to_string()));
                None
            }
        },
    };
    let Some(app) = app else {
        findings.push(clock(None));
        return Report::new(findings);
    };
    match all_connectors(&app, &config).await {
        Ok(all) => {
            findings.push(clock(all.iter().map(|connector| connector.updated_at).max()));
            let mut steps = steps(u64::try_from(all.len()).unwrap_or(u64::MAX));
            for connector in all {
                steps.begin(connector.name.as_str());
                findings.extend(connectors::check(&app, connector).await);
                steps.end();
            }
        }
        Err(error) => findings.push(finding("store", Status::Failed, error.to_string())),
    }
    app.store().close().await;
    Report::new(findings)
}

async fn build(config: &Config) -> Result<App, BuildError> {
    App::from_config(config).await?.build().await
}

async fn all_connectors(app: &App, config: &Config) -> Result<Vec<Connector>, StoreError> {
    let mut all = Vec::new();
    for space in &config.spaces {
        all.extend(ConnectorStore::list(&*app.store().ports, space).await?);
    }
    Ok(all)
}

fn limits(config: &Config) -> Finding {
    match policy(config).check(&PolicyBounds::default()) {
        Ok(()) => finding("limits", Status::Ok, "all times and limits are within their bounds"),
        Err(error) => finding("limits", Status::Failed, format!("`{}` {}", error.setting, error.problem)),
    }
}

/// The profiles of the operator, if there is a folder: one finding for each invalid file.
fn profiles(config: &Config) -> Vec<Finding> {
    const SUBJECT: &str = "provider profiles";
    if profile_folder::path(config).is_none() {
        return Vec::new();
    }
    let skips = config.settings.providers.skip_invalid;
    let additional = match profile_folder::read(config) {
        Ok(additional) => additional,
        Err(error) => return vec![finding(SUBJECT, Status::Failed, error.to_string())],
    };
    let found = additional.len();
    let today = Some(profile_folder::today());
    let options = ProfileOptions { additional, skip_invalid: true, today, ..ProfileOptions::default() };
    let profiles = match Profiles::new(config.egress.clone(), options) {
        Ok(profiles) => profiles,
        Err(error) => return vec![finding(SUBJECT, Status::Failed, error.to_string())],
    };
    let skipped = profiles.skipped();
    let loaded = format!("{} of {found} profiles in `providers.folder` are valid", found - skipped.len());
    let mut findings = vec![finding(SUBJECT, Status::Ok, loaded)];
    let (status, effect) = if skips {
        (Status::Warning, "the server starts without it")
    } else {
        (Status::Failed, "`providers.skip_invalid = true` starts the server without it")
    };
    findings.extend(skipped.iter().map(|invalid| finding(SUBJECT, status, format!("{invalid}; {effect}"))));
    findings
}

fn keys(config: &Config) -> (Finding, Option<Keyring>) {
    match Keyring::load(&config.write_key, &config.settings.keys.read, &config.folder) {
        Ok(keyring) => {
            let readers = config.settings.keys.read.len();
            let message = format!("write key {}, {readers} read keys", hex(&keyring.write_key().0));
            (finding("keys", Status::Ok, message), Some(keyring))
        }
        Err(error) => (finding("keys", Status::Failed, error.to_string()), None),
    }
}

fn new_database(database: &Database) -> Finding {
    match database {
        Database::Sqlite(file) => new_file(file),
        #[cfg(feature = "postgres")]
        Database::Postgres(url) => {
            finding("store", Status::Ok, format!("{url} has no tables yet; the first start creates them"))
        }
    }
}

fn new_file(file: &Path) -> Finding {
    let folder = file.parent().unwrap_or(Path::new("."));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let shown = file.display();
    match std::fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() && !metadata.permissions().readonly() => {
            finding("store", Status::Ok, format!("{shown} does not exist yet; the first start creates it"))
        }
        Ok(_) => finding("store", Status::Failed, format!("{shown} does not exist and its folder cannot be written")),
        Err(_) => finding("store", Status::Failed, format!("{shown} cannot be created, because its folder does not exist")),
    }
}

async fn public_url(config: &Config) -> Finding {
    let public = &config.public_base_url;
    let subject = "public URL";
    if !public.is_https() {
        let message = format!("{public} is reachable on this machine only; set an https URL for other users");
        let status = if config.settings.listen.ip().is_loopback() { Status::Ok } else { Status::Warning };
        return finding(subject, status, message);
    }
    let authority = public.origin().trim_start_matches("https://");
    let target =
        if authority.ends_with(']') || !authority.contains(':') { format!("{authority}:443") } else { authority.to_owned() };
    match connectors::resolve(&target).await {
        Ok(_) => finding(subject, Status::Ok, format!("the host of {public} can be resolved")),
        Err(()) => finding(subject, Status::Warning, format!("the host of {public} cannot be resolved from this machine")),
    }
}

/// One finding for each mistake.
fn mistakes(error: &ConfigError) -> Vec<Finding> {
    let failed = |message: String| finding("configuration", Status::Failed, message);
    match error {
        ConfigError::Mistakes(mistakes) => mistakes.iter().map(|mistake| failed(mistake.to_string())).collect(),
        ConfigError::Unreadable { .. } | ConfigError::Syntax { .. } => vec![failed(error.to_string())],
    }
}

async fn listen(subject: &str, address: SocketAddr) -> Finding {
    match serve::listen(address).await {
        Ok(_) => finding(subject, Status::Ok, format!("{address} is free")),
        Err(ServeError::PortTaken(address)) => {
            finding(subject, Status::Warning, format!("{address} is in use, possibly by this server"))
        }
        Err(error) => finding(subject, Status::Failed, error.to_string()),
    }
}

fn clock(newest: Option<Timestamp>) -> Finding {
    let now = SystemClock.now();
    if now < EARLIEST {
        return finding("clock", Status::Failed, "is years behind; set it, because every expiry depends on it");
    }
    match newest {
        Some(newest) if newest > now.plus(TOLERANCE) => {
            finding("clock", Status::Failed, "is behind the newest record of the store; set it before the server starts")
        }
        Some(_) | None => finding("clock", Status::Ok, "is plausible"),
    }
}

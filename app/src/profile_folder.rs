//! The provider profiles of the operator: the files in `providers.folder`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use grantry_domain::ports::Clock as _;
use grantry_runtime::SystemClock;
use thiserror::Error;

use crate::config::Config;

/// The end of the name of an exchange file.
const EXCHANGE: &str = ".exchange.toml";

/// The folder or a file in it cannot be read.
#[derive(Debug, Error)]
#[error("`providers.folder`: cannot read {file} ({kind})")]
pub struct UnreadableProfiles {
    /// The folder or the file.
    pub file: String,
    /// The error of the operating system.
    pub kind: io::ErrorKind,
}

/// The folder of a configuration, if there is one.
pub(crate) fn path(config: &Config) -> Option<PathBuf> {
    let folder = config.settings.providers.folder.as_str();
    (!folder.is_empty()).then(|| config.folder.join(folder))
}

/// Name and text of every profile, by name.
pub(crate) fn read(config: &Config) -> Result<Vec<(String, String)>, UnreadableProfiles> {
    let Some(folder) = path(config) else { return Ok(Vec::new()) };
    let unreadable =
        |path: &Path, error: &io::Error| UnreadableProfiles { file: path.display().to_string(), kind: error.kind() };
    let entries = fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))?;
    let mut profiles = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(&folder, &error))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let is_toml = path.extension().is_some_and(|extension| extension == "toml");
        if is_toml && !name.ends_with(EXCHANGE) && !name.starts_with('.') {
            let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
            profiles.push((name.to_owned(), text));
        }
    }
    profiles.sort();
    Ok(profiles)
}

/// The present day in UTC, with which the sunset of profiles is compared.
pub(crate) fn today() -> String {
    let now = jiff::Timestamp::from_millisecond(SystemClock.now().as_millis()).unwrap_or_default();
    now.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

/// The exchange file of a profile.
#[cfg(feature = "cli")]
pub(crate) fn exchange_of(profile: &Path) -> PathBuf {
    let name = profile.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    profile.with_file_name(name + EXCHANGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &Path) -> Config {
        let file = folder.join("grantry.toml");
        fs::write(folder.join("primary.key"), "x").unwrap();
        let text = "public_base_url = \"https://connect.example\"\nkeys.write = \"file:primary.key\"\nidentity.mode = \"proxy-header\"\nproviders.folder = \"profiles\"\n";
        fs::write(&file, text).unwrap();
        Config::load(&file).unwrap()
    }

    #[test]
    fn profiles_are_the_toml_files_of_the_folder_without_exchanges() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let missing = read(&config).unwrap_err().to_string();
        assert!(missing.starts_with("`providers.folder`: cannot read ") && missing.contains("profiles"), "{missing}");
        let profiles = folder.path().join("profiles");
        fs::create_dir(&profiles).unwrap();
        for name in ["b.toml", "a.toml", "a.exchange.toml", "README.md", ".hidden.toml"] {
            fs::write(profiles.join(name), name).unwrap();
        }
        let found = read(&config).unwrap();
        assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a.toml", "b.toml"]);
    }
}

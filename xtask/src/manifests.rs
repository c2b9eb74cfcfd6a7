//! The crates and npm packages of the repository, read from their manifests without cargo or npm.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Result;
use crate::tidy::repository::Repository;

/// A crate or an npm package.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// The path of the manifest.
    pub(crate) manifest: String,
    /// The folder, ending with `/`; empty for the root.
    pub(crate) folder: String,
    pub(crate) is_published: bool,
    /// Packages of the repository that it depends on.
    pub(crate) dependencies: Vec<Dependency>,
    /// What a registry requires and the manifest lacks.
    pub(crate) missing: Vec<&'static str>,
    /// As written; `None` if it is the version of the workspace.
    pub(crate) version: Option<String>,
    /// The lowest version of Rust, as written; `None` if it is that of the workspace.
    pub(crate) rust_version: Option<String>,
}

/// A dependency on a package of the repository.
#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Only for tests and examples.
    pub(crate) is_dev: bool,
    pub(crate) version: Option<String>,
}

impl Package {
    /// The name in the changelog: `domain`, `store-sqlite`, `app`, `client`.
    pub(crate) fn area(&self) -> &str {
        match self.name.as_str() {
            "grantry" => "app",
            name => name.strip_prefix("grantry-").or_else(|| name.strip_prefix("@grantry/")).unwrap_or(name),
        }
    }
}

/// The version of the workspace.
pub(crate) fn version(repository: &Repository) -> Result<String> {
    shared(repository, "version")
}

/// The lowest version of Rust that the workspace promises.
pub(crate) fn rust_version(repository: &Repository) -> Result<String> {
    shared(repository, "rust-version")
}

/// A field that the crates share.
fn shared(repository: &Repository, key: &str) -> Result<String> {
    let manifest: toml::Table = toml::from_str(repository.text("Cargo.toml")?)?;
    let package = manifest.get("workspace").and_then(|workspace| workspace.get("package"));
    let value = package.and_then(|package| package.get(key)).and_then(toml::Value::as_str);
    Ok(value.ok_or_else(|| format!("Cargo.toml: [workspace.package] has no {key}"))?.to_owned())
}

/// The members of the cargo workspace.
pub(crate) fn crates(repository: &Repository) -> Result<Vec<Package>> {
    let root: toml::Table = toml::from_str(repository.text("Cargo.toml")?)?;
    let workspace = root.get("workspace").and_then(toml::Value::as_table).ok_or("Cargo.toml has no [workspace]")?;
    let members = workspace.get("members").and_then(toml::Value::as_array).ok_or("Cargo.toml lists no members")?;
    let shared = shared_versions(workspace);
    let mut packages = Vec::new();
    for member in members.iter().filter_map(toml::Value::as_str) {
        let manifest = format!("{member}/Cargo.toml");
        let table: toml::Table =
            toml::from_str(repository.text(&manifest)?).map_err(|error| format!("{manifest}: {error}"))?;
        packages.push(crate_of(&manifest, &table, &shared)?);
    }
    Ok(packages)
}

/// The versions of [workspace.dependencies] that have a path in the repository.
fn shared_versions(workspace: &toml::Table) -> BTreeMap<String, Option<String>> {
    let dependencies = workspace.get("dependencies").and_then(toml::Value::as_table);
    let own = dependencies.into_iter().flatten().filter(|(_, value)| value.get("path").is_some());
    let version = |value: &toml::Value| value.get("version").and_then(toml::Value::as_str).map(str::to_owned);
    own.map(|(name, value)| (name.clone(), version(value))).collect()
}

fn crate_of(manifest: &str, table: &toml::Table, shared: &BTreeMap<String, Option<String>>) -> Result<Package> {
    let package = table.get("package").and_then(toml::Value::as_table).ok_or(format!("{manifest} has no [package]"))?;
    let text = |key: &str| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let mut dependencies = Vec::new();
    for (section, is_dev) in [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)] {
        for (name, value) in table.get(section).and_then(toml::Value::as_table).into_iter().flatten() {
            if let Some(version) = shared.get(name) {
                dependencies.push(Dependency { name: name.clone(), is_dev, version: version.clone() });
            } else if value.get("path").is_some() {
                let version = value.get("version").and_then(toml::Value::as_str).map(str::to_owned);
                dependencies.push(Dependency { name: name.clone(), is_dev, version });
            }
        }
    }
    let missing = ["description", "license", "repository", "rust-version"].into_iter();
    Ok(Package {
        name: text("name").ok_or(format!("{manifest}: has no name"))?,
        manifest: manifest.to_owned(),
        folder: manifest.trim_end_matches("Cargo.toml").to_owned(),
        is_published: package.get("publish").and_then(toml::Value::as_bool) != Some(false),
        dependencies,
        missing: missing.filter(|key| !package.contains_key(*key)).collect(),
        version: text("version"),
        rust_version: text("rust-version"),
    })
}

/// The npm packages, from every `package.json`.
pub(crate) fn npm(repository: &Repository) -> Result<Vec<Package>> {
    let mut packages = Vec::new();
    let manifests = repository.files.iter().filter(|file| file.path.ends_with("/package.json") && file.is_source());
    for file in manifests {
        let value: Value = serde_json::from_str(&file.text).map_err(|error| format!("{}: {error}", file.path))?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let Some(name) = text("name") else {
            continue;
        };
        let mut dependencies = Vec::new();
        for (section, is_dev) in [("dependencies", false), ("peerDependencies", false), ("devDependencies", true)] {
            let entries = value.get(section).and_then(Value::as_object).into_iter().flatten();
            let own = entries.filter(|(name, _)| name.starts_with("@grantry/"));
            dependencies.extend(own.map(|(name, version)| {
                let version = version.as_str().map(str::to_owned);
                Dependency { name: name.clone(), is_dev, version }
            }));
        }
        packages.push(Package {
            name,
            manifest: file.path.clone(),
            folder: file.path.trim_end_matches("package.json").to_owned(),
            is_published: value.get("private").and_then(Value::as_bool) != Some(true),
            dependencies,
            missing: ["version", "description", "license", "repository", "files"]
                .into_iter()
                .filter(|key| value.get(*key).is_none())
                .collect(),
            version: text("version"),
            rust_version: None,
        });
    }
    Ok(packages)
}

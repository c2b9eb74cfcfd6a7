//! The edits of a release: the version in every manifest, and the date in the changelog.

use std::path::Path;
use std::sync::LazyLock;

use cargo_metadata::semver::Version;
use jiff::civil::Date;
use regex::Regex;

use crate::release::changelog_file::{self, UNRELEASED};
use crate::release::context::Context;
use crate::{Result, manifests};

/// The key of the version in a manifest in TOML, and of a dependency with a path in the repository.
static TOML: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?m)^(?P<before>version = "|[\w-]+ = \{ path = "[^"]*", version = ")(?P<version>[^"]+)"#)
        .expect("a valid pattern")
});
/// The version of a document in JSON, and of a dependency on a package of the repository.
static JSON: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?m)^(?P<before>\s*"(?:version|@grantry/\w+)": ")(?P<version>[^"]+)"#).expect("a valid pattern")
});

/// Writes the version into every file that contains it.
pub(super) fn set_versions(root: &Path, version: &Version) -> Result {
    let context = Context::open(root, None)?;
    let current = manifests::version(&context.files)?;
    for file in &context.files.files {
        let Some(pattern) = kind(&file.path) else {
            continue;
        };
        let edited = replace(pattern, &file.text, &current, version);
        if edited != file.text {
            std::fs::write(root.join(&file.path), edited)?;
        }
    }
    Ok(())
}

/// Moves the entries of the next release below the heading of a version.
pub(super) fn date_changelog(root: &Path, version: &Version, today: Date) -> Result {
    let path = root.join(changelog_file::FILE);
    let text = std::fs::read_to_string(&path)?;
    let edited = dated(&text, version, today);
    if edited == text {
        return Err(format!("{} has no line `## {UNRELEASED}`", changelog_file::FILE).into());
    }
    std::fs::write(path, edited)?;
    Ok(())
}

/// How a file states the version; `None` if it does not.
fn kind(path: &str) -> Option<&'static Regex> {
    match path.rsplit('/').next() {
        Some("Cargo.toml" | "pyproject.toml") => Some(&TOML),
        Some("package.json" | "openapi.json") => Some(&JSON),
        _ => None,
    }
}

fn replace(pattern: &Regex, text: &str, current: &str, version: &Version) -> String {
    let edited = pattern.replace_all(text, |found: &regex::Captures<'_>| {
        let (before, old) = (&found["before"], &found["version"]);
        if old == current { format!("{before}{version}") } else { format!("{before}{old}") }
    });
    edited.into_owned()
}

fn dated(text: &str, version: &Version, today: Date) -> String {
    let heading = format!("## {UNRELEASED}\n");
    text.replacen(&heading, &format!("{heading}\n## {version} – {today}\n"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::changelog_file::Changelog;

    #[test]
    fn only_versions_of_the_repository_change() {
        let new = Version::new(0, 2, 0);
        let toml = "[workspace.package]\nversion = \"0.1.0\"\nrust-version = \"0.1.0\"\n\
                    grantry = { path = \"app\", version = \"0.1.0\" }\nother = { version = \"0.1.0\" }\n";
        let expected = "[workspace.package]\nversion = \"0.2.0\"\nrust-version = \"0.1.0\"\n\
                        grantry = { path = \"app\", version = \"0.2.0\" }\nother = { version = \"0.1.0\" }\n";
        assert_eq!(replace(&TOML, toml, "0.1.0", &new), expected);
        let json = "{\n  \"version\": \"0.1.0\",\n  \"@grantry/client\": \"0.1.0\",\n  \"other\": \"0.1.0\"\n}\n";
        let expected = "{\n  \"version\": \"0.2.0\",\n  \"@grantry/client\": \"0.2.0\",\n  \"other\": \"0.1.0\"\n}\n";
        assert_eq!(replace(&JSON, json, "0.1.0", &new), expected);
        assert_eq!(replace(&JSON, json, "0.0.1", &new), json);
    }

    #[test]
    fn the_entries_move_below_the_dated_heading() {
        let text = "# Changelog\n\n## Unreleased\n\n- **fix** (app): Mends `x`.\n";
        let edited = dated(text, &Version::new(0, 2, 0), Date::constant(2026, 1, 31));
        let changelog = Changelog::parse(&edited);
        assert_eq!(changelog.findings, []);
        assert!(changelog.unreleased().is_empty());
        assert_eq!(changelog.sections[1].heading, "0.2.0 – 2026-01-31");
        assert_eq!(changelog.sections[1].entries.len(), 1);
    }
}

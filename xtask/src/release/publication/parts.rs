//! The parts of the program and of the console in it, as bills of materials in the format `CycloneDX`.

use std::collections::BTreeSet;

use serde_json::Value;
use xshell::cmd;

use super::Copy;
use crate::Result;
use crate::workspace::{CONSOLE, FEATURES};

/// Marks what npm installs for tests and builds.
const FOR_DEVELOPMENT: &str = "cdx:npm:package:development";

/// The crates in the program.
///
/// The tool reads the dependencies of the whole workspace, with those of tests and of the demo. Only what the program is built
/// from is kept.
pub(super) fn of_the_program(copy: &Copy, host: &str) -> Result<String> {
    let (sh, features) = (copy.shell()?, FEATURES);
    let options = ["--format", "json", "--spec-version", "1.5", "--override-filename", "parts", "--quiet"];
    cmd!(sh, "cargo cyclonedx --manifest-path app/Cargo.toml --target {host} {options...} {features...}").run()?;
    let text = std::fs::read_to_string(copy.sources.join("app/parts.json"))?;
    // The tool writes a file into the folder of each crate. Cargo does not pack a crate with a file that is not committed.
    cmd!(sh, "git clean --quiet --force -- */parts.json").run()?;
    // The tool identifies crates of the repository by their folder.
    let folder = copy.sources.to_str().ok_or("a folder whose name is not UTF-8")?;
    let mut document: Value = serde_json::from_str(&text.replace(folder, "/grantry"))?;
    let tree = ["--edges", "normal,build", "--prefix", "none", "--format", "{p}"];
    let tree = cmd!(sh, "cargo tree --quiet --package grantry --target {host} {tree...} {features...}").quiet().read()?;
    let used: BTreeSet<_> = tree.lines().filter_map(crate_of).collect();
    keep(&mut document, |part| used.contains(&(text_of(part, "name"), text_of(part, "version"))))?;
    require(&document, "grantry-domain")?;
    Ok(format!("{document:#}\n"))
}

/// The npm packages in the console.
pub(super) fn of_the_console(copy: &Copy) -> Result<String> {
    let sh = copy.shell()?;
    let _there = sh.push_dir(CONSOLE);
    let text = cmd!(sh, "npm sbom --sbom-format cyclonedx --package-lock-only -w @grantry/web").quiet().read()?;
    let mut document: Value = serde_json::from_str(&text)?;
    // npm writes a random number and the time of the call.
    document.as_object_mut().ok_or("npm sbom wrote no object")?.remove("serialNumber");
    document["metadata"]["timestamp"] = jiff::Timestamp::from_second(copy.epoch()?)?.to_string().into();
    keep(&mut document, |part| {
        let properties = part["properties"].as_array().into_iter().flatten();
        !properties.into_iter().any(|property| property["name"] == FOR_DEVELOPMENT && property["value"] == "true")
    })?;
    require(&document, "react")?;
    Ok(format!("{document:#}\n"))
}

/// The name and the version in a line of `cargo tree`, such as `serde v1.0.228 (proc-macro)`.
fn crate_of(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split(' ');
    Some((words.next()?, words.next()?.strip_prefix('v')?))
}

fn text_of<'a>(part: &'a Value, key: &str) -> &'a str {
    part[key].as_str().unwrap_or_default()
}

/// Removes the other parts, and what depends on them.
fn keep(document: &mut Value, is_kept: impl Fn(&Value) -> bool) -> Result {
    let parts = document["components"].as_array_mut().ok_or("a bill of materials without components")?;
    let removed: BTreeSet<_> =
        parts.iter().filter(|part| !is_kept(part)).map(|part| text_of(part, "bom-ref").to_owned()).collect();
    parts.retain(|part| !removed.contains(text_of(part, "bom-ref")));
    let is_removed = |reference: &Value| reference.as_str().is_some_and(|reference| removed.contains(reference));
    if let Some(edges) = document["dependencies"].as_array_mut() {
        edges.retain(|edge| !is_removed(&edge["ref"]));
        for targets in edges.iter_mut().filter_map(|edge| edge["dependsOn"].as_array_mut()) {
            targets.retain(|target| !is_removed(target));
        }
    }
    Ok(())
}

/// Fails if a part is missing without which the document is useless.
fn require(document: &Value, name: &str) -> Result {
    let mut parts = document["components"].as_array().into_iter().flatten();
    if parts.any(|part| part["name"] == name) {
        return Ok(());
    }
    Err(format!("the bill of materials does not contain `{name}`").into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn removed_parts_are_no_dependency_of_others() {
        let mut document = json!({
            "components": [{ "name": "a", "bom-ref": "1" }, { "name": "b", "bom-ref": "2" }],
            "dependencies": [{ "ref": "1", "dependsOn": ["2"] }, { "ref": "2", "dependsOn": ["1"] }],
        });
        keep(&mut document, |part| part["name"] == "a").unwrap();
        let expected = json!({
            "components": [{ "name": "a", "bom-ref": "1" }],
            "dependencies": [{ "ref": "1", "dependsOn": [] }],
        });
        assert_eq!(document, expected);
        assert!(require(&document, "a").is_ok() && require(&document, "b").is_err());
        assert!(keep(&mut json!({}), |_| true).is_err());
    }

    #[test]
    fn lines_of_the_tree_name_crates() {
        assert_eq!(crate_of("serde_derive v1.0.228 (proc-macro) (*)"), Some(("serde_derive", "1.0.228")));
        assert_eq!(crate_of("grantry v0.1.0 (/sources/app)"), Some(("grantry", "0.1.0")));
        assert_eq!(crate_of(""), None);
    }
}

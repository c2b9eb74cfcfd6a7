//! Every dependency that a crate declares is used by a source of the crate.

use std::collections::BTreeSet;

use crate::Result;
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};
use crate::tidy::repository::{File, Repository};
use crate::tidy::source_text::Syntax;

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let mut sheet = Sheet::default();
    for manifest in context.files.files.iter().filter(|file| file.path.ends_with("/Cargo.toml")) {
        for name in unused(&context.files, manifest)? {
            let mend = format!(
                "remove it, or list it with the reason below `[package.metadata.unused.ignored]` of {}",
                manifest.path
            );
            sheet.red(format!("no source uses the dependency `{name}`"), &manifest.path, mend);
        }
    }
    Ok(sheet.outcome())
}

/// The declared dependencies that no source names, apart from those that the manifest lists with a reason:
///
/// ```toml
/// [package.metadata.unused.ignored]
/// getrandom = "enables a feature for wasm"
/// ```
fn unused(files: &Repository, manifest: &File) -> Result<Vec<String>> {
    let table: toml::Table = toml::from_str(&manifest.text).map_err(|error| format!("{}: {error}", manifest.path))?;
    let ignored =
        ["metadata", "unused", "ignored"].iter().try_fold(table.get("package"), |value, key| Some(value?.get(key)));
    let ignored = ignored.flatten().and_then(toml::Value::as_table).cloned().unwrap_or_default();
    let folder = manifest.path.trim_end_matches("Cargo.toml");
    let sources: Vec<_> = files.files.iter().filter(|file| file.path.starts_with(folder) && file.is_a("rs")).collect();
    let mut dependencies = BTreeSet::new();
    sections(&table, &mut dependencies);
    let code: Vec<_> = sources.iter().map(|file| (Syntax::Rust.code(&file.text), file.text.as_str())).collect();
    let is_used = |name: &str| {
        let module = name.replace('-', "_");
        // Examples in documentation are prose, and use dependencies as well.
        code.iter().any(|(code, text)| has_word(code, &module) || text.contains(&format!("{module}::")))
    };
    Ok(dependencies.into_iter().filter(|name| !is_used(name) && !ignored.contains_key(name)).collect())
}

/// The names under which dependencies are used, from every section and target.
fn sections(table: &toml::Table, names: &mut BTreeSet<String>) {
    for (key, value) in table {
        let Some(inner) = value.as_table() else {
            continue;
        };
        match key.as_str() {
            "dependencies" | "dev-dependencies" | "build-dependencies" => {
                names.extend(inner.keys().cloned());
            }
            "target" => inner.values().filter_map(toml::Value::as_table).for_each(|target| sections(target, names)),
            _ => {}
        }
    }
}

fn has_word(code: &str, word: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    code.match_indices(word).any(|(at, _)| !code[..at].ends_with(is_part) && !code[at + word.len()..].starts_with(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_is_used_by_a_source() {
        let manifest = "[dependencies]\nserde-json.workspace = true\nhex = '1'\n[target.'cfg(unix)'.dependencies]\nrustix = '1'\n\
            [dev-dependencies]\nproptest = '1'\n[package.metadata.unused.ignored]\nhex = 'for a feature'";
        let source = "use serde_json::Value; // rustix\nlet x = \"proptest\";";
        let files = Repository::of(&[("a/Cargo.toml", manifest), ("a/src/lib.rs", source), ("b/src/lib.rs", "rustix::x()")]);
        assert_eq!(unused(&files, &files.files[0]).unwrap(), ["proptest", "rustix"]);
    }
}

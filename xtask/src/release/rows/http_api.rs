//! `openapi.json` does not differ from the base in a breaking way without a changelog entry and, after a release, a version
//! that permits it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::Result;
use crate::manifests;
use crate::release::api_changes;
use crate::release::changelog_file::{self, Changelog, Entry};
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};
use crate::release::versions;

const FILE: &str = "openapi.json";

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let now = parse(context.files.text(FILE)?)?;
    let mut sheet = Sheet::default();
    let version = manifests::version(&context.files)?;
    if now["info"]["version"] != version.as_str() {
        let what = format!("the version is {} and that of the workspace {version}", now["info"]["version"]);
        sheet.red(what, FILE, "run `cargo xtask codegen`");
    }
    if let Err(reason) = context.base() {
        sheet.note(format!("not compared: {reason}"));
        return Ok(sheet.outcome());
    }
    let Some(before) = context.base_text(FILE)? else {
        sheet.note(format!("not compared: the base has no {FILE}"));
        return Ok(sheet.outcome());
    };
    let before = parse(&before)?;
    let entries = Changelog::added_entries(context)?;
    let quoted: BTreeSet<_> = entries.iter().filter(|entry| entry.is_breaking()).flat_map(Entry::quoted).collect();
    let breaks = api_changes::breaking(&before, &now);
    for found in &breaks {
        let what = format!("`{}`: {}", found.subject, found.what);
        if found.names().is_disjoint(&quoted) {
            let mend = format!(
                "undo the change, or add an entry `- **breaking** (http-axum): … `{}` …` to {}",
                found.subject,
                changelog_file::FILE
            );
            sheet.red(what, FILE, mend);
        } else {
            sheet.note(format!("breaking: {what}"));
        }
    }
    if !breaks.is_empty() && context.has_release() {
        let old = versions::parse("openapi.json of the base", before["info"]["version"].as_str().unwrap_or_default())?;
        let new = versions::parse("Cargo.toml", &version)?;
        if !versions::may_break(&old, &new) {
            let what = format!("the API has breaking changes, and {new} does not permit them after {old}");
            sheet.red(what, "Cargo.toml", "raise the major version (before 1.0.0 the minor one)");
        }
    }
    Ok(sheet.outcome())
}

fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| format!("{FILE}: {error}").into())
}

//! The committed text of the public items of each library is current, and nothing is removed from it without a changelog entry
//! and, after a release, a version that permits it.

use std::collections::BTreeSet;

use crate::Result;
use crate::manifests;
use crate::reference;
use crate::release::changelog_file::{self, Changelog};
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};
use crate::release::versions;

/// The folder of the texts.
const TEXTS: &str = "docs/reference/api/";

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let mut sheet = Sheet::default();
    let current = reference::rust_apis(&context.files)?;
    for (path, text) in &current {
        if context.files.find(path) != Some(text.as_str()) {
            let what = "the text differs from the public items in the sources";
            sheet.red(what, path, "run `cargo xtask codegen`, and read the difference: it is the change of the API");
        }
    }
    let paths: BTreeSet<_> = current.iter().map(|(path, _)| path.as_str()).collect();
    for file in context.files.files.iter().filter(|file| file.path.starts_with(TEXTS)) {
        if !paths.contains(file.path.as_str()) {
            sheet.red("no published library has this text", &file.path, "run `cargo xtask codegen`");
        }
    }
    match context.base() {
        Ok(_) => compare(context, &current, &mut sheet)?,
        Err(reason) => sheet.note(format!("not compared: {reason}")),
    }
    Ok(sheet.outcome())
}

fn compare(context: &Context, current: &[(String, String)], sheet: &mut Sheet) -> Result {
    let changelog = Changelog::parse(context.files.find(changelog_file::FILE).unwrap_or_default());
    let (mut is_broken, mut absent) = (false, 0);
    for (path, text) in current {
        let Some(before) = context.base_text(path)? else {
            absent += 1;
            continue;
        };
        let (before, now): (BTreeSet<_>, BTreeSet<_>) =
            (before.lines().flat_map(items).collect(), text.lines().flat_map(items).collect());
        let removed: Vec<_> = before.difference(&now).collect();
        let added = now.difference(&before).count();
        if removed.is_empty() && added == 0 {
            continue;
        }
        sheet.note(format!("{path}: {added} added, {} removed or changed", removed.len()));
        let Some(first) = removed.first() else { continue };
        is_broken = true;
        let area = path.trim_start_matches(TEXTS).trim_end_matches(".txt");
        let is_breaking =
            |entry: &&changelog_file::Entry| entry.label == "breaking" && entry.areas.iter().any(|name| name == area);
        if !changelog.unreleased().iter().any(|entry| is_breaking(&entry)) {
            let what =
                format!("{} items were removed or changed, and no entry is breaking; the first is `{first}`", removed.len());
            let mend = format!("undo the change, or add an entry `- **breaking** ({area}): …` to {}", changelog_file::FILE);
            sheet.red(what, path, mend);
        }
    }
    if absent > 0 {
        sheet.note(format!("not compared: {absent} texts that the base does not have"));
    }
    if is_broken && context.has_release() {
        let base = context.base().map(|base| base.revision.trim_start_matches('v').to_owned())?;
        let (old, new) = (versions::parse("the last tag", &base)?, manifests::version(&context.files)?);
        let new = versions::parse("Cargo.toml", &new)?;
        if !versions::may_break(&old, &new) {
            let what = format!("public items were removed or changed, and {new} does not permit that after {old}");
            sheet.red(what, "Cargo.toml", "raise the major version (before 1.0.0 the minor one)");
        }
    }
    Ok(())
}

/// The items of a line: a list of re-exports has one for each name, so that a longer list removes nothing.
fn items(line: &str) -> Vec<String> {
    match line.split_once("pub use ").and_then(|_| line.strip_suffix('}')?.split_once('{')) {
        Some((path, names)) => {
            names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(|name| format!("{path}{name}")).collect()
        }
        None => vec![line.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_reexports_are_compared_by_name() {
        assert_eq!(items("crate: pub use a::{ B, C, }"), ["crate: pub use a::B", "crate: pub use a::C"]);
        assert_eq!(items("crate: pub use a::B"), ["crate: pub use a::B"]);
        assert_eq!(items("crate: pub fn f() -> [u8; { N }]"), ["crate: pub fn f() -> [u8; { N }]"]);
    }
}

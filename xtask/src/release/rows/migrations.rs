//! A migration that a release applied is not edited, and the previous release can run beside a new one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use xshell::cmd;

use crate::Result;
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};
use crate::tidy::repository::{Repository, has_extension};
use crate::tidy::source_text::Syntax;

/// Each store has its migrations in a folder of this name.
const STORES: &str = "adapters-store/";
const FOLDER: &str = "/migrations/";

/// Statements that break the queries of a program that was compiled for the schema before.
static BREAKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let table = [
        (r"(?i)\bDROP\s+(TABLE|COLUMN|VIEW)\b", "removes what the previous release reads"),
        (r"(?i)\bRENAME\b", "renames what the previous release reads"),
        (r"(?i)\bCREATE\s+TRIGGER\b", "adds a trigger, which the previous release refuses"),
        (r"(?i)\bSET\s+NOT\s+NULL\b", "requires a value that the previous release does not write"),
    ];
    table.into_iter().map(|(pattern, why)| (Regex::new(pattern).expect("a valid pattern"), why)).collect()
});
static NEW_COLUMN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)\bADD\s+(?:COLUMN\s+)?\w+[^;]*\bNOT\s+NULL\b[^;]*").expect("a valid pattern"));
static NAME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(\d{4})_[a-z0-9_]+\.sql$").expect("a valid pattern"));

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let mut sheet = Sheet::default();
    for (store, names) in stores(&context.files) {
        numbered(&context.files, &store, &names, &mut sheet);
    }
    if let Err(reason) = context.base() {
        sheet.note(format!("not compared: {reason}"));
        return Ok(sheet.outcome());
    }
    let base = context.base_paths(STORES)?;
    let base: BTreeSet<_> = base.into_iter().filter(|path| is_migration(path)).collect();
    for path in &base {
        if let Some(change) = change(context, path)? {
            let what = format!("the migration was {change} after the base");
            let mend = format!("restore {path} (`git checkout BASE -- {path}`), and add a migration with the next number");
            report(context, &mut sheet, &what, path, &mend);
        }
    }
    for file in context.files.files.iter().filter(|file| is_migration(&file.path) && !base.contains(&file.path)) {
        // The first migrations of a new store run beside no release.
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if !base.iter().any(|path| path.starts_with(folder)) {
            continue;
        }
        for why in breaks(&Syntax::Sql.code(&file.text)) {
            let what = format!("the migration {why}");
            let mend = "make the change in two releases: first one that no longer reads it, then this migration";
            report(context, &mut sheet, &what, &file.path, mend);
        }
    }
    Ok(sheet.outcome())
}

/// Red after a release, and a note before the first one.
fn report(context: &Context, sheet: &mut Sheet, what: &str, path: &str, mend: &str) {
    if context.has_release() {
        sheet.red(what, path, mend);
    } else {
        sheet.note(format!("{path}: {what}; nothing is released yet"));
    }
}

fn is_migration(path: &str) -> bool {
    path.starts_with(STORES) && path.contains(FOLDER) && has_extension(path, "sql")
}

/// The migrations of each store, by the folder of its crate.
fn stores(repository: &Repository) -> BTreeMap<String, Vec<String>> {
    let mut stores = BTreeMap::<String, Vec<String>>::new();
    for path in repository.files.iter().map(|file| file.path.as_str()).filter(|path| is_migration(path)) {
        if let Some((store, name)) = path.split_once(FOLDER) {
            stores.entry(store.to_owned()).or_default().push(name.to_owned());
        }
    }
    stores
}

/// Numbers are without a gap, and the crate includes each file.
fn numbered(repository: &Repository, store: &str, names: &[String], sheet: &mut Sheet) {
    let sources: Vec<_> = repository.files.iter().filter(|file| file.path.starts_with(store) && file.is_a("rs")).collect();
    for (at, name) in names.iter().enumerate() {
        let place = format!("{store}{FOLDER}{name}");
        let number = NAME.captures(name).and_then(|found| found[1].parse().ok());
        if number != Some(at + 1) {
            sheet.red(
                format!("the number is not {:04}", at + 1),
                &place,
                "number the migrations without a gap: `0001_name.sql`",
            );
        }
        if !sources.iter().any(|file| file.text.contains(&format!("migrations/{name}"))) {
            sheet.red("no source of the store includes the file", &place, "add it to the list of migrations of the store");
        }
    }
}

/// How a file differs from the base.
fn change(context: &Context, path: &str) -> Result<Option<&'static str>> {
    if context.files.find(path).is_none() {
        return Ok(Some("removed"));
    }
    let revision = context.base().map(|base| base.revision.clone())?;
    let sh = context.shell()?;
    let same = cmd!(sh, "git diff --quiet {revision} -- {path}").quiet().ignore_status().output()?.status.success();
    Ok((!same).then_some("edited"))
}

/// Why the previous release cannot run beside a migration.
fn breaks(code: &str) -> Vec<&'static str> {
    let mut found: Vec<_> = BREAKS.iter().filter(|(pattern, _)| pattern.is_match(code)).map(|(_, why)| *why).collect();
    if NEW_COLUMN.find_iter(code).any(|column| !column.as_str().to_uppercase().contains("DEFAULT")) {
        found.push("adds a column that requires a value which the previous release does not write");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_the_previous_release_cannot_run_beside_are_found() {
        for (code, number) in [
            ("ALTER TABLE a ADD COLUMN b TEXT;", 0),
            ("ALTER TABLE a ADD COLUMN b TEXT NOT NULL DEFAULT '';", 0),
            ("CREATE TABLE a (b TEXT NOT NULL);", 0),
            ("ALTER TABLE a ADD COLUMN b TEXT NOT NULL;", 1),
            ("ALTER TABLE a DROP COLUMN b; DROP TABLE c;", 1),
            ("ALTER TABLE a RENAME TO b; CREATE TRIGGER c", 2),
        ] {
            assert_eq!(breaks(code).len(), number, "{code}");
        }
    }

    #[test]
    fn numbers_have_no_gap_and_the_store_includes_each_file() {
        let folder = "adapters-store/x/migrations";
        let (first, third) = (format!("{folder}/0001_first.sql"), format!("{folder}/0003_third.sql"));
        let source = ("adapters-store/x/src/lib.rs", "include_str!(\"../migrations/0001_first.sql\")");
        let repository = Repository::of(&[(&first, ""), (&third, ""), source]);
        let mut sheet = Sheet::default();
        for (store, names) in stores(&repository) {
            numbered(&repository, &store, &names, &mut sheet);
        }
        let Outcome::Red { findings, .. } = sheet.outcome() else { panic!("not red") };
        let whats: Vec<_> = findings.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(whats, ["the number is not 0002", "no source of the store includes the file"]);
    }
}

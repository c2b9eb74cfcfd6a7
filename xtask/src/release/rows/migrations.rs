//! A migration that a release applied is not edited, and the previous release can run beside a new one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use xshell::cmd;

use crate::Result;
use crate::manifests;
use crate::release::changelog_file::{self, Changelog, Entry};
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};
use crate::tidy::repository::{File, Repository, has_extension};
use crate::tidy::source_text::Syntax;

/// Each store has its migrations in a folder of this name.
const STORES: &str = "adapters-store/";
const FOLDER: &str = "/migrations/";

/// A name in SQL, with its schema and quotes; the group is the name.
const TABLE: &str = r#"(?:["`\[]?\w+["`\]]?\.)?["`\[]?(?<table>\w+)"#;

/// Statements that the previous release cannot run beside. Those with a `{table}` are permitted for a table that no release has.
static BREAKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let table = [
        (r"\bDROP\s+\w+\s+(?:IF\s+EXISTS\s+)?{table}", "removes what the previous release uses"),
        (r"\bALTER\s+TABLE\s+{table}\W.*\bDROP\b", "removes what the previous release uses"),
        (r"\bALTER\s+TABLE\s+{table}\W.*\bRENAME\b", "renames what the previous release uses"),
        (r"\bALTER\s+TABLE\s+{table}\W.*\bSET\s+NOT\s+NULL\b", "requires a value that the previous release does not write"),
        (
            r"\bALTER\s+TABLE\s+{table}\W.*\bALTER\s+(?:COLUMN\s+)?\S+\s+(?:SET\s+DATA\s+)?TYPE\b",
            "changes the type of a column that the previous release uses",
        ),
        (
            r"\bALTER\s+TABLE\s+{table}\W.*\b(?:CHECK|REFERENCES|UNIQUE|PRIMARY\s+KEY|FOREIGN\s+KEY|EXCLUDE)\b",
            "adds a constraint that writes of the previous release can violate",
        ),
        (
            r"\bCREATE\s+UNIQUE\s+INDEX\s.*\bON\s+(?:ONLY\s+)?{table}",
            "adds a unique index that writes of the previous release can violate",
        ),
        (r"\bCREATE\s+(?:\w+\s+)*TRIGGER\b", "adds a trigger, which the previous release refuses"),
        (
            r"\bUPDATE\s+(?:OR\s+\w+\s+|ONLY\s+)*{table}\W+(?:AS\s+)?(?:\w+\s+)?SET\b",
            "changes rows that the previous release uses",
        ),
        (r"\bDELETE\s+FROM\s+(?:ONLY\s+)?{table}", "removes rows that the previous release uses"),
        (r"\bTRUNCATE\s+(?:TABLE\s+)?{table}", "removes rows that the previous release uses"),
        (r"\b(?:INSERT\s+OR\s+)?REPLACE\s+INTO\s+{table}", "changes rows that the previous release uses"),
        (r"\bINSERT\s+INTO\s+{table}.*\bDO\s+UPDATE\b", "changes rows that the previous release uses"),
        (r"\bPRAGMA\s+writable_schema\b", "edits the schema directly"),
    ];
    let compile =
        |pattern: &str| Regex::new(&format!("(?is){}", pattern.replace("{table}", TABLE))).expect("a valid pattern");
    table.into_iter().map(|(pattern, why)| (compile(pattern), why)).collect()
});
/// A new column, until the next part of the statement.
static NEW_COLUMN: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = format!(r"(?is)\bALTER\s+TABLE\s+{TABLE}\W+ADD\s+(?<column>.*?\bNOT\s+NULL\b.*)");
    Regex::new(&pattern).expect("a valid pattern")
});
static ADD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?i)\bADD\s").expect("a valid pattern"));
static NOT_NULL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?i)\bNOT\s+NULL\b").expect("a valid pattern"));
static DEFAULT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?i)\bDEFAULT\b").expect("a valid pattern"));
/// What a migration creates. Nothing of a release uses it.
static CREATED: LazyLock<Regex> = LazyLock::new(|| {
    let kinds = r"(?:TABLE|VIEW|(?:UNIQUE\s+)?INDEX)";
    let pattern = format!(r"(?is)\bCREATE\s+{kinds}\s+(?:IF\s+NOT\s+EXISTS\s+)?{TABLE}");
    Regex::new(&pattern).expect("a valid pattern")
});
/// Permits the next statement, with a reason: `-- release: the previous release does not read this table`.
static PERMISSION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^[ \t]*--[ \t]*release:(?<reason>.*)$").expect("a valid pattern"));
/// A shorter reason gives none.
const SHORTEST_REASON: usize = 20;
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
    let entries = Changelog::added_entries(context)?;
    let base: BTreeSet<_> = context.base_paths(STORES)?.into_iter().filter(|path| is_migration(path)).collect();
    for path in &base {
        if let Some(change) = change(context, path)? {
            edited(context, &entries, path, change, &mut sheet)?;
        }
    }
    let is_new = |file: &&File| is_migration(&file.path) && !base.contains(&file.path);
    let new: Vec<_> = context.files.files.iter().filter(is_new).collect();
    for file in &new {
        // The first migrations of a new store run beside no release.
        let folder = folder(&file.path);
        if !base.iter().any(|path| path.starts_with(folder)) {
            continue;
        }
        let earlier = new.iter().filter(|other| other.path.starts_with(folder) && other.path <= file.path);
        beside(&file.path, &file.text, &created(earlier.map(|file| file.text.as_str())), &mut sheet);
    }
    Ok(sheet.outcome())
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The tables, views and indexes that migrations create, in lower case.
fn created<'t>(migrations: impl Iterator<Item = &'t str>) -> BTreeSet<String> {
    let names = |text| {
        let code = Syntax::Sql.code(text);
        CREATED.captures_iter(&code).map(|found| found["table"].to_lowercase()).collect::<Vec<_>>()
    };
    migrations.flat_map(names).collect()
}

/// Reports each statement that the previous release cannot run beside, unless a comment before it permits it with a reason. This
/// holds before the first release as well: it is the reason that a later reader needs.
fn beside(path: &str, text: &str, new: &BTreeSet<String>, sheet: &mut Sheet) {
    for statement in statements(text) {
        let place = format!("{path}:{}", statement.line);
        let found = breaks(&statement.code, new);
        match &statement.permission {
            Some(reason) if reason.chars().count() < SHORTEST_REASON => {
                sheet.red(
                    "a permission gives no reason",
                    &place,
                    "write after `-- release:` why the previous release can run beside the statement, in at least 20 letters",
                );
            }
            Some(_) if found.is_empty() => {
                sheet.red("a permission is not needed", &place, "remove the comment `-- release: …`");
            }
            Some(reason) => {
                sheet.note(format!("{place}: the migration {}: {reason}", found.into_iter().collect::<Vec<_>>().join(", ")));
            }
            None => {
                for why in found {
                    let mend = "make the change in two releases: first one that no longer uses it, then this migration; or, if \
                        the previous release is not affected, write a line with `-- release:` and the reason before the statement";
                    sheet.red(format!("the migration {why}"), &place, mend);
                }
            }
        }
    }
}

/// A statement without comments and quoted text.
struct Statement {
    code: String,
    /// Its first line, from 1.
    line: usize,
    /// The reason of the comment `-- release: …` in it or before it.
    permission: Option<String>,
}

/// The statements of a text. Those of a trigger are separate ones.
fn statements(text: &str) -> Vec<Statement> {
    let (code, prose) = (Syntax::Sql.code(text), Syntax::Sql.prose(text));
    let permissions: Vec<_> = PERMISSION
        .captures_iter(&prose)
        .map(|found| (line_at(&prose, found.get(0).map_or(0, |found| found.end())), found["reason"].trim().to_owned()))
        .collect();
    let (mut from, mut found) = (0, Vec::new());
    let mut after = 0;
    for part in code.split_inclusive(';') {
        let (start, end) = (from + part.len() - part.trim_start().len(), from + part.len());
        from = end;
        let last = line_at(&code, end.saturating_sub(1));
        if start < end {
            let of = permissions.iter().find(|(line, _)| *line > after && *line <= last);
            let permission = of.map(|(_, reason)| reason.clone());
            found.push(Statement { code: part.trim().to_owned(), line: line_at(&code, start), permission });
        }
        after = last;
    }
    found
}

/// The line of an offset, from 1.
fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// Red after a release. Before the first one, databases are created again, and a changelog entry announces that.
fn edited(context: &Context, entries: &[Entry], path: &str, change: &str, sheet: &mut Sheet) -> Result {
    let name = path.rsplit('/').next().unwrap_or(path);
    let what = format!("the migration {name} was {change} after the base");
    if !context.has_release() && entries.iter().any(|entry| entry.mentions(Some("breaking"), name)) {
        sheet.note(format!("{path}: {what}; nothing is released yet"));
        return Ok(());
    }
    let revision = &context.base()?.revision;
    let restored = format!("run `git checkout {revision} -- {path}`, and add a migration with the next number");
    let mend = if context.has_release() {
        restored
    } else {
        let crates = manifests::crates(&context.files)?;
        let area = crates.iter().find(|package| path.starts_with(&package.folder)).map_or("app", |package| package.area());
        format!("{restored}; or add an entry `- **breaking** ({area}): … `{name}` …` to {}", changelog_file::FILE)
    };
    sheet.red(what, context.files.nearest(path), mend);
    Ok(())
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

/// Why the previous release cannot run beside a statement. Tables, views and indexes of `new` are in no release.
fn breaks(code: &str, new: &BTreeSet<String>) -> BTreeSet<&'static str> {
    let is_new =
        |found: &regex::Captures<'_>| found.name("table").is_some_and(|table| new.contains(&table.as_str().to_lowercase()));
    let breaks = |pattern: &Regex| pattern.captures_iter(code).any(|found| !is_new(&found));
    let mut found: BTreeSet<_> = BREAKS.iter().filter(|(pattern, _)| breaks(pattern)).map(|(_, why)| *why).collect();
    let requires_value = |column: &str| NOT_NULL.is_match(column) && !DEFAULT.is_match(column);
    let mut columns = NEW_COLUMN.captures_iter(code).filter(|found| !is_new(found));
    if columns.any(|found| ADD.split(&found["column"]).any(requires_value)) {
        found.insert("adds a column that requires a value which the previous release does not write");
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
            ("ALTER TABLE a RENAME TO b", 1),
            ("ALTER TABLE a ADD x TEXT DEFAULT '', ADD y TEXT NOT NULL", 1),
            ("ALTER TABLE a ADD COLUMN b TEXT CHECK (b <> '')", 1),
            ("ALTER TABLE a ADD COLUMN b TEXT REFERENCES c (id)", 1),
            ("ALTER TABLE fresh ADD COLUMN b TEXT NOT NULL", 0),
            ("CREATE TRIGGER a AFTER INSERT ON b BEGIN SELECT 1", 1),
            ("CREATE INDEX a ON b (c)", 0),
            ("CREATE UNIQUE INDEX a ON b (c)", 1),
            ("CREATE UNIQUE INDEX a ON fresh (c)", 0),
            ("ALTER TABLE a ADD COLUMN type TEXT", 0),
            ("ALTER TABLE a ALTER COLUMN b TYPE bigint", 1),
            ("UPDATE a SET b = 1", 1),
            ("update or ignore main.\"a\" as x set b = 1", 1),
            ("UPDATE fresh SET b = 1", 0),
            ("WITH x AS (SELECT 1) DELETE FROM a", 1),
            ("DELETE FROM Fresh", 0),
            ("INSERT INTO a VALUES (1)", 0),
            ("INSERT INTO a VALUES (1) ON CONFLICT (b) DO UPDATE SET b = 2", 1),
            ("INSERT OR REPLACE INTO a VALUES (1)", 1),
            ("DROP INDEX a", 1),
            ("CREATE TABLE fresh (a REFERENCES b (c) ON DELETE CASCADE ON UPDATE CASCADE, CHECK (a > 1))", 0),
        ] {
            let new = BTreeSet::from(["fresh".to_owned()]);
            assert_eq!(breaks(code, &new).len(), number, "{code}");
        }
    }

    #[test]
    fn a_comment_permits_the_next_statement_with_a_reason() {
        let found = |text: &str| {
            let mut sheet = Sheet::default();
            beside("a.sql", text, &created([text].into_iter()), &mut sheet);
            match sheet.outcome() {
                Outcome::Red { findings, .. } => {
                    findings.into_iter().map(|found| format!("{} {}", found.place, found.what)).collect()
                }
                Outcome::Green { notes } => notes,
                Outcome::Skipped(reason) => vec![reason],
            }
        };
        let reason = "-- release: the previous release does not read it\n";
        assert_eq!(
            found(&format!("CREATE TABLE x (a);\n{reason}DELETE FROM y;\nUPDATE x SET a = 1;\n")),
            ["a.sql:3: the migration removes rows that the previous release uses: the previous release does not read it"]
        );
        assert_eq!(
            found(&format!("{reason}DELETE FROM y;\nDELETE FROM z;\n")),
            ["a.sql:3 the migration removes rows that the previous release uses"]
        );
        assert_eq!(found("-- release:\nDELETE FROM y;\n"), ["a.sql:2 a permission gives no reason"]);
        assert_eq!(found(&format!("{reason}CREATE TABLE x (a);\n")), ["a.sql:2 a permission is not needed"]);
        let quoted = "UPDATE y SET a = '-- release: the previous release does not read it';\n";
        assert_eq!(found(quoted), ["a.sql:1 the migration changes rows that the previous release uses"]);
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

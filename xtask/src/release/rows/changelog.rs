//! The changelog is well-formed, and has an entry for every commit and every area that changed since the base.
//!
//! A commit that changes more than tests, documents and tools satisfies this in one of these ways:
//!
//! - it adds or edits an entry about an area that it changes,
//! - its trailer `Changelog: TEXT` quotes how an entry about such an area begins that was added since the base,
//! - a later commit that adds or edits such an entry has the trailer `Changelog-for: HASH`,
//! - its trailer is `Changelog: none`: users do not notice the change.

use std::collections::{BTreeMap, BTreeSet};

use xshell::cmd;

use crate::Result;
use crate::manifests;
use crate::release::base::Base;
use crate::release::changelog_file::{Changelog, Entry, FILE};
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};
use crate::tidy::repository::has_extension;

/// A commit that users do not notice has this line at the end of its message.
const EXEMPTION: &str = "Changelog: none";
/// A shorter quotation can be that of another entry.
const SHORTEST_QUOTATION: usize = 15;

/// A part of the product: its name in the changelog and the folder of its sources.
struct Area {
    name: String,
    folder: String,
}

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let mut sheet = Sheet::default();
    let Some(text) = context.files.find(FILE) else {
        let mend = format!("create {FILE} with a section `## Unreleased`");
        sheet.red(format!("{FILE} does not exist"), context.files.nearest(FILE), mend);
        return Ok(sheet.outcome());
    };
    let changelog = Changelog::parse(text);
    for finding in &changelog.findings {
        sheet.red(&finding.what, &finding.place, &finding.mend);
    }
    let areas = areas(context)?;
    let names: BTreeSet<_> = areas.iter().map(|area| area.name.as_str()).collect();
    for (entry, area) in unknown_areas(changelog.unreleased(), &names) {
        let mend = format!("name an area of {}", names.iter().copied().collect::<Vec<_>>().join(", "));
        sheet.red(format!("`{area}` is not a crate or a package"), format!("{FILE}:{}", entry.line), mend);
    }
    match context.base() {
        Err(reason) => sheet.note(format!("changes since the base are not compared: {reason}")),
        Ok(base) => {
            let commits = commits(context, base)?;
            for commit in without_entry(context, &commits, &areas)? {
                let what = format!("the commit `{} {}` has no entry", commit.short(), commit.subject);
                let mend = format!(
                    "add an entry about what it changes to {FILE} in the same commit, or in a later one with the trailer \
                     `Changelog-for: {}`; or end its message with `{EXEMPTION}` or with `Changelog: ` and how an entry begins",
                    commit.short()
                );
                sheet.red(what, FILE, mend);
            }
            let added: BTreeSet<_> = Changelog::added_entries(context)?.into_iter().flat_map(|entry| entry.areas).collect();
            for (area, commits) in changes(&commits, &areas) {
                if added.contains(&area) {
                    continue;
                }
                let what = format!("`{area}` changed since {} and has no new entry: {}", base.revision, commits.join("; "));
                let mend = format!(
                    "add `- **LABEL** ({area}): …` to {FILE}, with a label of breaking, security, feature and fix, or end the message of a commit that users do not notice with \
                     `{EXEMPTION}`"
                );
                sheet.red(what, FILE, mend);
            }
        }
    }
    Ok(sheet.outcome())
}

/// Published crates and packages, the console, and the Python client.
fn areas(context: &Context) -> Result<Vec<Area>> {
    let mut packages = manifests::crates(&context.files)?;
    packages.extend(manifests::npm(&context.files)?);
    let published = packages.iter().filter(|package| package.is_published);
    let mut areas: Vec<_> =
        published.map(|package| Area { name: package.area().to_owned(), folder: package.folder.clone() }).collect();
    for (name, folder) in [("console", "app/console/web/"), ("python", "app/python/")] {
        areas.push(Area { name: name.to_owned(), folder: folder.to_owned() });
    }
    // The deepest folder comes first: `app/console/web/` is not a part of `app/`.
    areas.sort_by_key(|area| std::cmp::Reverse(area.folder.len()));
    Ok(areas)
}

fn unknown_areas<'e>(entries: &'e [Entry], names: &BTreeSet<&str>) -> Vec<(&'e Entry, &'e str)> {
    let pairs = entries.iter().flat_map(|entry| entry.areas.iter().map(move |area| (entry, area.as_str())));
    pairs.filter(|(_, area)| !names.contains(area)).collect()
}

/// A commit since the base.
struct Commit {
    hash: String,
    subject: String,
    paths: Vec<String>,
    /// The values of the trailers `Changelog` and `Changelog-for`.
    changelog: Vec<String>,
    changelog_for: Vec<String>,
    /// Whether the rule for each commit holds for it.
    is_after_changelog_base: bool,
}

impl Commit {
    fn short(&self) -> &str {
        self.hash.get(..10).unwrap_or(&self.hash)
    }

    fn is_exempt(&self) -> bool {
        let none = EXEMPTION.rsplit(' ').next();
        self.changelog.iter().any(|value| Some(value.as_str()) == none)
    }

    /// Whether a later commit has the entry of this one.
    fn is_named_by(&self, other: &Self) -> bool {
        other.changelog_for.iter().any(|hash| hash.len() >= 7 && self.hash.starts_with(hash.as_str()))
    }
}

/// The commits since the base without merges, the newest first.
fn commits(context: &Context, base: &Base) -> Result<Vec<Commit>> {
    let sh = context.shell()?;
    let range = &["HEAD".to_owned(), format!("^{}", base.revision)];
    let trailer = |key: &str| format!("%(trailers:key={key},valueonly,unfold,separator=%x1d)");
    let format = format!("--format=%x1e%H%x1f%s%x1f{}%x1f{}%x1f", trailer("Changelog"), trailer("Changelog-for"));
    let all = cmd!(sh, "git -c core.quotePath=false log --no-merges --name-only --no-renames {format} {range...}");
    let log = all.quiet().read()?;
    let earlier = base.changelog.as_ref().map(|commit| format!("^{commit}"));
    let recent = cmd!(sh, "git rev-list --no-merges {range...} {earlier...}").quiet().read()?;
    let recent: BTreeSet<_> = recent.lines().collect();
    Ok(log.split('\x1e').filter_map(|commit| parse(commit, &recent)).collect())
}

fn parse(commit: &str, recent: &BTreeSet<&str>) -> Option<Commit> {
    let mut parts = commit.split('\x1f');
    let (hash, subject) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let mut values = || -> Option<Vec<String>> {
        let values = parts.next()?.split('\x1d').map(str::trim).filter(|value| !value.is_empty());
        Some(values.map(str::to_owned).collect())
    };
    let (changelog, changelog_for) = (values()?, values()?);
    let paths = parts.next()?.lines().filter(|path| !path.is_empty()).map(str::to_owned).collect();
    let is_after_changelog_base = recent.contains(hash.as_str());
    Some(Commit { hash, subject, paths, changelog, changelog_for, is_after_changelog_base })
}

/// The commits that users may notice and that no entry is about.
fn without_entry<'c>(context: &Context, commits: &'c [Commit], areas: &[Area]) -> Result<Vec<&'c Commit>> {
    let mut found = Vec::new();
    for (at, commit) in commits.iter().enumerate() {
        let product: Vec<_> = commit.paths.iter().filter(|path| is_noticed(path)).collect();
        if !commit.is_after_changelog_base || commit.is_exempt() || product.is_empty() {
            continue;
        }
        let touched: BTreeSet<_> =
            product.iter().filter_map(|path| folder_of(path, areas)).map(|area| area.name.as_str()).collect();
        // A file outside of all areas, such as a manifest of the workspace, can belong to an entry about any.
        let is_about = |entry: &Entry| touched.is_empty() || entry.areas.iter().any(|area| touched.contains(area.as_str()));
        let later = commits.iter().take(at).filter(|later| commit.is_named_by(later));
        let mut has_entry = quotes_entry(context, commit, is_about)?;
        for writer in std::iter::once(commit).chain(later) {
            has_entry |= edited(context, writer)?.iter().any(is_about);
        }
        if !has_entry {
            found.push(commit);
        }
    }
    Ok(found)
}

/// The unreleased entries that a commit adds or edits.
fn edited(context: &Context, commit: &Commit) -> Result<Vec<Entry>> {
    if !commit.paths.iter().any(|path| path == FILE) {
        return Ok(Vec::new());
    }
    let (now, before) = (changelog_at(context, &commit.hash)?, changelog_at(context, &format!("{}^", commit.hash))?);
    Ok(now.added(&before, false).into_iter().cloned().collect())
}

/// Whether the trailer of a commit quotes how an entry begins that the changelog has in that commit and did not have in the base.
fn quotes_entry(context: &Context, commit: &Commit, is_about: impl Fn(&Entry) -> bool) -> Result<bool> {
    let quotations = commit.changelog.iter().filter(|value| value.chars().count() >= SHORTEST_QUOTATION);
    let quotations: Vec<_> = quotations.collect();
    if quotations.is_empty() {
        return Ok(false);
    }
    let base = context.base_text(FILE)?.map(|text| Changelog::parse(&text)).unwrap_or_default();
    let changelog = changelog_at(context, &commit.hash)?;
    let quoted = |entry: &Entry| quotations.iter().any(|start| entry.text.starts_with(start.as_str()));
    Ok(changelog.added(&base, context.has_release()).into_iter().any(|entry| quoted(entry) && is_about(entry)))
}

/// The changelog of a revision, which is empty if there is no file.
fn changelog_at(context: &Context, revision: &str) -> Result<Changelog> {
    let (sh, object) = (context.shell()?, format!("{revision}:{FILE}"));
    let text = cmd!(sh, "git show {object}").quiet().ignore_stderr().read().unwrap_or_default();
    Ok(Changelog::parse(&text))
}

/// The commits that change the sources of each area, without those that are exempt.
fn changes(commits: &[Commit], areas: &[Area]) -> BTreeMap<String, Vec<String>> {
    let mut changes = BTreeMap::<String, Vec<String>>::new();
    for commit in commits.iter().filter(|commit| !commit.is_exempt()) {
        let touched: BTreeSet<_> = commit.paths.iter().filter_map(|path| area_of(path, areas)).collect();
        for area in touched {
            changes.entry(area.to_owned()).or_default().push(format!("{} {}", commit.short(), commit.subject));
        }
    }
    changes
}

/// Whether users can notice a change of a file: not of tests, documents, tools, and what is generated from other files.
fn is_noticed(path: &str) -> bool {
    let is_tool = ["xtask/", "docs/", "tests/", "app/console/dist/", "app/console/scripts/"]
        .iter()
        .any(|folder| path.starts_with(folder));
    let is_list = ["requirements.toml", "deny.toml", "clippy.toml", "rustfmt.toml"].contains(&path) || path == "LICENSE";
    !(is_tool || is_list || path.starts_with('.') || is_test(path))
}

/// Whether a file is a test, an example, a document or a snapshot.
fn is_test(path: &str) -> bool {
    path.split('/').any(|part| {
        ["tests", "tests.rs", "test", "snapshots", "generated", "examples", "benches", "e2e"].contains(&part)
            || part.ends_with("_tests.rs")
            || [".test.ts", ".test.tsx", ".test.mts"].iter().any(|end| part.ends_with(end))
            || has_extension(part, "md")
    })
}

fn folder_of<'a>(path: &str, areas: &'a [Area]) -> Option<&'a Area> {
    areas.iter().find(|area| path.starts_with(&area.folder))
}

/// The area whose product a file is a part of. Tests, examples, documents and bundles are no part of it.
fn area_of<'a>(path: &str, areas: &'a [Area]) -> Option<&'a str> {
    let area = folder_of(path, areas)?;
    let inner = &path[area.folder.len()..];
    let is_product =
        ["src/", "templates/", "assets/", "migrations/", "profiles/"].iter().any(|part| inner.starts_with(part));
    (is_product && !is_test(inner)).then_some(area.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_product_belongs_to_the_deepest_area() {
        let area = |name: &str, folder: &str| Area { name: name.to_owned(), folder: folder.to_owned() };
        let areas = [area("console", "app/console/web/"), area("app", "app/")];
        assert_eq!(area_of("app/console/web/src/main.tsx", &areas), Some("console"));
        assert_eq!(area_of("app/src/main.rs", &areas), Some("app"));
        for path in ["app/tests/a.rs", "app/src/config/tests.rs", "app/Cargo.toml", "docs/a.md", "app/src/a_tests.rs"] {
            assert_eq!(area_of(path, &areas), None, "{path}");
        }
    }

    #[test]
    fn entries_name_areas_that_exist() {
        let entry = Entry { label: "fix".into(), areas: vec!["app".into(), "x".into()], text: "Text.".into(), line: 1 };
        assert_eq!(unknown_areas(&[entry], &BTreeSet::from(["app"])).len(), 1);
    }

    #[test]
    fn tests_documents_and_tools_need_no_entry() {
        for path in ["app/src/main.rs", "Cargo.toml", "openapi.json", "grantry.example.toml", "app/console/web/src/a.tsx"] {
            assert!(is_noticed(path), "{path}");
        }
        for path in [
            "xtask/src/main.rs",
            "docs/a.md",
            "README.md",
            "tests/load/src/a.rs",
            "app/tests/a.rs",
            "domain/src/a_tests.rs",
            ".ci/run",
            ".config/nextest.toml",
            "app/console/web/src/a.test.tsx",
            "app/examples/a.rs",
            "app/console/dist/index.html",
        ] {
            assert!(!is_noticed(path), "{path}");
        }
    }

    #[test]
    fn a_commit_is_read_with_its_trailers() {
        let log = "0123456789ab\u{1f}app: x\u{1f}none, later\u{1d}The relay\u{1f}abcdef0\u{1f}\n\napp/src/main.rs\n";
        let commit = parse(log, &BTreeSet::from(["0123456789ab"])).unwrap();
        assert_eq!(commit.changelog, ["none, later", "The relay"]);
        assert_eq!((commit.paths.as_slice(), commit.short()), (["app/src/main.rs".to_owned()].as_slice(), "0123456789"));
        assert!(commit.is_after_changelog_base && !commit.is_exempt());
        let other = Commit { hash: "abcdef0123".into(), changelog: vec!["none".into()], ..commit };
        assert!(other.is_exempt() && other.is_named_by(&other));
    }
}

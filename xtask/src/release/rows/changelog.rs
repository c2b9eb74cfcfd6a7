//! The changelog is well-formed, and has an entry for every area that changed since the base.

use std::collections::{BTreeMap, BTreeSet};

use xshell::cmd;

use crate::Result;
use crate::manifests;
use crate::release::changelog_file::{Changelog, Entry, FILE};
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};
use crate::tidy::repository::has_extension;

/// A commit that users do not notice has this line at the end of its message.
const EXEMPTION: &str = "Changelog: none";

/// A part of the product: its name in the changelog and the folder of its sources.
struct Area {
    name: String,
    folder: String,
}

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let mut sheet = Sheet::default();
    let Some(text) = context.files.find(FILE) else {
        sheet.red("the file does not exist", FILE, format!("create {FILE} with a section `## Unreleased`"));
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
            let before = context.base_text(FILE)?.map(|text| Changelog::parse(&text)).unwrap_or_default();
            let added = added(changelog.unreleased(), before.unreleased(), base.is_release);
            for (area, commits) in changes(context, &base.revision, &areas)? {
                if added.contains(&area) {
                    continue;
                }
                let what = format!("`{area}` changed since {} and has no new entry: {}", base.revision, commits.join("; "));
                let mend = format!(
                    "add `- **LABEL** ({area}): …` to {FILE}, or end the message of a commit that users do not notice with \
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

/// The areas with an entry that the base did not have. A release moved its entries to another section, so all entries that are
/// unreleased now are new.
fn added(now: &[Entry], before: &[Entry], after_release: bool) -> BTreeSet<String> {
    let is_new = |entry: &&Entry| after_release || !before.iter().any(|old| old.text == entry.text);
    now.iter().filter(is_new).flat_map(|entry| entry.areas.iter().cloned()).collect()
}

/// The commits since the base that change the sources of each area, without those that are exempt.
fn changes(context: &Context, base: &str, areas: &[Area]) -> Result<BTreeMap<String, Vec<String>>> {
    let (sh, range) = (context.shell()?, format!("{base}..HEAD"));
    let format = "--format=%x1e%h %s%x1f%B%x1f";
    let log = cmd!(sh, "git -c core.quotePath=false log --no-merges --name-only {format} {range}").quiet().read()?;
    let mut changes = BTreeMap::<String, Vec<String>>::new();
    for commit in log.split('\x1e') {
        let mut parts = commit.split('\x1f');
        let (subject, message, paths) = (parts.next(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if message.lines().any(|line| line.trim().starts_with(EXEMPTION)) {
            continue;
        }
        let touched: BTreeSet<_> = paths.lines().filter_map(|path| area_of(path, areas)).collect();
        for area in touched {
            changes.entry(area.to_owned()).or_default().push(subject.unwrap_or_default().to_owned());
        }
    }
    Ok(changes)
}

/// The area whose product a file is a part of. Tests, examples, documents and bundles are no part of it.
fn area_of<'a>(path: &str, areas: &'a [Area]) -> Option<&'a str> {
    let area = areas.iter().find(|area| path.starts_with(&area.folder))?;
    let inner = &path[area.folder.len()..];
    let is_product =
        ["src/", "templates/", "assets/", "migrations/", "profiles/"].iter().any(|part| inner.starts_with(part));
    let is_test = inner.split('/').any(|part| {
        ["tests", "tests.rs", "snapshots", "generated"].contains(&part)
            || part.ends_with("_tests.rs")
            || has_extension(part, "md")
    });
    (is_product && !is_test).then_some(area.name.as_str())
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
    fn only_new_entries_count_until_the_first_release() {
        let entry =
            |text: &str, area: &str| Entry { label: "fix".into(), areas: vec![area.into()], text: text.into(), line: 1 };
        let (old, new) = (entry("old", "app"), entry("new", "domain"));
        let now = [old.clone(), new];
        assert_eq!(added(&now, std::slice::from_ref(&old), false), BTreeSet::from(["domain".to_owned()]));
        assert_eq!(added(&now, &[old], true).len(), 2);
        assert_eq!(unknown_areas(&now, &BTreeSet::from(["app"])).len(), 1);
    }
}

//! Links of the documents inside the repository: their files and anchors exist. Links to other hosts are not read.

use std::collections::{BTreeMap, BTreeSet};

use super::repository::Repository;
use crate::markdown::{self, Link};

/// The table of contents of the book, and the folder of its chapters.
pub(crate) const CONTENTS: &str = "docs/SUMMARY.md";
const CHAPTERS: &str = "docs/";
/// Where the pages of the provider profiles are, from the root.
pub(crate) const PROVIDERS: &str = "docs/providers";

/// Broken links, and chapters that are missing from the contents of the book.
pub(crate) fn check(repository: &Repository) -> Vec<String> {
    let documents = || repository.files.iter().filter(|file| file.is_a("md"));
    let anchors: BTreeMap<&str, BTreeSet<String>> =
        documents().map(|file| (file.path.as_str(), markdown::anchors(&file.text))).collect();
    let mut findings = Vec::new();
    let mut listed = BTreeSet::from([CONTENTS.to_owned()]);
    for file in documents() {
        for link in markdown::links(&file.text) {
            let target = match target(&file.path, &link) {
                Ok(Some(target)) => target,
                Ok(None) => continue,
                Err(problem) => {
                    findings.push(format!("{}:{}: {} {problem}", file.path, link.line, link.target));
                    continue;
                }
            };
            if file.path == CONTENTS {
                listed.insert(target.path.clone());
            }
            if let Some(problem) = problem(repository, &anchors, &target) {
                findings.push(format!("{}:{}: {} {problem}", file.path, link.line, link.target));
            }
        }
    }
    let chapters = documents().filter(|file| repository.find(CONTENTS).is_some() && file.path.starts_with(CHAPTERS));
    let missing = chapters.filter(|file| !listed.contains(&file.path) && !is_of_provider(&file.path));
    findings.extend(missing.map(|file| format!("{}: is not in {CONTENTS}", file.path)));
    findings
}

/// Whether a document is the page of one provider. The site adds them to its contents, below their list.
pub(crate) fn is_of_provider(path: &str) -> bool {
    path.strip_prefix(PROVIDERS).is_some_and(|name| name != "/README.md")
}

/// A place in the repository.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// From the root; of a folder without the slash at the end.
    pub(crate) path: String,
    pub(crate) anchor: Option<String>,
}

/// Where a link of a document leads; `None` for another host.
pub(crate) fn target(from: &str, link: &Link) -> Result<Option<Target>, &'static str> {
    let (path, anchor) = match link.target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor.to_owned())),
        None => (link.target.as_str(), None),
    };
    if path.is_empty() {
        return Ok(Some(Target { path: from.to_owned(), anchor }));
    }
    if path.starts_with('/') {
        return Err("is not relative");
    }
    // A scheme, such as `https:`, begins before the first slash.
    if path.split('/').next().is_some_and(|first| first.contains(':')) {
        return Ok(None);
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop().ok_or("leaves the repository")?),
            name => parts.push(name),
        }
    }
    Ok(Some(Target { path: parts.join("/"), anchor }))
}

fn problem(repository: &Repository, anchors: &BTreeMap<&str, BTreeSet<String>>, target: &Target) -> Option<&'static str> {
    if !repository.has(&target.path) {
        return Some("does not exist");
    }
    let anchor = target.anchor.as_ref()?;
    match anchors.get(target.path.as_str()) {
        None => Some("has an anchor, and is no document"),
        Some(anchors) if !anchors.contains(anchor) => Some("has an anchor that does not exist"),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn existing_files_folders_and_anchors_are_accepted() {
        let repository = Repository::of(&[
            ("README.md", "# Top\n[a](docs/a.md#one) [b](docs) [c](#top) [d](https://example.com/x#y) [e](src/a.rs)"),
            ("docs/a.md", "## One\n[up](../README.md) [folder](../src/) [mail](mailto:a@example.com)"),
            ("src/a.rs", ""),
        ]);
        assert!(check(&repository).is_empty(), "{:#?}", check(&repository));
    }

    #[test]
    fn a_broken_link_and_a_broken_anchor_are_found() {
        let repository = Repository::of(&[
            ("docs/a.md", "# One\n\n[a](b.md)\n[b](c.md#two) [c](#two)\n[d](../x/y.md)\n"),
            ("docs/c.md", "# One\n`# two`\n"),
        ]);
        let expected = [
            "docs/a.md:3: b.md does not exist",
            "docs/a.md:4: c.md#two has an anchor that does not exist",
            "docs/a.md:4: #two has an anchor that does not exist",
            "docs/a.md:5: ../x/y.md does not exist",
        ];
        assert_eq!(check(&repository), expected);
    }

    #[test]
    fn links_that_no_reader_can_follow_are_found() {
        let files = [("a.md", "[a](../b.md) [b](/c.md)\n[c](src/a.rs#L1)"), ("src/a.rs", "")];
        let expected = [
            "a.md:1: ../b.md leaves the repository",
            "a.md:1: /c.md is not relative",
            "a.md:2: src/a.rs#L1 has an anchor, and is no document",
        ];
        assert_eq!(check(&Repository::of(&files)), expected);
    }

    #[test]
    fn every_chapter_is_in_the_contents_of_the_book() {
        let files = [("docs/SUMMARY.md", "- [A](a.md)"), ("docs/a.md", ""), ("docs/deep/b.md", ""), ("c.md", "")];
        assert_eq!(check(&Repository::of(&files)), ["docs/deep/b.md: is not in docs/SUMMARY.md"]);
    }
}

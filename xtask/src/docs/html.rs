//! The pages that mdBook built: every internal link leads to a page and an anchor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use crate::Result;

static LINK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"<(?:a|img)\b[^>]*\b(?:href|src)="([^"]*)""#).expect("a valid pattern"));
static ID: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"\bid="([^"]+)""#).expect("a valid pattern"));

/// The page for unknown addresses: its links start at the root of the host.
const UNKNOWN_PAGE: &str = "404.html";

/// The files of a site, by their path from its root. Only pages have a text.
pub(super) type Site = BTreeMap<String, String>;

/// Reads a site.
pub(super) fn read(root: &Path) -> Result<Site> {
    let mut site = Site::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                open.push(entry?.path());
            }
            continue;
        }
        let is_page = path.extension().is_some_and(|extension| extension == "html");
        let text = if is_page { std::fs::read_to_string(&path)? } else { String::new() };
        site.insert(path.strip_prefix(root)?.to_string_lossy().replace('\\', "/"), text);
    }
    Ok(site)
}

/// Links without a target.
pub(super) fn check(site: &Site) -> Vec<String> {
    let ids: BTreeMap<&str, BTreeSet<&str>> = site
        .iter()
        .map(|(path, text)| (path.as_str(), ID.captures_iter(text).map(|id| id.extract::<1>().1[0]).collect()))
        .collect();
    let mut findings = Vec::new();
    for (page, text) in site.iter().filter(|(page, _)| *page != UNKNOWN_PAGE) {
        for link in LINK.captures_iter(text).map(|link| link.extract::<1>().1[0]) {
            if link.split('/').next().is_some_and(|first| first.contains(':')) {
                continue;
            }
            let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
            let target = resolve(page, path);
            match (ids.get(target.as_str()), anchor) {
                (None, _) => findings.push(format!("{page}: {link} does not exist")),
                (Some(ids), Some(anchor)) if !anchor.is_empty() && !ids.contains(anchor) => {
                    findings.push(format!("{page}: {link} has an anchor that does not exist"));
                }
                (Some(_), _) => {}
            }
        }
    }
    findings
}

/// A finding if readers cannot search the site.
pub(super) fn without_search(site: &Site) -> Vec<String> {
    let has_index = site.keys().any(|path| path.starts_with("searchindex"));
    if has_index { Vec::new() } else { vec!["the search index is missing".to_owned()] }
}

fn resolve(page: &str, path: &str) -> String {
    if path.is_empty() {
        return page.to_owned();
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    if path.ends_with('/') {
        parts.push("index.html");
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(files: &[(&str, &str)]) -> Site {
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn links_to_pages_pictures_and_anchors_are_followed() {
        let site = site(&[
            (
                "index.html",
                "<h1 id=\"top\"></h1><a href=\"a/b.html#x\"> <a href=\"#top\"> <img src=\"p.svg\"> <a href=\"\">",
            ),
            (
                "a/b.html",
                "<h2 class=\"c\" id=\"x\"></h2><a class=\"d\" href=\"../index.html\"> <a href=\"https://example.com/#y\">",
            ),
            ("p.svg", ""),
            ("404.html", "<a href=\"/nothing.html\">"),
        ]);
        assert!(check(&site).is_empty(), "{:#?}", check(&site));
    }

    #[test]
    fn a_broken_link_and_a_broken_anchor_are_found() {
        let site = site(&[("a/b.html", "<a href=\"c.html\"><a href=\"../d.html#x\"><img src=\"p.png\">"), ("d.html", "")]);
        let expected = [
            "a/b.html: c.html does not exist",
            "a/b.html: ../d.html#x has an anchor that does not exist",
            "a/b.html: p.png does not exist",
        ];
        assert_eq!(check(&site), expected);
    }

    #[test]
    fn a_site_has_a_search_index() {
        let site = |path: &str| Site::from([(path.to_owned(), String::new())]);
        assert_eq!(without_search(&site("searchindex-0a.js")), [""; 0]);
        assert_eq!(without_search(&site("index.html")), ["the search index is missing"]);
    }
}

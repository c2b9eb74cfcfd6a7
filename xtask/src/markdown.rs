//! What the checks need of a Markdown document: its links and its anchors.
//!
//! Not a parser of the whole language. Code is recognised, and no link in it counts.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

static TARGET: LazyLock<Regex> = LazyLock::new(|| {
    let inline = r#"\]\(<?(?<inline>[^)\s>]+)>?(?:\s+"[^"]*")?\)"#;
    let definition = r"(?m:^ {0,3}\[[^\]\n]+\]:\s+<?(?<definition>[^\s>]+))";
    let attribute = r#"\b(?:href|src)="(?<attribute>[^"]+)""#;
    Regex::new(&format!("{inline}|{definition}|{attribute}")).expect("a valid pattern")
});
static ATTRIBUTE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"<[^>]*\b(?:id|name)="([^"]+)""#).expect("a valid pattern"));
static HEADING: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^ {0,3}#{1,6}\s+(.+?)(?:\s+#+)?\s*$").expect("a valid pattern"));
static LINKED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"!?\[([^\]]*)\]\([^)]*\)").expect("a valid pattern"));

/// A link or the source of an image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) target: String,
    /// The place of the target in the text, in bytes.
    pub(crate) place: Range<usize>,
}

/// The links of a document, in their order.
pub(crate) fn links(text: &str) -> Vec<Link> {
    let prose = without_code(text);
    let captures = TARGET.captures_iter(&prose);
    let found = captures.filter_map(|found| found.name("inline").or(found.name("definition")).or(found.name("attribute")));
    let link = |target: regex::Match<'_>| Link {
        line: prose[..target.start()].matches('\n').count() + 1,
        target: target.as_str().to_owned(),
        place: target.range(),
    };
    found.map(link).collect()
}

/// The anchors of a document: those of its headings, as GitHub and mdBook form them, and those in HTML.
pub(crate) fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for (line, is_code) in lines(text) {
        if is_code {
            continue;
        }
        anchors.extend(ATTRIBUTE.captures_iter(line).map(|found| found[1].to_owned()));
        let Some(heading) = HEADING.captures(line) else { continue };
        let anchor = slug(&heading[1]);
        let count = seen.entry(anchor.clone()).or_default();
        anchors.insert(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
        *count += 1;
    }
    anchors
}

/// The anchor of a heading without regard to others with the same text.
pub(crate) fn slug(heading: &str) -> String {
    let plain = LINKED.replace_all(heading, "$1");
    let kept = plain.trim().chars().filter_map(|letter| match letter {
        letter if letter.is_alphanumeric() || letter == '-' || letter == '_' => Some(letter),
        letter if letter.is_whitespace() => Some('-'),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}

/// Each line, and whether it belongs to a block of code between two lines of backticks or tildes.
fn lines(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut open: Option<&str> = None;
    text.lines().map(move |line| {
        let start = line.trim_start();
        let length = start.len() - start.trim_start_matches(['`', '~']).len();
        let fence = &start[..length];
        match open {
            None if length >= 3 => open = Some(fence),
            None => return (line, false),
            Some(begin) if length >= begin.len() && fence.starts_with(begin) && start.trim_end() == fence => open = None,
            Some(_) => {}
        }
        (line, true)
    })
}

/// The text with spaces in place of code, so that every byte keeps its place.
fn without_code(text: &str) -> String {
    let mut prose = String::with_capacity(text.len());
    for ((line, is_code), with_end) in lines(text).zip(text.split_inclusive('\n')) {
        prose.push_str(if is_code { "" } else { line });
        let rest = with_end.len() - if is_code { 0 } else { line.len() };
        let blank = if with_end.ends_with('\n') { rest - 1 } else { rest };
        prose.extend(std::iter::repeat_n(' ', blank));
        prose.push_str(&"\n"[..rest - blank]);
    }
    blank_inline_code(prose)
}

/// Blanks what is between two runs of equally many backticks in one paragraph.
fn blank_inline_code(prose: String) -> String {
    let mut bytes = prose.clone().into_bytes();
    let mut at = 0;
    while let Some(start) = prose[at..].find('`').map(|found| at + found) {
        let run = prose[start..].len() - prose[start..].trim_start_matches('`').len();
        let inside = start + run;
        let paragraph = prose[inside..].find("\n\n").map_or(prose.len(), |found| inside + found);
        let Some(end) = end_of_code(&prose[inside..paragraph], run).map(|found| inside + found) else {
            at = inside;
            continue;
        };
        for byte in bytes[inside..end].iter_mut().filter(|byte| **byte != b'\n') {
            *byte = b' ';
        }
        at = end + run;
    }
    // Whole characters were replaced, so the bytes are still UTF-8.
    String::from_utf8(bytes).unwrap_or(prose)
}

/// Where a run of exactly so many backticks begins.
fn end_of_code(text: &str, run: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(start) = text[at..].find('`').map(|found| at + found) {
        let length = text[start..].len() - text[start..].trim_start_matches('`').len();
        if length == run {
            return Some(start);
        }
        at = start + length;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(text: &str) -> Vec<String> {
        links(text).into_iter().map(|link| link.target).collect()
    }

    #[test]
    fn links_of_every_form_are_found_with_their_place() {
        let text = "See [a\nb](one.md#x), ![c](two.png \"title\").\n\n[d]: three.md\n<img src=\"four.png\">\n";
        assert_eq!(targets(text), ["one.md#x", "two.png", "three.md", "four.png"]);
        let found = links(text);
        assert_eq!(found.iter().map(|link| link.line).collect::<Vec<_>>(), [2, 2, 4, 5]);
        assert!(found.iter().all(|link| text[link.place.clone()] == link.target));
    }

    #[test]
    fn no_link_in_code_counts() {
        let fenced = "```md\n[a](one.md)\n```\n  ~~~~\n```\n[a](two.md)\n  ~~~~\n[b](three.md)\n";
        assert_eq!(targets(fenced), ["three.md"]);
        assert_eq!(targets("`[a](one.md)` and ``[ä](`two.md)`` and [`c`](three.md)"), ["three.md"]);
        assert_eq!(targets("a ` alone\n\n[a](one.md) `"), ["one.md"]);
    }

    #[test]
    fn anchors_are_those_of_headings_and_of_html() {
        let text =
            "# One, `two` & [three](x.md)\n## Again\n## Again ##\n```\n# code\n```\n<a id=\"by-hand\"></a>\n#no heading\n";
        assert_eq!(anchors(text).into_iter().collect::<Vec<_>>(), ["again", "again-1", "by-hand", "one-two--three"]);
        assert_eq!(slug("8. A writer of `store.url` has no_keys"), "8-a-writer-of-storeurl-has-no_keys");
    }
}

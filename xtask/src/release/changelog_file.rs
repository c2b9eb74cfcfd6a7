//! The format of `CHANGELOG.md`: sections of versions, with labelled entries.
//!
//! ```text
//! ## Unreleased
//!
//! - **breaking** (app, store-sqlite): text, over
//!   several lines.
//! ```

use std::sync::LazyLock;

use regex::Regex;

use super::context::Context;
use super::row::{Finding, Place};
use crate::Result;

/// Where the changelog is, from the root.
pub(crate) const FILE: &str = "CHANGELOG.md";
/// The heading of what the next release contains.
pub(crate) const UNRELEASED: &str = "Unreleased";
/// Every entry has one of these labels.
pub(crate) const LABELS: [&str; 4] = ["breaking", "security", "feature", "fix"];

const FORM: &str = "write `- **LABEL** (AREA, …): Text.` with a label of breaking, security, feature and fix";

static ENTRY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^- \*\*(?<label>[^*]*)\*\* \((?<areas>[^)]*)\): (?<text>\S.*)$").expect("a valid pattern")
});
static VERSION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?<version>\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?) – (?<date>\d{4}-\d{2}-\d{2})$").expect("a valid pattern")
});

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) label: String,
    /// The crates and packages that the entry is about.
    pub(crate) areas: Vec<String>,
    pub(crate) text: String,
    /// Its line, from 1.
    pub(crate) line: usize,
}

impl Entry {
    /// Whether the entry is a breaking change.
    pub(crate) fn is_breaking(&self) -> bool {
        self.label == "breaking"
    }

    /// Whether the entry has this label, if there is one, and contains `subject` in backticks.
    pub(crate) fn mentions(&self, label: Option<&str>, subject: &str) -> bool {
        label.is_none_or(|label| self.label == label) && self.quoted().any(|quoted| quoted == subject)
    }

    /// What the text has in backticks.
    pub(crate) fn quoted(&self) -> impl Iterator<Item = &str> {
        self.text.split('`').skip(1).step_by(2)
    }
}

/// A version with its entries.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) heading: String,
    pub(crate) line: usize,
    pub(crate) entries: Vec<Entry>,
}

/// The file.
#[derive(Debug, Default)]
pub(crate) struct Changelog {
    pub(crate) sections: Vec<Section>,
    /// What is malformed.
    pub(crate) findings: Vec<Finding>,
}

impl Changelog {
    /// Reads a text; malformed lines become findings.
    pub(crate) fn parse(text: &str) -> Self {
        let mut this = Self::default();
        for (line, content) in text.lines().enumerate().map(|(at, content)| (at + 1, content)) {
            if let Some(heading) = content.strip_prefix("## ") {
                this.sections.push(Section { heading: heading.trim().to_owned(), line, entries: Vec::new() });
            } else if content.starts_with("- ") {
                this.entry(content, line);
            } else if let (Some(rest), Some(entry)) = (content.strip_prefix("  "), this.last()) {
                entry.text.push(' ');
                entry.text.push_str(rest.trim());
            } else if !content.trim().is_empty() && !this.sections.is_empty() {
                this.red(line, "the line is neither an entry nor its continuation", FORM);
            }
        }
        this.headings();
        this
    }

    /// The entries of the next release.
    pub(crate) fn unreleased(&self) -> &[Entry] {
        self.sections.first().filter(|section| section.heading == UNRELEASED).map_or(&[], |section| &section.entries)
    }

    /// The entries of the next release that the base did not have in this form. A release moved its entries to another section,
    /// so all unreleased entries are new after it.
    pub(crate) fn added(&self, base: &Self, after_release: bool) -> Vec<&Entry> {
        let is_new = |entry: &&Entry| after_release || !base.unreleased().iter().any(|old| old.text == entry.text);
        self.unreleased().iter().filter(is_new).collect()
    }

    /// The added entries of the changelog of a folder, compared with its base.
    pub(crate) fn added_entries(context: &Context) -> Result<Vec<Entry>> {
        let now = Self::parse(context.files.find(FILE).unwrap_or_default());
        let base = context.base_text(FILE)?.map(|text| Self::parse(&text)).unwrap_or_default();
        Ok(now.added(&base, context.has_release()).into_iter().cloned().collect())
    }

    fn entry(&mut self, content: &str, line: usize) {
        let Some(found) = ENTRY.captures(content) else {
            return self.red(line, "the entry has no label or no area", FORM);
        };
        let areas: Vec<_> = found["areas"].split(',').map(|area| area.trim().to_owned()).collect();
        let entry = Entry { label: found["label"].to_owned(), areas, text: found["text"].trim().to_owned(), line };
        if !LABELS.contains(&entry.label.as_str()) {
            self.red(line, &format!("`{}` is not a label", entry.label), FORM);
        }
        match self.sections.last_mut() {
            Some(section) => section.entries.push(entry),
            None => self.red(line, "the entry belongs to no version", "put it below `## Unreleased`"),
        }
    }

    fn last(&mut self) -> Option<&mut Entry> {
        self.sections.last_mut()?.entries.last_mut()
    }

    fn headings(&mut self) {
        if self.sections.first().is_none_or(|section| section.heading != UNRELEASED) {
            self.red(1, "the first section is not `## Unreleased`", "add `## Unreleased` above the newest version");
        }
        let headings: Vec<_> = self.sections.iter().skip(1).map(|section| (section.heading.clone(), section.line)).collect();
        for (heading, line) in headings {
            if !VERSION.is_match(&heading) {
                self.red(line, &format!("`{heading}` is not a version with its date"), "write `## 1.2.3 – 2026-01-31`");
            }
        }
    }

    fn red(&mut self, line: usize, what: &str, mend: &str) {
        self.findings.push(Finding { what: what.to_owned(), place: Place::line(FILE, line), mend: mend.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Changelog\n\nText.\n\n## Unreleased\n\n- **feature** (app, client): Adds `x`,\n  and `y`.\n\n\
        ## 0.1.0 – 2026-01-31\n\n- **fix** (domain): Mends `z`.\n";

    fn whats(text: &str) -> Vec<String> {
        Changelog::parse(text).findings.into_iter().map(|finding| format!("{} {}", finding.place, finding.what)).collect()
    }

    #[test]
    fn entries_have_a_label_areas_and_a_text() {
        let changelog = Changelog::parse(TEXT);
        assert_eq!(changelog.findings, []);
        let areas = vec!["app".to_owned(), "client".to_owned()];
        let entry = Entry { label: "feature".into(), areas, text: "Adds `x`, and `y`.".into(), line: 7 };
        assert_eq!(changelog.unreleased(), [entry]);
        let entry = &changelog.unreleased()[0];
        assert!(entry.mentions(Some("feature"), "y") && entry.mentions(None, "x"));
        assert!(!entry.mentions(Some("breaking"), "y") && !entry.mentions(None, "z"));
    }

    #[test]
    fn only_new_entries_count_until_the_first_release() {
        let now = Changelog::parse("## Unreleased\n- **fix** (app): Old `x`.\n- **fix** (domain): New `y` and `z`.\n");
        let base = Changelog::parse("## Unreleased\n- **fix** (app): Old `x`.\n");
        let texts =
            |after_release| now.added(&base, after_release).into_iter().map(|entry| entry.text.as_str()).collect::<Vec<_>>();
        assert_eq!(texts(false), ["New `y` and `z`."]);
        assert_eq!(texts(true).len(), 2);
        assert_eq!(now.unreleased()[1].quoted().collect::<Vec<_>>(), ["y", "z"]);
    }

    #[test]
    fn malformed_lines_are_found() {
        assert_eq!(whats("## Unreleased\n- adds x"), ["CHANGELOG.md:2 the entry has no label or no area"]);
        assert_eq!(whats("## Unreleased\n- **new** (app): x"), ["CHANGELOG.md:2 `new` is not a label"]);
        let expected = ["CHANGELOG.md:2 the line is neither an entry nor its continuation"];
        assert_eq!(whats("## Unreleased\nadds x"), expected);
        assert_eq!(whats("## 0.1.0 – 2026-01-31"), ["CHANGELOG.md:1 the first section is not `## Unreleased`"]);
        assert_eq!(whats("## Unreleased\n## 0.1"), ["CHANGELOG.md:2 `0.1` is not a version with its date"]);
    }
}

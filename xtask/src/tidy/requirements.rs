//! `requirements.toml`: every security requirement and every lesson names the test that shows it.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::names::Names;
use crate::Result;

/// How many requirements and lessons there are.
const REQUIREMENTS: u8 = 80;
const LESSONS: u8 = 31;

/// How binding a requirement is (RFC 2119).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Level {
    Must,
    Should,
}

/// What is shown by which tests.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Map {
    #[serde(default, rename = "requirement")]
    pub(crate) requirements: Vec<Requirement>,
    #[serde(default, rename = "lesson")]
    pub(crate) lessons: Vec<Lesson>,
}

/// One of `docs/security/requirements.md`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Requirement {
    pub(crate) id: String,
    pub(crate) level: Level,
    pub(crate) layer: String,
    #[serde(flatten)]
    pub(crate) shown: Shown,
}

/// A failure of another product that must not become ours.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lesson {
    pub(crate) id: String,
    /// What the test does, and what must come of it.
    pub(crate) says: String,
    #[serde(flatten)]
    pub(crate) shown: Shown,
}

/// How one knows.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Shown {
    #[serde(default)]
    pub(crate) tests: Vec<String>,
    /// The later work that brings the test, or the rest of it.
    pub(crate) owed: Option<String>,
    /// Why it is not done at all; only for what is not a MUST.
    pub(crate) declined: Option<String>,
}

impl Map {
    /// Reads the file; unknown keys are refused.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        Ok(toml::from_str(text)?)
    }
}

/// The requirements as the documentation states them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Catalogue(Vec<Stated>);

#[derive(Debug, PartialEq, Eq)]
struct Stated {
    id: String,
    level: Level,
    layer: String,
}

impl Catalogue {
    /// Reads lines such as `- **R01** MUST · domain · …`.
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(stated).collect())
    }
}

fn stated(line: &str) -> Option<Stated> {
    let (id, rest) = line.strip_prefix("- **")?.split_once("** ")?;
    let (level, rest) = rest.split_once(" · ")?;
    let (layer, _) = rest.split_once(" · ")?;
    let level = match level {
        "MUST" => Level::Must,
        "SHOULD" => Level::Should,
        _ => return None,
    };
    Some(Stated { id: id.to_owned(), level, layer: layer.to_owned() })
}

/// Everything that is missing, stale or contradicts the documentation.
pub(crate) fn check(map: &Map, catalogue: &Catalogue, names: &Names) -> Vec<String> {
    let stated = catalogue.0.iter().map(|stated| stated.id.as_str());
    let mapped = map.requirements.iter().map(|requirement| requirement.id.as_str());
    let lessons = map.lessons.iter().map(|lesson| lesson.id.as_str());
    let mut findings = [
        numbering("documentation", stated, 'R', REQUIREMENTS),
        numbering("requirements.toml", mapped, 'R', REQUIREMENTS),
        numbering("requirements.toml", lessons, 'L', LESSONS),
    ]
    .concat();
    for requirement in &map.requirements {
        findings.extend(contradiction(requirement, catalogue));
        findings.extend(unshown(&requirement.id, &requirement.shown, requirement.level, names));
    }
    for lesson in &map.lessons {
        findings.extend(unshown(&lesson.id, &lesson.shown, Level::Must, names));
    }
    findings
}

/// Each id from 1 to `last` exactly once.
fn numbering<'a>(place: &str, ids: impl Iterator<Item = &'a str>, letter: char, last: u8) -> Vec<String> {
    let mut findings = Vec::new();
    let mut open: BTreeSet<_> = (1..=last).map(|number| format!("{letter}{number:02}")).collect();
    for id in ids {
        if !open.remove(id) {
            findings.push(format!("{id}: unknown or twice in {place}"));
        }
    }
    findings.extend(open.iter().map(|id| format!("{id}: missing in {place}")));
    findings
}

fn contradiction(requirement: &Requirement, catalogue: &Catalogue) -> Option<String> {
    let stated = catalogue.0.iter().find(|stated| stated.id == requirement.id)?;
    let same = stated.level == requirement.level && stated.layer == requirement.layer;
    (!same).then(|| format!("{}: level or layer is not that of the documentation", requirement.id))
}

fn unshown(id: &str, shown: &Shown, level: Level, names: &Names) -> Vec<String> {
    let mut findings = Vec::new();
    for test in shown.tests.iter().filter(|test| !names.contains(test)) {
        findings.push(format!("{id}: no test is called `{test}`"));
    }
    if level == Level::Must && shown.declined.is_some() {
        findings.push(format!("{id}: a MUST cannot be declined"));
    }
    for reason in [&shown.owed, &shown.declined].into_iter().flatten() {
        if reason.trim().is_empty() {
            findings.push(format!("{id}: owed or declined without a reason"));
        }
    }
    if shown.tests.is_empty() && shown.owed.is_none() && shown.declined.is_none() {
        findings.push(format!("{id}: no test shows it, and no later work owes it"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "# Title\n\n- **R01** MUST · domain · Text. · RFC 1\n- **R02** SHOULD · http-in, console · Text.\n";

    fn shown(tests: &[&str]) -> Shown {
        Shown { tests: tests.iter().map(|test| (*test).to_owned()).collect(), ..Shown::default() }
    }

    fn judge(shown: &Shown, level: Level) -> Vec<String> {
        unshown("R01", shown, level, &Names::from_list(&["r01_real"]))
    }

    #[test]
    fn the_catalogue_is_read_from_the_documentation() {
        let Catalogue(stated) = Catalogue::parse(TWO);
        assert_eq!(stated.len(), 2);
        assert_eq!(stated[1], Stated { id: "R02".into(), level: Level::Should, layer: "http-in, console".into() });
    }

    #[test]
    fn the_map_refuses_unknown_keys() {
        let entry = "[[requirement]]\nid = 'R01'\nlevel = 'MUST'\nlayer = 'domain'\n";
        let map = Map::parse(&format!("{entry}tests = ['a']\nowed = 'later'\n")).unwrap();
        assert_eq!(map.requirements[0].shown.tests, ["a"]);
        assert!(Map::parse(&format!("{entry}test = ['a']\n")).is_err());
        assert!(Map::parse("[[requirements]]\n").is_err());
    }

    #[test]
    fn ids_are_complete_and_single() {
        assert!(numbering("x", ["R01", "R02"].into_iter(), 'R', 2).is_empty());
        let found = numbering("x", ["R02", "R02", "R9"].into_iter(), 'R', 3);
        let expected = ["R02: unknown or twice in x", "R9: unknown or twice in x", "R01: missing in x", "R03: missing in x"];
        assert_eq!(found, expected);
    }

    #[test]
    fn level_and_layer_are_those_of_the_documentation() {
        let catalogue = Catalogue::parse(TWO);
        let requirement =
            |level, layer: &str| Requirement { id: "R01".into(), level, layer: layer.into(), shown: shown(&[]) };
        assert_eq!(contradiction(&requirement(Level::Must, "domain"), &catalogue), None);
        assert!(contradiction(&requirement(Level::Should, "domain"), &catalogue).is_some());
        assert!(contradiction(&requirement(Level::Must, "store"), &catalogue).is_some());
    }

    #[test]
    fn a_must_has_a_test_or_is_owed() {
        assert!(judge(&shown(&["r01_real"]), Level::Must).is_empty());
        assert!(judge(&Shown { owed: Some("rotation".into()), ..Shown::default() }, Level::Must).is_empty());
        assert_eq!(judge(&shown(&[]), Level::Must), ["R01: no test shows it, and no later work owes it"]);
        assert_eq!(judge(&shown(&["r01_gone"]), Level::Must), ["R01: no test is called `r01_gone`"]);
    }

    #[test]
    fn only_a_should_can_be_declined_and_only_with_a_reason() {
        let declined = |reason: &str| Shown { declined: Some(reason.into()), ..Shown::default() };
        assert!(judge(&declined("not offered"), Level::Should).is_empty());
        assert_eq!(judge(&declined("not offered"), Level::Must), ["R01: a MUST cannot be declined"]);
        assert_eq!(judge(&declined(" "), Level::Should), ["R01: owed or declined without a reason"]);
    }

    #[test]
    fn the_whole_check_joins_its_parts() {
        let found = check(&Map::default(), &Catalogue::parse(TWO), &Names::default());
        let missing = usize::from(REQUIREMENTS) * 2 - 2 + usize::from(LESSONS);
        assert_eq!(found.len(), missing);
    }
}

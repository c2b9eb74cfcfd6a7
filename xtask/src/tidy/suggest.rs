//! `tidy --suggest`: fills `requirements.toml` from the names that tests carry.

use std::fmt::Write as _;

use super::names::Names;
use super::requirements::{Level, Map, Shown};

/// What stands above the entries.
const HEAD: &str = "\
# Which test shows which requirement (docs/security/requirements.md) and which lesson of the field.
#
# A MUST names at least one test, or in `owed` the later work that brings it; a SHOULD may be `declined` with a reason.
# `owed` beside tests is what they do not show yet. `cargo xtask tidy` checks that every named test exists;
# `cargo xtask tidy --suggest --write` adds the tests that are called `r28_…`, `lesson_09_…` or \"R30 …\" and keeps the rest.
";

/// The map with every test that claims an entry, and without tests that are gone.
pub(crate) fn with_found_tests(mut map: Map, names: &Names) -> Map {
    for requirement in &mut map.requirements {
        complete(&requirement.id, &mut requirement.shown, names);
    }
    for lesson in &mut map.lessons {
        complete(&lesson.id, &mut lesson.shown, names);
    }
    map
}

fn complete(id: &str, shown: &mut Shown, names: &Names) {
    shown.tests.retain(|test| names.contains(test));
    shown.tests.extend(names.claiming(id).cloned());
    shown.tests.sort();
    shown.tests.dedup();
}

/// The file, always written in the same way.
pub(crate) fn render(map: &Map) -> String {
    let mut text = HEAD.to_owned();
    for requirement in &map.requirements {
        let level = match requirement.level {
            Level::Must => "MUST",
            Level::Should => "SHOULD",
        };
        text += "\n[[requirement]]\n";
        entry(&mut text, &[("id", &requirement.id), ("level", level), ("layer", &requirement.layer)], &requirement.shown);
    }
    for lesson in &map.lessons {
        text += "\n[[lesson]]\n";
        entry(&mut text, &[("id", &lesson.id), ("says", &lesson.says)], &lesson.shown);
    }
    text
}

fn entry(text: &mut String, keys: &[(&str, &str)], shown: &Shown) {
    let reasons = [("owed", &shown.owed), ("declined", &shown.declined)];
    let reasons = reasons.into_iter().filter_map(|(key, reason)| Some((key, reason.as_deref()?)));
    for (key, value) in keys.iter().copied() {
        pair(text, key, value);
    }
    if !shown.tests.is_empty() {
        *text += "tests = [\n";
        for test in &shown.tests {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "    {},", quoted(test));
        }
        *text += "]\n";
    }
    for (key, value) in reasons {
        pair(text, key, value);
    }
}

fn pair(text: &mut String, key: &str, value: &str) {
    let _ = writeln!(text, "{key} = {}", quoted(value));
}

fn quoted(value: &str) -> String {
    toml::Value::from(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "\n[[requirement]]\nid = \"R01\"\nlevel = \"MUST\"\nlayer = \"domain\"\n\n\
        [[lesson]]\nid = \"L09\"\nsays = \"odd \\\\ bodies\"\ntests = [\n    \"gone\",\n    \"kept\",\n]\nowed = \"the rest\"\n";

    #[test]
    fn found_tests_are_added_and_gone_ones_dropped() {
        let names = Names::from_list(&["r01_state", "kept", "lesson_09_form", "R01 page"]);
        let map = with_found_tests(Map::parse(MAP).unwrap(), &names);
        assert_eq!(map.requirements[0].shown.tests, ["R01 page", "r01_state"]);
        assert_eq!(map.lessons[0].shown.tests, ["kept", "lesson_09_form"]);
        assert_eq!(map.lessons[0].shown.owed.as_deref(), Some("the rest"));
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let text = render(&Map::parse(MAP).unwrap());
        assert_eq!(text, format!("{HEAD}{MAP}").replace("\"odd \\\\ bodies\"", "'odd \\ bodies'"));
        assert_eq!(render(&Map::parse(&text).unwrap()), text);
    }
}

//! `cargo xtask requirements`: which tests show which security requirement and which lesson.
//!
//! Tests carry the ids in their names (`r28_…`, `lesson_09_…`; in titles of TypeScript `R28 …`). The names come from the
//! test runners, so that only tests that run count. `requirements.toml` contains what names cannot state.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;
use xshell::{Shell, cmd};

use crate::workspace::CONSOLE;
use crate::{Result, print_findings};

const CATALOGUE: &str = "docs/security/requirements.md";
const STATUS: &str = "requirements.toml";

/// How many requirements and lessons there are.
const REQUIREMENTS: u8 = 82;
const LESSONS: u8 = 31;

/// Prints the map, then fails with all findings.
pub(crate) fn run(sh: &Shell) -> Result {
    let map = Map::read(sh)?;
    print!("{}", map.render());
    print_findings("requirements", &map.check())
}

/// Fails with all findings.
pub(crate) fn check(sh: &Shell) -> Result {
    print_findings("requirements", &Map::read(sh)?.check())
}

/// What names of tests cannot state, by id.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Status {
    /// No test yet; the value names the later work.
    #[serde(default)]
    planned: BTreeMap<String, String>,
    /// There are tests; the value names the part that they do not show yet.
    #[serde(default)]
    partial: BTreeMap<String, String>,
    /// Will not be done; the value is the reason. Only for what is not a MUST.
    #[serde(default)]
    declined: BTreeMap<String, String>,
    /// Failures of other products: what the test does, and what the result must be.
    #[serde(default)]
    lessons: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Must,
    Should,
    Lesson,
}

/// Requirements and lessons with their tests.
#[derive(Default)]
struct Map {
    entries: BTreeMap<String, Level>,
    status: Status,
    tests: BTreeMap<String, BTreeSet<String>>,
}

impl Map {
    fn read(sh: &Shell) -> Result<Self> {
        let status = toml::from_str(&sh.read_file(STATUS)?).map_err(|error| format!("{STATUS}: {error}"))?;
        let names = [rust_tests(sh)?, browser_tests(sh, "vitest.config.ts")?, browser_tests(sh, "e2e/vitest.config.ts")?];
        Ok(Self::of(&sh.read_file(CATALOGUE)?, status, &names.concat()))
    }

    fn of(catalogue: &str, status: Status, names: &[String]) -> Self {
        let lessons = status.lessons.keys().map(|id| (id.clone(), Level::Lesson));
        let mut tests = BTreeMap::<_, BTreeSet<_>>::new();
        for name in names {
            for id in ids(name) {
                tests.entry(id).or_default().insert(name.clone());
            }
        }
        Self { entries: catalogue.lines().filter_map(stated).chain(lessons).collect(), status, tests }
    }

    /// What is missing, unknown or contradictory.
    fn check(&self) -> Vec<String> {
        let numbered = |letter: char, last: u8| (1..=last).map(move |number| format!("{letter}{number:02}"));
        let expected: BTreeSet<_> = numbered('R', REQUIREMENTS).chain(numbered('L', LESSONS)).collect();
        let mut findings = Vec::new();
        for id in expected.iter().filter(|id| !self.entries.contains_key(*id)) {
            let place = if id.starts_with('R') { CATALOGUE } else { STATUS };
            findings.push(format!("{id}: missing in {place}"));
        }
        for id in self.entries.keys().filter(|id| !expected.contains(*id)) {
            findings.push(format!("{id}: not a number from R01 to R{REQUIREMENTS} or from L01 to L{LESSONS}"));
        }
        for (id, tests) in self.tests.iter().filter(|(id, _)| !self.entries.contains_key(*id)) {
            let names: Vec<_> = tests.iter().map(String::as_str).collect();
            findings.push(format!("{id}: does not exist, but is in the name of {}", names.join(", ")));
        }
        for (table, entries) in self.tables() {
            for (id, reason) in entries {
                if !self.entries.contains_key(id) {
                    findings.push(format!("{id}: does not exist, but is listed under [{table}] of {STATUS}"));
                }
                if reason.trim().is_empty() {
                    findings.push(format!("{id}: has no text under [{table}] of {STATUS}"));
                }
            }
        }
        findings.extend(self.entries.iter().filter_map(|(id, level)| self.contradiction(id, *level)));
        findings
    }

    fn tables(&self) -> [(&'static str, &BTreeMap<String, String>); 4] {
        let Status { planned, partial, declined, lessons } = &self.status;
        [("planned", planned), ("partial", partial), ("declined", declined), ("lessons", lessons)]
    }

    fn contradiction(&self, id: &str, level: Level) -> Option<String> {
        let [planned, partial, declined] =
            [&self.status.planned, &self.status.partial, &self.status.declined].map(|table| table.contains_key(id));
        match (self.tests.contains_key(id), planned, partial, declined) {
            (true, false, _, false) | (false, true, false, false) => None,
            (false, false, false, true) if level != Level::Must => None,
            (false, false, false, true) => Some(format!("{id}: a MUST cannot be declined")),
            (false, false, false, false) => {
                Some(format!("{id}: no test has it in its name, and {STATUS} does not list it as planned"))
            }
            (true, true, ..) => Some(format!("{id}: is listed as planned, but has a test; remove it or list it as partial")),
            (true, _, _, true) => Some(format!("{id}: is listed as declined, but has a test")),
            (false, false, true, false) => Some(format!("{id}: is listed as partial, but has no test")),
            (false, ..) => Some(format!("{id}: is listed more than once in {STATUS}")),
        }
    }

    /// Every entry with its tests and with what is still to come.
    fn render(&self) -> String {
        let mut text = String::new();
        for (id, level) in &self.entries {
            // Writing into a string cannot fail.
            let _ = match level {
                Level::Must => writeln!(text, "{id} MUST"),
                Level::Should => writeln!(text, "{id} SHOULD"),
                Level::Lesson => writeln!(text, "{id} {}", self.status.lessons.get(id).map_or("", String::as_str)),
            };
            for test in self.tests.get(id).into_iter().flatten() {
                let _ = writeln!(text, "    {test}");
            }
            for (table, entries) in self.tables().into_iter().filter(|(table, _)| *table != "lessons") {
                if let Some(reason) = entries.get(id) {
                    let _ = writeln!(text, "    {table}: {reason}");
                }
            }
        }
        text
    }
}

/// Reads a line such as `- **R01** MUST · domain · …`.
fn stated(line: &str) -> Option<(String, Level)> {
    let (id, rest) = line.strip_prefix("- **")?.split_once("** ")?;
    let level = match rest.split_once(" · ")?.0 {
        "MUST" => Level::Must,
        "SHOULD" => Level::Should,
        _ => return None,
    };
    Some((id.to_owned(), level))
}

/// The ids in the name of a test: `flow::r28_lesson_09_odd_bodies` carries `R28` and `L09`. The modules of a Rust test carry
/// none.
fn ids(name: &str) -> BTreeSet<String> {
    static ID: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?i)\b(r|lesson )(\d{2,})\b").expect("a valid pattern"));
    // A title of TypeScript has spaces, and may contain an IPv6 address.
    let function = if name.contains(' ') { None } else { name.rsplit("::").next() };
    let name = function.unwrap_or(name).replace('_', " ");
    let ids = ID.captures_iter(&name).map(|found| {
        let letter = if found[1].eq_ignore_ascii_case("r") { 'R' } else { 'L' };
        format!("{letter}{}", &found[2])
    });
    ids.collect()
}

/// Builds the test binaries, unless an earlier step has built them, and lists their tests.
///
/// nextest reads the same lists; this command works without nextest as well.
fn rust_tests(sh: &Shell) -> Result<Vec<String>> {
    cmd!(sh, "cargo test --quiet --workspace --all-targets --no-run").run()?;
    // On standard error, cargo prints the path of each binary.
    let list = cmd!(sh, "cargo test --workspace --all-targets -- --list --format terse").ignore_stderr().read()?;
    let tests: Vec<_> = list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect();
    if tests.is_empty() { Err("the Rust test binaries list no test".into()) } else { Ok(tests) }
}

#[derive(Deserialize)]
struct BrowserTest {
    name: String,
}

/// The tests of the browser side. Static parsing takes seconds instead of a minute; the titles of tests that run once per row
/// of a table keep their placeholders.
fn browser_tests(sh: &Shell, config: &str) -> Result<Vec<String>> {
    let _console = sh.push_dir(CONSOLE);
    let list = cmd!(sh, "npx --no-install vitest list --json --static-parse --config {config}").read()?;
    let tests: Vec<BrowserTest> = serde_json::from_str(&list)?;
    if tests.is_empty() {
        return Err(format!("{CONSOLE}/{config}: vitest lists no test").into());
    }
    Ok(tests.into_iter().map(|test| test.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All requirements (`R02` is a SHOULD) and all lessons.
    fn catalogue() -> String {
        let line = |number| format!("- **R{number:02}** {} · domain · Text.\n", if number == 2 { "SHOULD" } else { "MUST" });
        (1..=REQUIREMENTS).map(line).collect()
    }

    fn table(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(id, text)| ((*id).to_owned(), (*text).to_owned())).collect()
    }

    fn lessons() -> BTreeMap<String, String> {
        (1..=LESSONS).map(|number| (format!("L{number:02}"), "text".to_owned())).collect()
    }

    /// One test for each id, and `further` ones in place of the tests of `without`.
    fn findings(status: Status, without: &[&str], further: &[&str]) -> Vec<String> {
        let requirements = (1..=REQUIREMENTS).map(|number| format!("R{number:02} x"));
        let lessons_shown = (1..=LESSONS).map(|number| format!("x::lesson_{number:02}_x"));
        let shown =
            requirements.chain(lessons_shown).filter(|name| ids(name).iter().all(|id| !without.contains(&id.as_str())));
        let names: Vec<_> = shown.chain(further.iter().map(|name| (*name).to_owned())).collect();
        Map::of(&catalogue(), Status { lessons: lessons(), ..status }, &names).check()
    }

    fn none() -> Status {
        Status::default()
    }

    #[test]
    fn ids_are_read_from_names() {
        let found = |name| ids(name).into_iter().collect::<Vec<_>>();
        assert_eq!(found("start::r28_lesson_09_r30_odd_bodies"), ["L09", "R28", "R30"]);
        assert_eq!(found("paths > R63 drops the URL, R64"), ["R63", "R64"]);
        assert_eq!(found("R69 refuses [::1] and [::2]"), ["R69"]);
        assert_eq!(found("r99_x"), ["R99"]);
        assert_eq!(found("r12::not_r1_r2d2_for12_r12th"), Vec::<String>::new());
    }

    #[test]
    fn a_complete_map_passes() {
        assert_eq!(findings(none(), &[], &["a::plain", "b > plain"]), Vec::<String>::new());
    }

    #[test]
    fn an_entry_has_a_test_or_is_planned() {
        let expected = "R01: no test has it in its name, and requirements.toml does not list it as planned";
        assert_eq!(findings(none(), &["R01"], &[]), [expected]);
        assert_eq!(findings(none(), &["L05"], &[]).len(), 1);
        assert!(findings(Status { planned: table(&[("R01", "later")]), ..none() }, &["R01"], &[]).is_empty());
        assert!(findings(Status { planned: table(&[("L05", "later")]), ..none() }, &["L05"], &[]).is_empty());
    }

    #[test]
    fn what_is_planned_has_no_test() {
        let found = findings(Status { planned: table(&[("R01", "later")]), ..none() }, &[], &[]);
        assert_eq!(found, ["R01: is listed as planned, but has a test; remove it or list it as partial"]);
    }

    #[test]
    fn what_is_partial_has_a_test() {
        let partial = || Status { partial: table(&[("R01", "the rest")]), ..none() };
        assert!(findings(partial(), &[], &[]).is_empty());
        assert_eq!(findings(partial(), &["R01"], &[]), ["R01: is listed as partial, but has no test"]);
    }

    #[test]
    fn only_a_should_can_be_declined() {
        let declined = |id| Status { declined: table(&[(id, "not offered")]), ..none() };
        assert!(findings(declined("R02"), &["R02"], &[]).is_empty());
        assert_eq!(findings(declined("R01"), &["R01"], &[]), ["R01: a MUST cannot be declined"]);
        assert_eq!(findings(declined("R02"), &[], &[]), ["R02: is listed as declined, but has a test"]);
    }

    #[test]
    fn one_id_is_listed_once() {
        let twice = Status { planned: table(&[("R02", "later")]), declined: table(&[("R02", "no")]), ..none() };
        assert_eq!(findings(twice, &["R02"], &[]), ["R02: is listed more than once in requirements.toml"]);
    }

    #[test]
    fn ids_that_do_not_exist_are_found() {
        let found = findings(Status { partial: table(&[("R83", "x")]), ..none() }, &[], &["a::r84_x"]);
        let expected = [
            "R84: does not exist, but is in the name of a::r84_x",
            "R83: does not exist, but is listed under [partial] of requirements.toml",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_reason_is_required_and_unknown_tables_are_refused() {
        let found = findings(Status { planned: table(&[("R01", " ")]), ..none() }, &["R01"], &[]);
        assert_eq!(found, ["R01: has no text under [planned] of requirements.toml"]);
        assert!(toml::from_str::<Status>("[planed]\nR01 = 'x'").is_err());
    }

    #[test]
    fn missing_and_surplus_entries_of_the_catalogue_are_found() {
        let catalogue = catalogue().replace("**R07**", "**R83**");
        let found = Map::of(&catalogue, Status { lessons: lessons(), ..none() }, &[]).check();
        assert!(found.contains(&"R07: missing in docs/security/requirements.md".to_owned()));
        assert!(found.contains(&"R83: not a number from R01 to R82 or from L01 to L31".to_owned()));
    }

    #[test]
    fn the_map_shows_tests_and_what_is_still_to_come() {
        let status = Status { planned: table(&[("R02", "later")]), lessons: table(&[("L01", "two callbacks")]), ..none() };
        let names = ["a::r01_x".to_owned(), "lesson_01_y".to_owned()];
        let map = Map::of(&catalogue().lines().take(2).collect::<Vec<_>>().join("\n"), status, &names);
        let expected = "L01 two callbacks\n    lesson_01_y\nR01 MUST\n    a::r01_x\nR02 SHOULD\n    planned: later\n";
        assert_eq!(map.render(), expected);
    }
}

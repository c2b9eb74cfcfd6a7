//! Tests in TypeScript and Python that are new or changed, in random order.
//!
//! A test file is repeated whole, since a change of a helper in it can break each of its tests. Tests in browsers and with a
//! server for the client of Node are not repeated: each run of them takes minutes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;
use xshell::{Shell, cmd};

use crate::release::row::{Place, Sheet};
use crate::tidy::repository::has_extension;
use crate::workspace::{self, CONSOLE, PYTHON};
use crate::{Result, setup};

/// Tests of the console that are not repeated.
const BROWSER_TESTS: &str = "app/console/e2e/";

/// Repeats the test files among the changed files.
pub(super) fn repeat<'c>(sh: &Shell, changed: impl Iterator<Item = &'c str>, sheet: &mut Sheet) -> Result {
    let tests: Vec<_> = changed.filter(|path| is_test(path)).collect();
    let (browser, tests): (Vec<_>, Vec<_>) = tests.into_iter().partition(|path| path.starts_with(BROWSER_TESTS));
    if !browser.is_empty() {
        sheet.note(format!("{} changed test files below {BROWSER_TESTS} are not repeated", browser.len()));
    }
    let below = |folder: &str| -> Vec<String> {
        let inside = tests.iter().filter_map(|path| path.strip_prefix(folder)?.strip_prefix('/'));
        inside.map(str::to_owned).collect()
    };
    let (console, python) = (&below(CONSOLE), &below(PYTHON));
    let root = sh.current_dir();
    if !console.is_empty() {
        setup::console_packages(sh)?;
        let _there = sh.push_dir(CONSOLE);
        let command =
            |seed| format!("cd {CONSOLE} && node_modules/.bin/vitest run {} {}", order(seed).join(" "), console.join(" "));
        rounds("TypeScript", console.len(), &root, command, sheet, |seed| {
            // The report has whole paths.
            let relative =
                |test: String| test.strip_prefix(&format!("{}/", root.display())).map_or(test.clone(), str::to_owned);
            Ok(vitest(sh, console, seed)?.into_iter().map(relative).collect())
        })?;
    }
    if !python.is_empty() {
        let interpreter = setup::python_environment(sh)?;
        let _server = sh.push_env(workspace::SERVER_BINARY, workspace::server(sh)?);
        let _clean = sh.push_env("PYTHONDONTWRITEBYTECODE", "1");
        let _there = sh.push_dir(PYTHON);
        let files = python.len();
        let listing = cmd!(sh, "{interpreter} -m pytest --collect-only --quiet {python...}").quiet().read()?;
        let tests: Vec<_> = listing.lines().filter(|line| line.contains("::")).collect();
        // Only this check has the order, so a repetition by hand has that of the files.
        let command = |_| format!("cd {PYTHON} && {} -m pytest {}", interpreter.display(), python.join(" "));
        rounds("Python", files, &root, command, sheet, |seed| {
            // pytest runs tests in the order of its arguments; it has no option for a random one.
            let order = shuffled(&tests, seed);
            let report = cmd!(sh, "{interpreter} -m pytest --quiet --no-header -rfE --tb=short {order...}").quiet();
            let output = report.ignore_status().output()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let failed = if output.status.success() { Vec::new() } else { failed_of_pytest(&text) };
            Ok(failed.into_iter().map(|test| format!("{PYTHON}/{test}")).collect())
        })?;
    }
    Ok(())
}

/// Whether a path is a file of tests in TypeScript or Python.
fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.contains(".test.") || name.starts_with("test_") && has_extension(name, "py")
}

/// Runs rounds, and reports tests that failed in one of them. `command` repeats the tests with a seed.
fn rounds(
    language: &str,
    files: usize,
    root: &Path,
    command: impl Fn(u64) -> String,
    sheet: &mut Sheet,
    mut round: impl FnMut(u64) -> Result<Vec<String>>,
) -> Result {
    let first = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let mut failures = BTreeMap::<String, (u64, u64)>::new();
    let count = super::rounds(|number| {
        let seed = first + number;
        for test in round(seed)? {
            failures.entry(test).or_insert((seed, 0)).1 += 1;
        }
        Ok(())
    })?;
    for (test, (seed, failed)) in failures {
        let command = command(seed);
        let place = place(root, &test).unwrap_or_else(|| Place::command(&command));
        let mend = format!(
            "find what depends on time, order or other tests, for example with `{command}`; it failed first with the seed {seed}"
        );
        sheet.red(format!("`{test}`: {failed} of {count} runs in a random order failed"), place, mend);
    }
    sheet.note(format!("{files} test files in {language} ran {count} times, with the seeds from {first}"));
    Ok(())
}

/// The file of a test, `FILE: NAME` or `FILE::NAME`, if it exists.
fn place(root: &Path, test: &str) -> Option<Place> {
    let file = test.split(':').next().filter(|file| root.join(file).is_file())?;
    Some(Place::from(file))
}

/// The options of vitest for a random order.
fn order(seed: u64) -> [String; 3] {
    ["--sequence.shuffle.files".to_owned(), "--sequence.shuffle.tests".to_owned(), format!("--sequence.seed={seed}")]
}

/// Runs test files with vitest, which shuffles files and tests, and returns the tests that failed.
fn vitest(sh: &Shell, files: &[String], seed: u64) -> Result<Vec<String>> {
    let vitest = sh.current_dir().join("node_modules/.bin/vitest");
    let order = order(seed);
    let output =
        cmd!(sh, "{vitest} run --reporter=json {order...} {files...}").quiet().ignore_stderr().ignore_status().output()?;
    if output.status.success() {
        return Ok(Vec::new());
    }
    failed_of_vitest(&String::from_utf8_lossy(&output.stdout))
}

/// The tests that failed, from the report of vitest in JSON; the files if none of their tests ran.
fn failed_of_vitest(report: &str) -> Result<Vec<String>> {
    let report = report.find('{').map_or(report, |start| &report[start..]);
    let report: Value = serde_json::from_str(report).map_err(|error| format!("vitest wrote no report: {error}"))?;
    let mut failed = Vec::new();
    for file in report["testResults"].as_array().into_iter().flatten().filter(|file| file["status"] == "failed") {
        let name = file["name"].as_str().unwrap_or_default();
        let tests = file["assertionResults"].as_array().into_iter().flatten().filter(|test| test["status"] == "failed");
        let before = failed.len();
        failed.extend(tests.map(|test| format!("{name}: {}", test["fullName"].as_str().unwrap_or_default())));
        if failed.len() == before {
            failed.push(name.to_owned());
        }
    }
    // Such as an error outside a test.
    Ok(if failed.is_empty() { vec!["vitest failed without naming a test".to_owned()] } else { failed })
}

/// The tests that failed, from the summary of pytest: `FAILED tests/test_a.py::test_b - AssertionError`.
fn failed_of_pytest(output: &str) -> Vec<String> {
    let lines = output.lines().filter_map(|line| line.strip_prefix("FAILED ").or_else(|| line.strip_prefix("ERROR ")));
    let failed: Vec<_> = lines.map(|line| line.split(" - ").next().unwrap_or(line).to_owned()).collect();
    if failed.is_empty() { vec!["pytest failed without naming a test".to_owned()] } else { failed }
}

/// Another order of the same items for each seed: the shuffle of Fisher and Yates with the numbers of `SplitMix64`.
fn shuffled<'a>(items: &[&'a str], seed: u64) -> Vec<&'a str> {
    let (mut items, mut state) = (items.to_vec(), seed);
    for last in (1..items.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^= number >> 31;
        let at = usize::try_from(number % (last as u64 + 1)).unwrap_or(last);
        items.swap(last, at);
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::row::{Finding, Outcome};

    #[test]
    fn a_test_that_fails_in_one_round_is_found_with_its_seed() {
        let (mut sheet, mut seeds) = (Sheet::default(), Vec::new());
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let command = |seed| format!("repeat {seed}");
        rounds("TypeScript", 1, root, command, &mut sheet, |seed| {
            seeds.push(seed);
            let failed = vec!["README.md: works".to_owned(), "the runner failed".to_owned()];
            Ok(if seeds.len() == 7 { failed } else { Vec::new() })
        })
        .unwrap();
        assert_eq!(seeds.len(), 50);
        let Outcome::Red { findings, notes } = sheet.outcome() else { panic!("not red") };
        let [Finding { what, place, mend }, of_runner] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!(what, "`README.md: works`: 1 of 50 runs in a random order failed");
        assert_eq!(*place, Place::from("README.md"));
        assert_eq!(of_runner.place, Place::Command(format!("repeat {}", seeds[6])));
        assert!(mend.ends_with(&format!("the seed {}", seeds[6])), "{mend}");
        assert!(notes[0].starts_with("1 test files in TypeScript ran 50 times"), "{notes:?}");
    }

    #[test]
    fn failures_are_read_from_the_reports() {
        let report = r#"note {"testResults":[{"name":"a.test.ts","status":"failed","assertionResults":[
            {"fullName":"adds","status":"passed"},{"fullName":"doubles","status":"failed"}]},
            {"name":"b.test.ts","status":"failed","assertionResults":[]},
            {"name":"c.test.ts","status":"passed","assertionResults":[{"fullName":"x","status":"passed"}]}]}"#;
        assert_eq!(failed_of_vitest(report).unwrap(), ["a.test.ts: doubles", "b.test.ts"]);
        assert_eq!(failed_of_vitest("{}").unwrap(), ["vitest failed without naming a test"]);
        assert!(failed_of_vitest("broken").is_err());
        let output = "....F\nFAILED tests/test_a.py::test_b[x] - AssertionError: a - b\nERROR tests/test_c.py\n1 failed\n";
        assert_eq!(failed_of_pytest(output), ["tests/test_a.py::test_b[x]", "tests/test_c.py"]);
        assert_eq!(failed_of_pytest("crashed"), ["pytest failed without naming a test"]);
    }

    #[test]
    fn each_seed_gives_another_order_of_the_same_items() {
        let items = ["a", "b", "c", "d", "e", "f"];
        let mut orders: Vec<_> = (0..20).map(|seed| shuffled(&items, seed)).collect();
        assert_eq!(orders[0], shuffled(&items, 0));
        for order in &orders {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, items);
        }
        orders.sort();
        orders.dedup();
        assert!(orders.len() > 15, "{}", orders.len());
    }

    #[test]
    fn tests_are_known_by_their_names() {
        assert!(is_test("app/console/web/test/a.test.tsx") && is_test("app/python/tests/test_a.py"));
        assert!(!is_test("app/python/tests/conftest.py") && !is_test("app/console/web/src/test.ts"));
    }
}

//! A test executes what changed: of each changed Rust source, and of each changed function of the domain, at least one of the
//! changed lines that can be executed.
//!
//! The domain performs no IO, so a test can call each of its functions. Functions of the other crates are reported in notes: those
//! that start a program, use the network or run in another check are executed by no test on this machine, and they would be red at
//! every release.
//!
//! Coverage is measured with cargo-llvm-cov, of all tests of the workspace and of the programs that they start.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use xshell::{Shell, cmd};

use crate::Result;
use crate::release::changes;
use crate::release::context::Context;
use crate::release::row::{Outcome, Place, Sheet};
use crate::setup::tools::{self, Llvm};
use crate::tidy::repository::{Repository, has_extension};
use crate::tidy::source_text::start_of_tests;
use crate::workspace;

/// Sources that every release executes whole, so that no test does, and where.
const EXECUTED_BY_RELEASES: [(&str, &str); 8] = [
    ("xtask/src/reference", "the check `generated`"),
    ("xtask/src/codegen", "the check `generated`"),
    ("xtask/src/bench/measurements.rs", "the check `speed`"),
    ("tests/load/src/", "the check `speed`"),
    ("xtask/src/release/rows/publish.rs", "the check `publish`"),
    ("xtask/src/release/rows/suites.rs", "the check `suites`"),
    ("xtask/src/release/publication/parts.rs", "the archives"),
    ("xtask/src/setup.rs", "the set-up"),
];

const MEND: &str = "add a test that executes them, or remove what nothing needs";

/// The beginning of a function.
static FUNCTION: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bfn (\w+)").expect("a valid pattern"));

/// Runs the tests without measuring coverage.
const TESTS: &str = "cargo xtask test --only rust";

/// The crate whose changed functions must be executed.
const STRICT: &str = "domain/src/";

/// What the report contains about a source.
#[derive(Debug, Default)]
struct Executed {
    /// The lines with code, and whether they were executed.
    lines: BTreeMap<usize, bool>,
    /// The first lines of functions. Closures belong to the function around them.
    functions: BTreeSet<usize>,
}

impl Executed {
    /// The changed lines with code.
    fn changed(&self, changed: &BTreeSet<usize>) -> Vec<(usize, bool)> {
        self.lines.iter().filter(|(line, _)| changed.contains(*line)).map(|(line, executed)| (*line, *executed)).collect()
    }

    /// The first lines of the functions with changed lines, and whether one of these was executed. The report has no last lines, so
    /// a function ends where the next one begins.
    fn changed_functions(&self, changed: &BTreeSet<usize>) -> BTreeMap<usize, bool> {
        let mut functions = BTreeMap::new();
        for (line, executed) in self.changed(changed) {
            if let Some(first) = self.functions.range(..=line).next_back() {
                *functions.entry(*first).or_default() |= executed;
            }
        }
        functions
    }
}

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let base = match context.base() {
        Ok(base) => base,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    let changes = changes::since_base(context, &base.revision)?;
    let (mut sources, others): (BTreeMap<_, _>, BTreeMap<_, _>) = changes
        .into_iter()
        .filter(|(path, lines)| is_source(path) && !lines.is_empty())
        .partition(|(path, _)| context.files.has(path) && has_extension(path, "rs"));
    let mut sheet = Sheet::default();
    sources.retain(|path, _| {
        let place = executed_by(path);
        if let Some(place) = place {
            sheet.note(format!("{path} is executed by {place}"));
        }
        place.is_none()
    });
    for (path, lines) in &mut sources {
        let end = start_of_tests(context.files.text(path)?);
        lines.retain(|line| *line < end);
    }
    sources.retain(|_, lines| !lines.is_empty());
    if !others.is_empty() {
        sheet.note(format!("{} changed sources in other languages are not measured", others.len()));
    }
    if sources.is_empty() {
        sheet.note("no Rust source changed, so the tests ran without measuring coverage");
        // Other files can break them, such as `Cargo.lock`.
        let sh = context.shell()?;
        let words = TESTS.split(' ').skip(1);
        if cmd!(sh, "cargo {words...}").run().is_err() {
            let mend = format!("run `{TESTS}` and mend what it reports");
            sheet.red("the tests fail", Place::command(TESTS), mend);
        }
        return Ok(sheet.outcome());
    }
    let sh = context.shell()?;
    let llvm = match (tools::LLVM_COV.require(&sh), tools::llvm(&sh)?) {
        (Ok(()), Ok(llvm)) => llvm,
        (Err(reason), _) | (_, Err(reason)) => return Ok(Outcome::Skipped(reason)),
    };
    let report = match measure(&sh, &llvm, &context.target()?)? {
        Ok(report) => report,
        Err(command) => {
            let mend = format!("run `{TESTS}` and mend what it reports; if it passes, run the command of this finding");
            sheet.red("the tests fail when coverage is measured", Place::Command(command), mend);
            return Ok(sheet.outcome());
        }
    };
    compare(&context.files, &sources, &parse(&report, context.root()), &mut sheet);
    Ok(sheet.outcome())
}

/// What executes a source in every release.
fn executed_by(path: &str) -> Option<&'static str> {
    EXECUTED_BY_RELEASES.iter().find(|(beginning, _)| path.starts_with(beginning)).map(|(_, place)| *place)
}

/// Whether a path is the source of a crate or a package, and not that of its tests or of a fuzz target.
fn is_source(path: &str) -> bool {
    let extension = Path::new(path).extension().and_then(|extension| extension.to_str());
    let is_code = extension.is_some_and(|extension| ["rs", "ts", "tsx", "py"].contains(&extension));
    let is_test = |name: &str| name == "tests.rs" || name.ends_with("_tests.rs") || name.contains(".test.");
    let mut folders = path.split('/').skip_while(|part| *part != "src");
    is_code
        && folders.next().is_some()
        && folders.all(|part| part != "tests" && !is_test(part))
        && !path.starts_with("tests/fuzz/")
}

/// Runs all tests and returns the report in the format of lcov, or the command if it fails. The report stays in the target folder.
fn measure(sh: &Shell, llvm: &Llvm, target: &Path) -> Result<std::result::Result<String, String>> {
    let (cov, profdata) = (&llvm.cov, &llvm.profdata);
    let _cov = sh.push_env("LLVM_COV", cov);
    let _profdata = sh.push_env("LLVM_PROFDATA", profdata);
    let folder = target.join("release-check");
    std::fs::create_dir_all(&folder)?;
    let report = folder.join("lcov.info");
    let runner: &[&str] =
        if workspace::has_nextest(sh) { &["nextest", "--no-fail-fast"] } else { &["test", "--no-fail-fast"] };
    // Members below a folder `tests` are sources as well, which cargo-llvm-cov leaves out by default.
    let options = ["--workspace", "--all-targets", "--disable-default-ignore-filename-regex", "--lcov", "--output-path"];
    if cmd!(sh, "cargo llvm-cov {runner...} {options...} {report}").run().is_err() {
        let tools = format!("LLVM_COV={} LLVM_PROFDATA={}", cov.display(), profdata.display());
        let (runner, options) = (runner.join(" "), options.join(" "));
        return Ok(Err(format!("{tools} cargo llvm-cov {runner} {options} {}", report.display())));
    }
    Ok(Ok(std::fs::read_to_string(report)?))
}

/// The lines and functions of each file below the root: `SF:path`, then `FN:line,name` for each instance of a function and
/// `DA:line,count` for each line.
fn parse(report: &str, root: &Path) -> BTreeMap<String, Executed> {
    let mut files = BTreeMap::<String, Executed>::new();
    let mut current = None;
    for line in report.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            let path = Path::new(path).strip_prefix(root).ok().and_then(Path::to_str);
            current = path.map(|path| files.entry(path.replace('\\', "/")).or_default());
        } else if let (Some(data), Some(file)) = (line.strip_prefix("FN:"), current.as_deref_mut()) {
            if let Some((Ok(first), name)) = data.split_once(',').map(|(first, name)| (first.parse(), name))
                && !is_closure(name)
            {
                file.functions.insert(first);
            }
        } else if let (Some(data), Some(file)) = (line.strip_prefix("DA:"), current.as_deref_mut()) {
            let mut numbers = data.split(',').map(str::parse::<usize>);
            if let (Some(Ok(line)), Some(Ok(count))) = (numbers.next(), numbers.next()) {
                *file.lines.entry(line).or_default() |= count > 0;
            }
        }
    }
    files
}

/// Whether a symbol is that of a closure or of the body of an asynchronous function: `_RNC…`, or `{{closure}}` in the older scheme.
fn is_closure(symbol: &str) -> bool {
    symbol.starts_with("_RNC") || symbol.contains("$u7b$$u7b$closure$u7d$$u7d$")
}

/// The name in the line in which a function begins; the number of the line if it has none.
fn name_of(text: &str, line: usize) -> String {
    let name = text.lines().nth(line.saturating_sub(1)).and_then(|line| FUNCTION.captures(line));
    name.map_or_else(|| format!("line {line}"), |found| format!("`{}`", &found[1]))
}

fn compare(
    files: &Repository,
    changes: &BTreeMap<String, BTreeSet<usize>>,
    coverage: &BTreeMap<String, Executed>,
    sheet: &mut Sheet,
) {
    let (mut executed, mut measured, mut without) = (0, 0, 0);
    let (mut functions, mut idle) = (0, BTreeMap::<&str, Vec<String>>::new());
    for (path, changed) in changes {
        let source = coverage.get(path);
        let lines = source.map(|source| source.changed(changed)).unwrap_or_default();
        let (Some(source), Some((first, _))) = (source, lines.first()) else {
            without += 1;
            continue;
        };
        let hits = lines.iter().filter(|(_, is_executed)| *is_executed).count();
        (executed, measured) = (executed + hits, measured + lines.len());
        if hits == 0 {
            let what = format!("no test executes any of the {} changed lines with code", lines.len());
            sheet.red(what, Place::line(path, *first), MEND);
        }
        let of_source = source.changed_functions(changed);
        functions += of_source.len();
        for (first, _) in of_source.into_iter().filter(|(_, is_executed)| !is_executed) {
            let name = name_of(files.find(path).unwrap_or_default(), first);
            // A source without an executed line is red as a whole.
            if path.starts_with(STRICT) && hits > 0 {
                let what = format!("no test executes any of the changed lines of the function {name}");
                sheet.red(what, Place::line(path, first), MEND);
            }
            idle.entry(path).or_default().push(format!("{name} ({first})"));
        }
    }
    sheet.note(format!("tests execute {executed} of {measured} changed lines with code"));
    let count: usize = idle.values().map(Vec::len).sum();
    sheet.note(format!("tests execute changed lines of {} of {functions} changed functions", functions - count));
    for (path, names) in idle {
        sheet.note(format!("{path}: no changed line is executed of {}", names.join(", ")));
    }
    if without > 0 {
        sheet.note(format!("{without} changed sources have no changed line with code, or are not compiled on this system"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::row::Finding;

    #[test]
    fn one_executed_line_of_each_changed_file_is_required() {
        let report = "SF:/r/a/src/lib.rs\nDA:1,0\nDA:2,3\nend_of_record\nSF:/r/b/src/lib.rs\nDA:1,7\nDA:5,0\nDA:6,0\nend_of_record\n\
            SF:/elsewhere/src/lib.rs\nDA:1,0\n";
        let coverage = parse(report, Path::new("/r"));
        assert_eq!(coverage.len(), 2);
        let changes = |lines: &[usize]| lines.iter().copied().collect::<BTreeSet<_>>();
        let changes = BTreeMap::from([
            ("a/src/lib.rs".to_owned(), changes(&[1, 2])),
            ("b/src/lib.rs".to_owned(), changes(&[5, 6])),
            ("c/src/lib.rs".to_owned(), changes(&[1])),
        ]);
        let mut sheet = Sheet::default();
        compare(&Repository::of(&[]), &changes, &coverage, &mut sheet);
        let Outcome::Red { findings, notes } = sheet.outcome() else { panic!("not red") };
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].place, Place::line("b/src/lib.rs", 5));
        assert_eq!(findings[0].what, "no test executes any of the 2 changed lines with code");
        assert!(notes[0].contains("1 of 4"), "{notes:?}");
    }

    #[test]
    fn changed_functions_without_an_executed_line_are_red_in_the_domain_and_noted_elsewhere() {
        let text = "pub fn one() {\n    1\n}\nfn two() {\n    a(|| 2)\n}\nasync fn three() {\n    3\n}\n";
        let of = |path: &str| {
            format!(
                "SF:/r/{path}\nFN:1,_RNvone\nFN:4,_RNvtwo\nFN:5,_RNCNvtwo\nFN:7,_RNvthree\nFN:7,_RNCNvthree\nDA:1,1\nDA:2,1\nDA:4,0\n\
                 DA:5,0\nDA:7,0\nDA:8,2\nend_of_record\n"
            )
        };
        let paths = ["app/src/a.rs", "domain/src/a.rs"];
        let coverage = parse(&paths.map(of).concat(), Path::new("/r"));
        let changes = paths.map(|path| (path.to_owned(), [2, 5, 8].into())).into();
        let mut sheet = Sheet::default();
        compare(&Repository::of(&paths.map(|path| (path, text))), &changes, &coverage, &mut sheet);
        let Outcome::Red { findings, notes } = sheet.outcome() else { panic!("not red") };
        let [Finding { what, place, .. }] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!(what, "no test executes any of the changed lines of the function `two`");
        assert_eq!(*place, Place::line("domain/src/a.rs", 4));
        let expected = [
            "tests execute 4 of 6 changed lines with code",
            "tests execute changed lines of 4 of 6 changed functions",
            "app/src/a.rs: no changed line is executed of `two` (4)",
            "domain/src/a.rs: no changed line is executed of `two` (4)",
        ];
        assert_eq!(notes, expected);
    }

    #[test]
    fn sources_that_a_check_executes_are_known_by_its_name() {
        use crate::release::rows::ROWS;

        assert_eq!(executed_by("tests/load/src/main.rs"), Some("the check `speed`"));
        assert_eq!(executed_by("xtask/src/release.rs"), None);
        let checks = EXECUTED_BY_RELEASES.iter().filter_map(|(_, place)| place.split('`').nth(1));
        assert!(checks.clone().count() > 0 && checks.clone().all(|check| ROWS.iter().any(|row| row.name == check)));
    }

    #[test]
    fn sources_are_distinguished_from_tests() {
        for source in ["domain/src/a.rs", "app/console/web/src/ui/a.tsx", "tests/kit/src/lib.rs"] {
            assert!(is_source(source), "{source}");
        }
        for other in
            ["domain/tests/a.rs", "a/src/tests.rs", "a/src/b_tests.rs", "a/src/x.test.ts", "a/src/x.sql", "a/build.rs"]
        {
            assert!(!is_source(other), "{other}");
        }
        for other in ["a/src/tests/contract.rs", "tests/fuzz/src/provider/mod.rs"] {
            assert!(!is_source(other), "{other}");
        }
    }
}

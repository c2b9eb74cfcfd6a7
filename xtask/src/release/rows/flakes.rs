//! Tests in files that are new or changed since the base pass 50 times, in a random order.
//!
//! The tests of a program or of a language have five minutes: slow ones run fewer times, at least three, and the note has the
//! number.
//!
//! The order is that of libtest (`--shuffle-seed`), which shuffles the tests of one program and runs them in one process;
//! nextest repeats tests (`--stress-count`) but has no random order. The option is unstable, so `RUSTC_BOOTSTRAP` is set for the
//! test programs, not for the compiler.

mod languages;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use cargo_metadata::{Artifact, Message, Package};
use xshell::{Shell, cmd};

use crate::Result;
use crate::release::changes;
use crate::release::context::Context;
use crate::release::row::{Outcome, Place, Sheet};
use crate::tidy::repository::has_extension;

/// How often each test runs.
const ROUNDS: u64 = 50;
/// After this time no further round of a program starts, but a few rounds always run.
const BUDGET: Duration = Duration::from_mins(5);
const LEAST_ROUNDS: u64 = 3;
/// How long the tests of one program may take in one round.
const LIMIT: Duration = Duration::from_mins(20);

/// A test program.
#[derive(Debug)]
struct Program {
    file: PathBuf,
    /// The options of cargo that select it.
    selection: String,
    /// The folder of its package, in which it runs.
    folder: PathBuf,
    /// The root of its modules, from the root of the repository.
    root: String,
}

/// The tests of a program that are repeated.
struct Repeated {
    program: Program,
    tests: Vec<String>,
    /// The file of each test.
    files: BTreeMap<String, String>,
}

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let base = match context.base() {
        Ok(base) => base,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    let mut sheet = Sheet::default();
    let lines = changes::since_base(context, &base.revision)?;
    let changed: BTreeSet<_> = lines.iter().filter(|(_, lines)| !lines.is_empty()).map(|(path, _)| path.as_str()).collect();
    let sh = context.shell()?;
    languages::repeat(&sh, changed.iter().copied().filter(|path| context.files.has(path)), &mut sheet)?;
    if !changed.iter().any(|path| context.files.has(path) && has_extension(path, "rs")) {
        sheet.note("no Rust file changed");
        return Ok(sheet.outcome());
    }
    let Some(programs) = programs(&sh, context.root())? else {
        let command = "cargo test --workspace --all-targets --no-run";
        sheet.red("the tests do not build", Place::command(command), format!("run `{command}` and mend what it reports"));
        return Ok(sheet.outcome());
    };
    let sources: Vec<_> =
        context.files.files.iter().map(|file| file.path.as_str()).filter(|path| has_extension(path, "rs")).collect();
    let mut repeated = Vec::new();
    for program in programs {
        let modules = modules(&program.root, &sources);
        if !modules.values().any(|file| changed.contains(file)) {
            continue;
        }
        let file = &program.file;
        let _there = sh.push_dir(&program.folder);
        let listing = cmd!(sh, "{file} --list --format terse").quiet().ignore_stderr().read()?;
        let tests = listing.lines().filter_map(|line| line.strip_suffix(": test"));
        let with_file = tests.filter_map(|test| Some((test, owner(test, &modules)?)));
        let with_file: Vec<_> = with_file.filter(|(_, file)| changed.contains(file)).collect();
        if !with_file.is_empty() {
            let tests = with_file.iter().map(|(test, _)| (*test).to_owned()).collect();
            let files = with_file.into_iter().map(|(test, file)| (test.to_owned(), file.to_owned())).collect();
            repeated.push(Repeated { program, tests, files });
        }
    }
    repeat(&sh, &repeated, &mut sheet)?;
    Ok(sheet.outcome())
}

/// Builds all test programs; `None` if that fails.
fn programs(sh: &Shell, root: &Path) -> Result<Option<Vec<Program>>> {
    let metadata = cargo_metadata::MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?;
    let output =
        cmd!(sh, "cargo test --quiet --workspace --all-targets --no-run --message-format json").ignore_status().output()?;
    if !output.status.success() {
        return Ok(None);
    }
    let mut programs = Vec::new();
    for message in Message::parse_stream(&output.stdout[..]) {
        let Message::CompilerArtifact(Artifact { package_id, target, profile, executable: Some(file), .. }) = message?
        else {
            continue;
        };
        let Some(package) = metadata.packages.iter().find(|package| package.id == package_id).filter(|_| profile.test)
        else {
            continue;
        };
        let folder = package.manifest_path.parent().ok_or("a manifest is in no folder")?;
        let source = target.src_path.strip_prefix(&metadata.workspace_root).unwrap_or(&target.src_path);
        programs.push(Program {
            file: file.into(),
            selection: selection(package, &target),
            folder: folder.into(),
            root: source.as_str().replace('\\', "/"),
        });
    }
    Ok(Some(programs))
}

fn selection(package: &Package, target: &cargo_metadata::Target) -> String {
    let kind = match (target.is_test(), target.is_bin(), target.is_example(), target.is_bench()) {
        (true, ..) => format!("--test {}", target.name),
        (_, true, ..) => format!("--bin {}", target.name),
        (.., true, _) => format!("--example {}", target.name),
        (.., true) => format!("--bench {}", target.name),
        (false, false, false, false) => "--lib".to_owned(),
    };
    format!("--package {} {kind}", package.name)
}

/// The modules of a program with their files: the root has the empty path, and `src/a/b.rs` and `src/a/b/mod.rs` are `a::b`.
fn modules<'f>(root: &'f str, sources: &[&'f str]) -> BTreeMap<String, &'f str> {
    let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut modules = BTreeMap::from([(String::new(), root)]);
    for source in sources.iter().filter(|source| **source != root) {
        let Some(path) = source.strip_prefix(folder).and_then(|path| path.strip_prefix('/')) else { continue };
        let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
        modules.insert(path.replace('/', "::"), source);
    }
    modules
}

/// The file of the innermost module that has a file.
fn owner<'f>(test: &str, modules: &BTreeMap<String, &'f str>) -> Option<&'f str> {
    let mut path = test;
    while let Some((outer, _)) = path.rsplit_once("::") {
        if let Some(file) = modules.get(outer) {
            return Some(file);
        }
        path = outer;
    }
    modules.get("").copied()
}

/// Runs the tests of each program in rounds, each with another order.
fn repeat(sh: &Shell, repeated: &[Repeated], sheet: &mut Sheet) -> Result {
    let first = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    for Repeated { program, tests, files } in repeated {
        let Program { selection, root, .. } = program;
        let mut failures = BTreeMap::<String, (u64, u64)>::new();
        let count = rounds(|number| {
            let seed = first + number;
            let (failed, output) = round(sh, program, tests, seed)?;
            let mut is_new = false;
            for test in failed {
                let (_, count) = failures.entry(test).or_insert((seed, 0));
                *count += 1;
                is_new |= *count == 1;
            }
            if is_new {
                eprintln!("{output}");
            }
            Ok(())
        })?;
        for (failed, (seed, failures)) in failures {
            let command = format!("RUSTC_BOOTSTRAP=1 cargo test {selection} -- -Z unstable-options --shuffle-seed {seed}");
            let mend = format!("find what depends on time, order or other tests, for example with `{command}`");
            let what = format!("`{failed}` ({selection}): {failures} of {count} runs in a random order failed");
            // A failure of the program is in no test.
            sheet.red(what, files.get(&failed).unwrap_or(root), mend);
        }
        sheet.note(format!("{} tests of `{selection}` ran {count} times, with the seeds from {first}", tests.len()));
    }
    Ok(())
}

/// Runs rounds with their numbers until there were enough or the time is over, and returns how many there were.
fn rounds(mut round: impl FnMut(u64) -> Result) -> Result<u64> {
    let (started, mut count) = (Instant::now(), 0);
    while count < ROUNDS && (count < LEAST_ROUNDS || started.elapsed() < BUDGET) {
        round(count)?;
        count += 1;
    }
    Ok(count)
}

/// Runs tests once and returns the names of those that failed, and the output.
fn round(sh: &Shell, program: &Program, tests: &[String], seed: u64) -> Result<(Vec<String>, String)> {
    let folder = sh.create_temp_dir()?;
    let log = folder.path().join("log");
    let output = File::create(&log)?;
    let mut child = Command::new(&program.file)
        .args(tests)
        .args(["--exact", "-Z", "unstable-options", "--shuffle-seed", &seed.to_string()])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_MANIFEST_DIR", &program.folder)
        .current_dir(&program.folder)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()?;
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if started.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let text = String::from_utf8_lossy(&std::fs::read(log)?).into_owned();
    let failed = match status {
        Some(status) if status.success() => Vec::new(),
        Some(status) => failed_tests(&text).unwrap_or_else(|| vec![format!("the test program ended with {status}")]),
        None => vec![format!("the tests took more than {} minutes", LIMIT.as_secs() / 60)],
    };
    Ok((failed, text))
}

/// The names in the lines `test NAME ... FAILED`; `None` if there is none.
fn failed_tests(output: &str) -> Option<Vec<String>> {
    let names = output.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    let names: Vec<_> = names.map(|name| name.split(" - ").next().unwrap_or(name).to_owned()).collect();
    (!names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_tests_run_in_all_rounds() {
        let mut numbers = Vec::new();
        let count = rounds(|number| {
            numbers.push(number);
            Ok(())
        });
        assert_eq!(count.unwrap(), 50);
        assert_eq!(numbers, (0..50).collect::<Vec<_>>());
        assert!(rounds(|_| Err("broken".into())).is_err());
    }

    #[test]
    fn a_test_belongs_to_the_file_of_its_innermost_module() {
        let sources = ["a/src/lib.rs", "a/src/b.rs", "a/src/b/c.rs", "a/src/d/mod.rs", "a/tests/e.rs", "e/src/b.rs"];
        let modules = modules("a/src/lib.rs", &sources);
        for (test, file) in [
            ("works", "a/src/lib.rs"),
            ("tests::works", "a/src/lib.rs"),
            ("b::tests::works", "a/src/b.rs"),
            ("b::c::works", "a/src/b/c.rs"),
            ("d::works", "a/src/d/mod.rs"),
        ] {
            assert_eq!(owner(test, &modules), Some(file), "{test}");
        }
        assert_eq!(modules.len(), 4);
    }

    #[test]
    fn failed_tests_are_read_from_the_output() {
        let output = "running 3 tests\ntest a::b ... ok\ntest a::c ... FAILED\ntest d - should panic ... FAILED\n";
        assert_eq!(failed_tests(output).unwrap(), ["a::c", "d"]);
        assert!(failed_tests("running 0 tests\n").is_none());
    }
}

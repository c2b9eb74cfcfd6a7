//! `cargo xtask fuzz`: the targets of `tests/fuzz` with libFuzzer.
//!
//! A nightly toolchain adds the address sanitizer. Without one the stable compiler is used: the pass that counts edges is part
//! of it, and the C++ compiler that builds libFuzzer is the only other requirement.

use std::path::{Path, PathBuf};

use clap::Args;
use xshell::{Shell, cmd};

use crate::Result;

/// Where everything is built, apart from other builds, which have other flags.
const FOLDER: &str = "target/fuzz";
/// The corpora.
const CORPUS: &str = "tests/fuzz/corpus";
/// The platform. With a named one, the flags are not used for build scripts and macros.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";
/// Counters of edges for libFuzzer, and the values that are compared.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1";
const ADDRESS_SANITIZER: &str = "-Zsanitizer=address";
/// Limit of the memory of a target, and of one allocation.
const MEGABYTES: &str = "1024";
/// Limit of the time of one input.
const SECONDS_OF_INPUT: &str = "10";
/// Longest input that is added to a corpus, in bytes.
const LONGEST_KEPT: &str = "2048";
/// Seconds of each target, unless they are given.
const SECONDS: u64 = 60;

/// Which targets, and how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Time of each target.
    #[arg(long, value_name = "SECONDS", default_value_t = SECONDS, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Add inputs that reach new code to the corpora in `tests/fuzz/corpus`, after minimising them.
    #[arg(long)]
    keep: bool,
    /// Only these targets.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

/// Runs every target for a minute.
pub(crate) fn every_target(sh: &Shell) -> Result {
    run(sh, &Options { seconds: SECONDS, keep: false, targets: Vec::new() })
}

/// Builds the targets and runs them one after the other. Fails if an input breaks an assertion or a limit.
pub(crate) fn run(sh: &Shell, options: &Options) -> Result {
    let program = build(sh)?;
    let available = listed(&cmd!(sh, "{program}").quiet().read()?);
    let mut findings = Vec::new();
    for target in chosen(available, &options.targets)? {
        let report = fuzz(sh, &program, &target, options)?;
        println!("{}", report.line(&target.name));
        findings.extend(report.findings);
    }
    if findings.is_empty() {
        return Ok(());
    }
    println!("\nan input runs again with FUZZ_TARGET=TARGET {} INPUT", program.display());
    crate::print_findings("fuzz", &findings.iter().map(|path| path.display().to_string()).collect::<Vec<_>>())
}

/// A target, and the length of its longest input.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    name: String,
    longest: String,
}

/// Reads the list that the program prints.
fn listed(text: &str) -> Vec<Target> {
    let target = |(name, longest): (&str, &str)| Target { name: name.to_owned(), longest: longest.to_owned() };
    text.lines().filter_map(|line| line.split_once(' ')).map(target).collect()
}

fn chosen(available: Vec<Target>, named: &[String]) -> Result<Vec<Target>> {
    if let Some(unknown) = named.iter().find(|name| available.iter().all(|target| target.name != **name)) {
        let all: Vec<_> = available.iter().map(|target| target.name.as_str()).collect();
        return Err(format!("unknown target `{unknown}`; the targets are {}", all.join(", ")).into());
    }
    Ok(available.into_iter().filter(|target| named.is_empty() || named.contains(&target.name)).collect())
}

/// Builds the program, with debug assertions and checks for overflow.
fn build(sh: &Shell) -> Result<PathBuf> {
    let with_sanitizer =
        cmd!(sh, "rustup run nightly rustc --version").quiet().ignore_stdout().ignore_stderr().run().is_ok();
    let (toolchain, flags) = flags(with_sanitizer);
    println!("building with {}", if with_sanitizer { "nightly and the address sanitizer" } else { "stable" });
    let _flags = sh.push_env("RUSTFLAGS", &flags);
    let build =
        ["build", "--package", "grantry-fuzz", "--bin", "grantry-fuzz", "--features", "libfuzzer", "--profile", "fuzz"];
    // `cargo xtask` itself runs under a toolchain that the environment names.
    let _toolchain = toolchain.map(|toolchain| sh.push_env("RUSTUP_TOOLCHAIN", toolchain));
    let cargo = if toolchain.is_some() {
        PathBuf::from("cargo")
    } else {
        std::env::var_os("CARGO").unwrap_or("cargo".into()).into()
    };
    cmd!(sh, "{cargo} {build...} --target {PLATFORM} --target-dir {FOLDER}").run()?;
    Ok(sh.current_dir().join(FOLDER).join(PLATFORM).join("fuzz/grantry-fuzz"))
}

/// Toolchain and flags of the compiler.
fn flags(with_sanitizer: bool) -> (Option<&'static str>, String) {
    if with_sanitizer { (Some("nightly"), format!("{COVERAGE} {ADDRESS_SANITIZER}")) } else { (None, COVERAGE.to_owned()) }
}

/// What a run of a target reported.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    executions: u64,
    covered: u64,
    inputs: u64,
    findings: Vec<PathBuf>,
}

impl Report {
    /// Reads what libFuzzer prints: progress such as `#8192 pulse cov: 41 ft: 63 corp: 12/201b`, and `Done 8192 runs`.
    fn read(text: &str) -> Self {
        let number = |word: Option<&str>| word.and_then(|word| word.split('/').next()?.parse().ok());
        let mut report = Self::default();
        for line in text.lines().filter(|line| line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let after =
                |name: &str| number(words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1).copied()));
            report.executions = number(words.first().and_then(|word| word.strip_prefix('#'))).unwrap_or(report.executions);
            report.covered = after("cov:").unwrap_or(report.covered);
            report.inputs = after("corp:").unwrap_or(report.inputs);
        }
        report
    }

    fn line(&self, target: &str) -> String {
        let Self { executions, covered, inputs, findings } = self;
        let found = if findings.is_empty() { "no finding".to_owned() } else { format!("{} FINDINGS", findings.len()) };
        format!("{target:<22} {executions:>10} executions  {covered:>6} edges  {inputs:>5} inputs  {found}")
    }
}

fn fuzz(sh: &Shell, program: &Path, Target { name, longest }: &Target, options: &Options) -> Result<Report> {
    let root = sh.current_dir();
    let (corpus, grown) = (root.join(CORPUS).join(name), root.join(FOLDER).join("corpus").join(name));
    let findings = root.join(FOLDER).join("findings").join(name);
    for folder in [&grown, &findings] {
        std::fs::create_dir_all(folder)?;
    }
    let _target = sh.push_env("FUZZ_TARGET", name);
    let arguments = [
        format!("-max_total_time={}", options.seconds),
        format!("-max_len={longest}"),
        format!("-dict={}", root.join("tests/fuzz/dictionary.txt").display()),
        format!("-artifact_prefix={}/", findings.display()),
        format!("-rss_limit_mb={MEGABYTES}"),
        format!("-malloc_limit_mb={MEGABYTES}"),
        format!("-timeout={SECONDS_OF_INPUT}"),
        "-print_final_stats=1".to_owned(),
    ];
    let output = cmd!(sh, "{program} {arguments...} {grown} {corpus}").quiet().ignore_status().output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let mut report = Report::read(&text);
    for entry in std::fs::read_dir(&findings)? {
        report.findings.push(entry?.path());
    }
    report.findings.sort();
    if !output.status.success() && report.findings.is_empty() {
        return Err(format!("{name} did not run:\n{text}").into());
    }
    if !output.status.success() {
        println!("{text}");
    }
    if options.keep && output.status.success() {
        cmd!(sh, "{program} -merge=1 -max_len={LONGEST_KEPT} {corpus} {grown}").quiet().ignore_stderr().run()?;
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_contains_the_last_numbers() {
        let text = "INFO: Seed: 1\n#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 40Mb\n\
            #8192\tpulse  cov: 41 ft: 63 corp: 12/201b lim: 80 exec/s: 4096 rss: 41Mb\n\
            #9000\tDONE   cov: 42 ft: 64 corp: 13/204b lim: 80 exec/s: 4096 rss: 41Mb\nDone 9000 runs in 2 second(s)\n";
        let report = Report::read(text);
        assert_eq!(report, Report { executions: 9000, covered: 42, inputs: 13, findings: Vec::new() });
        assert!(report.line("network").ends_with("42 edges     13 inputs  no finding"));
        let found = Report { findings: vec![PathBuf::from("crash-1")], ..report };
        assert!(found.line("network").ends_with("1 FINDINGS"));
        assert_eq!(Report::read("no progress"), Report::default());
    }

    #[test]
    fn targets_are_chosen_by_name() {
        let available = listed("cookies 4096\nnetwork 128\n");
        let names = |chosen: Vec<Target>| chosen.into_iter().map(|target| (target.name, target.longest)).collect::<Vec<_>>();
        let pair = |name: &str, longest: &str| (name.to_owned(), longest.to_owned());
        let all = [pair("cookies", "4096"), pair("network", "128")];
        assert_eq!(names(chosen(available.clone(), &[]).unwrap()), all);
        assert_eq!(names(chosen(available.clone(), &["network".to_owned()]).unwrap()), all[1..]);
        let error = chosen(available, &["cookie".to_owned()]).err().unwrap().to_string();
        assert_eq!(error, "unknown target `cookie`; the targets are cookies, network");
    }

    #[test]
    fn only_nightly_has_the_address_sanitizer() {
        let (toolchain, stable) = flags(false);
        assert!(toolchain.is_none() && !stable.contains("-Z") && stable.contains("inline-8bit-counters"));
        let (toolchain, nightly) = flags(true);
        assert_eq!((toolchain, nightly), (Some("nightly"), format!("{stable} -Zsanitizer=address")));
    }
}

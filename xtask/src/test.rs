//! `cargo xtask test`: everything a change must pass, in the order in which it fails cheapest.

use xshell::{Shell, cmd};

use crate::Result;
use crate::steps::{self, Options, Outcome, Step};
use crate::workspace::{self, CONSOLE};
use crate::{codegen, setup, tidy};

const STEPS: &[Step] = &[
    Step { name: "setup", about: "what the tests need is installed", run: |sh| done(setup::run(sh)) },
    Step { name: "tidy", about: "the rules of the repository hold", run: |sh| done(tidy::check(sh)) },
    Step { name: "format", about: "the sources are formatted", run: format },
    Step { name: "lint", about: "no warning of the compiler or of clippy", run: lint },
    Step { name: "codegen", about: "generated files are current", run: |sh| done(codegen::check(sh)) },
    Step { name: "rust", about: "unit, property, contract and system tests", run: rust },
    Step { name: "doc", about: "the examples in the documentation", run: doc },
    Step {
        name: "console",
        about: "lint, types, unit tests and package contents of client, hooks and console",
        run: console,
    },
    Step { name: "browser", about: "end to end in Chromium", run: browser },
];

/// Runs all steps, or those the options name.
pub(crate) fn run(sh: &Shell, options: &Options) -> Result {
    steps::run(sh, STEPS, options)
}

fn done(result: Result) -> Result<Outcome> {
    result.map(|()| Outcome::Done)
}

fn format(sh: &Shell) -> Result<Outcome> {
    cmd!(sh, "cargo fmt --all --check").run()?;
    Ok(Outcome::Done)
}

fn lint(sh: &Shell) -> Result<Outcome> {
    cmd!(sh, "cargo clippy --workspace --all-targets -- -D warnings").run()?;
    Ok(Outcome::Done)
}

fn rust(sh: &Shell) -> Result<Outcome> {
    // Tests of the whole start the server's binary; they must not meet an old one.
    workspace::server(sh)?;
    cargo_tests(sh, "default", "--all-targets")
}

/// Runs Rust tests: by nextest under one of the profiles of `.config/nextest.toml`, or by cargo where nextest is missing.
pub(crate) fn cargo_tests(sh: &Shell, profile: &str, targets: &str) -> Result<Outcome> {
    let nextest = cmd!(sh, "cargo nextest --version").quiet().ignore_stdout().ignore_stderr();
    if nextest.run().is_ok() {
        cmd!(sh, "cargo nextest run --workspace {targets} --profile {profile}").run()?;
    } else {
        cmd!(sh, "cargo test --workspace {targets}").run()?;
    }
    Ok(Outcome::Done)
}

/// Apart from the other tests, because nextest does not run them.
fn doc(sh: &Shell) -> Result<Outcome> {
    cmd!(sh, "cargo test --workspace --doc").run()?;
    Ok(Outcome::Done)
}

fn console(sh: &Shell) -> Result<Outcome> {
    npm(sh, &["lint", "typecheck", "test", "pack:check"])
}

fn browser(sh: &Shell) -> Result<Outcome> {
    workspace::server(sh)?;
    npm(sh, &["e2e"])
}

/// Runs scripts of the console's npm workspace.
fn npm(sh: &Shell, scripts: &[&str]) -> Result<Outcome> {
    let _there = sh.push_dir(CONSOLE);
    for script in scripts {
        cmd!(sh, "npm run {script}").run()?;
    }
    Ok(Outcome::Done)
}

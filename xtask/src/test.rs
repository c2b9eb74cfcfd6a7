//! `cargo xtask test`: everything a change must pass, the fastest steps first.

use xshell::{Shell, cmd};

use crate::Result;
use crate::steps::{self, Options, Step};
use crate::workspace::{self, CONSOLE, FEATURES, PYTHON, SERVER_BINARY};
use crate::{codegen, release, requirements, setup, tidy};

/// The steps, in the order in which they run.
pub(crate) const STEPS: &[Step] = &[
    Step { name: "setup", about: "what the tests need is installed", run: setup::run },
    Step { name: "tidy", about: "the rules of the repository hold", run: tidy::check },
    Step { name: "release", about: "the fast checks of a release are green", run: release::check_fast },
    Step { name: "format", about: "the sources are formatted", run: format },
    Step { name: "lint", about: "no warning by the compiler or by clippy", run: lint },
    Step { name: "codegen", about: "generated files are current", run: codegen::check },
    Step { name: "rust", about: "unit, property, contract and system tests", run: rust },
    Step { name: "production", about: "the production build, without the demo", run: production },
    Step { name: "requirements", about: "every security requirement has a test", run: requirements::check },
    Step { name: "doc", about: "the examples in the documentation", run: doc },
    Step { name: "console", about: "lint, types, tests and package contents of client, hooks and console", run: console },
    Step { name: "python", about: "types, tests and package contents of the Python client", run: python },
    Step { name: "browser", about: "end-to-end tests in Chromium", run: browser },
];

/// Runs all steps, or those that the options name.
pub(crate) fn run(sh: &Shell, options: &Options) -> Result {
    steps::run(sh, STEPS, options)
}

fn format(sh: &Shell) -> Result {
    cmd!(sh, "cargo fmt --all --check").run()?;
    Ok(())
}

fn lint(sh: &Shell) -> Result {
    cmd!(sh, "cargo clippy --workspace --all-targets -- -D warnings").run()?;
    Ok(())
}

fn rust(sh: &Shell) -> Result {
    // Some tests start the binary of the server, which must be current.
    workspace::server(sh)?;
    cargo_tests(sh, "default", "--all-targets")
}

/// Runs Rust tests with nextest, under a profile of `.config/nextest.toml`, or with cargo if nextest is not installed.
pub(crate) fn cargo_tests(sh: &Shell, profile: &str, targets: &str) -> Result {
    if workspace::has_nextest(sh) {
        cmd!(sh, "cargo nextest run --workspace {targets} --profile {profile}").run()?;
    } else {
        cmd!(sh, "cargo test --workspace {targets}").run()?;
    }
    Ok(())
}

/// The tests of the program that differ without the demo: features change what is compiled, so this is a separate build.
fn production(sh: &Shell) -> Result {
    cmd!(sh, "cargo test --quiet --package grantry {FEATURES...} --test program no_demo").run()?;
    Ok(())
}

/// A separate step, because nextest does not run them.
fn doc(sh: &Shell) -> Result {
    cmd!(sh, "cargo test --workspace --doc").run()?;
    Ok(())
}

fn console(sh: &Shell) -> Result {
    npm(sh, &["lint", "typecheck", "test", "pack:check"])?;
    let _server = sh.push_env(SERVER_BINARY, workspace::server(sh)?);
    npm(sh, &["test:server"])
}

fn python(sh: &Shell) -> Result {
    let interpreter = setup::python_environment(sh)?;
    let _server = sh.push_env(SERVER_BINARY, workspace::server(sh)?);
    let _clean = sh.push_env("PYTHONDONTWRITEBYTECODE", "1");
    let _there = sh.push_dir(PYTHON);
    cmd!(sh, "{interpreter} -m mypy").run()?;
    cmd!(sh, "{interpreter} -m pytest --quiet").run()?;
    Ok(())
}

fn browser(sh: &Shell) -> Result {
    let _server = sh.push_env(SERVER_BINARY, workspace::server(sh)?);
    npm(sh, &["e2e"])
}

/// Runs scripts of the npm workspace of the console.
fn npm(sh: &Shell, scripts: &[&str]) -> Result {
    let _there = sh.push_dir(CONSOLE);
    for script in scripts {
        cmd!(sh, "npm run {script}").run()?;
    }
    Ok(())
}

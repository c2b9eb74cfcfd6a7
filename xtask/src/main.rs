//! `cargo xtask`: set-up, tests, checks and generated files of the workspace.
//!
//! One module per command. Each check is a function from values that were read to a list of findings, so that its tests
//! show both outcomes. `xtask/README.md` is the manual.

#![expect(clippy::print_stdout, reason = "a command line tool reports on standard output")]

mod bench;
mod codegen;
mod deploy;
mod docs;
mod fuzz;
mod manifests;
mod markdown;
mod nightly;
mod reference;
mod release;
mod requirements;
mod settings;
mod setup;
mod soak;
mod steps;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The error of a command is printed and never matched on.
pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Set-up, tests, checks and generated files of the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the tests need. Does nothing if everything is present.
    Setup(setup::Options),
    /// Run everything a change must pass: set-up, checks, all tests.
    Test(steps::Options),
    /// Run what takes too long for `test`: property tests with many cases and long fault tests.
    Nightly(steps::Options),
    /// Run hostile clients against a server and check that it serves others and that its memory is bounded.
    Soak(soak::Options),
    /// Measure how fast the server is, beside programs that do nothing but the protocol.
    Bench(bench::Options),
    /// Run the fuzz targets with libFuzzer, one after the other.
    Fuzz(fuzz::Options),
    /// Check the rules of the repository that the compiler does not check.
    Tidy(tidy::Options),
    /// Print which tests show which security requirement and which lesson, and check that none is missing.
    Requirements,
    /// Regenerate the generated files.
    Codegen(codegen::Options),
    /// Check the links of the documentation and build its site.
    Docs(docs::Options),
    /// Check what must hold before a release, compared with the last one.
    ReleaseCheck(release::CheckOptions),
    /// Prepare a release: check, set the versions, build the archives, commit and tag. Nothing leaves the machine.
    Release(release::ReleaseOptions),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result {
    let sh = workspace::shell()?;
    match command {
        Command::Setup(options) => setup::install(&sh, &options),
        Command::Test(options) => test::run(&sh, &options),
        Command::Nightly(options) => nightly::run(&sh, &options),
        Command::Soak(options) => soak::run(&sh, &options),
        Command::Bench(options) => bench::run(&sh, &options),
        Command::Fuzz(options) => fuzz::run(&sh, &options),
        Command::Tidy(options) => tidy::run(&sh, &options),
        Command::Requirements => requirements::run(&sh),
        Command::Codegen(options) => codegen::run(&sh, &options),
        Command::Docs(options) => docs::run(&sh, &options),
        Command::ReleaseCheck(options) => release::check(&options),
        Command::Release(options) => release::release(&options),
    }
}

/// Prints what a check found; one finding fails it.
fn print_findings(check: &str, findings: &[String]) -> Result {
    for finding in findings {
        println!("  {finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err(format!("{check}: 1 finding").into()),
        many => Err(format!("{check}: {many} findings").into()),
    }
}

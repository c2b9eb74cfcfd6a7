//! `cargo xtask`: set-up, tests, checks and generated files of the workspace.
//!
//! One module a command. Each is a thin shell around values: what a check thinks of the repository is a pure function over
//! what was read from it, so that every check can be shown red as well as green. `xtask/README.md` is the manual.

#![expect(clippy::print_stdout, reason = "what a command line tool prints is what it does")]

mod codegen;
mod nightly;
mod setup;
mod steps;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Anything that ends a command: told to the person at the terminal, never matched on.
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
    /// Install what the tests need; does nothing where all is there.
    Setup,
    /// Everything a change must pass: set-up, checks, all tests.
    Test(steps::Options),
    /// What does not fit into `test`: long property runs and long chaos.
    Nightly(steps::Options),
    /// Check the rules of the repository that no compiler knows.
    Tidy(tidy::Options),
    /// Regenerate the generated files.
    Codegen(codegen::Options),
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
        Command::Setup => setup::run(&sh),
        Command::Test(options) => test::run(&sh, &options),
        Command::Nightly(options) => nightly::run(&sh, &options),
        Command::Tidy(options) => tidy::run(&sh, &options),
        Command::Codegen(options) => codegen::run(&sh, &options),
    }
}

//! `grantry` itself, under a name of this crate: a test can only count on the programs of its own crate being built.

use std::process::ExitCode;

fn main() -> ExitCode {
    grantry::cli::run(std::env::args_os())
}

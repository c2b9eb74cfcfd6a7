//! `grantry` as a binary of this crate: cargo builds only the binaries of the crate under test.

use std::process::ExitCode;

fn main() -> ExitCode {
    grantry::cli::run(std::env::args_os())
}

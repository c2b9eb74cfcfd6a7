//! The `grantry` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    // One TLS implementation for the whole process, chosen before anything can ask for it.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    grantry::harden();
    grantry::cli::run(std::env::args_os())
}

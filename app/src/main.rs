//! The `grantry` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The TLS implementation of the process must be installed before its first use.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    grantry::harden();
    grantry::cli::run(std::env::args_os())
}

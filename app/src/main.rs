//! The `grantry` program.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// An access token needs about a hundred allocations. The allocator of the system takes a tenth of its time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // The TLS implementation of the process must be installed before its first use.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    grantry::harden();
    grantry::cli::run(std::env::args_os())
}

//! `cargo xtask soak`: hostile clients against a running server, for some minutes each.

use clap::Args;
use xshell::{Shell, cmd};

use crate::{Result, workspace};

/// How long, and which clients.
#[derive(Args)]
pub(crate) struct Options {
    /// Time of each kind of client.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Only tests whose name contains this text.
    filter: Option<String>,
}

/// Runs the tests of `tests/system/tests/soak` one after the other and prints what they measured.
pub(crate) fn run(sh: &Shell, options: &Options) -> Result {
    workspace::server(sh)?;
    let _seconds = sh.push_env("SOAK_SECONDS", options.seconds.to_string());
    let filter = options.filter.as_slice();
    // With `--workspace`, features are unified as in `cargo xtask test`, so nothing is built twice.
    let arguments = ["--workspace", "--test", "soak"];
    if workspace::has_nextest(sh) {
        cmd!(sh, "cargo nextest run {arguments...} --profile nightly --no-capture {filter...}").run()?;
    } else {
        cmd!(sh, "cargo test {arguments...} {filter...} -- --nocapture --test-threads=1").run()?;
    }
    Ok(())
}

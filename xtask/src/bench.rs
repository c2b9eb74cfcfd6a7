//! `cargo xtask bench`: how fast the server is, beside programs that do nothing but the protocol.
//!
//! One core serves and the other sends load. Rounds alternate between the server and what it is compared with, so that both
//! see the same machine. `docs/performance.md` describes the measurements.

mod lab;
mod machine;
mod measurements;
pub(crate) mod report;

use clap::Args;
use xshell::{Shell, cmd};

use crate::Result;

use self::lab::Lab;
use self::report::Report;

/// What is measured, and how long.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "options of a command line")]
pub(crate) struct Options {
    /// Measurements, such as `P1`; all without a name.
    #[arg(value_parser = measurements::names(), ignore_case = true)]
    only: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Rounds of each measurement; their median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Fail if a target is missed.
    #[arg(long)]
    gate: bool,
    /// Small databases and short rounds: shows that everything runs. The figures are rough.
    #[arg(long)]
    quick: bool,
    /// Seconds to wait for a machine that does nothing else.
    #[arg(long, default_value_t = 60)]
    wait: u64,
    /// Measure the programs that are there.
    #[arg(long)]
    no_build: bool,
}

/// Measures and prints. Fails only with `--gate`.
pub(crate) fn run(sh: &Shell, options: &Options) -> Result {
    if !options.no_build {
        // The whole workspace, so that features unify as in the tests and no crate is compiled twice.
        cmd!(sh, "cargo build --quiet --release --workspace --bin grantry --bin grantry-load").run()?;
    }
    machine::wait_until_quiet(options.wait);
    let lab = Lab::new(options.quick, options.rounds)?;
    let mut report = Report::default();
    for measurement in measurements::ALL {
        if options.only.is_empty() || options.only.iter().any(|name| name.eq_ignore_ascii_case(measurement.name)) {
            eprintln!("{}: {}", measurement.name, measurement.about);
            (measurement.run)(&lab, &mut report)?;
        }
    }
    if options.json {
        println!("{}", report.json()?);
    } else {
        println!("{}", report.text());
    }
    let missed = report.missed();
    if options.gate && missed > 0 { Err(format!("{missed} targets are missed").into()) } else { Ok(()) }
}

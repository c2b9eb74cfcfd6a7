//! `cargo xtask bench`: how fast the server is, beside programs that do nothing but the protocol.
//!
//! One core serves and the other sends load. Rounds alternate between the server and what it is compared with, so that both
//! see the same machine. `docs/performance.md` describes the measurements.

mod lab;
mod machine;
mod measurements;
pub(crate) mod report;

pub(crate) use self::measurements::ON_POSTGRES;

use clap::Args;
use xshell::{Shell, cmd};

use crate::{Result, setup};

use self::lab::Lab;
use self::measurements::Measurement;
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
    let selected = selected(options, setup::require_postgres(sh))?;
    if !options.no_build {
        // The whole workspace, so that features unify as in the tests and no crate is compiled twice.
        cmd!(sh, "cargo build --quiet --release --workspace --bin grantry --bin grantry-load").run()?;
    }
    machine::wait_until_quiet(options.wait);
    let lab = Lab::new(options.quick, options.rounds)?;
    let mut report = Report::default();
    for measurement in selected {
        eprintln!("{}: {}", measurement.name, measurement.about);
        (measurement.run)(&lab, &mut report)?;
    }
    if options.json {
        println!("{}", report.json()?);
    } else {
        println!("{}", report.text());
    }
    let missed = report.missed();
    if options.gate && missed > 0 { Err(format!("{missed} targets are missed").into()) } else { Ok(()) }
}

/// The measurements that the options name, or all. Fails if one is named that needs `PostgreSQL`, and there is none; without a
/// name, it is left out with the reason.
fn selected(options: &Options, postgres: Result) -> Result<Vec<&'static Measurement>> {
    let is_named = |name: &str| options.only.iter().any(|only| only.eq_ignore_ascii_case(name));
    let mut selected: Vec<_> = measurements::ALL.iter().collect();
    selected.retain(|measurement| options.only.is_empty() || is_named(measurement.name));
    if let Err(missing) = postgres {
        if is_named(ON_POSTGRES) {
            return Err(missing);
        }
        if options.only.is_empty() {
            eprintln!("{ON_POSTGRES} is left out: {missing}");
        }
        selected.retain(|measurement| measurement.name != ON_POSTGRES);
    }
    Ok(selected)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn names(arguments: &[&str], postgres: Result) -> Result<Vec<&'static str>> {
        let line = Line::try_parse_from([&["bench"], arguments].concat()).unwrap();
        Ok(selected(&line.options, postgres)?.iter().map(|measurement| measurement.name).collect())
    }

    #[test]
    fn without_postgres_its_measurement_is_left_out_unless_it_is_named() {
        let missing = || Err("no server".into());
        assert_eq!(names(&["p8", "P1"], Ok(())).unwrap(), ["P1", "P8"]);
        assert!(names(&[], Ok(())).unwrap().contains(&"P8"));
        assert!(!names(&[], missing()).unwrap().contains(&"P8"));
        assert_eq!(names(&["P1"], missing()).unwrap(), ["P1"]);
        assert_eq!(names(&["p8", "P1"], missing()).unwrap_err().to_string(), "no server");
    }
}

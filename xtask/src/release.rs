//! `cargo xtask release-check`: what must hold before a release. `cargo xtask release`: a release on this machine.
//!
//! One module per check, behind the interface of `row`. Each check gets the repository folder as a parameter.

mod api_changes;
mod base;
mod changelog_file;
mod changes;
mod context;
mod planted;
#[cfg(test)]
mod planted_tests;
mod program;
mod publication;
mod report;
mod row;
mod rows;
mod sealed_code;
mod tsx;
mod versions;

use std::path::Path;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use xshell::Shell;

use self::context::Context;
pub(crate) use self::publication::{ReleaseOptions, release};
use self::report::Record;
use self::row::{Cost, Finding, Outcome, Place, Row};
use self::rows::ROWS;
use crate::{Result, workspace};

/// Options of `release-check`.
#[derive(Args, Default)]
pub(crate) struct CheckOptions {
    /// Run only the checks that take two minutes together and build nothing.
    #[arg(long)]
    fast: bool,
    /// Run only this check (may be given several times).
    #[arg(long, value_name = "ROW")]
    only: Vec<String>,
    /// Compare with this commit, not with the last release. Breaking changes do not fail then.
    #[arg(long, value_name = "REVISION")]
    base: Option<String>,
    /// Print one JSON document instead of lines.
    #[arg(long)]
    json: bool,
    /// Print the names of the checks and run none.
    #[arg(long)]
    list: bool,
}

/// Runs the chosen checks on the workspace. Fails if one is red.
pub(crate) fn check(options: &CheckOptions) -> Result {
    let rows = choose(&options.only, options.fast)?;
    if options.list {
        for row in rows {
            println!("{:<16} {:<5} {}", row.name, cost(row.cost), row.about);
        }
        return Ok(());
    }
    let records = run_rows(&workspace::root(), options.base.as_deref(), &rows, |record| {
        if !options.json {
            println!("{}", record.text());
        }
    })?;
    let verdict = verdict(&records);
    if options.json {
        let checks: Vec<_> = records.iter().map(Record::json).collect();
        println!("{:#}", json!({ "ok": verdict.is_ok(), "checks": checks }));
    }
    verdict
}

/// Fails with the names of the checks that are red.
fn verdict(records: &[Record]) -> Result {
    let red: Vec<_> = records.iter().filter(|record| record.is_red()).map(|record| record.row).collect();
    if red.is_empty() { Ok(()) } else { Err(format!("red: {}", red.join(", ")).into()) }
}

/// Shows that the slow checks find planted mistakes: a step of `cargo xtask nightly`.
pub(crate) fn planted_mistakes(sh: &Shell) -> Result {
    planted::run(sh)
}

/// Runs the fast checks: a step of `cargo xtask test`.
pub(crate) fn check_fast(_: &Shell) -> Result {
    check(&CheckOptions { fast: true, ..CheckOptions::default() })
}

fn cost(cost: Cost) -> &'static str {
    match cost {
        Cost::Fast => "fast",
        Cost::Slow => "slow",
    }
}

/// The named checks, or all; `fast` leaves the slow ones out.
fn choose(only: &[String], fast: bool) -> Result<Vec<&'static Row>> {
    if let Some(unknown) = only.iter().find(|name| ROWS.iter().all(|row| row.name != **name)) {
        let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        return Err(format!("unknown check `{unknown}`; the checks are {}", names.join(", ")).into());
    }
    let is_chosen = |row: &&Row| only.is_empty() || only.iter().any(|name| name == row.name);
    Ok(ROWS.iter().filter(is_chosen).filter(|row| !fast || row.cost == Cost::Fast).collect())
}

/// Runs checks on a folder, and reports each as soon as it has run.
fn run_rows(root: &Path, revision: Option<&str>, rows: &[&Row], mut report: impl FnMut(&Record)) -> Result<Vec<Record>> {
    let context = Context::open(root, revision)?;
    let mut records = Vec::new();
    for row in rows {
        let started = Instant::now();
        let outcome = (row.run)(&context).unwrap_or_else(|error| incomplete(row, error.as_ref()));
        let record = Record { row: row.name, outcome, took: started.elapsed() };
        report(&record);
        records.push(record);
    }
    Ok(records)
}

/// A check that could not be completed is red.
fn incomplete(row: &Row, error: &dyn std::error::Error) -> Outcome {
    let command = format!("cargo xtask release-check --only {}", row.name);
    let (what, mend) =
        (format!("the check could not be completed: {error}"), format!("mend the reason, and run `{command}`"));
    let finding = Finding { what, place: Place::Command(command), mend };
    Outcome::Red { findings: vec![finding], notes: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_chosen_by_name_and_cost() {
        assert_eq!(choose(&[], false).unwrap().len(), ROWS.len());
        assert!(choose(&[], true).unwrap().iter().all(|row| row.cost == Cost::Fast));
        let names: Vec<_> = choose(&["texts".to_owned()], true).unwrap().iter().map(|row| row.name).collect();
        assert_eq!(names, ["texts"]);
        assert!(choose(&["none".to_owned()], false).is_err());
    }

    #[test]
    fn names_are_unique_and_fast_checks_come_first() {
        let mut names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
        assert!(ROWS.is_sorted_by_key(|row| row.cost == Cost::Slow));
    }
}

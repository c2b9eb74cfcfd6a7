//! The ratios of `cargo xtask bench` are not worse than those of the base by more than the range of the rounds.
//!
//! Both states are measured in this run, in turns: the speed of a machine differs from day to day by more than what is looked for.
//!
//! Each state is measured by its load program (`tests/load`), so a change of that program is a part of the difference. The present
//! one cannot measure the base: it contains the store and the use cases of its state, writes the seeded databases with their
//! schema, which servers of the base may refuse, and is what `P2` measures and what serves the bare handler and the proxy of the ratios.

use std::collections::BTreeMap;
use std::path::Path;

use xshell::{Shell, cmd};

use crate::bench::ON_POSTGRES;
use crate::bench::report::{Line, Series, Target};
use crate::release::context::Context;
use crate::release::row::{Outcome, Place, Sheet};
use crate::{Result, setup};

/// The measurements with ratios. The others depend on the machine, or need a copy of a large database for one round.
const MEASUREMENTS: [&str; 8] = ["P1", "P1b", "relay", "P2", "P3", "P4", "P6", ON_POSTGRES];
/// The rounds of each state. Fewer show no range.
const ROUNDS: usize = 3;
/// The status of a command that refuses an argument.
const USAGE: i32 = 2;
/// The page that describes the measurements.
const PAGE: &str = "docs/performance.md";
/// What measures them.
const MEASUREMENTS_SOURCE: &str = "xtask/src/bench/measurements.rs";
/// The folder of the clone with the base, below the target folder.
const BASE: &str = "release-check/speed";

/// What identifies a figure: the measurement, and what was measured.
type Key = (String, String);

/// The figures of one state, with the values of all rounds.
#[derive(Default)]
struct Figures(BTreeMap<Key, Figure>);

struct Figure {
    unit: String,
    target: Target,
    values: Vec<f64>,
}

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let base = match context.base() {
        Ok(base) => base.revision.clone(),
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    let target = context.target()?;
    let folder = target.join(BASE);
    check_out(&context.shell()?, context.root(), &base, &folder)?;
    let mut sheet = Sheet::default();
    let (mut before, mut now) = (Figures::default(), Figures::default());
    let postgres = setup::require_postgres(&context.shell()?);
    for name in MEASUREMENTS {
        if name == ON_POSTGRES
            && let Err(missing) = &postgres
        {
            sheet.note(format!("{name} is not measured: {}", missing.to_string().replace('\n', " ")));
            continue;
        }
        // The first round builds the programs and the databases. Its figures do not count.
        for round in 0..=ROUNDS {
            eprintln!("{name}: round {round} of {ROUNDS}, at the base and now");
            let Some(lines) = measure(&folder, &folder.join("target"), name)? else {
                sheet.note(format!("the base does not have the measurement {name}"));
                break;
            };
            let present = measure(context.root(), &target, name)?;
            let present = present.ok_or_else(|| format!("`cargo xtask bench {name}` does not exist"))?;
            if round > 0 {
                before.add(lines);
                now.add(present);
            }
        }
    }
    compare(&before, &now, context.files.text(PAGE)?, &mut sheet);
    Ok(sheet.outcome())
}

/// Checks a revision out in a separate clone. What an earlier run built there is used again.
fn check_out(sh: &Shell, root: &Path, revision: &str, folder: &Path) -> Result {
    if !folder.join(".git").exists() {
        cmd!(sh, "git clone --quiet --local --no-checkout {root} {folder}").run()?;
    }
    let clone = Shell::new()?;
    clone.change_dir(folder);
    cmd!(clone, "git fetch --quiet --tags {root}").run()?;
    cmd!(clone, "git checkout --quiet --force --detach {revision}").run()?;
    Ok(())
}

/// One round of a measurement; `None` if the state does not have it.
fn measure(folder: &Path, target: &Path, name: &str) -> Result<Option<Vec<Line>>> {
    let sh = Shell::new()?;
    sh.change_dir(folder);
    // Each state has a separate target folder, also where the environment names one.
    let _target = sh.push_env("CARGO_TARGET_DIR", target);
    let output = cmd!(sh, "cargo xtask bench {name} --rounds 1 --json").quiet().ignore_status().output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(Some(parse(&String::from_utf8(output.stdout)?)?)),
        Some(USAGE) if errors.contains("invalid value") => Ok(None),
        _ => Err(format!("`cargo xtask bench {name}` in {}: {}\n{errors}", folder.display(), output.status).into()),
    }
}

fn parse(text: &str) -> Result<Vec<Line>> {
    serde_json::from_str(text).map_err(|error| format!("the output of `cargo xtask bench`: {error}").into())
}

impl Figures {
    fn add(&mut self, lines: Vec<Line>) {
        for Line { measurement, what, unit, series, target, .. } in lines {
            let figure = self.0.entry((measurement, what)).or_insert_with(|| Figure { unit, target, values: Vec::new() });
            figure.values.push(series.median);
        }
    }
}

/// How much worse a ratio is than it was; `None` if there is no better and worse, or the figure depends on the machine.
fn worse(figure: &Figure, old: f64, new: f64) -> Option<f64> {
    let is_ratio = figure.unit.is_empty() || figure.unit == "×";
    match figure.target {
        Target::AtLeast(_) if is_ratio => Some(old - new),
        Target::AtMost(_) if is_ratio => Some(new - old),
        Target::AtLeast(_) | Target::AtMost(_) | Target::None => None,
    }
}

/// The line of the page that describes a measurement: the first row of a table that begins with its name.
fn described(page: &str, measurement: &str) -> Place {
    let row = format!("| {measurement} |");
    let line = page.lines().position(|line| line.starts_with(&row)).map(|at| at + 1);
    Place::Path { path: PAGE.to_owned(), line }
}

fn compare(before: &Figures, now: &Figures, page: &str, sheet: &mut Sheet) {
    for (key, figure) in &before.0 {
        let (measurement, what) = key;
        let old = Series::new(figure.values.clone());
        let Some(new) = now.0.get(key).map(|figure| Series::new(figure.values.clone())) else {
            let mend = format!("measure it again in {MEASUREMENTS_SOURCE}, as the base does");
            sheet.red(format!("{measurement} `{what}` is not measured any more"), MEASUREMENTS_SOURCE, mend);
            continue;
        };
        let Some(worse) = worse(figure, old.median, new.median) else { continue };
        let range = (old.most - old.least).max(new.most - new.least);
        let text =
            format!("{measurement} `{what}` was {:.3} and is {:.3}, range of the rounds {range:.3}", old.median, new.median);
        if worse > range {
            let mend = format!(
                "run `cargo xtask bench {measurement}` here and in {BASE} of the target folder, and undo what made the difference"
            );
            sheet.red(format!("{text}: worse by more than that"), described(page, measurement), mend);
        } else {
            sheet.note(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(values: &[(&str, &str, [f64; ROUNDS])]) -> Figures {
        let mut figures = Figures::default();
        for round in 0..ROUNDS {
            let lines: Vec<_> = values
                .iter()
                .map(|(what, target, rounds)| {
                    let unit = if *what == "absolute" { "ms" } else { "" };
                    let value = rounds[round];
                    format!(
                        r#"{{"measurement":"P1","what":"{what}","unit":"{unit}","median":{value},"least":{value},"most":{value},
                        "rounds":1,"target":{{"{target}":1.0}},"met":true}}"#
                    )
                })
                .collect();
            figures.add(parse(&format!("[{}]", lines.join(","))).unwrap());
        }
        figures
    }

    fn found(before: &Figures, now: &Figures) -> Vec<String> {
        let mut sheet = Sheet::default();
        compare(before, now, "", &mut sheet);
        match sheet.outcome() {
            Outcome::Red { findings, .. } => findings.into_iter().map(|finding| finding.what).collect(),
            Outcome::Green { .. } | Outcome::Skipped(_) => Vec::new(),
        }
    }

    #[test]
    fn a_ratio_that_is_worse_by_more_than_the_range_is_found() {
        let before = figures(&[("more", "at_least", [0.5, 0.45, 0.55]), ("less", "at_most", [2.0, 1.9, 2.1])]);
        let varies = figures(&[("more", "at_least", [0.42, 0.38, 0.44]), ("less", "at_most", [2.3, 2.0, 2.4])]);
        assert!(found(&before, &varies).is_empty());
        let worse = figures(&[("more", "at_least", [0.3, 0.29, 0.31]), ("less", "at_most", [2.5, 2.45, 2.55])]);
        let expected = [
            "P1 `less` was 2.000 and is 2.500, range of the rounds 0.200: worse by more than that",
            "P1 `more` was 0.500 and is 0.300, range of the rounds 0.100: worse by more than that",
        ];
        assert_eq!(found(&before, &worse), expected);
        assert!(found(&worse, &before).is_empty());
    }

    #[test]
    fn each_compared_measurement_is_described_in_a_row_of_the_page() {
        let page = include_str!("../../../../docs/performance.md");
        for name in MEASUREMENTS {
            let Place::Path { line: Some(line), .. } = described(page, name) else { panic!("no row for {name}") };
            assert!(page.lines().nth(line - 1).unwrap().starts_with(&format!("| {name} |")));
        }
        assert_eq!(described(page, "P99"), Place::from(PAGE));
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for place in [described(page, "P1"), Place::from(MEASUREMENTS_SOURCE)] {
            assert_eq!(place.fault(root), None);
        }
    }

    #[test]
    fn the_range_of_the_base_counts_as_well() {
        let before = figures(&[("more", "at_least", [0.5, 0.3, 0.7])]);
        assert!(found(&before, &figures(&[("more", "at_least", [0.3, 0.3, 0.3])])).is_empty());
    }

    #[test]
    fn absolute_figures_are_not_compared_and_missing_ones_are_found() {
        let before = figures(&[("absolute", "at_most", [1.0; ROUNDS])]);
        assert!(found(&before, &figures(&[("absolute", "at_most", [9.0; ROUNDS])])).is_empty());
        assert_eq!(found(&before, &figures(&[])), ["P1 `absolute` is not measured any more"]);
    }
}

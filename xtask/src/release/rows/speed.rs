//! The ratios of `cargo xtask bench` are not worse than those of the base by more than the range that the rounds of the same run had.

use xshell::cmd;

use crate::Result;
use crate::bench::report::{Line, Target};
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};

/// The figures of a release: the output of `cargo xtask bench --json`, or the ratios in it.
const FIGURES: &str = "docs/performance.json";
/// Fewer rounds show no range.
const LEAST_ROUNDS: usize = 3;

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let mut sheet = Sheet::default();
    let before = if let Some(text) = context.base_text(FIGURES)? {
        parse(&text)?
    } else {
        sheet.note(format!("the base has no {FIGURES}: compared with that of the working tree"));
        parse(context.files.text(FIGURES)?)?
    };
    let sh = context.shell()?;
    let report = cmd!(sh, "cargo xtask bench --json").read()?;
    compare(&before, &parse(&report)?, &mut sheet);
    Ok(sheet.outcome())
}

fn parse(text: &str) -> Result<Vec<Line>> {
    serde_json::from_str(text).map_err(|error| format!("{FIGURES}: {error}").into())
}

/// How much worse a figure is than it was; `None` if there is no better and worse, or the figure depends on the machine.
fn worse(old: &Line, new: &Line) -> Option<f64> {
    let is_ratio = new.unit.is_empty() || new.unit == "×";
    match new.target {
        Target::AtLeast(_) if is_ratio => Some(old.series.median - new.series.median),
        Target::AtMost(_) if is_ratio => Some(new.series.median - old.series.median),
        Target::AtLeast(_) | Target::AtMost(_) | Target::None => None,
    }
}

fn compare(before: &[Line], now: &[Line], sheet: &mut Sheet) {
    let mut compared = 0;
    for old in before {
        let Line { measurement, what, .. } = old;
        let Some(new) = now.iter().find(|new| new.measurement == *measurement && new.what == *what) else {
            let mend = format!("measure it again, or replace {FIGURES} by the output of `cargo xtask bench --json`");
            sheet.red(format!("{measurement} `{what}` was not measured"), FIGURES, mend);
            continue;
        };
        let Some(worse) = worse(old, new).filter(|_| new.series.rounds >= LEAST_ROUNDS) else { continue };
        compared += 1;
        let range = new.series.most - new.series.least;
        if worse > range {
            let what = format!(
                "{measurement} `{what}` was {:.2} and is {:.2}: worse by more than the range of the rounds ({range:.2})",
                old.series.median, new.series.median
            );
            let mend = format!("run `cargo xtask bench {measurement}` on both states, and undo what made the difference");
            sheet.red(what, FIGURES, mend);
        }
    }
    sheet.note(format!("{compared} ratios compared"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(values: &[(&str, &str, f64, f64, f64)]) -> Vec<Line> {
        let json: Vec<_> = values
            .iter()
            .map(|(what, target, median, least, most)| {
                let unit = if *what == "absolute" { "ms" } else { "" };
                format!(
                    r#"{{"measurement":"P1","what":"{what}","unit":"{unit}","median":{median},"least":{least},"most":{most},
                    "rounds":5,"target":{{"{target}":1.0}},"met":true}}"#
                )
            })
            .collect();
        parse(&format!("[{}]", json.join(","))).unwrap()
    }

    fn found(before: &[Line], now: &[Line]) -> Vec<String> {
        let mut sheet = Sheet::default();
        compare(before, now, &mut sheet);
        match sheet.outcome() {
            Outcome::Red { findings, .. } => findings.into_iter().map(|finding| finding.what).collect(),
            Outcome::Green { .. } | Outcome::Skipped(_) => Vec::new(),
        }
    }

    #[test]
    fn a_ratio_that_is_worse_by_more_than_the_range_is_found() {
        let before = figures(&[("more", "at_least", 0.5, 0.4, 0.6), ("less", "at_most", 2.0, 1.9, 2.1)]);
        assert!(
            found(&before, &figures(&[("more", "at_least", 0.42, 0.38, 0.48), ("less", "at_most", 2.3, 2.0, 2.4)]))
                .is_empty()
        );
        let worse = figures(&[("more", "at_least", 0.3, 0.25, 0.35), ("less", "at_most", 2.5, 2.4, 2.6)]);
        let expected = [
            "P1 `more` was 0.50 and is 0.30: worse by more than the range of the rounds (0.10)",
            "P1 `less` was 2.00 and is 2.50: worse by more than the range of the rounds (0.20)",
        ];
        assert_eq!(found(&before, &worse), expected);
        let better = figures(&[("more", "at_least", 0.9, 0.9, 0.9), ("less", "at_most", 1.0, 1.0, 1.0)]);
        assert!(found(&before, &better).is_empty());
    }

    #[test]
    fn absolute_figures_are_not_compared_and_missing_ones_are_found() {
        let before = figures(&[("absolute", "at_most", 1.0, 1.0, 1.0)]);
        assert!(found(&before, &figures(&[("absolute", "at_most", 9.0, 9.0, 9.0)])).is_empty());
        assert_eq!(found(&before, &[]), ["P1 `absolute` was not measured"]);
    }
}

//! Medians, ranges, ratios and targets.

use serde::{Deserialize, Serialize};

use crate::Result;

/// The values of the rounds of one measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Series {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) rounds: usize,
}

impl Series {
    /// The series of some values; zeros without values.
    pub(crate) fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        let median = if values.len().is_multiple_of(2) && !values.is_empty() {
            f64::midpoint(at(middle - 1), at(middle))
        } else {
            at(middle)
        };
        Self { median, least: at(0), most: at(values.len().saturating_sub(1)), rounds: values.len() }
    }

    /// The value in the middle.
    pub(super) fn median(&self) -> f64 {
        self.median
    }
}

/// The ratios of two series whose rounds alternated: each round with its neighbour.
pub(super) fn ratios(values: &[f64], references: &[f64]) -> Vec<f64> {
    let pairs = values.iter().zip(references);
    pairs.map(|(value, reference)| if *reference > 0.0 { value / reference } else { 0.0 }).collect()
}

/// What is permitted.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
    /// A figure that explains another one.
    None,
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            Self::None => true,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {}", number(least)),
            Self::AtMost(most) => format!("≤ {}", number(most)),
            Self::None => String::new(),
        }
    }
}

/// A figure.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) measurement: String,
    pub(crate) what: String,
    pub(crate) unit: String,
    #[serde(flatten)]
    pub(crate) series: Series,
    pub(crate) target: Target,
    met: bool,
}

/// All figures of a run.
#[derive(Debug, Default)]
pub(super) struct Report {
    lines: Vec<Line>,
}

impl Report {
    /// Adds a figure that has a target.
    pub(super) fn add(&mut self, measurement: &str, what: impl Into<String>, unit: &str, values: Vec<f64>, target: Target) {
        let series = Series::new(values);
        let met = target.is_met(series.median());
        let (measurement, unit) = (measurement.to_owned(), unit.to_owned());
        self.lines.push(Line { measurement, what: what.into(), unit, series, target, met });
    }

    /// The number of targets that are missed.
    pub(super) fn missed(&self) -> usize {
        self.lines.iter().filter(|line| !line.met).count()
    }

    /// A table in Markdown.
    pub(super) fn text(&self) -> String {
        let mut text = "| | what | median | range | target |\n|---|---|---|---|---|\n".to_owned();
        for line in &self.lines {
            let Series { median, least, most, rounds: _ } = line.series;
            let target = if line.met { line.target.text() } else { format!("**{}**", line.target.text()) };
            let columns = [
                line.measurement.clone(),
                line.what.clone(),
                format!("{} {}", number(median), line.unit),
                format!("{}–{}", number(least), number(most)),
                target,
            ];
            text.push_str("| ");
            text.push_str(&columns.map(|column| column.trim().to_owned()).join(" | "));
            text.push_str(" |\n");
        }
        text
    }

    /// The same as JSON.
    pub(super) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(&self.lines)?)
    }
}

/// Three significant digits, and all digits of large numbers.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        small if small >= 1.0 || small == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn median(values: &[f64]) -> f64 {
        Series::new(values.to_vec()).median()
    }

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_the_two_middle_values() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(&[]).abs() < 1e-9);
        let series = Series::new(vec![3.0, 1.0, 2.0]);
        assert!((series.least - 1.0).abs() < 1e-9 && (series.most - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_ratio_is_taken_within_a_round() {
        assert_eq!(ratios(&[1.0, 4.0, 1.0], &[2.0, 4.0, 0.0]), [0.5, 1.0, 0.0]);
    }

    #[test]
    fn missed_targets_are_counted() {
        let mut report = Report::default();
        report.add("P1", "a", "", vec![0.4], Target::AtLeast(0.4));
        report.add("P1", "b", "", vec![0.39], Target::AtLeast(0.4));
        report.add("P4", "c", "×", vec![1.6], Target::AtMost(1.5));
        report.add("P4", "d", "µs", vec![1e9], Target::None);
        assert_eq!(report.missed(), 2);
        assert!(report.text().contains("| P4 | c | 1.60 × | 1.60–1.60 | **≤ 1.50** |"), "{}", report.text());
        assert!(report.json().unwrap().contains("\"at_most\": 1.5"), "{}", report.json().unwrap());
    }
}

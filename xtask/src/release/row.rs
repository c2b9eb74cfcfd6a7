//! The interface of a check: a row of the list, and its outcome.

use super::context::Context;
use crate::Result;

/// Whether a row fits into two minutes together with the other fast ones, without a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    Fast,
    Slow,
}

/// One check.
pub(crate) struct Row {
    /// The argument of `--only`.
    pub(crate) name: &'static str,
    pub(crate) cost: Cost,
    /// What holds if the check is green, in a few words.
    pub(crate) about: &'static str,
    /// An error means that the check could not be completed. It counts as red.
    pub(crate) run: fn(&Context) -> Result<Outcome>,
}

/// A reason to be red.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What is wrong.
    pub(crate) what: String,
    /// A file, with a line where there is one.
    pub(crate) place: String,
    /// The command or the edit that mends it.
    pub(crate) mend: String,
}

/// The outcome of a check. Notes are reported and do not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Green {
        notes: Vec<String>,
    },
    Red {
        findings: Vec<Finding>,
        notes: Vec<String>,
    },
    /// Nothing was checked, for this reason.
    Skipped(String),
}

/// Collects findings and notes.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    findings: Vec<Finding>,
    notes: Vec<String>,
}

impl Sheet {
    /// Adds a finding.
    pub(crate) fn red(&mut self, what: impl Into<String>, place: impl Into<String>, mend: impl Into<String>) {
        self.findings.push(Finding { what: what.into(), place: place.into(), mend: mend.into() });
    }

    /// Adds a note.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Whether there is a finding.
    pub(crate) fn is_red(&self) -> bool {
        !self.findings.is_empty()
    }

    /// Red with at least one finding, otherwise green.
    pub(crate) fn outcome(self) -> Outcome {
        let Self { findings, notes } = self;
        if findings.is_empty() { Outcome::Green { notes } } else { Outcome::Red { findings, notes } }
    }
}

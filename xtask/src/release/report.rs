//! The report: a line for each check, with findings and notes below it, or JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::row::{Finding, Outcome, Place};

/// A check that has run.
pub(crate) struct Record {
    pub(crate) row: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
}

impl Record {
    /// Whether the check is red.
    pub(crate) fn is_red(&self) -> bool {
        match self.outcome {
            Outcome::Red { .. } => true,
            Outcome::Green { .. } | Outcome::Skipped(_) => false,
        }
    }

    /// Lines for the terminal.
    pub(crate) fn text(&self) -> String {
        let (word, reason, findings, notes) = match &self.outcome {
            Outcome::Green { notes } => ("ok", String::new(), &[][..], &notes[..]),
            Outcome::Red { findings, notes } => ("RED", count(findings.len()), &findings[..], &notes[..]),
            Outcome::Skipped(reason) => ("skipped", reason.clone(), &[][..], &[][..]),
        };
        let first = format!("{word:<8} {:<16} {:>6.1} s  {reason}", self.row, self.took.as_secs_f64());
        let mut lines = vec![first.trim_end().to_owned()];
        for Finding { what, place, mend } in findings {
            lines.push(format!("  {place}: {what}\n    mend: {mend}"));
        }
        lines.extend(notes.iter().map(|note| format!("  note: {note}")));
        lines.join("\n")
    }

    /// A member of the array that `--json` prints.
    pub(crate) fn json(&self) -> Value {
        let took = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        let finding = |Finding { what, place, mend }: &Finding| match place {
            Place::Path { .. } => json!({ "what": what, "where": place.to_string(), "mend": mend }),
            Place::Command(command) => json!({ "what": what, "command": command, "mend": mend }),
        };
        match &self.outcome {
            Outcome::Green { notes } => json!({ "check": self.row, "status": "ok", "milliseconds": took, "notes": notes }),
            Outcome::Red { findings, notes } => {
                let findings: Vec<_> = findings.iter().map(finding).collect();
                json!({ "check": self.row, "status": "red", "milliseconds": took, "findings": findings, "notes": notes })
            }
            Outcome::Skipped(reason) => {
                json!({ "check": self.row, "status": "skipped", "milliseconds": took, "reason": reason })
            }
        }
    }
}

fn count(findings: usize) -> String {
    if findings == 1 { "1 finding".to_owned() } else { format!("{findings} findings") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(outcome: Outcome) -> Record {
        Record { row: "texts", outcome, took: Duration::from_millis(1500) }
    }

    fn red() -> Record {
        let finding = Finding { what: "is wrong".into(), place: "a.md:3".into(), mend: "edit it".into() };
        record(Outcome::Red { findings: vec![finding], notes: vec!["old".into()] })
    }

    #[test]
    fn a_red_check_is_reported_with_what_where_and_mend() {
        let expected = "RED      texts               1.5 s  1 finding\n  a.md:3: is wrong\n    mend: edit it\n  note: old";
        assert_eq!(red().text(), expected);
        let expected = json!({ "check": "texts", "status": "red", "milliseconds": 1500, "notes": ["old"],
            "findings": [{ "what": "is wrong", "where": "a.md:3", "mend": "edit it" }] });
        assert_eq!(red().json(), expected);
    }

    #[test]
    fn a_failed_command_is_reported_as_one() {
        let finding = Finding { what: "fails".into(), place: Place::command("cargo x"), mend: "run it".into() };
        let record = record(Outcome::Red { findings: vec![finding], notes: Vec::new() });
        assert!(record.text().ends_with("\n  the command `cargo x`: fails\n    mend: run it"), "{}", record.text());
        assert_eq!(record.json()["findings"], json!([{ "what": "fails", "command": "cargo x", "mend": "run it" }]));
    }

    #[test]
    fn a_skipped_check_gives_its_reason_and_is_not_red() {
        let skipped = record(Outcome::Skipped("no tool".into()));
        assert_eq!(skipped.text(), "skipped  texts               1.5 s  no tool");
        assert_eq!(skipped.json()["reason"], "no tool");
        assert!(!skipped.is_red() && red().is_red());
        assert!(!record(Outcome::Green { notes: vec![] }).is_red());
    }
}

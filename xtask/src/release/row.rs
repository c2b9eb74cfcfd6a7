//! The interface of a check: a row of the list, and its outcome.

use std::fmt;
use std::path::Path;

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
    pub(crate) place: Place,
    /// The command or the edit that mends it, as it can be followed.
    pub(crate) mend: String,
}

/// Where a finding is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file or a folder that exists, from the root of the repository, and a line from 1 where one is known.
    Path { path: String, line: Option<usize> },
    /// A command that failed without naming a file. It was run in the root of the repository.
    Command(String),
}

impl Place {
    /// A command that failed.
    pub(crate) fn command(command: impl Into<String>) -> Self {
        Self::Command(command.into())
    }

    /// A line of a file.
    pub(crate) fn line(path: impl Into<String>, line: usize) -> Self {
        Self::Path { path: path.into(), line: Some(line) }
    }

    /// Why this is no place of a repository; `None` if it is one. A command is one if it is not empty.
    pub(crate) fn fault(&self, root: &Path) -> Option<String> {
        match self {
            Self::Command(command) if command.trim().is_empty() => Some("the command is empty".to_owned()),
            Self::Path { path, .. } if path.is_empty() || path.starts_with('/') || !root.join(path).exists() => {
                Some(format!("`{path}` is no path of the repository"))
            }
            Self::Path { path, line: Some(line) } => {
                let lines = std::fs::read_to_string(root.join(path)).map_or(0, |text| text.lines().count());
                (*line == 0 || *line > lines).then(|| format!("{path} has no line {line}"))
            }
            Self::Command(_) | Self::Path { line: None, .. } => None,
        }
    }
}

/// A path, also with a line: `a.rs:3`.
impl From<&str> for Place {
    fn from(text: &str) -> Self {
        let with_line = text.rsplit_once(':').and_then(|(path, line)| Some((path, line.parse().ok()?)));
        let (path, line) = with_line.map_or((text, None), |(path, line)| (path, Some(line)));
        let path = if path == "/" { path } else { path.trim_end_matches('/') };
        Self::Path { path: path.to_owned(), line }
    }
}

impl From<String> for Place {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&String> for Place {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&Self> for Place {
    fn from(place: &Self) -> Self {
        place.clone()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path { path, line: None } => f.write_str(path),
            Self::Path { path, line: Some(line) } => write!(f, "{path}:{line}"),
            Self::Command(command) => write!(f, "the command `{command}`"),
        }
    }
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
    pub(crate) fn red(&mut self, what: impl Into<String>, place: impl Into<Place>, mend: impl Into<String>) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_with_or_without_a_line_or_a_command() {
        assert_eq!(Place::from("a.md:3"), Place::line("a.md", 3));
        assert_eq!(Place::from("a/b/"), Place::Path { path: "a/b".to_owned(), line: None });
        for (place, text) in
            [(Place::from("a.md"), "a.md"), (Place::line("a.md", 3), "a.md:3"), (Place::command("x y"), "the command `x y`")]
        {
            assert_eq!(place.to_string(), text);
        }
    }

    #[test]
    fn a_place_that_does_not_exist_is_a_fault() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for place in [Place::from("Cargo.toml"), Place::from("src"), Place::from("src/main.rs:1"), Place::command("x")] {
            assert_eq!(place.fault(root), None, "{place}");
        }
        let absent = [
            "the output above",
            "generated files",
            "",
            "/etc",
            "Cargo.toml:0",
            "Cargo.toml:9999",
            "src:1",
            "Cargo.toml (x)",
        ];
        for place in absent.map(Place::from).into_iter().chain([Place::command(" ")]) {
            assert!(place.fault(root).is_some(), "{place}");
        }
    }
}

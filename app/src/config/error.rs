//! Why a configuration cannot be used. Each message is one sentence that names what to set, and contains no value.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A configuration that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {path} cannot be read ({kind}); name an existing file with --config", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        kind: io::ErrorKind,
    },
    /// The file is not TOML.
    #[error("the configuration {path} is not valid TOML at line {line}, column {column}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Settings that cannot be used.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
}

/// All mistakes of a configuration, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Mistakes(Vec<Mistake>);

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key in the file, or the environment variable.
    pub key: String,
    /// The line in the file, from 1. `None` for a key that is missing and for a variable.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: MistakeKind,
}

/// What is wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MistakeKind {
    /// The key does not exist.
    UnknownKey {
        /// An existing key that is similar.
        suggestion: Option<String>,
        /// The keys that exist there.
        known: String,
    },
    /// The environment variable belongs to no setting.
    UnknownVariable {
        /// The variable of a setting that is similar.
        suggestion: Option<String>,
    },
    /// The value cannot be used: what is wrong and what to set, as a predicate.
    Invalid(String),
}

impl Mistake {
    pub(super) fn invalid(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), line: None, problem: MistakeKind::Invalid(problem.into()) }
    }
}

impl Mistakes {
    /// `None` without a mistake.
    pub(super) fn new(mut mistakes: Vec<Mistake>) -> Option<Self> {
        // The sort is stable: mistakes of one line stay in their order. Those without a line come last.
        mistakes.sort_by_key(|mistake| mistake.line.unwrap_or(usize::MAX));
        (!mistakes.is_empty()).then_some(Self(mistakes))
    }

    pub(super) fn of(mistake: Mistake) -> Self {
        Self(vec![mistake])
    }

    /// The mistakes; at least one.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return only.fmt(f);
        }
        write!(f, "the configuration has {} mistakes:", self.0.len())?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        let key = &self.key;
        match &self.problem {
            MistakeKind::UnknownKey { suggestion: Some(similar), .. } => {
                write!(f, "unknown key `{key}`; did you mean `{similar}`?")
            }
            MistakeKind::UnknownKey { suggestion: None, known } => write!(f, "unknown key `{key}`; existing keys: {known}"),
            MistakeKind::UnknownVariable { suggestion } => {
                write!(f, "unknown environment variable `{key}`; ")?;
                match suggestion {
                    Some(similar) => write!(f, "did you mean `{similar}`? The")?,
                    None => f.write_str("the")?,
                }
                f.write_str(" setting `a.b_c` is read from GRANTRY_A_B_C, and other GRANTRY_ names are refused")
            }
            MistakeKind::Invalid(problem) => write!(f, "`{key}` {problem}"),
        }
    }
}

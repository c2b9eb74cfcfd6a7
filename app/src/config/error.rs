//! Why a configuration cannot be used: one sentence that says what to set. No value is ever repeated in it (R78).

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
        /// What the operating system said.
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
    /// A key that does not exist.
    #[error("unknown key `{key}`; known there: {known}")]
    Unknown {
        /// Its path, or the name of an environment variable.
        key: String,
        /// What may stand in its place.
        known: String,
    },
    /// An environment variable that belongs to no key.
    #[error(
        "unknown environment variable `{name}`; every key `a.b_c` is read from GRANTRY_A_B_C, and other GRANTRY_ names are refused"
    )]
    UnknownVariable {
        /// Its name.
        name: String,
    },
    /// A value that cannot be used.
    #[error("`{key}` {problem}")]
    Invalid {
        /// Path of the key.
        key: String,
        /// What is wrong and what to set.
        problem: String,
    },
}

impl ConfigError {
    pub(crate) fn invalid(key: &str, problem: impl Into<String>) -> Self {
        Self::Invalid { key: key.to_owned(), problem: problem.into() }
    }
}

//! Why a configuration cannot be used. Each message is one sentence that names what to set, and contains no value.

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
    /// A key that does not exist.
    #[error("unknown key `{key}`; existing keys: {known}")]
    Unknown {
        /// The key in the file, or below an environment variable.
        key: String,
        /// The keys that exist there.
        known: String,
    },
    /// An environment variable that belongs to no setting.
    #[error(
        "unknown environment variable `{name}`; the setting `a.b_c` is read from GRANTRY_A_B_C, and other GRANTRY_ names are refused"
    )]
    UnknownVariable {
        /// Its name.
        name: String,
    },
    /// A value that cannot be used.
    #[error("`{key}` {problem}")]
    Invalid {
        /// The key in the file, or the environment variable.
        key: String,
        /// What is wrong and what to set, as a predicate.
        problem: String,
    },
}

impl ConfigError {
    pub(crate) fn invalid(key: &str, problem: impl Into<String>) -> Self {
        Self::Invalid { key: key.to_owned(), problem: problem.into() }
    }
}

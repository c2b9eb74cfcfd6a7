//! Why a command was not carried out.

use std::io;

use grantry_crypto_aes_gcm::KeyringError;
use grantry_domain::ports::{RandomUnavailable, StoreError};
use thiserror::Error;

use crate::app::BuildError;
use crate::config::ConfigError;
use crate::connector_export::TransferError;
use crate::demo::DemoError;
use crate::key_file::KeyFileError;
use crate::serve::ServeError;

/// A command was not carried out.
#[derive(Debug, Error)]
pub(crate) enum CliError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The server did not start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The parts could not be put together.
    #[error(transparent)]
    Compose(#[from] BuildError),
    /// The demo did not start.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// Definitions could not be moved.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// A key is missing, wrong or weak.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// A key was not made.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no randomness.
    #[error(transparent)]
    SecureRandom(#[from] RandomUnavailable),
    /// A file, or the terminal.
    #[error("{what} ({kind})")]
    Io {
        /// What could not be done.
        what: String,
        /// What the operating system said.
        kind: io::ErrorKind,
    },
    /// Something given on the command line or on standard input is wrong.
    #[error("{0}")]
    Refused(String),
    /// A check failed, and has said so already.
    #[error("a check failed")]
    CheckFailed,
    /// Whoever reads our output has gone away.
    #[error("the output was closed")]
    OutputClosed,
}

impl CliError {
    /// The signals of the operating system cannot be heard.
    #[expect(clippy::needless_pass_by_value, reason = "taken by `map_err`")]
    pub(super) fn signals(error: io::Error) -> Self {
        Self::Io { what: "cannot listen to signals".to_owned(), kind: error.kind() }
    }

    /// What to tell; `None` if all is said.
    pub(super) fn sentence(&self) -> Option<String> {
        match self {
            Self::CheckFailed | Self::OutputClosed => None,
            Self::Config(_)
            | Self::Serve(_)
            | Self::Compose(_)
            | Self::Demo(_)
            | Self::Transfer(_)
            | Self::Keys(_)
            | Self::KeyFile(_)
            | Self::Store(_)
            | Self::SecureRandom(_)
            | Self::Io { .. }
            | Self::Refused(_) => Some(self.to_string()),
        }
    }
}

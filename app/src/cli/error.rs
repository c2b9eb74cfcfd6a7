//! Why a command failed.

use std::io;

use grantry_crypto_aes_gcm::KeyringError;
use grantry_domain::ports::{RandomUnavailable, StoreError};
use thiserror::Error;

use crate::app::BuildError;
use crate::config::ConfigError;
use crate::connector_export::ExportError;
#[cfg(feature = "demo")]
use crate::demo::DemoError;
use crate::key_file::KeyFileError;
use crate::serve::ServeError;

/// A command failed.
#[derive(Debug, Error)]
pub(crate) enum CliError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The server did not start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The application could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The demo did not start.
    #[cfg(feature = "demo")]
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// This build contains no demo.
    #[cfg(not(feature = "demo"))]
    #[error("this build contains no demo and no mock provider; use a build with the cargo feature `demo`")]
    NoDemo,
    /// An export or import failed.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A key is missing, malformed or weak.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// A key file was not written.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The store does not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No secure randomness is available.
    #[error(transparent)]
    SecureRandom(#[from] RandomUnavailable),
    /// Input or output failed.
    #[error("{what} ({kind})")]
    Io {
        /// The action that failed.
        what: String,
        /// The error of the operating system.
        kind: io::ErrorKind,
    },
    /// An argument or the standard input is not valid.
    #[error("{0}")]
    Refused(String),
    /// A check failed and is already reported.
    #[error("a check failed")]
    CheckFailed,
    /// The reader of standard output closed it.
    #[error("the output was closed")]
    OutputClosed,
}

impl CliError {
    /// The signal handlers could not be installed.
    #[expect(clippy::needless_pass_by_value, reason = "taken by `map_err`")]
    pub(super) fn signals(error: io::Error) -> Self {
        Self::Io { what: "cannot listen for signals".to_owned(), kind: error.kind() }
    }

    /// The sentence to print; `None` if everything is reported.
    pub(super) fn sentence(&self) -> Option<String> {
        let is_reported = matches!(self, Self::CheckFailed | Self::OutputClosed);
        (!is_reported).then(|| self.to_string())
    }
}

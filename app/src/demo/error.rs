//! Why the demo did not start: one sentence each, which says what to do.

use std::io;
use std::path::PathBuf;

use grantry_domain::identity::InvalidId;
use grantry_domain::ports::{RandomUnavailable, StoreError};
use grantry_domain::usecase::ConnectorError;
use thiserror::Error;

use crate::config::ConfigError;
use crate::key_file::KeyFileError;
use crate::serve::ServeError;

/// The demo did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The folder holds something else.
    #[error("{} is not a folder of the demo; choose an empty or a new one with --data", .0.display())]
    Foreign(PathBuf),
    /// The folder is of another version of the demo.
    #[error("{} was made by another version of the demo; begin anew with --fresh, or choose another folder with --data", .0.display())]
    OtherVersion(PathBuf),
    /// A file cannot be read or written.
    #[error("{} cannot be {what} ({kind}); choose another folder with --data", path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// `read`, `written`, `made` or `removed`.
        what: &'static str,
        /// What the operating system said.
        kind: io::ErrorKind,
    },
    /// A key file could not be made.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The server's port is taken.
    #[error("port {0} is already in use; stop what listens there, or choose another with --port")]
    PortTaken(u16),
    /// The provider's port is taken.
    #[error("port {0}, where the demo provider is to listen, is already in use; choose another with --provider-port")]
    ProviderPortTaken(u16),
    /// The provider's port was another one before.
    #[error(
        "the connectors of this folder use port {kept} for the demo provider; leave --provider-port out, or begin anew with --fresh"
    )]
    ProviderMoved {
        /// The port before.
        kept: u16,
    },
    /// The provider's kept port is taken.
    #[error(
        "port {0}, which the demo provider of this folder uses, is already in use; stop what listens there, or begin anew with --fresh"
    )]
    KeptPortTaken(u16),
    /// The provider did not start.
    #[error("the demo provider did not start: {0}; begin anew with --fresh")]
    Provider(String),
    /// The configuration of the folder was changed into something that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The server did not start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A connector could not be made.
    #[error("a connector of the demo could not be made: {0}; begin anew with --fresh")]
    Connector(#[from] ConnectorError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no randomness.
    #[error(transparent)]
    SecureRandom(#[from] RandomUnavailable),
    /// A name in our own tables is wrong.
    #[error(transparent)]
    Name(#[from] InvalidId),
}

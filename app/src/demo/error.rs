//! Why the demo did not start. Each message is one sentence that names what to do.

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
    /// The folder contains other files.
    #[error("{} is not a folder of the demo; choose an empty or a new one with --data", .0.display())]
    Foreign(PathBuf),
    /// The folder belongs to another version of the demo.
    #[error("{} was made by another version of the demo; start with --fresh, or choose another folder with --data", .0.display())]
    OtherVersion(PathBuf),
    /// A file cannot be read or written.
    #[error("{} cannot be {what} ({kind}); choose another folder with --data", path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// `read`, `written`, `created` or `removed`.
        what: &'static str,
        /// The error of the operating system.
        kind: io::ErrorKind,
    },
    /// The key file could not be written.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The server's port is taken.
    #[error("port {0} is already in use; stop the process that listens there, or choose another with --port")]
    PortTaken(u16),
    /// The provider's port is taken.
    #[error("port {0}, which the demo provider would use, is already in use; choose another with --provider-port")]
    ProviderPortTaken(u16),
    /// The connectors of the folder use another port of the provider.
    #[error(
        "the connectors of this folder use port {kept} for the demo provider; omit --provider-port, or start with --fresh"
    )]
    ProviderMoved {
        /// The port that the connectors use.
        kept: u16,
    },
    /// The provider's port of the last start is taken.
    #[error(
        "port {0}, which the demo provider of this folder uses, is already in use; stop the process that listens there, or start with --fresh"
    )]
    KeptPortTaken(u16),
    /// The provider did not start.
    #[error("the demo provider did not start: {0}; start with --fresh")]
    Provider(String),
    /// The configuration of the folder was edited and is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The server did not start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A connector could not be created.
    #[error("a connector of the demo could not be created: {0}; start with --fresh")]
    Connector(#[from] ConnectorError),
    /// The store does not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No secure randomness is available.
    #[error(transparent)]
    SecureRandom(#[from] RandomUnavailable),
    /// An id of the demo is malformed. This does not happen.
    #[error(transparent)]
    Name(#[from] InvalidId),
}

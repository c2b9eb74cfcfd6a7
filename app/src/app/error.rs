//! Why an application was not built.

use grantry_crypto_aes_gcm::{KeySourceError, KeyringError, UnknownKeys};
use grantry_domain::ports::StoreError;
use grantry_domain::usecase::InvalidPolicy;
use grantry_http_reqwest::TransportSetupError;
use grantry_provider_oauth2::{InvalidEgress, InvalidProfile};
use thiserror::Error;

use crate::profile_folder::UnreadableProfiles;
use crate::store::OpenStoreError;

/// An application was not built. Each message is one sentence that names what to set.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A key is missing, malformed or weak.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// The token of the metrics is missing, malformed or weak.
    #[error("`telemetry.metrics_token`: {0}")]
    MetricsToken(KeySourceError),
    /// The store contains records that are sealed with keys that are not configured.
    #[error("{0}, or start with --allow-unknown-keys (`allow_unknown_keys` of the builder) to leave those records unusable")]
    UnknownKeys(#[from] UnknownKeys),
    /// The store of the configuration cannot be opened.
    #[error("`store.url`: {0}")]
    Open(#[from] OpenStoreError),
    /// The store does not respond.
    #[error("the store cannot be used: {0}")]
    Store(#[from] StoreError),
    /// A time or a limit is out of bounds.
    #[error("`{}` {}", .0.setting, .0.problem)]
    Policy(#[from] InvalidPolicy),
    /// The egress lists are malformed.
    #[error(transparent)]
    Egress(#[from] InvalidEgress),
    /// A provider profile is malformed.
    #[error(transparent)]
    Profile(#[from] InvalidProfile),
    /// The folder of provider profiles or a file in it cannot be read.
    #[error(transparent)]
    ProfileFolder(#[from] UnreadableProfiles),
    /// TLS is not available.
    #[error(transparent)]
    Transport(#[from] TransportSetupError),
}

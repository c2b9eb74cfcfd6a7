//! Sealing and opening records (AEAD). CPU work only, so the trait is synchronous.

use thiserror::Error;

use crate::authorization::{AuthorizationId, AuthorizationKey, Envelope, FlowCookieHash, StateHash};
use crate::connector::{ConnectorId, Epoch, Incarnation};
use crate::identity::{SpaceId, UserId};
use crate::provider::BindingDigest;
use crate::secret::Secret;

/// The associated data of a record, an argument of every call: a ciphertext can be decrypted only in the record it was
/// sealed for. The vault adds the deployment id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssociatedData {
    /// Flow secrets, record type 01.
    Flow {
        /// The key of the flow.
        owner: AuthorizationKey,
        /// The record id: SHA-256 of `state`.
        state: StateHash,
        /// SHA-256 of the flow cookie.
        flow_cookie_hash: FlowCookieHash,
    },
    /// A grant's tokens, record type 02.
    Grant {
        /// The key of the grant.
        owner: AuthorizationKey,
        /// The record id: the random part of the authorization id.
        grant: AuthorizationId,
    },
    /// A client secret, record type 03.
    ClientSecret {
        /// Space of the connector.
        space: SpaceId,
        /// The connector.
        connector: ConnectorId,
        /// Its incarnation.
        incarnation: Incarnation,
        /// Its binding digest in that epoch.
        digest: BindingDigest,
    },
    /// Unclaimed tokens, record type 04.
    UnclaimedTokens {
        /// The key of the authorization they were received for.
        owner: AuthorizationKey,
        /// The record id: the random part of the id they are queued under.
        id: AuthorizationId,
    },
}

impl AssociatedData {
    /// The user, where the record belongs to one.
    pub fn user(&self) -> Option<&UserId> {
        match self {
            Self::Flow { owner, .. } | Self::Grant { owner, .. } | Self::UnclaimedTokens { owner, .. } => Some(&owner.user),
            Self::ClientSecret { .. } => None,
        }
    }
}

/// Key of a client secret. Superseded secrets stay for revocations of their epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientSecretKey {
    /// The connector.
    pub incarnation: Incarnation,
    /// The epoch it was entered in.
    pub epoch: Epoch,
}

/// A decrypted payload and the version it was written in.
pub struct Decrypted {
    /// Payload version of the header.
    pub version: u16,
    /// The payload.
    pub payload: Secret,
}

/// Id of a root key: 8 bytes derived from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 8]);

/// Seals and opens records.
///
/// ```
/// use grantry_domain::ports::{AssociatedData, TokenVault, VaultError};
/// use grantry_domain::secret::Secret;
///
/// /// A payload opens where it was sealed.
/// fn round_trip(vault: &dyn TokenVault, place: &AssociatedData, payload: &Secret) -> Result<Secret, VaultError> {
///     let envelope = vault.seal(place, 1, payload)?;
///     Ok(vault.open(place, &envelope)?.payload)
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait TokenVault: Send + Sync {
    /// Seals a payload with the write key and a fresh salt and nonce.
    fn seal(&self, associated: &AssociatedData, version: u16, payload: &Secret) -> Result<Envelope, VaultError>;

    /// Opens an envelope in exactly the record it was sealed for.
    fn open(&self, associated: &AssociatedData, envelope: &Envelope) -> Result<Decrypted, VaultError>;
}

/// Why an envelope was not sealed or opened. Responses of the API do not distinguish the variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VaultError {
    /// Sealed with a key that is not in the keyring.
    #[error("the envelope was sealed with an unknown key")]
    UnknownKey,
    /// Altered, truncated, or moved to another record.
    #[error("the envelope does not belong to this record or was altered")]
    Tampered,
    /// Not an envelope of a known suite or type.
    #[error("the envelope has an unknown format")]
    UnknownFormat,
    /// Payload or associated data beyond the limits of the format.
    #[error("the payload or its associated data exceeds the limits of the format")]
    OutOfBounds,
    /// No randomness.
    #[error("no secure randomness is available")]
    RandomUnavailable,
}

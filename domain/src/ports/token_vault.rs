//! Sealing and opening. CPU work only, so the trait is synchronous.

use thiserror::Error;

use crate::authorization::{AuthorizationId, AuthorizationKey, Envelope, FlowCookieHash, StateHash};
use crate::connector::{ConnectorId, Epoch, Incarnation};
use crate::identity::{SpaceId, UserId};
use crate::provider::BindingDigest;
use crate::secret::Secret;

/// What a record is bound to: its associated data, an argument of every call. A ciphertext opens only in the record it was
/// sealed for (R73). The deployment id is the vault's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssociatedData {
    /// Flow secrets, record type 01.
    Flow {
        /// Whose flow, for what.
        owner: AuthorizationKey,
        /// The record id: SHA-256 of `state`.
        state: StateHash,
        /// The browser it was started in.
        flow_cookie_hash: FlowCookieHash,
    },
    /// A grant's tokens, record type 02.
    Grant {
        /// Whose grant, for what.
        owner: AuthorizationKey,
        /// The record id: the id's random part.
        grant: AuthorizationId,
    },
    /// A client secret, record type 03.
    ClientSecret {
        /// Space of the connector.
        space: SpaceId,
        /// The connector.
        connector: ConnectorId,
        /// Which connector of that id.
        incarnation: Incarnation,
        /// Its binding digest in that epoch.
        digest: BindingDigest,
    },
    /// Tokens that never became a grant, record type 04.
    UnclaimedTokens {
        /// Whose they would have been.
        owner: AuthorizationKey,
        /// The id of the flow they came from.
        grant: AuthorizationId,
    },
}

impl AssociatedData {
    /// The user in the binding, if it has one.
    pub fn user(&self) -> Option<&UserId> {
        match self {
            Self::Flow { owner, .. } | Self::Grant { owner, .. } | Self::UnclaimedTokens { owner, .. } => Some(&owner.user),
            Self::ClientSecret { .. } => None,
        }
    }
}

/// Which client secret is meant: superseded ones stay for their own epoch's revocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientSecretKey {
    /// The connector.
    pub incarnation: Incarnation,
    /// The epoch it was entered in.
    pub epoch: Epoch,
}

/// An opened payload and the version it was written in.
pub struct Decrypted {
    /// Payload version of the header.
    pub version: u16,
    /// The payload.
    pub payload: Secret,
}

/// 8 bytes that name a root key, derived from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 8]);

/// Seals and opens records.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait TokenVault: Send + Sync {
    /// Seals a payload with the write key and fresh salt and nonce (R74).
    fn seal(&self, binding: &AssociatedData, version: u16, payload: &Secret) -> Result<Envelope, VaultError>;

    /// Opens an envelope in exactly the record it was sealed for. Never changes anything (R76).
    fn open(&self, binding: &AssociatedData, envelope: &Envelope) -> Result<Decrypted, VaultError>;

    /// Seals the same payload again with the write key; `None` if it already is.
    fn reseal(&self, binding: &AssociatedData, envelope: &Envelope) -> Result<Option<Envelope>, VaultError>;

    /// The key an envelope names, without opening it.
    fn key_of(&self, envelope: &Envelope) -> Result<KeyId, VaultError>;

    /// Whether this key is in the ring, to read or to write.
    fn knows(&self, key: KeyId) -> bool;

    /// SHA-256: `state` and cookie hashes, PKCE challenges, binding digests, token fingerprints.
    fn fingerprint(&self, bytes: &[u8]) -> [u8; 32];
}

/// Why an envelope was not made or opened. Outwardly all of them look the same (R76).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VaultError {
    /// Sealed with a key that is not in the ring.
    #[error("the envelope was sealed with an unknown key")]
    UnknownKey,
    /// Altered, cut, or put into another record.
    #[error("the envelope does not belong to this record or was altered")]
    Tampered,
    /// Not an envelope of a known suite or type.
    #[error("not an envelope this program knows")]
    UnknownFormat,
    /// Payload or binding beyond the limits of the format.
    #[error("the payload or its binding is outside the limits of the format")]
    OutOfBounds,
    /// No randomness.
    #[error("no secure randomness is available")]
    NoEntropy,
}

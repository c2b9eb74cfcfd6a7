//! The keyring: one write key and any number of read keys.
//!
//! The id of a key is derived from the key, so a wrong value under the right id cannot exist.

use std::path::Path;

use grantry_domain::encoding::hex;
use grantry_domain::ports::{AuthenticatedRow, KeyId};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::key_source::{KeySource, KeySourceError};
use crate::root_key::{KEY_LENGTH, RootKey};

/// The keys of this process. There is no default key, and a vault requires a keyring.
pub struct Keyring {
    writer: SealingKey,
    readers: Vec<SealingKey>,
}

impl Keyring {
    /// A keyring of one write key and read keys. A key that is configured twice is refused, because it was probably entered
    /// in place of another one.
    pub fn new(write: &RootKey, read: &[RootKey]) -> Result<Self, KeyringError> {
        let mut ring = Self { writer: SealingKey::new(write), readers: Vec::with_capacity(read.len()) };
        for root in read {
            let key = SealingKey::new(root);
            if ring.find(key.id).is_some() {
                return Err(KeyringError::Duplicate(key.id));
            }
            ring.readers.push(key);
        }
        Ok(ring)
    }

    /// Loads the keys of a configuration. Relative paths are resolved against `folder`.
    pub fn load(write: &KeySource, read: &[KeySource], folder: &Path) -> Result<Self, KeyringError> {
        let write = write.load(folder)?;
        let read = read.iter().map(|source| source.load(folder)).collect::<Result<Vec<_>, _>>()?;
        Self::new(&write, &read)
    }

    /// The id of the write key.
    pub fn write_key(&self) -> KeyId {
        self.writer.id
    }

    /// The ids of all keys, the write key first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys().map(|key| key.id)
    }

    pub(crate) fn writer(&self) -> &SealingKey {
        &self.writer
    }

    pub(crate) fn find(&self, id: KeyId) -> Option<&SealingKey> {
        self.keys().find(|key| key.id == id)
    }

    fn keys(&self) -> impl Iterator<Item = &SealingKey> {
        std::iter::once(&self.writer).chain(&self.readers)
    }
}

/// A root key prepared for derivation: the hash state after the key, which is wiped on drop. The key itself is not kept.
pub(crate) struct SealingKey {
    id: KeyId,
    // Boxed, so that moving the keyring copies no key material.
    root: Box<Hkdf<Sha256>>,
    connectors: Box<RowKey>,
    sessions: Box<RowKey>,
    devices: Box<RowKey>,
    accounts: Box<RowKey>,
}

/// HMAC-SHA-256 with the key of one kind of row.
pub(crate) type RowKey = Hmac<Sha256>;

impl SealingKey {
    fn new(root: &RootKey) -> Self {
        let root = Box::new(Hkdf::from_prk(root.expose()).expect("a root key is as long as the hash"));
        let row_key = |label: &[u8]| {
            let key: Zeroizing<[u8; KEY_LENGTH]> = expand(&root, &[label]);
            Box::new(RowKey::new_from_slice(&*key).expect("HMAC takes keys of any length"))
        };
        let (connectors, sessions) = (row_key(b"OTE1-ROW-CONNECTOR"), row_key(b"OTE1-ROW-SESSION"));
        let (devices, accounts) = (row_key(b"OTE1-ROW-DEVICE"), row_key(b"OTE1-ROW-ACCOUNT"));
        Self { id: KeyId(*expand(&root, &[b"OTE1-KID"])), root, connectors, sessions, devices, accounts }
    }

    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    /// The key for rows of this kind.
    pub(crate) fn row_key(&self, row: &AuthenticatedRow<'_>) -> &RowKey {
        match row {
            AuthenticatedRow::Connector(_) => &self.connectors,
            AuthenticatedRow::Session { .. } => &self.sessions,
            AuthenticatedRow::Device { .. } => &self.devices,
            AuthenticatedRow::Account { .. } => &self.accounts,
        }
    }

    /// The key of one envelope. Its associated data contains salt and nonce, so no other envelope has this key.
    pub(crate) fn envelope_key(&self, associated_data: &[u8]) -> Zeroizing<[u8; KEY_LENGTH]> {
        expand(&self.root, &[b"OTE1-DEK", &Sha256::digest(associated_data)])
    }
}

/// HKDF-Expand. Root keys are uniformly random, so Extract is not needed (RFC 5869 §3.3).
pub(crate) fn expand<const N: usize>(root: &Hkdf<Sha256>, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    let mut derived = Zeroizing::new([0; N]);
    root.expand_multi_info(info, &mut *derived).expect("keys are far shorter than 255 blocks");
    derived
}

/// Why a keyring was not created.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyringError {
    /// A key could not be loaded.
    #[error(transparent)]
    Source(#[from] KeySourceError),
    /// A key is configured twice. The id is derived by a hash and reveals nothing about the key.
    #[error("key {} is configured twice; configure each key once, as the write key or as a read key", hex(&.0.0))]
    Duplicate(KeyId),
}

//! The vault: `OTE1` envelopes with the keys of a keyring.

use std::sync::Arc;

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use grantry_domain::authorization::Envelope;
use grantry_domain::encoding::hex;
use grantry_domain::ports::{AssociatedData, Decrypted, KeyId, SecureRandom, TokenVault, VaultError};
use grantry_domain::secret::Secret;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::associated_data;
use crate::envelope::{HEADER_LENGTH, Header, MAX_PAYLOAD, Parts, RANDOM_LENGTH, RecordType, TAG_LENGTH};
use crate::keyring::{Keyring, SealingKey};

/// Seals and opens the records of one deployment.
pub struct AesGcmVault {
    keyring: Keyring,
    deployment: [u8; 16],
    random: Arc<dyn SecureRandom>,
}

impl AesGcmVault {
    /// A vault for the deployment with this id, which is part of all associated data.
    pub fn new(keyring: Keyring, deployment: [u8; 16], random: Arc<dyn SecureRandom>) -> Self {
        Self { keyring, deployment, random }
    }

    /// The keys.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    pub(crate) fn deployment(&self) -> &[u8; 16] {
        &self.deployment
    }

    /// Compares the keyring with the number of stored envelopes per key. An error must stop the start: without these keys
    /// every grant would appear to be damaged.
    pub fn check_usage(&self, usage: &[(KeyId, u64)]) -> Result<(), UnknownKeys> {
        let unknown = usage.iter().filter(|(key, count)| *count > 0 && self.keyring.find(*key).is_none());
        let (keys, counts): (Vec<KeyId>, Vec<u64>) = unknown.copied().unzip();
        if keys.is_empty() { Ok(()) } else { Err(UnknownKeys { keys, count: counts.iter().sum() }) }
    }

    fn open_parts(&self, associated: &AssociatedData, parts: &Parts<'_>) -> Result<Secret, VaultError> {
        let key = self.keyring.find(parts.header.key()).ok_or(VaultError::UnknownKey)?;
        if parts.record != RecordType::of(associated) {
            return Err(VaultError::Tampered);
        }
        let data = associated_data::bytes(&parts.header, &self.deployment, associated)?;
        let mut payload = Zeroizing::new(parts.ciphertext.to_vec());
        cipher(key, &data)
            .decrypt_inout_detached(&parts.header.nonce().into(), &data, payload.as_mut_slice().into(), parts.tag.into())
            .map_err(|_| VaultError::Tampered)?;
        Ok(Secret::from_zeroizing(payload))
    }
}

impl TokenVault for AesGcmVault {
    fn seal(&self, associated: &AssociatedData, version: u16, payload: &Secret) -> Result<Envelope, VaultError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(VaultError::OutOfBounds);
        }
        let mut random = [0; RANDOM_LENGTH];
        self.random.fill(&mut random).map_err(|_| VaultError::RandomUnavailable)?;
        let key = self.keyring.writer();
        let header = Header::new(RecordType::of(associated), version, key.id(), &random);
        let data = associated_data::bytes(&header, &self.deployment, associated)?;

        // Encrypted in place: wiped on an error until it contains no plaintext, and allocated once, because a growing vector
        // leaves copies behind.
        let mut sealed = Zeroizing::new(Vec::with_capacity(HEADER_LENGTH + payload.len() + TAG_LENGTH));
        sealed.extend_from_slice(header.as_bytes());
        sealed.extend_from_slice(payload.expose());
        let tag = cipher(key, &data)
            .encrypt_inout_detached(&header.nonce().into(), &data, (&mut sealed[HEADER_LENGTH..]).into())
            .map_err(|_| VaultError::OutOfBounds)?;
        sealed.extend_from_slice(&tag);
        Ok(Envelope(std::mem::take(&mut *sealed)))
    }

    fn open(&self, associated: &AssociatedData, envelope: &Envelope) -> Result<Decrypted, VaultError> {
        let parts = Parts::of(envelope)?;
        let payload = self.open_parts(associated, &parts)?;
        Ok(Decrypted { version: parts.header.version(), payload })
    }
}

fn cipher(key: &SealingKey, associated_data: &[u8]) -> Aes256Gcm {
    let key = key.envelope_key(associated_data);
    Aes256Gcm::new((&*key).into())
}

/// The store contains envelopes of keys that are not in the keyring.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{count} stored records are sealed with keys that are not configured ({}); add those keys as read keys",
    names(keys)
)]
pub struct UnknownKeys {
    /// The ids that are not in the keyring.
    pub keys: Vec<KeyId>,
    /// The number of their envelopes.
    pub count: u64,
}

fn names(keys: &[KeyId]) -> String {
    keys.iter().map(|key| hex(&key.0)).collect::<Vec<_>>().join(", ")
}

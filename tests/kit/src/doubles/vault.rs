//! A vault without cryptography that keeps every promise but secrecy.

use std::collections::BTreeSet;
use std::sync::Mutex;

use grantry_domain::authorization::Envelope;
use grantry_domain::ports::{AssociatedData, Decrypted, KeyId, TokenVault, VaultError};
use grantry_domain::secret::Secret;
use sha2::{Digest, Sha256};

use super::locked;

const MAGIC: &[u8; 4] = b"OTE1";
/// No real suite has this number.
const PLAIN_SUITE: u8 = 0;
const HEADER: usize = 60;

/// Seals by writing binding and payload side by side, behind a header that looks like `OTE1` with a suite of its own. Opens
/// only under an equal binding and with a known key. Its fingerprint is the real SHA-256.
#[derive(Debug)]
pub struct PlainVault(Mutex<Ring>);

#[derive(Debug)]
struct Ring {
    write: KeyId,
    known: BTreeSet<KeyId>,
    sealed: u64,
    failure: Option<VaultError>,
}

impl PlainVault {
    /// The key a new vault writes with.
    pub const FIRST_KEY: KeyId = KeyId(*b"key-0001");

    /// A vault with this write key and no other.
    pub fn with_key(write: KeyId) -> Self {
        Self(Mutex::new(Ring { write, known: BTreeSet::from([write]), sealed: 0, failure: None }))
    }

    /// Writes with this key from now on; the ones before stay readable.
    pub fn rotate_to(&self, write: KeyId) {
        let mut ring = locked(&self.0);
        ring.write = write;
        ring.known.insert(write);
    }

    /// Drops a key: its envelopes are sealed with an unknown key until it is [restored](Self::restore).
    pub fn forget(&self, key: KeyId) {
        locked(&self.0).known.remove(&key);
    }

    /// Takes a key back to read with.
    pub fn restore(&self, key: KeyId) {
        locked(&self.0).known.insert(key);
    }

    /// Sealing and opening answer with this error until it is taken back with `None`.
    pub fn fail(&self, failure: Option<VaultError>) {
        locked(&self.0).failure = failure;
    }
}

impl Default for PlainVault {
    fn default() -> Self {
        Self::with_key(Self::FIRST_KEY)
    }
}

impl TokenVault for PlainVault {
    fn seal(&self, binding: &AssociatedData, version: u16, payload: &Secret) -> Result<Envelope, VaultError> {
        let mut ring = locked(&self.0);
        if let Some(failure) = ring.failure {
            return Err(failure);
        }
        ring.sealed += 1;
        let context = context(binding);
        let length = u32::try_from(context.len()).map_err(|_| VaultError::OutOfBounds)?;
        let mut bytes = Vec::with_capacity(HEADER + 4 + context.len() + payload.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[PLAIN_SUITE, record_type(binding)]);
        bytes.extend_from_slice(&version.to_be_bytes());
        bytes.extend_from_slice(&ring.write.0);
        // Where salt and nonce stand in a real envelope: no two are the same.
        bytes.extend_from_slice(&ring.sealed.to_be_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&context);
        bytes.extend_from_slice(payload.expose());
        Ok(Envelope(bytes))
    }

    fn open(&self, binding: &AssociatedData, envelope: &Envelope) -> Result<Decrypted, VaultError> {
        let key = self.key_of(envelope)?;
        if let Some(failure) = locked(&self.0).failure {
            return Err(failure);
        }
        if !self.knows(key) {
            return Err(VaultError::UnknownKey);
        }
        let (header, body) = envelope.0.split_at(HEADER);
        let context = context(binding);
        let length = u32::try_from(context.len()).map_err(|_| VaultError::OutOfBounds)?.to_be_bytes();
        let payload = body.strip_prefix(&length).and_then(|rest| rest.strip_prefix(context.as_slice()));
        match payload {
            Some(payload) if header[5] == record_type(binding) => {
                Ok(Decrypted { version: u16::from_be_bytes([header[6], header[7]]), payload: Secret::new(payload.to_vec()) })
            }
            Some(_) | None => Err(VaultError::Tampered),
        }
    }

    fn reseal(&self, binding: &AssociatedData, envelope: &Envelope) -> Result<Option<Envelope>, VaultError> {
        let opened = self.open(binding, envelope)?;
        if self.key_of(envelope)? == locked(&self.0).write {
            return Ok(None);
        }
        self.seal(binding, opened.version, &opened.payload).map(Some)
    }

    fn key_of(&self, envelope: &Envelope) -> Result<KeyId, VaultError> {
        match envelope.0.first_chunk::<HEADER>() {
            Some(header) if header.starts_with(MAGIC) && header[4] == PLAIN_SUITE => {
                envelope.key_id().map(KeyId).ok_or(VaultError::UnknownFormat)
            }
            Some(_) | None => Err(VaultError::UnknownFormat),
        }
    }

    fn knows(&self, key: KeyId) -> bool {
        locked(&self.0).known.contains(&key)
    }

    fn fingerprint(&self, bytes: &[u8]) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }
}

fn record_type(binding: &AssociatedData) -> u8 {
    match binding {
        AssociatedData::Flow { .. } => 1,
        AssociatedData::Grant { .. } => 2,
        AssociatedData::ClientSecret { .. } => 3,
        AssociatedData::UnclaimedTokens { .. } => 4,
    }
}

/// The fields a real vault puts into the associated data, each with its length in front.
fn context(binding: &AssociatedData) -> Vec<u8> {
    let random;
    let fields: Vec<&[u8]> = match binding {
        AssociatedData::Flow { owner, state, flow_cookie_hash } => vec![
            owner.space.as_str().as_bytes(),
            owner.connector.as_str().as_bytes(),
            &owner.incarnation.0,
            owner.user.as_str().as_bytes(),
            &state.0,
            &owner.digest.0,
            &flow_cookie_hash.0,
        ],
        AssociatedData::Grant { owner, grant } | AssociatedData::UnclaimedTokens { owner, grant } => {
            random = grant.random_part();
            vec![
                owner.space.as_str().as_bytes(),
                owner.connector.as_str().as_bytes(),
                &owner.incarnation.0,
                owner.user.as_str().as_bytes(),
                &random,
                &owner.digest.0,
            ]
        }
        AssociatedData::ClientSecret { space, connector, incarnation, digest } => {
            vec![space.as_str().as_bytes(), connector.as_str().as_bytes(), &incarnation.0, &digest.0]
        }
    };
    fields
        .into_iter()
        .flat_map(|field| (field.len() as u64).to_be_bytes().into_iter().chain(field.iter().copied()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::fixtures;

    #[test]
    fn an_envelope_opens_only_in_its_own_record_and_with_its_key() {
        let vault = PlainVault::default();
        let owner = fixtures::ownership("alice");
        let grant = fixtures::grant_id(1);
        let mine = AssociatedData::Grant { owner: owner.clone(), grant };
        let sealed = vault.seal(&mine, 1, &Secret::from_text("token")).unwrap();
        let opened = vault.open(&mine, &sealed).unwrap();
        assert_eq!((opened.version, opened.payload.expose()), (1, b"token".as_slice()));
        let others = [
            AssociatedData::UnclaimedTokens { owner: owner.clone(), grant },
            AssociatedData::Grant { owner: owner.clone(), grant: fixtures::grant_id(2) },
            AssociatedData::Grant { owner: fixtures::ownership("bob"), grant },
        ];
        for other in others {
            assert_eq!(vault.open(&other, &sealed).err(), Some(VaultError::Tampered), "{other:?}");
        }
        vault.rotate_to(KeyId(*b"key-0002"));
        let moved = vault.reseal(&mine, &sealed).unwrap().unwrap();
        assert_eq!(vault.reseal(&mine, &moved).unwrap(), None);
        vault.forget(PlainVault::FIRST_KEY);
        assert_eq!(vault.open(&mine, &sealed).err(), Some(VaultError::UnknownKey));
        assert!(vault.open(&mine, &moved).is_ok());
        assert_eq!(vault.open(&mine, &Envelope(vec![0; 80])).err(), Some(VaultError::UnknownFormat));
    }
}

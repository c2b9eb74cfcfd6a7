//! A vault that checks associated data and keys, and does not encrypt.

use std::collections::BTreeSet;
use std::sync::Mutex;

use grantry_domain::authorization::{AuthorizationKey, Envelope};
use grantry_domain::encoding::sha256;
use grantry_domain::ports::{
    AssociatedData, AuthenticatedRow, Decrypted, KeyId, RowAuthenticator, RowTag, TokenVault, VaultError,
};
use grantry_domain::secret::Secret;

use super::locked;

const MAGIC: &[u8; 4] = b"OTE1";
/// No real suite has this number.
const PLAIN_SUITE: u8 = 0;
const HEADER: usize = 60;
/// Length of the digest at the end.
const DIGEST: usize = 32;

/// Seals by writing the associated data, the payload and a digest after an `OTE1` header with a suite number that no real suite
/// has. Opens only with equal associated data and a known key, and only what was not altered by accident.
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
    /// The write key of a new vault.
    pub const FIRST_KEY: KeyId = KeyId(*b"key-0001");

    /// A vault whose only key is this one.
    pub fn with_key(write: KeyId) -> Self {
        Self(Mutex::new(Ring { write, known: BTreeSet::from([write]), sealed: 0, failure: None }))
    }

    /// Seals with this key from now on; earlier keys still open their envelopes.
    pub fn rotate_to(&self, write: KeyId) {
        let mut ring = locked(&self.0);
        ring.write = write;
        ring.known.insert(write);
    }

    /// Removes a key: opening its envelopes fails with `UnknownKey` until the key is [restored](Self::restore).
    pub fn forget(&self, key: KeyId) {
        locked(&self.0).known.remove(&key);
    }

    /// Adds a key for opening.
    pub fn restore(&self, key: KeyId) {
        locked(&self.0).known.insert(key);
    }

    /// Sealing and opening fail with this error until `None` is set.
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
    fn seal(&self, associated: &AssociatedData, version: u16, payload: &Secret) -> Result<Envelope, VaultError> {
        let mut ring = locked(&self.0);
        if let Some(failure) = ring.failure {
            return Err(failure);
        }
        ring.sealed += 1;
        let fields = encoded(associated);
        let length = u32::try_from(fields.len()).map_err(|_| VaultError::OutOfBounds)?;
        let mut bytes = Vec::with_capacity(HEADER + 4 + fields.len() + payload.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[PLAIN_SUITE, record_type(associated)]);
        bytes.extend_from_slice(&version.to_be_bytes());
        bytes.extend_from_slice(&ring.write.0);
        // In place of salt and nonce: a counter, so that two envelopes of the same payload differ.
        bytes.extend_from_slice(&ring.sealed.to_be_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&fields);
        bytes.extend_from_slice(payload.expose());
        bytes.extend_from_slice(&sha256(&bytes));
        Ok(Envelope(bytes))
    }

    fn open(&self, associated: &AssociatedData, envelope: &Envelope) -> Result<Decrypted, VaultError> {
        let key = key_of(envelope)?;
        let ring = locked(&self.0);
        if let Some(failure) = ring.failure {
            return Err(failure);
        }
        if !ring.known.contains(&key) {
            return Err(VaultError::UnknownKey);
        }
        let (content, digest) = envelope.0.split_last_chunk::<DIGEST>().ok_or(VaultError::Tampered)?;
        if content.len() < HEADER || *digest != sha256(content) {
            return Err(VaultError::Tampered);
        }
        let (header, body) = content.split_at(HEADER);
        let fields = encoded(associated);
        let length = u32::try_from(fields.len()).map_err(|_| VaultError::OutOfBounds)?.to_be_bytes();
        let payload = body.strip_prefix(&length).and_then(|rest| rest.strip_prefix(fields.as_slice()));
        match payload {
            Some(payload) if header[5] == record_type(associated) => {
                Ok(Decrypted { version: u16::from_be_bytes([header[6], header[7]]), payload: Secret::new(payload.to_vec()) })
            }
            Some(_) | None => Err(VaultError::Tampered),
        }
    }
}

/// A tag is the key id and a hash of both, not an HMAC.
impl RowAuthenticator for PlainVault {
    fn tag(&self, row: &AuthenticatedRow<'_>) -> RowTag {
        tag_with(locked(&self.0).write, row)
    }

    fn verify(&self, row: &AuthenticatedRow<'_>, tag: &RowTag) -> Result<(), VaultError> {
        let key = KeyId(tag.key_id());
        if !locked(&self.0).known.contains(&key) {
            return Err(VaultError::UnknownKey);
        }
        if tag_with(key, row) == *tag { Ok(()) } else { Err(VaultError::Tampered) }
    }
}

/// The tag of a row with this key.
pub(super) fn tag_with(key: KeyId, row: &AuthenticatedRow<'_>) -> RowTag {
    RowTag::new(key.0, sha256(&[key.0.as_slice(), &row.fields()].concat()))
}

fn key_of(envelope: &Envelope) -> Result<KeyId, VaultError> {
    match envelope.0.first_chunk::<HEADER>() {
        Some(header) if header.starts_with(MAGIC) && header[4] == PLAIN_SUITE => {
            envelope.key_id().map(KeyId).ok_or(VaultError::UnknownFormat)
        }
        Some(_) | None => Err(VaultError::UnknownFormat),
    }
}

fn record_type(associated: &AssociatedData) -> u8 {
    match associated {
        AssociatedData::Flow { .. } => 1,
        AssociatedData::Grant { .. } => 2,
        AssociatedData::ClientSecret { .. } => 3,
        AssociatedData::UnclaimedTokens { .. } => 4,
    }
}

/// The fields of the associated data, each after its length.
fn encoded(associated: &AssociatedData) -> Vec<u8> {
    let random;
    let (owner, rest): (_, Vec<&[u8]>) = match associated {
        AssociatedData::Flow { owner, state, flow_cookie_hash } => (Some(owner), vec![&state.0, &flow_cookie_hash.0]),
        AssociatedData::Grant { owner, grant: id } | AssociatedData::UnclaimedTokens { owner, id } => {
            random = id.random_part();
            (Some(owner), vec![&random])
        }
        AssociatedData::ClientSecret { space, connector, incarnation, digest } => {
            (None, vec![space.as_str().as_bytes(), connector.as_str().as_bytes(), &incarnation.0, &digest.0])
        }
    };
    let fields = owner.map(owner_fields).into_iter().flatten().chain(rest);
    fields.flat_map(|field| (field.len() as u64).to_be_bytes().into_iter().chain(field.iter().copied())).collect()
}

fn owner_fields(owner: &AuthorizationKey) -> [&[u8]; 6] {
    [
        owner.space.as_str().as_bytes(),
        owner.connector.as_str().as_bytes(),
        &owner.incarnation.0,
        &owner.digest.0,
        owner.user.as_str().as_bytes(),
        owner.connection.as_str().as_bytes(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::fixtures;

    #[test]
    fn an_envelope_opens_only_in_its_own_record_and_with_its_key() {
        let vault = PlainVault::default();
        let owner = fixtures::authorization_key("alice");
        let grant = fixtures::authorization_id(1);
        let record = AssociatedData::Grant { owner: owner.clone(), grant };
        let sealed = vault.seal(&record, 1, &Secret::from_text("token")).unwrap();
        let opened = vault.open(&record, &sealed).unwrap();
        assert_eq!((opened.version, opened.payload.expose()), (1, b"token".as_slice()));
        let work = AuthorizationKey { connection: fixtures::connection("work"), ..owner.clone() };
        let others = [
            AssociatedData::UnclaimedTokens { owner: owner.clone(), id: grant },
            AssociatedData::Grant { owner, grant: fixtures::authorization_id(2) },
            AssociatedData::Grant { owner: fixtures::authorization_key("bob"), grant },
            AssociatedData::Grant { owner: work, grant },
        ];
        for other in others {
            assert_eq!(vault.open(&other, &sealed).err(), Some(VaultError::Tampered), "{other:?}");
        }
        vault.rotate_to(KeyId(*b"key-0002"));
        let later = vault.seal(&record, 1, &opened.payload).unwrap();
        assert_eq!(later.key_id(), Some(*b"key-0002"));
        assert!(vault.open(&record, &sealed).is_ok(), "the earlier key still opens its envelopes");
        vault.forget(PlainVault::FIRST_KEY);
        assert_eq!(vault.open(&record, &sealed).err(), Some(VaultError::UnknownKey));
        assert_eq!(vault.open(&record, &later).unwrap().payload.expose(), b"token");
        vault.restore(PlainVault::FIRST_KEY);
        assert!(vault.open(&record, &sealed).is_ok());
        assert_eq!(vault.open(&record, &Envelope(vec![0; 80])).err(), Some(VaultError::UnknownFormat));
    }
}

#[cfg(all(test, feature = "contract"))]
mod contract {
    use super::*;
    use crate::contract::vault::Vaults;

    fn vaults() -> Vaults<PlainVault> {
        let second = KeyId(*b"key-0002");
        let rotated = PlainVault::default();
        rotated.rotate_to(second);
        Vaults { first: PlainVault::default(), rotated, second: PlainVault::with_key(second) }
    }

    crate::vault_contract!(vaults);
}

//! Layout of an `OTE1` envelope. Integers are big-endian.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | magic `OTE1` |
//! | 4 | 1 | suite: `01` is HKDF-SHA-256 with AES-256-GCM |
//! | 5 | 1 | record type |
//! | 6 | 2 | payload version |
//! | 8 | 8 | key id |
//! | 16 | 32 | salt, random |
//! | 48 | 12 | nonce, random |
//! | 60 | n | ciphertext, n ≤ 131 072 |
//! | 60 + n | 16 | tag |

use grantry_domain::authorization::Envelope;
use grantry_domain::ports::{AssociatedData, KeyId, VaultError};

/// Longest payload in bytes.
pub(crate) const MAX_PAYLOAD: usize = 131_072;
/// Bytes before the ciphertext.
pub(crate) const HEADER_LENGTH: usize = 60;
/// Bytes after the ciphertext.
pub(crate) const TAG_LENGTH: usize = 16;
/// Salt and nonce, drawn together.
pub(crate) const RANDOM_LENGTH: usize = 32 + NONCE_LENGTH;

const NONCE_LENGTH: usize = 12;
/// Magic and suite. There is one suite; every other one is refused.
const FORMAT: &[u8; 5] = b"OTE1\x01";
const RECORD_TYPE: usize = 5;
const VERSION: usize = 6;
const KEY_ID: usize = 8;
const SALT: usize = 16;
const NONCE: usize = 48;

/// The kind of record an envelope belongs to. Determines the fields of its associated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordType {
    Flow = 1,
    Grant = 2,
    ClientSecret = 3,
    UnclaimedTokens = 4,
}

impl RecordType {
    pub(crate) fn of(associated: &AssociatedData) -> Self {
        match associated {
            AssociatedData::Flow { .. } => Self::Flow,
            AssociatedData::Grant { .. } => Self::Grant,
            AssociatedData::ClientSecret { .. } => Self::ClientSecret,
            AssociatedData::UnclaimedTokens { .. } => Self::UnclaimedTokens,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Flow, Self::Grant, Self::ClientSecret, Self::UnclaimedTokens].into_iter().find(|record| *record as u8 == byte)
    }
}

/// The first 60 bytes: what finding the key requires. Not secret; all of it is associated data.
pub(crate) struct Header([u8; HEADER_LENGTH]);

impl Header {
    pub(crate) fn new(record: RecordType, version: u16, key: KeyId, random: &[u8; RANDOM_LENGTH]) -> Self {
        let mut bytes = [0; HEADER_LENGTH];
        bytes[..RECORD_TYPE].copy_from_slice(FORMAT);
        bytes[RECORD_TYPE] = record as u8;
        bytes[VERSION..KEY_ID].copy_from_slice(&version.to_be_bytes());
        bytes[KEY_ID..SALT].copy_from_slice(&key.0);
        bytes[SALT..].copy_from_slice(random);
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; HEADER_LENGTH] {
        &self.0
    }

    pub(crate) fn version(&self) -> u16 {
        u16::from_be_bytes(self.array(VERSION))
    }

    pub(crate) fn key(&self) -> KeyId {
        KeyId(self.array(KEY_ID))
    }

    pub(crate) fn nonce(&self) -> [u8; NONCE_LENGTH] {
        self.array(NONCE)
    }

    fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.0[offset..offset + N]);
        bytes
    }
}

/// The parts of an envelope, not verified yet.
pub(crate) struct Parts<'a> {
    pub(crate) header: Header,
    pub(crate) record: RecordType,
    pub(crate) ciphertext: &'a [u8],
    pub(crate) tag: &'a [u8; TAG_LENGTH],
}

impl<'a> Parts<'a> {
    /// Fails with `UnknownFormat` for bytes of another format, and with `Tampered` for an impossible length.
    pub(crate) fn of(envelope: &'a Envelope) -> Result<Self, VaultError> {
        let bytes = envelope.0.as_slice();
        if !bytes.starts_with(FORMAT) {
            return Err(VaultError::UnknownFormat);
        }
        let (header, body) = bytes.split_first_chunk::<HEADER_LENGTH>().ok_or(VaultError::Tampered)?;
        let record = RecordType::from_byte(header[RECORD_TYPE]).ok_or(VaultError::UnknownFormat)?;
        let (ciphertext, tag) = body.split_last_chunk::<TAG_LENGTH>().ok_or(VaultError::Tampered)?;
        if ciphertext.len() > MAX_PAYLOAD {
            return Err(VaultError::Tampered);
        }
        Ok(Self { header: Header(*header), record, ciphertext, tag })
    }
}

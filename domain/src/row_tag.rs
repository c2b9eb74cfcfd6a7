//! The tag that authenticates a row which is not encrypted.

use std::fmt;

use crate::encoding::hex;

/// The tag of a row: the id of its key, then an HMAC-SHA-256.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RowTag(pub [u8; 40]);

impl RowTag {
    /// The tag of a row that has none yet. No row verifies with it.
    pub const NONE: Self = Self([0; 40]);

    /// The tag of these parts.
    pub fn new(key: [u8; 8], mac: [u8; 32]) -> Self {
        let mut tag = Self::NONE;
        tag.0[..8].copy_from_slice(&key);
        tag.0[8..].copy_from_slice(&mac);
        tag
    }

    /// The id of the key.
    pub fn key_id(&self) -> [u8; 8] {
        let mut id = [0; 8];
        id.copy_from_slice(&self.0[..8]);
        id
    }

    /// The HMAC.
    pub fn mac(&self) -> &[u8] {
        &self.0[8..]
    }
}

impl fmt::Debug for RowTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowTag({})", hex(&self.0))
    }
}

//! Root keys: 32 uniformly random bytes, written as base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use grantry_domain::ports::{RandomUnavailable, SecureRandom};
use grantry_domain::secret::Secret;
use thiserror::Error;
use zeroize::Zeroizing;

/// Length of a root key in bytes.
pub(crate) const KEY_LENGTH: usize = 32;
/// Length of its text: base64 of 32 bytes with padding (RFC 4648 §4).
const TEXT_LENGTH: usize = 44;

/// A root key before it is added to a keyring. Wiped on drop; cannot be printed, copied or compared.
pub struct RootKey(Secret);

impl RootKey {
    /// Reads the text of a key; line ends after it are ignored. Refuses a text that cannot be 32 random bytes.
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let length = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
        if length != TEXT_LENGTH {
            return Err(KeyError::Length);
        }
        // 44 characters without padding decode to 33 bytes.
        let mut bytes = Zeroizing::new(vec![0; KEY_LENGTH + 1]);
        let decoded = STANDARD.decode_slice(&text[..length], &mut bytes).map_err(|_| KeyError::NotBase64)?;
        if decoded != KEY_LENGTH {
            return Err(KeyError::Length);
        }
        bytes.truncate(KEY_LENGTH);
        if follows_a_pattern(&bytes) {
            return Err(KeyError::Weak);
        }
        Ok(Self(Secret::from_zeroizing(bytes)))
    }

    /// The text of a new key, to be written to a file that only its owner can read.
    ///
    /// Fails if no randomness is available, or if the bytes received follow a pattern.
    pub fn generate(random: &dyn SecureRandom) -> Result<Zeroizing<String>, RandomUnavailable> {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        random.fill(bytes.as_mut_slice())?;
        if follows_a_pattern(bytes.as_slice()) {
            return Err(RandomUnavailable);
        }
        Ok(Zeroizing::new(STANDARD.encode(bytes.as_slice())))
    }

    pub(crate) fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    /// The published test vectors use a key that [`parse`](Self::parse) refuses.
    #[cfg(test)]
    pub(crate) fn unchecked(bytes: [u8; KEY_LENGTH]) -> Self {
        Self(Secret::new(bytes.to_vec()))
    }
}

/// Whether these bytes are not random: equal or evenly spaced bytes, a repeated half, few distinct values, or readable text.
/// Random bytes match each pattern with a probability below 2⁻⁴⁵.
fn follows_a_pattern(bytes: &[u8]) -> bool {
    let step = |pair: &[u8]| pair[1].wrapping_sub(pair[0]);
    let evenly_spaced = bytes.windows(2).all(|pair| step(pair) == step(bytes));
    let (left, right) = bytes.split_at(bytes.len() / 2);
    let first_of_its_value = |(index, byte): &(usize, &u8)| !bytes[..*index].contains(byte);
    let distinct = bytes.iter().enumerate().filter(first_of_its_value).count();
    evenly_spaced || left == right || distinct < bytes.len() / 2 || bytes.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Why a text is not a root key. Contains none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not standard base64.
    #[error("it is not standard base64; make a key with `grantry keys generate`")]
    NotBase64,
    /// Not 32 bytes.
    #[error("it is not 32 bytes long, written as 44 characters of base64; make a key with `grantry keys generate`")]
    Length,
    /// A sample key, a passphrase, or another value that is not random.
    #[error("its bytes follow a pattern and are not random; make a key with `grantry keys generate`")]
    Weak,
}

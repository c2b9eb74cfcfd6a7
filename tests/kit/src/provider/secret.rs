//! Random values, and the digests by which the provider stores them.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A new value: a readable prefix (`at_…`, `rt_…`) and 192 random bits.
pub(super) fn random(prefix: &str) -> String {
    let mut bytes = [0_u8; 24];
    rand::fill(&mut bytes).expect("the operating system gives random bytes");
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// A new value of at least this length.
pub(super) fn random_of_length(prefix: &str, length: usize) -> String {
    let mut value = random(prefix);
    value.extend(std::iter::repeat_n('x', length.saturating_sub(value.len())));
    value
}

/// SHA-256 of a bearer value. The state contains only digests, so that the state file exposes no token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Digest(String);

impl Digest {
    /// The digest of `value`.
    pub(super) fn of(value: &str) -> Self {
        Self(s256(value))
    }
}

/// `BASE64URL(SHA256(value))`: also the S256 transformation of PKCE (RFC 7636 §4.2).
pub(super) fn s256(value: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(value.as_bytes()))
}

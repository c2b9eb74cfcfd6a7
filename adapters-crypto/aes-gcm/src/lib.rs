//! The token vault: seals tokens, client secrets and flow secrets so that a record opens only where it was sealed.
//!
//! One record is one envelope in the format `OTE1`: HKDF-SHA-256 derives a key for this envelope alone, AES-256-GCM encrypts
//! with it, and what the record is bound to (deployment, space, connector, user, record, provider configuration) enters both
//! as associated data and through the derived key (R73, R74).
//!
//! - [`Keyring`]: one key to write with, any number to read with; loaded from [`KeySource`]s at start (R75).
//! - [`AesGcmVault`]: the [`TokenVault`](grantry_domain::ports::TokenVault) on top of it.
//!
//! Nothing here can print, copy or compare a secret, and no error carries one (R77, R78).

mod context;
mod envelope;
mod key_source;
mod keyring;
mod root_key;
mod vault;

#[cfg(test)]
mod tests;

pub use key_source::{KeySource, KeySourceError};
pub use keyring::{Keyring, KeyringError};
pub use root_key::{KeyError, RootKey};
pub use vault::{AesGcmVault, UnknownKeys};

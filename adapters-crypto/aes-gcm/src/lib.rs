//! The token vault: seals tokens, client secrets and flow secrets so that a record can be opened only in the place it was
//! sealed for.
//!
//! Each record is one envelope in the format `OTE1`: HKDF-SHA-256 derives a key for this envelope only, and AES-256-GCM
//! encrypts with it. Deployment, space, connector, user, connection, record and provider configuration are associated data of
//! the cipher, and the derived key depends on them.
//!
//! - [`Keyring`]: one write key and any number of read keys, loaded from [`KeySource`]s at start.
//! - [`AesGcmVault`]: the [`TokenVault`](grantry_domain::ports::TokenVault) with the keys of a keyring, and the
//!   [`RowAuthenticator`](grantry_domain::ports::RowAuthenticator) for rows that are not encrypted.
//!
//! Types that contain a secret cannot be printed, copied or compared, and no error contains one.

mod associated_data;
mod envelope;
mod key_source;
mod keyring;
mod root_key;
mod rows;
mod vault;

#[cfg(test)]
mod tests;

pub use key_source::{KeySource, KeySourceError};
pub use keyring::{Keyring, KeyringError};
pub use root_key::{KeyError, RootKey};
pub use vault::{AesGcmVault, UnknownKeys};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

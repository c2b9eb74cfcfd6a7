//! Sealing: fresh randomness, limits, versions, and no plaintext in the envelope or in errors.

use std::collections::HashSet;

use grantry_domain::encoding::hex;
use grantry_domain::ports::{TokenVault, VaultError};
use grantry_domain::secret::Secret;
use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn r73_what_was_sealed_is_opened(version: u16, payload in proptest::collection::vec(any::<u8>(), 0..300)) {
        for associated in one_of_each() {
            let envelope = vault().seal(&associated, version, &Secret::new(payload.clone())).unwrap();
            prop_assert_eq!(envelope.0.len(), payload.len() + 76);
            let opened = vault().open(&associated, &envelope).unwrap();
            prop_assert_eq!((opened.version, opened.payload.expose()), (version, payload.as_slice()));
        }
    }
}

#[test]
fn r73_the_longest_payload_is_sealed_and_a_longer_one_is_refused() {
    let vault = vault();
    let longest = vault.seal(&grant(), 1, &Secret::new(vec![7; 131_072])).unwrap();
    assert_eq!(vault.open(&grant(), &longest).unwrap().payload.len(), 131_072);
    let longer = vault.seal(&grant(), 1, &Secret::new(vec![7; 131_073]));
    assert_eq!(longer, Err(VaultError::OutOfBounds));
}

#[test]
fn r73_the_envelope_contains_no_part_of_the_payload() {
    let payload = "A".repeat(64);
    let envelope = vault().seal(&grant(), 1, &secret(&payload)).unwrap();
    assert!(!envelope.0.windows(4).any(|window| window == b"AAAA"));
}

#[test]
fn r74_salt_nonce_and_ciphertext_differ_in_every_envelope() {
    let vault = vault();
    let mut seen = HashSet::new();
    for _ in 0..100 {
        let envelope = vault.seal(&grant(), 1, &secret("always the same")).unwrap().0;
        for part in [&envelope[16..48], &envelope[48..60], &envelope[60..]] {
            assert!(seen.insert(part.to_vec()), "used twice: {}", hex(part));
        }
    }
}

#[test]
fn r74_the_key_depends_on_the_salt_even_if_the_nonce_repeats() {
    let sealed_with = |salt: u8| {
        let random = [[salt; 32].as_slice(), &[9; 12]].concat();
        let ring = Keyring::new(&key(1), &[]).unwrap();
        let vault = AesGcmVault::new(ring, DEPLOYMENT, Arc::new(Fixed(random)));
        vault.seal(&grant(), 1, &secret("same payload")).unwrap().0
    };
    let (left, right) = (sealed_with(1), sealed_with(2));
    assert_eq!(left[48..60], right[48..60]);
    assert_ne!(left[60..72], right[60..72]);
}

/// Fills the buffer and then reports an error.
struct Failing;

impl SecureRandom for Failing {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomUnavailable> {
        buffer.fill(0x55);
        Err(RandomUnavailable)
    }
}

#[test]
fn r74_without_randomness_sealing_fails_and_opening_works() {
    let sealed = vault().seal(&grant(), 1, &secret("token")).unwrap();
    let ring = Keyring::new(&key(2), &[key(1)]).unwrap();
    let vault = AesGcmVault::new(ring, DEPLOYMENT, Arc::new(Failing));
    assert_eq!(vault.seal(&grant(), 1, &secret("token")), Err(VaultError::RandomUnavailable));
    assert!(vault.open(&grant(), &sealed).is_ok());
    assert_eq!(RootKey::generate(&Failing).err(), Some(RandomUnavailable));
}

#[test]
fn r76_an_error_contains_nothing_of_the_record() {
    let vault = vault();
    let envelope = vault.seal(&grant(), 1, &secret("canary-token")).unwrap();
    let error = vault.open(&flow(), &envelope).err().unwrap();
    let text = format!("{error} {error:?}");
    for part in ["canary", "conn-1", "u_profile_1", &hex(&envelope.0[8..16])] {
        assert!(!text.contains(part), "{text}");
    }
}

//! An altered envelope is refused, by a vault that writes with its key and by one that only reads with it.

use grantry_domain::authorization::Envelope;
use grantry_domain::ports::{TokenVault, VaultError};
use proptest::prelude::*;

use super::*;
use crate::envelope::Parts;

/// The errors that a damaged byte may cause, by its position in the layout.
fn expected(position: usize) -> &'static [VaultError] {
    match position {
        0..=4 => &[VaultError::UnknownFormat],
        5 => &[VaultError::UnknownFormat, VaultError::Tampered],
        8..=15 => &[VaultError::UnknownKey],
        _ => &[VaultError::Tampered],
    }
}

fn assert_refused(associated: &AssociatedData, bytes: Vec<u8>, allowed: &[VaultError], what: &str) {
    let envelope = Envelope(bytes);
    let rotated = vault_with(2, &[1]);
    for error in [vault(), rotated].map(|vault| vault.open(associated, &envelope).err()) {
        assert!(error.is_some_and(|error| allowed.contains(&error)), "{what}: {error:?}");
    }
}

#[test]
fn r73_r76_every_flipped_bit_is_refused() {
    for associated in one_of_each() {
        let sealed = vault().seal(&associated, 1, &secret("token")).unwrap().0;
        for bit in 0..sealed.len() * 8 {
            let mut bytes = sealed.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_refused(&associated, bytes, expected(bit / 8), &format!("bit {bit} of {associated:?}"));
        }
    }
}

#[test]
fn r73_r76_every_truncation_and_extension_is_refused() {
    for associated in one_of_each() {
        let sealed = vault().seal(&associated, 1, &secret("token")).unwrap().0;
        for length in 0..sealed.len() {
            let allowed = if length < 5 { VaultError::UnknownFormat } else { VaultError::Tampered };
            assert_refused(&associated, sealed[..length].to_vec(), &[allowed], &format!("cut to {length}"));
            let tail = [&sealed[..], &sealed[..=length]].concat();
            assert_refused(&associated, tail, &[VaultError::Tampered], &format!("longer by {length}"));
        }
        let flood = [sealed, vec![0; 140_000]].concat();
        // Refused by its length, before any cryptography.
        assert_eq!(Parts::of(&Envelope(flood.clone())).err(), Some(VaultError::Tampered));
        assert_refused(&associated, flood, &[VaultError::Tampered], "longer than any envelope");
    }
}

#[test]
fn r73_r74_parts_of_two_envelopes_of_one_record_do_not_fit_together() {
    let vault = vault();
    let [left, right] = ["old", "new"].map(|text| vault.seal(&grant(), 1, &secret(text)).unwrap().0);
    // At every byte from the salt on.
    for cut in 17..left.len() {
        let spliced = [&left[..cut], &right[cut..]].concat();
        assert_refused(&grant(), spliced, &[VaultError::Tampered], &format!("spliced at {cut}"));
    }
}

proptest! {
    #[test]
    fn r76_arbitrary_bytes_are_refused_without_a_panic(prefix in 0_usize..80, tail in proptest::collection::vec(any::<u8>(), 0..120)) {
        let sealed = vault().seal(&grant(), 1, &secret("token")).unwrap().0;
        let bytes = [&sealed[..prefix], &tail].concat();
        prop_assume!(bytes != sealed);
        prop_assert!(vault().open(&grant(), &Envelope(bytes)).is_err());
    }
}

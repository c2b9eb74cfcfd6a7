//! T03: whatever happens to the bytes of an envelope, it does not open, and neither is it sealed afresh.

use grantry_domain::authorization::Envelope;
use grantry_domain::ports::{TokenVault, VaultError};
use proptest::prelude::*;

use super::*;

/// The errors a damaged byte may lead to, by what stands there.
fn expected(position: usize) -> &'static [VaultError] {
    match position {
        0..=4 => &[VaultError::UnknownFormat],
        5 => &[VaultError::UnknownFormat, VaultError::Tampered],
        8..=15 => &[VaultError::UnknownKey],
        _ => &[VaultError::Tampered],
    }
}

fn assert_refused(binding: &AssociatedData, bytes: Vec<u8>, allowed: &[VaultError], what: &str) {
    let envelope = Envelope(bytes);
    // Key 1 is a read key here, so that nothing is skipped as up to date.
    let rotated = vault_with(2, &[1]);
    for error in [vault().open(binding, &envelope).err(), rotated.reseal(binding, &envelope).err()] {
        assert!(error.is_some_and(|error| allowed.contains(&error)), "{what}: {error:?}");
    }
}

#[test]
fn r73_r76_every_flipped_bit_is_refused() {
    for binding in one_of_each() {
        let sealed = vault().seal(&binding, 1, &secret("token")).unwrap().0;
        for bit in 0..sealed.len() * 8 {
            let mut bytes = sealed.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_refused(&binding, bytes, expected(bit / 8), &format!("bit {bit} of {binding:?}"));
        }
    }
}

#[test]
fn r73_r76_every_truncation_and_extension_is_refused() {
    for binding in one_of_each() {
        let sealed = vault().seal(&binding, 1, &secret("token")).unwrap().0;
        for length in 0..sealed.len() {
            let allowed = if length < 5 { VaultError::UnknownFormat } else { VaultError::Tampered };
            assert_refused(&binding, sealed[..length].to_vec(), &[allowed], &format!("cut to {length}"));
            let tail = [&sealed[..], &sealed[..=length]].concat();
            assert_refused(&binding, tail, &[VaultError::Tampered], &format!("longer by {length}"));
        }
        let flood = [sealed, vec![0; 70_000]].concat();
        // Seen before any work is spent on it.
        assert_eq!(vault().key_of(&Envelope(flood.clone())), Err(VaultError::Tampered));
        assert_refused(&binding, flood, &[VaultError::Tampered], "longer than any envelope");
    }
}

#[test]
fn r73_r74_parts_of_two_envelopes_of_one_record_do_not_fit_together() {
    let vault = vault();
    let [left, right] = ["old", "new"].map(|text| vault.seal(&grant(), 1, &secret(text)).unwrap().0);
    // At each border of the layout, and within the fields.
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

//! Which keys are accepted, and the use of write and read keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use grantry_domain::encoding::hex;
use grantry_domain::ports::{KeyId, TokenVault, VaultError};

use super::*;
use crate::{KeyError, KeyringError, UnknownKeys};

fn id(number: u8) -> KeyId {
    vault_with(number, &[]).keyring().write_key()
}

fn parsed(bytes: &[u8]) -> Result<(), KeyError> {
    RootKey::parse(STANDARD.encode(bytes).as_bytes()).map(drop)
}

#[test]
fn r75_a_generated_key_is_accepted_and_has_its_derived_id() {
    let text = RootKey::generate(&Stream::default()).unwrap();
    assert_eq!(text.len(), 44);
    for ending in ["", "\n", "\r\n"] {
        let written = format!("{}{ending}", *text);
        let ring = Keyring::new(&RootKey::parse(written.as_bytes()).unwrap(), &[]).unwrap();
        // The first block of the stream.
        let same = RootKey::unchecked(Sha256::digest(0_u64.to_be_bytes()).into());
        assert_eq!(ring.write_key(), Keyring::new(&same, &[]).unwrap().write_key());
    }
}

#[test]
fn r75_a_generator_without_randomness_makes_no_key() {
    assert_eq!(RootKey::generate(&Fixed(vec![0; 32])).err(), Some(RandomUnavailable));
}

#[test]
fn r75_keys_of_another_length_or_encoding_are_refused() {
    let random: Vec<u8> = Sha256::digest(b"a").iter().chain(&Sha256::digest(b"b")).copied().collect();
    assert_eq!(parsed(&random[..32]), Ok(()));
    for length in [0, 1, 16, 31, 33, 48, 64] {
        assert_eq!(parsed(&random[..length]), Err(KeyError::Length), "{length} bytes");
    }
    let good = STANDARD.encode(&random[..32]);
    assert_eq!(RootKey::parse(good.trim_end_matches('=').as_bytes()).err(), Some(KeyError::Length));
    assert_eq!(RootKey::parse(format!(" {good}").as_bytes()).err(), Some(KeyError::Length));
    assert_eq!(RootKey::parse(hex(&random[..32]).as_bytes()).err(), Some(KeyError::Length));
    for position in 0..43 {
        let mut text = good.clone().into_bytes();
        text[position] = b'-';
        assert_eq!(RootKey::parse(&text).err(), Some(KeyError::NotBase64), "position {position}");
    }
}

#[test]
fn r75_weak_and_sample_keys_are_refused() {
    let phrase = *b"The quick brown fox jumps over 1";
    let half: [u8; 16] = Sha256::digest(b"half")[..16].try_into().unwrap();
    let repeated = [half, half].concat();
    let ascending: Vec<u8> = (0..32).collect();
    let descending: Vec<u8> = (0..32).rev().collect();
    let strides: Vec<u8> = (0..32_u8).map(|index| index.wrapping_mul(9)).collect();
    let mut nearly_empty = [0; 32];
    nearly_empty[..14].copy_from_slice(&half[..14]);
    let weak: [&[u8]; 9] =
        [&[0; 32], &[b'a'; 32], &[0xff; 32], &phrase, &repeated, &ascending, &descending, &strides, &nearly_empty];
    for bytes in weak {
        assert_eq!(parsed(bytes), Err(KeyError::Weak), "{}", hex(bytes));
    }
    for number in 0..=255 {
        assert_eq!(parsed(key(number).expose()), Ok(()), "key {number}");
    }
}

#[test]
fn r75_a_key_that_is_named_twice_is_refused() {
    let ring = |write, read: &[u8]| {
        let read: Vec<RootKey> = read.iter().map(|number| key(*number)).collect();
        Keyring::new(&key(write), &read).map(|ring| ring.ids().collect::<Vec<_>>())
    };
    assert_eq!(ring(1, &[2, 3]), Ok(vec![id(1), id(2), id(3)]));
    assert_eq!(ring(1, &[2, 1]), Err(KeyringError::Duplicate(id(1))));
    assert_eq!(ring(1, &[2, 3, 2]), Err(KeyringError::Duplicate(id(2))));
}

#[test]
fn r75_an_unknown_key_is_distinguished_from_tampering() {
    let mut envelope = vault_with(1, &[]).seal(&grant(), 1, &secret("token")).unwrap();
    let other = vault_with(2, &[3]);
    assert_eq!(other.open(&grant(), &envelope).err(), Some(VaultError::UnknownKey));
    assert_eq!(envelope.key_id(), Some(id(1).0));
    assert_eq!(other.keyring().ids().collect::<Vec<_>>(), [id(2), id(3)]);
    // The id of a key that did not seal the envelope.
    envelope.0[8..16].copy_from_slice(&id(3).0);
    assert_eq!(other.open(&grant(), &envelope).err(), Some(VaultError::Tampered));
}

#[test]
fn r75_read_keys_open_and_only_the_write_key_seals() {
    let old = vault_with(1, &[]).seal(&grant(), 7, &secret("token")).unwrap();
    let rotated = vault_with(2, &[1]);
    assert_eq!(rotated.open(&grant(), &old).unwrap().payload.expose(), b"token");
    assert_eq!(rotated.seal(&grant(), 7, &secret("token")).unwrap().key_id(), Some(id(2).0));

    let opened = rotated.open(&grant(), &old).unwrap();
    let new = rotated.seal(&grant(), opened.version, &opened.payload).unwrap();
    assert_eq!(new.key_id(), Some(id(2).0));
    assert_ne!(new.0[16..60], old.0[16..60], "salt and nonce are fresh");
    // The old key is not needed any more.
    let retired = vault_with(2, &[]);
    let opened = retired.open(&grant(), &new).unwrap();
    assert_eq!((opened.version, opened.payload.expose()), (7, &b"token"[..]));
}

#[test]
fn r75_the_start_is_refused_while_records_need_a_key_that_is_missing() {
    let vault = vault_with(1, &[2]);
    assert_eq!(vault.check_usage(&[]), Ok(()));
    assert_eq!(vault.check_usage(&[(id(1), 5), (id(2), 5), (id(3), 0)]), Ok(()));
    let refused = vault.check_usage(&[(id(1), 5), (id(3), 2), (id(4), 40)]).unwrap_err();
    assert_eq!(refused, UnknownKeys { keys: vec![id(3), id(4)], count: 42 });
    assert_eq!(
        refused.to_string(),
        format!(
            "42 stored records are sealed with keys that are not configured ({}, {}); add those keys as read keys",
            hex(&id(3).0),
            hex(&id(4).0)
        )
    );
}

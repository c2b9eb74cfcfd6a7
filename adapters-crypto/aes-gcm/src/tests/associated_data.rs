//! No two values have the same encoding, independent of the borders between fields.

use grantry_domain::ports::{KeyId, TokenVault, VaultError};
use proptest::prelude::*;

use super::*;
use crate::associated_data::{bytes, encode};
use crate::envelope::{Header, RecordType};

fn header(record: RecordType) -> Header {
    Header::new(record, 1, KeyId([7; 8]), &RANDOM)
}

/// Decodes the fields. Being able to do so proves that the encoding is injective.
fn decode(data: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let (count, mut rest) = data[68..].split_first_chunk::<2>().unwrap();
    let fields = (0..u16::from_be_bytes(*count)).map(|_| {
        let (length, tail) = rest[1..].split_first_chunk::<4>().unwrap();
        let (value, tail) = tail.split_at(u32::from_be_bytes(*length) as usize);
        let tag = rest[0];
        rest = tail;
        (tag, value.to_vec())
    });
    let fields = fields.collect();
    assert!(rest.is_empty());
    fields
}

prop_compose! {
    /// Associated data of few values, so that equal and nearly equal ones are common.
    fn associated()(
        kind in 0..4,
        space in "[ab]{1,2}",
        connector in "[ab]{1,2}",
        user in "[ab]{1,2}",
        connection in "[ab]{1,2}",
        incarnation in 0..2_u8,
        digest in 0..2_u8,
        record in 0..2_u8,
        flow_cookie_hash in 0..2_u8,
    ) -> AssociatedData {
        let owner = AuthorizationKey {
            space: SpaceId::new(space).unwrap(),
            connector: ConnectorId::new(connector).unwrap(),
            incarnation: Incarnation([incarnation; 16]),
            epoch: Epoch::FIRST,
            digest: BindingDigest([digest; 32]),
            user: UserId::new(user).unwrap(),
            connection: ConnectionName::new(connection).unwrap(),
        };
        let id = AuthorizationId::new(Timestamp::from_millis(0), [record; 16]);
        match kind {
            0 => {
                let flow_cookie_hash = FlowCookieHash([flow_cookie_hash; 32]);
                AssociatedData::Flow { owner, state: StateHash([record; 32]), flow_cookie_hash }
            }
            1 => AssociatedData::Grant { owner, grant: id },
            2 => AssociatedData::UnclaimedTokens { owner, id },
            _ => {
                let AuthorizationKey { space, connector, incarnation, digest, .. } = owner;
                AssociatedData::ClientSecret { space, connector, incarnation, digest }
            }
        }
    }
}

proptest! {
    #[test]
    fn r73_the_fields_can_be_decoded(
        fields in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 1..40)), 0..9),
    ) {
        let borrowed: Vec<(u8, &[u8])> = fields.iter().map(|(tag, value)| (*tag, value.as_slice())).collect();
        prop_assert_eq!(decode(&encode(&header(RecordType::Grant), &borrowed).unwrap()), fields);
    }

    #[test]
    fn r73_encodings_are_equal_exactly_if_the_values_are(left in associated(), right in associated()) {
        let encoded = |data| bytes(&header(RecordType::of(data)), &DEPLOYMENT, data).unwrap();
        prop_assert_eq!(left == right, encoded(&left) == encoded(&right));
    }

    #[test]
    fn r73_a_border_between_fields_cannot_be_shifted(text in "[ab]{4,12}", sealed_at in 1_usize..4, opened_at in 1_usize..4) {
        let cut = |at: usize| AssociatedData::Grant {
            owner: AuthorizationKey {
                space: SpaceId::new(&text[..at]).unwrap(),
                connector: ConnectorId::new(&text[at..]).unwrap(),
                ..owner()
            },
            grant: grant_id(),
        };
        let vault = vault();
        let envelope = vault.seal(&cut(sealed_at), 1, &secret("token")).unwrap();
        prop_assert_eq!(vault.open(&cut(opened_at), &envelope).is_ok(), sealed_at == opened_at);
    }
}

#[test]
fn r73_every_record_type_has_its_fields() {
    let tags = |data: &AssociatedData| -> Vec<u8> {
        let encoded = bytes(&header(RecordType::of(data)), &DEPLOYMENT, data).unwrap();
        decode(&encoded).into_iter().map(|(tag, _)| tag).collect()
    };
    assert_eq!(tags(&flow()), [1, 2, 3, 4, 5, 6, 7, 8, 10]);
    assert_eq!(tags(&grant()), [1, 2, 3, 4, 5, 6, 7, 10]);
    assert_eq!(tags(&client_secret()), [1, 2, 3, 4, 7]);
    assert_eq!(tags(&unclaimed()), [1, 2, 3, 4, 5, 6, 7, 10]);
}

#[test]
fn r73_ids_are_encoded_byte_for_byte() {
    // The same letter as one character and composed of two, in upper case, and with a blank.
    let users = ["é", "e\u{301}", "É", "é "];
    let of = |user: &str| AssociatedData::Grant {
        owner: AuthorizationKey { user: UserId::new(user).unwrap(), ..owner() },
        grant: grant_id(),
    };
    let vault = vault();
    for sealed_for in users {
        let envelope = vault.seal(&of(sealed_for), 1, &secret("token")).unwrap();
        for user in users {
            assert_eq!(vault.open(&of(user), &envelope).is_ok(), user == sealed_for, "{sealed_for:?} as {user:?}");
        }
    }
}

#[test]
fn r73_an_empty_or_too_long_field_is_refused() {
    let with = |value: &[u8]| encode(&header(RecordType::Grant), &[(1, value)]).map(drop);
    assert_eq!(with(&[0; 1]), Ok(()));
    assert_eq!(with(&[0; 1024]), Ok(()));
    assert_eq!(with(&[0; 1025]), Err(VaultError::OutOfBounds));
    assert_eq!(with(&[]), Err(VaultError::OutOfBounds));
}

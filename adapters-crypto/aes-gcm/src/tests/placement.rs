//! Records of every type, with every combination of two values for each field of their associated data, each moved to
//! the place of every other one.

use std::collections::HashSet;

use grantry_domain::authorization::Envelope;
use grantry_domain::ports::{KeyId, TokenVault, VaultError};

use super::*;
use crate::associated_data;
use crate::envelope::{Header, RecordType};

/// The place of a record: the vault of a deployment, and the associated data. `bits` is the choice of values.
struct Place {
    bits: u16,
    deployment: usize,
    associated: AssociatedData,
}

/// Every combination; `bits` chooses one of two values for each field.
fn places() -> Vec<Place> {
    let mut places = Vec::new();
    for bits in 0..1_u16 << 9 {
        let bit = |position: u8| u8::from(bits >> position & 1 == 1);
        let text = |position, names: [&'static str; 2]| names[usize::from(bit(position))];
        let (record, flow_cookie_hash) = (bit(6), bit(7));
        let owner = AuthorizationKey {
            space: SpaceId::new(text(1, ["default", "marketing"])).unwrap(),
            connector: ConnectorId::new(text(2, ["conn-1", "conn-2"])).unwrap(),
            incarnation: Incarnation([bit(3); 16]),
            epoch: Epoch::FIRST,
            digest: BindingDigest([bit(4); 32]),
            user: UserId::new(text(5, ["alice", "bob"])).unwrap(),
            connection: ConnectionName::new(text(8, ["default", "work"])).unwrap(),
        };
        let mut place = |associated| places.push(Place { bits, deployment: usize::from(bit(0)), associated });
        let id = AuthorizationId::new(Timestamp::from_millis(0), [record; 16]);
        place(AssociatedData::Flow {
            owner: owner.clone(),
            state: StateHash([record; 32]),
            flow_cookie_hash: FlowCookieHash([flow_cookie_hash; 32]),
        });
        if flow_cookie_hash == 0 {
            place(AssociatedData::Grant { owner: owner.clone(), grant: id });
            place(AssociatedData::UnclaimedTokens { owner: owner.clone(), id });
        }
        if bits < 1 << 5 {
            let AuthorizationKey { space, connector, incarnation, digest, .. } = owner;
            place(AssociatedData::ClientSecret { space, connector, incarnation, digest });
        }
    }
    places
}

/// The bit that chooses the connection name.
const CONNECTION: u16 = 1 << 8;

/// Whether to move a record between two places: always within the first connection, and between connections if few fields
/// differ. The other pairs are covered by the comparison of all encodings; opening them takes too long.
fn is_moved(origin: &Place, target: &Place) -> bool {
    (origin.bits | target.bits) & CONNECTION == 0 || (origin.bits ^ target.bits).count_ones() <= 2
}

#[test]
fn r73_a_record_opens_in_its_place_and_in_no_other() {
    let deployment = |id| AesGcmVault::new(Keyring::new(&key(1), &[]).unwrap(), [id; 16], Arc::new(Stream::default()));
    let vaults = [deployment(0), deployment(1)];
    let places = places();
    assert_eq!(places.iter().filter(|place| place.bits & CONNECTION == 0).count(), 544);

    let seal = |place: &Place| vaults[place.deployment].seal(&place.associated, 1, &secret("token")).unwrap();
    let envelopes: Vec<Envelope> = places.iter().map(seal).collect();
    for (origin, envelope) in envelopes.iter().enumerate() {
        for (target, place) in places.iter().enumerate().filter(|(_, place)| is_moved(&places[origin], place)) {
            let opened = vaults[place.deployment].open(&place.associated, envelope).map(|opened| opened.version);
            let expected = if target == origin { Ok(1) } else { Err(VaultError::Tampered) };
            assert_eq!(opened, expected, "record {origin} in place {target}");
        }
    }
}

#[test]
fn r73_the_associated_data_of_all_places_differ() {
    let places = places();
    assert_eq!(places.len(), 1056);
    let encoded = |place: &Place| {
        let header = Header::new(RecordType::of(&place.associated), 1, KeyId([7; 8]), &RANDOM);
        let deployment = [u8::try_from(place.deployment).unwrap(); 16];
        associated_data::bytes(&header, &deployment, &place.associated).unwrap()
    };
    assert_eq!(places.iter().map(encoded).collect::<HashSet<_>>().len(), places.len());
}

#[test]
fn r73_a_record_cannot_be_relabelled_as_one_of_another_type() {
    // The fields of a grant and of unclaimed tokens of the same owner are equal; only the type in the header differs.
    let vault = vault();
    for (sealed_as, other, label) in [(grant(), unclaimed(), 4), (unclaimed(), grant(), 2)] {
        let mut envelope = vault.seal(&sealed_as, 1, &secret("token")).unwrap();
        envelope.0[5] = label;
        assert_eq!(vault.open(&other, &envelope).err(), Some(VaultError::Tampered));
    }
}

//! T02: records of every type, in every combination of two values for each field of their context, each put into the place of
//! every other one.

use grantry_domain::authorization::Envelope;
use grantry_domain::ports::{TokenVault, VaultError};

use super::*;

/// A place for a record: which deployment's vault, and which binding there.
struct Place {
    deployment: usize,
    binding: AssociatedData,
}

/// Every combination; `bits` chooses one of two values for each field.
fn places() -> Vec<Place> {
    let mut places = Vec::new();
    for bits in 0..=u8::MAX {
        let bit = |position: u8| bits >> position & 1;
        let text = |position, names: [&'static str; 2]| names[usize::from(bit(position))];
        let (record, flow_cookie_hash) = (bit(6), bit(7));
        let owner = AuthorizationKey {
            space: SpaceId::new(text(1, ["default", "marketing"])).unwrap(),
            connector: ConnectorId::new(text(2, ["conn-1", "conn-2"])).unwrap(),
            incarnation: Incarnation([bit(3); 16]),
            epoch: Epoch::FIRST,
            digest: BindingDigest([bit(4); 32]),
            user: UserId::new(text(5, ["alice", "bob"])).unwrap(),
        };
        let mut place = |binding| places.push(Place { deployment: usize::from(bit(0)), binding });
        let grant = AuthorizationId::new(Timestamp::from_millis(0), [record; 16]);
        place(AssociatedData::Flow {
            owner: owner.clone(),
            state: StateHash([record; 32]),
            flow_cookie_hash: FlowCookieHash([flow_cookie_hash; 32]),
        });
        if flow_cookie_hash == 0 {
            place(AssociatedData::Grant { owner: owner.clone(), grant });
            place(AssociatedData::UnclaimedTokens { owner: owner.clone(), grant });
        }
        if bits < 1 << 5 {
            let AuthorizationKey { space, connector, incarnation, digest, .. } = owner;
            place(AssociatedData::ClientSecret { space, connector, incarnation, digest });
        }
    }
    places
}

#[test]
fn r73_a_record_opens_in_its_own_place_and_in_no_other() {
    let deployment = |id| AesGcmVault::new(Keyring::new(&key(1), &[]).unwrap(), [id; 16], Arc::new(Stream::default()));
    let vaults = [deployment(0), deployment(1)];
    let places = places();
    assert_eq!(places.len(), 544);

    let seal = |place: &Place| vaults[place.deployment].seal(&place.binding, 1, &secret("token")).unwrap();
    let envelopes: Vec<Envelope> = places.iter().map(seal).collect();
    for (origin, envelope) in envelopes.iter().enumerate() {
        for (target, place) in places.iter().enumerate() {
            let opened = vaults[place.deployment].open(&place.binding, envelope).map(|opened| opened.version);
            let expected = if target == origin { Ok(1) } else { Err(VaultError::Tampered) };
            assert_eq!(opened, expected, "record {origin} in place {target}");
        }
    }
}

#[test]
fn r73_a_record_cannot_be_relabelled_as_one_of_another_type() {
    // A grant and an orphan of the same owner have the same context; only the type in the header differs.
    let vault = vault();
    for (sealed_as, other, label) in [(grant(), orphan(), 4), (orphan(), grant(), 2)] {
        let mut envelope = vault.seal(&sealed_as, 1, &secret("token")).unwrap();
        envelope.0[5] = label;
        assert_eq!(vault.open(&other, &envelope).err(), Some(VaultError::Tampered));
    }
}

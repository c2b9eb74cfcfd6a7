//! Envelopes, the fields in them, and the keys.

use std::sync::Arc;

use grantry_crypto_aes_gcm::{AesGcmVault, KeySource, Keyring, RootKey};
use grantry_domain::authorization::{
    AuthorizationId, AuthorizationKey, ClientSecretPayload, Envelope, FlowCookieHash, FlowSecrets, GrantSecrets,
    PAYLOAD_VERSION, StateHash,
};
use grantry_domain::connector::{ConnectorId, Epoch, Incarnation};
use grantry_domain::identity::{ConnectionName, SpaceId, UserId};
use grantry_domain::ports::{AssociatedData, RandomUnavailable, SecureRandom, TokenVault as _};
use grantry_domain::provider::BindingDigest;
use grantry_domain::secret::Secret;
use grantry_domain::time::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::input::{assert_clean, variant};

/// Length of the authentication tag, in bytes.
const TAG: usize = 16;

/// The same bytes in every run.
struct Fixed;

impl SecureRandom for Fixed {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomUnavailable> {
        for (chunk, block) in buffer.chunks_mut(32).zip(0_u8..) {
            chunk.copy_from_slice(&Sha256::digest([block])[..chunk.len()]);
        }
        Ok(())
    }
}

fn vault() -> AesGcmVault {
    let text = RootKey::generate(&Fixed).expect("bytes that follow no pattern");
    let key = RootKey::parse(text.as_bytes()).expect("a key");
    AesGcmVault::new(Keyring::new(&key, &[]).expect("one key"), [0xd0; 16], Arc::new(Fixed))
}

/// The places a record can be in. They differ in one property each, apart from the last two.
fn places() -> Vec<AssociatedData> {
    let owner = |user: &str, connection: &str, incarnation: u8| AuthorizationKey {
        space: SpaceId::default_space(),
        connector: ConnectorId::new("conn-1").expect("an id"),
        incarnation: Incarnation([incarnation; 16]),
        epoch: Epoch::FIRST,
        digest: BindingDigest([0xb1; 32]),
        user: UserId::new(user).expect("an id"),
        connection: ConnectionName::new(connection).expect("a name"),
    };
    let id = |random| AuthorizationId::new(Timestamp::from_millis(0), [random; 16]);
    let grant = |owner, random| AssociatedData::Grant { owner, grant: id(random) };
    vec![
        grant(owner("u_1", "work", 1), 1),
        grant(owner("u_2", "work", 1), 1),
        grant(owner("u_1", "home", 1), 1),
        grant(owner("u_1", "work", 2), 1),
        grant(owner("u_1", "work", 1), 2),
        AssociatedData::UnclaimedTokens { owner: owner("u_1", "work", 1), id: id(1) },
        AssociatedData::Flow {
            owner: owner("u_1", "work", 1),
            state: StateHash([1; 32]),
            flow_cookie_hash: FlowCookieHash([1; 32]),
        },
        AssociatedData::ClientSecret {
            space: SpaceId::default_space(),
            connector: ConnectorId::new("conn-1").expect("an id"),
            incarnation: Incarnation([1; 16]),
            digest: BindingDigest([0xb1; 32]),
        },
    ]
}

/// Changes of an envelope, each three bytes long, and after the byte zero its payload.
pub(crate) fn envelope(data: &[u8]) {
    let (place, rest) = variant(data);
    let (count, rest) = variant(rest);
    let (changes, payload) = rest.split_at(rest.len().min(3 * usize::from(count % 5)));
    let (vault, places) = (vault(), places());
    let place = usize::from(place) % places.len();
    // Nothing that was not sealed opens.
    assert!(vault.open(&places[place], &Envelope(data.to_vec())).is_err());

    let sealed = vault.seal(&places[place], PAYLOAD_VERSION, &Secret::new(payload.to_vec())).expect("sealed");
    // The header has key id and salt, which a payload can repeat.
    let header = sealed.0.len() - payload.len() - TAG;
    let is_plain = sealed.0[header..].windows(payload.len().max(1)).any(|window| window == payload);
    assert!(payload.len() < 8 || !is_plain, "in plain text");
    let Ok(opened) = vault.open(&places[place], &sealed) else { panic!("does not open where it was sealed") };
    assert_eq!((opened.version, opened.payload.expose()), (PAYLOAD_VERSION, payload));
    for (other, associated) in places.iter().enumerate().filter(|(other, _)| *other != place) {
        assert!(vault.open(associated, &sealed).is_err(), "opened at place {other}");
    }

    let mut bytes = sealed.0.clone();
    for change in changes.chunks_exact(3) {
        let position = usize::from(u16::from_be_bytes([change[0], change[1]]));
        match change[2] {
            0 => bytes.truncate(position % (bytes.len() + 1)),
            0xff => bytes.extend_from_slice(&change[..2]),
            bits if !bytes.is_empty() => {
                let position = position % bytes.len();
                bytes[position] ^= bits;
            }
            _ => {}
        }
    }
    let is_changed = bytes != sealed.0;
    assert_eq!(vault.open(&places[place], &Envelope(bytes)).is_err(), is_changed, "an altered envelope");
}

/// The fields of one kind of payload. Except for the order of scopes there is one form of each payload.
pub(crate) fn sealed_fields(data: &[u8]) {
    type Decoded = (Option<Secret>, &'static [u8]);
    let (variant, data) = variant(data);
    let version = if variant & 0x80 == 0 { PAYLOAD_VERSION } else { PAYLOAD_VERSION + 1 };
    let decode = |bytes: &[u8]| -> Decoded {
        let payload = Secret::new(bytes.to_vec());
        match variant % 3 {
            0 => (FlowSecrets::decode(version, &payload).ok().map(|flow| flow.encode()), &[4]),
            1 => (GrantSecrets::decode(version, &payload).ok().map(|grant| grant.encode()), &[4, 5]),
            _ => (ClientSecretPayload::decode(version, &payload).ok().map(|secret| secret.encode()), &[]),
        }
    };
    let (encoded, scopes) = decode(data);
    let Some(encoded) = encoded else { return };
    assert_eq!(version, PAYLOAD_VERSION);
    let again = decode(encoded.expose()).0.expect("what was written can be read");
    assert_eq!(again.expose(), encoded.expose(), "a canonical form stays as it is");
    let (before, after) = (fields(data), fields(encoded.expose()));
    assert_eq!(before.len(), after.len());
    for ((tag, value), (tag_after, value_after)) in before.iter().zip(&after) {
        assert_eq!(tag, tag_after);
        assert!(scopes.contains(tag) && value_after.len() <= value.len() || value == value_after, "field {tag} changed");
    }
}

/// Tag and value of each field.
fn fields(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut fields = Vec::new();
    while let [tag, a, b, c, d, rest @ ..] = bytes {
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).expect("a length");
        let (value, after) = rest.split_at(length);
        fields.push((*tag, value));
        bytes = after;
    }
    fields
}

/// A root key, or where it is.
pub(crate) fn key_source(data: &[u8]) {
    match RootKey::parse(data) {
        Ok(_) => assert_eq!(data.trim_ascii_end().len(), 44),
        Err(error) => assert_clean(&format!("{error} {error:?}")),
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    match KeySource::parse(text) {
        Ok(source) => {
            assert_eq!(source.to_string(), text);
            assert_eq!(KeySource::parse(&source.to_string()), Ok(source));
            let (_, place) = text.split_once(':').expect("a kind and a place");
            assert!(RootKey::parse(place.as_bytes()).is_err(), "a key in place of its source");
        }
        Err(error) => assert_clean(&format!("{error} {error:?}")),
    }
}

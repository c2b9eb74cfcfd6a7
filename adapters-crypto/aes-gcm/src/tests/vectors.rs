//! Known answers, computed by independent programs. They pin every byte of the format: sealing and opening with the same
//! mistake would pass all other tests.

use std::sync::Arc;

use grantry_domain::authorization::{ClientSecretPayload, FlowSecrets, GrantSecrets, PAYLOAD_VERSION, Revision};
use grantry_domain::connector::{Epoch, ProfileId};
use grantry_domain::encoding::hex;
use grantry_domain::ports::{KeyId, TokenVault};
use grantry_domain::provider::{
    Account, BindingKind, CallbackPath, ClientAuthentication, EndpointSource, Endpoints, Origin, ProviderSettings,
    ProviderSnapshot, Scopes,
};
use grantry_domain::time::Timestamp;
use hkdf::Hkdf;
use sha2::{Digest, Sha256};

use super::*;
use crate::context::associated_data;
use crate::envelope::{Header, RecordType};
use crate::keyring::expand;

const KEY_ID: &str = "aa76453083b6343d";
const GRANT_ENVELOPE: &str = "4f54453101020001aa76453083b6343d404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f\
    a0a1a2a3a4a5a6a7a8a9aaab83444ac4b33bf97dccbba67f9c77686d56ec4925da974d0bcc0cd4e99926674d086a85";
const FLOW_ENVELOPE: &str = "4f54453101010001aa76453083b6343d404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f\
    a0a1a2a3a4a5a6a7a8a9aaab84c6a0ad7f2048e979b70f755c1fca7ae62604eb68cbd55255b36342bb9ddf";

fn root() -> Keyring {
    let ascending: Vec<u8> = (0..32).collect();
    Keyring::new(&RootKey::unchecked(ascending.try_into().unwrap()), &[]).unwrap()
}

fn vault() -> AesGcmVault {
    AesGcmVault::new(root(), DEPLOYMENT, Arc::new(Fixed(RANDOM.to_vec())))
}

fn grant_data() -> Vec<u8> {
    let header = Header::new(RecordType::Grant, 1, root().write_key(), &RANDOM);
    associated_data(&header, &DEPLOYMENT, &grant()).unwrap()
}

#[test]
fn r73_key_id_vector() {
    let KeyId(id) = root().write_key();
    assert_eq!(hex(&id), KEY_ID);
}

#[test]
fn r73_grant_associated_data_vector() {
    let data = grant_data();
    assert_eq!(data.len(), 209);
    assert_eq!(hex(&Sha256::digest(&data)), "13bedda75c9936d5feddc35e380a84e3c5e98f322861e254cb08543c446d114e");
}

#[test]
fn r73_envelope_key_vector() {
    let derived = root().writer().envelope_key(&grant_data());
    assert_eq!(hex(&*derived), "6f3af39122d6e4f5d3270f24f5472b4330b00ea63fcbe72b0c691a2cf85334fa");
}

#[test]
fn r73_grant_envelope_vector() {
    let sealed = vault().seal(&grant(), 1, &secret("access-token-canary")).unwrap();
    assert_eq!(hex(&sealed.0), GRANT_ENVELOPE);
    assert_eq!(vault().open(&grant(), &sealed).unwrap().payload.expose(), b"access-token-canary");
}

#[test]
fn r73_flow_envelope_vector() {
    let sealed = vault().seal(&flow(), 1, &secret("verifier-canary")).unwrap();
    assert_eq!(hex(&sealed.0), FLOW_ENVELOPE);
    assert_eq!(vault().open(&flow(), &sealed).unwrap().payload.expose(), b"verifier-canary");
}

#[test]
fn r73_the_derivation_is_hkdf_expand_of_rfc_5869() {
    // RFC 5869, appendix A.1.
    let pseudorandom_key = [
        0x07, 0x77, 0x09, 0x36, 0x2c, 0x2e, 0x32, 0xdf, 0x0d, 0xdc, 0x3f, 0x0d, 0xc4, 0x7b, 0xba, 0x63, 0x90, 0xb6, 0xc7,
        0x3b, 0xb5, 0x0f, 0x9c, 0x31, 0x22, 0xec, 0x84, 0x4a, 0xd7, 0xc2, 0xb3, 0xe5,
    ];
    let info: Vec<u8> = (0xf0..=0xf9).collect();
    let derived = expand::<42>(&Hkdf::from_prk(&pseudorandom_key).unwrap(), &[&info[..4], &info[4..]]);
    assert_eq!(hex(&*derived), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
}

fn settings(kind: BindingKind, issuer: Option<&str>, endpoints: Option<Endpoints>) -> ProviderSettings {
    ProviderSettings {
        profile: ProfileId::new(".oauth2").unwrap(),
        title: "Not part of the digest".to_owned(),
        kind,
        issuer: issuer.map(str::to_owned),
        endpoint_source: EndpointSource::User,
        endpoints,
        client_id: "client-1".to_owned(),
        authentication: ClientAuthentication::Basic,
        resources: Vec::new(),
        destinations: ["https://www.example.com", "https://api.example.com"]
            .map(|origin| Origin::new(origin).unwrap())
            .to_vec(),
        base_url: "https://api.example.com/v1".to_owned(),
        requested_scopes: Scopes::new(["read"]),
        required_scopes: Scopes::default(),
        callback: CallbackPath::PerConnector,
        client_credentials: true,
        revocation_is_per_user: false,
        missing: None,
    }
}

/// Length of the hashed bytes, and their hash.
fn digest(settings: &ProviderSettings) -> (usize, String) {
    let bytes = settings.binding_bytes();
    (bytes.len(), hex(&vault().fingerprint(&bytes)))
}

fn url(path: &str) -> String {
    format!("https://as.example.com/{path}")
}

#[test]
fn r52_binding_digest_vectors() {
    let some = Endpoints {
        authorization: url("authorize"),
        token: url("token"),
        revocation: Some(url("revoke")),
        userinfo: Some(url("userinfo")),
        ..Endpoints::default()
    };
    let pinned = settings(BindingKind::Pinned, None, Some(some.clone()));
    assert_eq!(digest(&pinned), (278, "16df08b9f4d67b4a14b8e9c0f401abc06e83f0bf52d0f04f469a458d90610095".to_owned()));

    let every_field = ProviderSettings {
        issuer: Some("https://as.example.com".to_owned()),
        endpoints: Some(Endpoints { jwks: Some(url("jwks")), ..some }),
        authentication: ClientAuthentication::Post,
        resources: vec!["https://b.example.com".to_owned(), "https://a.example.com".to_owned()],
        destinations: vec![Origin::new("https://api.example.com").unwrap()],
        ..pinned
    };
    assert_eq!(digest(&every_field), (322, "df5b8ee47696a5c5f67ccd377008640e9068ee9c0c7d4d7dc5be4ed713d71ff6".to_owned()));

    let issuer = settings(BindingKind::Issuer, Some("https://as.example.com"), None);
    assert_eq!(digest(&issuer), (156, "76843c1e9d25326caa00cf998b66a258109cc639efe31a35a00ba46df3f156c2".to_owned()));
}

fn provider() -> ProviderSnapshot {
    ProviderSnapshot {
        profile: ProfileId::new(".oauth2").unwrap(),
        issuer: Some("https://as.example.com".to_owned()),
        issuer_in_response: true,
        endpoints: Endpoints {
            authorization: url("authorize"),
            token: url("token"),
            revocation: Some(url("revoke")),
            userinfo: Some(url("userinfo")),
            jwks: Some(url("jwks")),
        },
        client_id: "client-1".to_owned(),
        authentication: ClientAuthentication::Basic,
        resources: vec!["https://api.example.com".to_owned()],
        destinations: vec![Origin::new("https://api.example.com").unwrap()],
        redirect_uri: "https://app.example.com/callback".to_owned(),
        config: "{}".to_owned(),
    }
}

/// A record with every field set, as each type of record is sealed today. A changed association or a changed payload needs
/// a new version; until then these hashes stay.
#[test]
fn lesson_29_golden_hash_of_every_sealed_record_type() {
    let at = Timestamp::from_millis;
    let flow_secrets = FlowSecrets {
        verifier: secret("verifier"),
        state: secret("state"),
        nonce: Some("nonce".to_owned()),
        provider: provider(),
        requested_scopes: Scopes::new(["read", "write"]),
        return_path: Some("/back".to_owned()),
        allow_account_change: true,
        deadline: at(600_000),
        epoch: Epoch(3),
    };
    let tokens = GrantSecrets {
        access_token: secret("access"),
        refresh_token: Some(secret("refresh")),
        token_type: "Bearer".to_owned(),
        requested_scopes: Scopes::new(["read", "write"]),
        granted_scopes: Scopes::new(["read"]),
        issued_at: at(1_000),
        expires_at: Some(at(3_601_000)),
        refresh_expires_at: Some(at(7_201_000)),
        revision: Revision(2),
        epoch: Epoch(3),
        provider: provider(),
        account: Some(Account { subject: "42".to_owned(), label: "alice@example.test".to_owned() }),
    };
    let client = ClientSecretPayload { client_secret: secret("client-secret") };
    let golden = |binding, payload| {
        let sealed = vault().seal(&binding, PAYLOAD_VERSION, &payload).unwrap();
        hex(&Sha256::digest(&sealed.0))
    };
    assert_eq!(golden(flow(), flow_secrets.encode()), "158d03e324d215288327b8b5ab8c0a80e268e47bf471158a97ed7212cb18d5c3");
    assert_eq!(golden(grant(), tokens.encode()), "0d71c7df5c176184fddc008c3a82735559d6ca264acd1a4637f406123e055b6e");
    assert_eq!(golden(client_secret(), client.encode()), "f67c941b40e8942db98bb6eae7c40b727432574c8a23e8582323af678544a8d6");
    assert_eq!(golden(orphan(), tokens.encode()), "5d76e765c5720aeff4d22f09133d721fb28c6b9c28216a1cadc00d3d99fd60d8");
}

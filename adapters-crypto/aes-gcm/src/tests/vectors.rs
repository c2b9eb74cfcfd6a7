//! Test vectors, computed by an independent program. They pin every byte of the format: a mistake that sealing and opening
//! have in common passes all other tests.

use std::sync::Arc;

use grantry_domain::authorization::{ClientSecretPayload, FlowSecrets, GrantSecrets, PAYLOAD_VERSION, Revision};
use grantry_domain::connector::{AuthMode, Epoch, ProfileId};
use grantry_domain::encoding::{hex, sha256};
use grantry_domain::ports::{KeyId, TokenVault};
use grantry_domain::provider::{
    Account, ApiBase, BindingKind, CallbackPath, ClientAuthentication, EndpointSource, Endpoints, Origin, ProviderSettings,
    ProviderSnapshot, Scopes,
};
use grantry_domain::time::Timestamp;
use hkdf::Hkdf;
use sha2::{Digest, Sha256};

use super::*;
use crate::associated_data::bytes;
use crate::envelope::{Header, RecordType};
use crate::keyring::expand;

const KEY_ID: &str = "aa76453083b6343d";
const GRANT_ENVELOPE: &str = "4f54453101020001aa76453083b6343d404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f\
    a0a1a2a3a4a5a6a7a8a9aaab3f17b34f6d0b4c3debce7b6b8d44a941c898e6f1f439650d9d23f69d346c542740d30e";
const FLOW_ENVELOPE: &str = "4f54453101010001aa76453083b6343d404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f\
    a0a1a2a3a4a5a6a7a8a9aaabbb36345412aa90cd83a5a86ac334deba60588abc2ba81e27befca462685229";
const CLIENT_SECRET_ENVELOPE: &str = "4f54453101030001aa76453083b6343d404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f\
    a0a1a2a3a4a5a6a7a8a9aaab59d24349e965aab00aeb6564c044bead95f969840ac3f6cd4e49040f8a7a30622d9b4fd9";
const UNCLAIMED_TOKENS_ENVELOPE: &str = "4f54453101040001aa76453083b6343d404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f\
    a0a1a2a3a4a5a6a7a8a9aaab1b9070afe0d551aa2b20602a0d331c556d63e59c696f4e100441db6eb7499e94a8579b";

fn root() -> Keyring {
    let ascending: Vec<u8> = (0..32).collect();
    Keyring::new(&RootKey::unchecked(ascending.try_into().unwrap()), &[]).unwrap()
}

fn vault() -> AesGcmVault {
    AesGcmVault::new(root(), DEPLOYMENT, Arc::new(Fixed(RANDOM.to_vec())))
}

fn grant_data() -> Vec<u8> {
    let header = Header::new(RecordType::Grant, 1, root().write_key(), &RANDOM);
    bytes(&header, &DEPLOYMENT, &grant()).unwrap()
}

#[test]
fn r73_key_id_vector() {
    let KeyId(id) = root().write_key();
    assert_eq!(hex(&id), KEY_ID);
}

#[test]
fn r73_grant_associated_data_vector() {
    let data = grant_data();
    assert_eq!(data.len(), 218);
    assert_eq!(hex(&Sha256::digest(&data)), "c21ce4d4c3156ca81f0ba783149cba4e9e6131fdf87bec6a4532513c05413d85");
}

#[test]
fn r73_envelope_key_vector() {
    let derived = root().writer().envelope_key(&grant_data());
    assert_eq!(hex(&*derived), "28f76fdf0864f458f4a3e7e580172c2f78400362fee1c0cadb67727e82553a13");
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
fn r73_client_secret_envelope_vector() {
    let sealed = vault().seal(&client_secret(), 1, &secret("client-secret-canary")).unwrap();
    assert_eq!(hex(&sealed.0), CLIENT_SECRET_ENVELOPE);
    assert_eq!(vault().open(&client_secret(), &sealed).unwrap().payload.expose(), b"client-secret-canary");
}

#[test]
fn r73_unclaimed_tokens_envelope_vector() {
    let sealed = vault().seal(&unclaimed(), 1, &secret("access-token-canary")).unwrap();
    assert_eq!(hex(&sealed.0), UNCLAIMED_TOKENS_ENVELOPE);
    assert_eq!(vault().open(&unclaimed(), &sealed).unwrap().payload.expose(), b"access-token-canary");
}

#[test]
fn the_digest_of_a_provider_configuration_is_sha_256() {
    // FIPS 180-2, appendix B.1.
    assert_eq!(hex(&sha256(b"abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
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
        base_url: Some("https://api.example.com/v1".to_owned()),
        api_domains: Vec::new(),
        requested_scopes: Scopes::new(["read"]),
        expected_scopes: Scopes::default(),
        required_scopes: Scopes::default(),
        callback: CallbackPath::PerConnector,
        client_credentials: true,
        revocation_is_per_user: false,
        refresh_margin: None,
        missing: None,
    }
}

/// Length of the hashed bytes, and their hash.
fn digest(settings: &ProviderSettings) -> (usize, String) {
    let bytes = settings.binding_bytes(AuthMode::PerUser);
    (bytes.len(), hex(&sha256(&bytes)))
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
    assert_eq!(digest(&pinned), (292, "58ae217418fdf486808058333c5aedc72c1161835ba415ae81ef2908054be12c".to_owned()));

    let every_field = ProviderSettings {
        issuer: Some("https://as.example.com".to_owned()),
        endpoints: Some(Endpoints { jwks: Some(url("jwks")), ..some }),
        authentication: ClientAuthentication::Post,
        resources: vec!["https://b.example.com".to_owned(), "https://a.example.com".to_owned()],
        destinations: vec![Origin::new("https://api.example.com").unwrap()],
        ..pinned
    };
    assert_eq!(digest(&every_field), (336, "79f0c7ca5548fe7cbedcb59859b2d7cb64d77b582104c9b0b73e9c7d618eb0c5".to_owned()));

    let mut with_refresh = every_field.clone();
    if let Some(endpoints) = &mut with_refresh.endpoints {
        endpoints.refresh = Some(url("refresh"));
    }
    with_refresh.api_domains = vec!["example.org".to_owned(), "example.net".to_owned()];
    assert_eq!(digest(&with_refresh), (412, "25eb11c8a4f55df2dd8ed3354789fda5fe2b7cc6e66b08a90f18bd4f53d51880".to_owned()));

    let issuer = settings(BindingKind::Issuer, Some("https://as.example.com"), None);
    assert_eq!(digest(&issuer), (170, "4e901dc3a6339af7b7a5363ab4b448b161cc9609b119b567bc08db9417385826".to_owned()));
    let shared = sha256(&issuer.binding_bytes(AuthMode::Shared));
    assert_eq!(hex(&shared), "ab3c7a289e87a9a564429c4ce8d319d759ce17862587c1558c5aeb66f1aaf2e6");
}

fn provider() -> ProviderSnapshot {
    ProviderSnapshot {
        profile: ProfileId::new(".oauth2").unwrap(),
        issuer: Some("https://as.example.com".to_owned()),
        issuer_in_response: true,
        endpoints: Endpoints {
            authorization: url("authorize"),
            token: url("token"),
            refresh: Some(url("refresh")),
            revocation: Some(url("revoke")),
            userinfo: Some(url("userinfo")),
            jwks: Some(url("jwks")),
        },
        client_id: "client-1".to_owned(),
        authentication: ClientAuthentication::Basic,
        resources: vec!["https://api.example.com".to_owned()],
        destinations: vec![Origin::new("https://www.example.com").unwrap()],
        redirect_uri: "https://app.example.com/callback".to_owned(),
        config: "{}".to_owned(),
        api: Some(ApiBase {
            url: "https://api.example.com/v1".to_owned(),
            origin: Origin::new("https://api.example.com").unwrap(),
        }),
    }
}

/// A record of each type with every field set. After the first release, changed associated data or a changed payload
/// requires a new payload version.
#[test]
fn lesson_29_golden_hash_of_every_sealed_record_type() {
    let at = Timestamp::from_millis;
    let flow_secrets = FlowSecrets {
        select_account: false,
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
    let golden = |associated, payload| {
        let sealed = vault().seal(&associated, PAYLOAD_VERSION, &payload).unwrap();
        hex(&Sha256::digest(&sealed.0))
    };
    let found = [
        golden(flow(), flow_secrets.encode()),
        golden(grant(), tokens.encode()),
        golden(client_secret(), client.encode()),
        golden(unclaimed(), tokens.encode()),
    ];
    let expected = [
        "4a6a41810eb0a97b844a1c87d73bdbc834ea8b9005c5f01f6488c3adaeb24f6a",
        "9516206abc607f105d15c194d51417ed0c039db1e68dc183f8a79090889586c5",
        "f67c941b40e8942db98bb6eae7c40b727432574c8a23e8582323af678544a8d6",
        "4f4e52ddd341cf260c36c63de6beb43b26ff902a8431e5c8777f1fff95415179",
    ];
    assert_eq!(found, expected);
}

//! ID tokens and the keys that verify them.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_domain::ports::{AuthorizationServer as _, Identified, ProviderError};
use grantry_domain::provider::ProviderSnapshot;
use http::HeaderMap;
use serde_json::Value;

use super::tokens::response_with;
use super::userinfo::assert_displayable;
use super::{CLIENT_ID, Lab, NOW, assert_own_text, client, ready};
use crate::input::{line, variant};
use crate::json;

const ISSUER: &str = "https://as.example";
const NONCE: &str = "n-1";
/// Allowed clock skew in seconds.
const LEEWAY: f64 = 60.0;

/// The key of the issuer, the same in every run.
fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes are a seed")
}

fn signed(header: &[u8], claims: &[u8]) -> Vec<u8> {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key().sign(signed.as_bytes()));
    format!("{signed}.{signature}").into_bytes()
}

fn identified(lab: &Lab, with_keys: bool, token: &[u8], keys: Vec<u8>) -> Result<Identified, ProviderError> {
    let mut provider: ProviderSnapshot = lab.provider_of(0);
    provider.endpoints.userinfo = None;
    provider.endpoints.jwks = with_keys.then(|| format!("{ISSUER}/jwks"));
    let lab = lab.fresh();
    lab.respond([(200, HeaderMap::new(), keys)]);
    ready(lab.server.identify(&provider, &client(), &response_with(Some(token)), Some(NONCE.to_owned())))
}

/// A token as it is, or header and claims that are signed by the issuer. With keys and without.
pub(crate) fn id_token(data: &[u8]) {
    let (variant, rest) = variant(data);
    let (header, claims) = line(rest);
    let token = if variant & 1 == 0 { signed(header, claims) } else { rest.to_vec() };
    let with_keys = variant & 2 == 0;
    let public = key().public_key().as_ref().to_vec();
    let keys = format!(
        r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","use":"sig","kid":"k1","x":"{}"}}]}}"#,
        URL_SAFE_NO_PAD.encode(&public)
    );
    Lab::with(|lab| match identified(lab, with_keys, &token, keys.into_bytes()) {
        Ok(Identified { account: Some(account), .. }) => {
            assert_displayable(&account);
            assert_token_confirmed(&token, with_keys.then_some(&public));
        }
        Ok(_) => {}
        Err(error) => assert_own_text(&error),
    });
}

/// The token names this issuer, client and request, and the issuer has signed it.
fn assert_token_confirmed(token: &[u8], key: Option<&Vec<u8>>) {
    let parts: Vec<&[u8]> = token.split(|byte| *byte == b'.').collect();
    let [header, claims, signature] = parts[..] else { panic!("not three parts") };
    let decoded = |part| URL_SAFE_NO_PAD.decode(part).expect("base64url");
    if let Some(key) = key {
        let signed = [header, b".", claims].concat();
        UnparsedPublicKey::new(&ED25519, key).verify(&signed, &decoded(signature)).expect("the issuer has signed it");
    }
    let Some(header) = json::object(&decoded(header)) else { return };
    assert!(header.get("alg").is_some_and(|alg| alg != "none" && !alg.as_str().unwrap_or("HS").starts_with("HS")));
    assert!(!header.contains_key("crit"));
    let Some(claims) = json::object(&decoded(claims)) else { return };
    assert_eq!(claims.get("iss").and_then(Value::as_str), Some(ISSUER));
    assert_eq!(claims.get("nonce").and_then(Value::as_str), Some(NONCE));
    let audience = match claims.get("aud") {
        Some(Value::Array(items)) => items.clone(),
        other => other.cloned().into_iter().collect(),
    };
    assert!(audience.iter().any(|name| name == CLIENT_ID));
    assert!(audience.len() == 1 || claims.get("azp").is_some_and(|party| party == CLIENT_ID));
    let expires = claims.get("exp").and_then(|exp| exp.as_f64().or_else(|| exp.as_str()?.trim().parse().ok()));
    assert!(expires.is_some_and(|expires| expires + LEEWAY > f64::from(i32::try_from(NOW).expect("before 2038"))));
}

/// A key set: a token that the issuer has signed is accepted only with the key of the issuer in the set.
pub(crate) fn key_set(data: &[u8]) {
    let (variant, keys) = variant(data);
    let algorithms = ["EdDSA", "EdDSA", "RS256", "PS512", "ES256", "ES384"];
    let algorithm = algorithms[usize::from(variant) % algorithms.len()];
    let header = format!(r#"{{"alg":"{algorithm}","kid":"k1"}}"#);
    let claims = format!(
        r#"{{"iss":"{ISSUER}","aud":"{CLIENT_ID}","sub":"sub-1","exp":{},"nonce":"{NONCE}","email":"a@example.test"}}"#,
        NOW + 300
    );
    let token = signed(header.as_bytes(), claims.as_bytes());
    Lab::with(|lab| match identified(lab, true, &token, keys.to_vec()) {
        Ok(Identified { account: Some(_), .. }) => {
            assert_eq!(algorithm, "EdDSA");
            let Some(members) = json::object(keys) else { return };
            let public = key().public_key().as_ref().to_vec();
            let is_key = |key: &Value| {
                let x = key.get("x").and_then(Value::as_str).and_then(|x| URL_SAFE_NO_PAD.decode(x).ok());
                key.get("kty").is_some_and(|kind| kind == "OKP") && x.as_ref() == Some(&public)
            };
            assert!(members.get("keys").and_then(Value::as_array).is_some_and(|keys| keys.iter().any(is_key)));
        }
        Ok(Identified { failure, .. }) => failure.iter().for_each(assert_own_text),
        Err(error) => assert_own_text(&error),
    });
}

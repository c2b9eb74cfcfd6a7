//! Key sets for ID tokens (RFC 7517), fetched and cached. Only public keys are used.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use jsonwebtoken::{Algorithm, DecodingKey};
use moka::future::Cache;

use super::Oauth2Server;
use super::token_response::MAX_RESPONSE;
use crate::codec::{BodyText, Object, Value, json};

/// How long a key set is cached.
const TIME_TO_LIVE: Duration = Duration::from_mins(10);
/// Maximum number of cached key sets.
const MAX_CACHED: u64 = 1000;

/// Key sets by URL.
pub(super) struct KeySets(Cache<String, Arc<Vec<PublicKey>>>);

impl Default for KeySets {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MAX_CACHED).time_to_live(TIME_TO_LIVE).build())
    }
}

/// A key that verifies signatures.
pub(super) struct PublicKey {
    id: Option<String>,
    /// The algorithm it is restricted to, if the set contains one.
    algorithm: Option<String>,
    family: Family,
    key: DecodingKey,
}

/// The algorithms a key is suitable for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// A signature algorithm.
#[derive(Debug, Clone, Copy)]
pub(super) struct SignatureKind {
    name: &'static str,
    family: Family,
    pub(super) algorithm: Algorithm,
}

/// The accepted algorithms. `none` has no signature, and `HS256` would use the client secret as key.
const KINDS: [SignatureKind; 9] = [
    SignatureKind { name: "RS256", family: Family::Rsa, algorithm: Algorithm::RS256 },
    SignatureKind { name: "RS384", family: Family::Rsa, algorithm: Algorithm::RS384 },
    SignatureKind { name: "RS512", family: Family::Rsa, algorithm: Algorithm::RS512 },
    SignatureKind { name: "PS256", family: Family::Rsa, algorithm: Algorithm::PS256 },
    SignatureKind { name: "PS384", family: Family::Rsa, algorithm: Algorithm::PS384 },
    SignatureKind { name: "PS512", family: Family::Rsa, algorithm: Algorithm::PS512 },
    SignatureKind { name: "ES256", family: Family::P256, algorithm: Algorithm::ES256 },
    SignatureKind { name: "ES384", family: Family::P384, algorithm: Algorithm::ES384 },
    SignatureKind { name: "EdDSA", family: Family::Ed25519, algorithm: Algorithm::EdDSA },
];

impl SignatureKind {
    /// The kind for a value of `alg`, if it is accepted.
    pub(super) fn from_name(alg: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.name == alg)
    }
}

impl PublicKey {
    /// Whether this key can verify a signature of this kind and key id.
    pub(super) fn fits(&self, kind: SignatureKind, id: Option<&str>) -> bool {
        self.family == kind.family
            && self.algorithm.as_deref().is_none_or(|meant| meant == kind.name)
            && (id.is_none() || self.id.as_deref() == id)
    }

    pub(super) fn key(&self) -> &DecodingKey {
        &self.key
    }
}

impl Oauth2Server {
    /// The keys at a URL. `None` if there is no key set, or it cannot be read.
    pub(super) async fn key_set(&self, url: &str) -> Option<Arc<Vec<PublicKey>>> {
        let fetch = async { self.fetch_keys(url).await.map(Arc::new) };
        self.key_sets.0.optionally_get_with_by_ref(url, fetch).await
    }

    /// Removes a key set from the cache. Issuers can rotate keys before it expires.
    pub(super) async fn forget_keys(&self, url: &str) {
        self.key_sets.0.invalidate(url).await;
    }

    async fn fetch_keys(&self, url: &str) -> Option<Vec<PublicKey>> {
        let response = self.get_json(url, None, MAX_RESPONSE).await.ok()?;
        if response.status != StatusCode::OK {
            return None;
        }
        let text = BodyText::of(&response.body);
        let body = json::parse_tolerant(&text).ok().filter(|body| !body.repeats("keys"))?;
        let keys = body.get("keys").and_then(Value::as_list)?;
        // Keys of unknown types are skipped (RFC 7517 §5).
        Some(keys.iter().filter_map(Value::as_object).filter_map(public_key).collect())
    }
}

fn public_key(jwk: &Object<'_>) -> Option<PublicKey> {
    let text = |name: &str| jwk.string(name).ok().flatten();
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let (family, key) = match (text("kty")?.as_str(), text("crv").as_deref()) {
        ("RSA", _) => (Family::Rsa, DecodingKey::from_rsa_components(&text("n")?, &text("e")?)),
        ("EC", Some("P-256")) => (Family::P256, DecodingKey::from_ec_components(&text("x")?, &text("y")?)),
        ("EC", Some("P-384")) => (Family::P384, DecodingKey::from_ec_components(&text("x")?, &text("y")?)),
        ("OKP", Some("Ed25519")) => (Family::Ed25519, DecodingKey::from_ed_components(&text("x")?)),
        _ => return None,
    };
    Some(PublicKey { id: text("kid"), algorithm: text("alg"), family, key: key.ok()? })
}

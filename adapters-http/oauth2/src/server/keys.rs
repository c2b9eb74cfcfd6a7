//! Key sets for ID tokens (RFC 7517), fetched and cached. Only public keys are used.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_domain::ports::{ProviderError, ProviderErrorKind, ProviderOperation};
use http::StatusCode;
use jsonwebtoken::{Algorithm, DecodingKey};
use moka::future::Cache;

use super::token_response::MAX_RESPONSE;
use super::{Oauth2Server, at, oauth_error};
use crate::codec::{BodyText, Object, Value, json};

/// How long a key set is cached.
const TIME_TO_LIVE: Duration = Duration::from_mins(10);
/// Maximum number of cached key sets.
const MAX_CACHED: u64 = 1000;

/// The reason of a failure whose status is a client error.
const NO_KEYS: &str = "the keys of the ID token are not available; check the URL of the keys of the issuer";
const NOT_KEYS: &str = "the response is not a key set (RFC 7517); check the URL of the keys of the issuer";

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
    /// `None` if it cannot verify anything: malformed, or of a size that is not accepted.
    key: Option<DecodingKey>,
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
            // Both ids are optional (RFC 7515 §4.1.4, RFC 7517 §4.5).
            && (id.is_none() || self.id.is_none() || self.id.as_deref() == id)
    }

    /// The key itself, if it can verify signatures.
    pub(super) fn key(&self) -> Option<&DecodingKey> {
        self.key.as_ref()
    }
}

impl Oauth2Server {
    /// The keys at a URL, and whether they were cached. An error is not cached.
    pub(super) async fn key_set(&self, url: &str) -> Result<(Arc<Vec<PublicKey>>, bool), ProviderError> {
        let fetch = async { self.fetch_keys(url).await.map(Arc::new) };
        let found = self.key_sets.0.entry_by_ref(url).or_try_insert_with(fetch).await;
        let found = found.map_err(|error| at(ProviderOperation::Userinfo, url)(ProviderError::clone(&error)))?;
        let is_cached = !found.is_fresh();
        Ok((found.into_value(), is_cached))
    }

    /// Removes a key set from the cache. Issuers can rotate keys before it expires.
    pub(super) async fn forget_keys(&self, url: &str) {
        self.key_sets.0.invalidate(url).await;
    }

    async fn fetch_keys(&self, url: &str) -> Result<Vec<PublicKey>, ProviderError> {
        let response = self.get_json(url, None, MAX_RESPONSE, None).await?;
        if response.status != StatusCode::OK {
            let error = oauth_error::from_status(response.status, &response.headers);
            let error = error.unwrap_or_else(|| ProviderErrorKind::Refused.because(NO_KEYS));
            return Err(error.with_status(response.status.as_u16()));
        }
        let malformed = || ProviderErrorKind::Malformed.because(NOT_KEYS).with_status(response.status.as_u16());
        let text = BodyText::of(&response.body);
        let body = json::parse_tolerant(&text).ok().filter(|body| !body.repeats("keys")).ok_or_else(malformed)?;
        let keys = body.get("keys").and_then(Value::as_list).ok_or_else(malformed)?;
        // Keys of unknown types are skipped (RFC 7517 §5).
        Ok(keys.iter().filter_map(Value::as_object).filter_map(public_key).collect())
    }
}

fn public_key(jwk: &Object<'_>) -> Option<PublicKey> {
    let text = |name: &str| jwk.string(name).ok().flatten();
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    let point = || Some([vec![4], bytes("x")?, bytes("y")?].concat());
    let (family, key) = match (text("kty")?.as_str(), text("crv").as_deref()) {
        ("RSA", _) => (Family::Rsa, bytes("n").zip(bytes("e")).and_then(|(modulus, exponent)| rsa(&modulus, &exponent))),
        ("EC", Some("P-256")) => {
            (Family::P256, parsed(&ECDSA_P256_SHA256_FIXED, point()).map(|key| DecodingKey::from_ec_der(&key)))
        }
        ("EC", Some("P-384")) => {
            (Family::P384, parsed(&ECDSA_P384_SHA384_FIXED, point()).map(|key| DecodingKey::from_ec_der(&key)))
        }
        ("OKP", Some("Ed25519")) => {
            (Family::Ed25519, parsed(&ED25519, bytes("x")).map(|key| DecodingKey::from_ed_der(&key)))
        }
        _ => return None,
    };
    Some(PublicKey { id: text("kid"), algorithm: text("alg"), family, key })
}

/// The bytes of a key, if it is one of the algorithm.
fn parsed(algorithm: &'static dyn VerificationAlgorithm, key: Option<Vec<u8>>) -> Option<Vec<u8>> {
    key.filter(|key| ParsedPublicKey::new(algorithm, key).is_ok())
}

/// An RSA key of 2048 to 8192 bits (RFC 7518 §3.3), without leading zeros (§6.3.1), with an odd exponent above 1.
fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<DecodingKey> {
    let is_minimal = |number: &[u8]| number.first().is_some_and(|first| *first != 0);
    let is_large = modulus.len() > 256 || modulus.len() == 256 && modulus[0] >= 0x80;
    let is_odd = exponent.last().is_some_and(|last| last % 2 == 1) && exponent != [1];
    let is_accepted = is_minimal(modulus) && is_minimal(exponent) && is_large && modulus.len() <= 1024 && is_odd;
    is_accepted.then(|| DecodingKey::from_rsa_raw_components(modulus, exponent))
}

//! Validates ID tokens (OIDC Core §3.1.3.7). They identify the connected account and log no user in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_domain::ports::{AnomalyKind, ProviderError};
use grantry_domain::provider::ProviderSnapshot;
use grantry_domain::secret::Secret;
use jsonwebtoken::{DecodingKey, crypto};
use zeroize::Zeroizing;

use super::Oauth2Server;
use super::keys::{PublicKey, SignatureKind};
use crate::codec::{Number, Object, Text, Value, json};

/// Allowed clock skew in seconds.
const LEEWAY: i64 = 60;
/// Maximum number of keys that are tried. Each try hashes the whole token.
const MAX_TRIES: usize = 32;

/// The parts of a token. Header and claims are decoded.
struct Parts<'a> {
    header: Zeroizing<Vec<u8>>,
    claims: Zeroizing<Vec<u8>>,
    signed: &'a str,
    signature: &'a str,
}

/// Why an ID token identifies no account.
pub(super) enum Refusal {
    /// It cannot be read or verified, and proves nothing.
    Unusable(AnomalyKind),
    /// The keys of its issuer could not be fetched, so it proves nothing.
    NoKeys(ProviderError),
    /// It is not the ID token of this consent. Contains what differs, and what to do where that is known.
    Wrong(&'static str),
}

impl Oauth2Server {
    /// Validates an ID token and returns its claims as JSON. If the issuer publishes keys, the signature is verified. Without
    /// keys, the TLS connection to the token endpoint authenticates the issuer (OIDC Core §3.1.3.7, item 6).
    ///
    /// That connection authenticates every ID token, also one whose signature cannot be verified. So wrong claims prove another
    /// consent in any case.
    pub(super) async fn checked_claims(
        &self,
        provider: &ProviderSnapshot,
        issuer: &str,
        token: &Secret,
        nonce: Option<&str>,
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let unreadable = || Refusal::Unusable(AnomalyKind::NotReadable);
        let parts = token.expose_text().and_then(parts).ok_or_else(unreadable)?;
        let now = self.clock.now().as_millis().div_euclid(1000);
        {
            let claims = json::parse_object(&parts.claims).map_err(|_| unreadable())?;
            check(&claims, issuer, &provider.client_id, nonce, now)?;
        }
        let header = json::parse_object(&parts.header).map_err(|_| unreadable())?;
        let text = |name: &str| header.string(name).map_err(|_| unreadable());
        let kind = text("alg")?.as_deref().and_then(SignatureKind::from_name);
        // No critical extension (RFC 7515 §4.1.11) is known.
        let kind = kind.filter(|_| !header.contains("crit")).ok_or(Refusal::Unusable(AnomalyKind::Unsupported))?;
        if let Some(url) = &provider.endpoints.jwks {
            self.verify(url, kind, text("kid")?.as_deref(), &parts).await?;
        }
        Ok(parts.claims)
    }

    async fn verify(&self, url: &str, kind: SignatureKind, id: Option<&str>, parts: &Parts<'_>) -> Result<(), Refusal> {
        let (keys, is_cached) = self.key_set(url).await.map_err(Refusal::NoKeys)?;
        let verified = verified(&keys, kind, id, parts);
        if verified.is_ok() || !is_cached {
            return verified;
        }
        // The issuer can have replaced its keys since, also without another key id.
        self.forget_keys(url).await;
        let (keys, _) = self.key_set(url).await.map_err(Refusal::NoKeys)?;
        self::verified(&keys, kind, id, parts)
    }
}

/// Whether a key verifies the signature. It is wrong only if every key that could be meant was tried.
fn verified(keys: &[PublicKey], kind: SignatureKind, id: Option<&str>, parts: &Parts<'_>) -> Result<(), Refusal> {
    let mut fitting: Vec<_> = keys.iter().filter(|key| key.fits(kind, id)).map(PublicKey::key).collect();
    let is_complete = fitting.len() <= MAX_TRIES;
    fitting.truncate(MAX_TRIES);
    let verifies =
        |key: &DecodingKey| crypto::verify(parts.signature, parts.signed.as_bytes(), key, kind.algorithm).unwrap_or(false);
    if fitting.iter().flatten().any(|key| verifies(key)) {
        return Ok(());
    }
    if !is_complete || fitting.is_empty() || fitting.iter().any(Option::is_none) {
        return Err(Refusal::Unusable(AnomalyKind::Unverified));
    }
    Err(Refusal::Wrong("no key of the issuer verifies the ID token"))
}

fn parts(token: &str) -> Option<Parts<'_>> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok().map(Zeroizing::new);
    Some(Parts { header: decode(header)?, claims: decode(claims)?, signed, signature })
}

/// Checks the claims. Without issuer, audience or expiry they prove nothing. A nonce that was sent must be returned, because it
/// protects against an injected code.
fn check(claims: &Object<'_>, issuer: &str, client_id: &str, nonce: Option<&str>, now: i64) -> Result<(), Refusal> {
    let text = |name: &str| claims.string(name).ok().flatten();
    if nonce.is_some_and(|sent| text("nonce").as_deref() != Some(sent)) {
        return Err(Refusal::Wrong("the nonce in the ID token is not that of the request"));
    }
    let incomplete = || Refusal::Unusable(AnomalyKind::NotReadable);
    let found = text("iss").ok_or_else(incomplete)?;
    if found != issuer {
        let is_slash = found.trim_end_matches('/') == issuer.trim_end_matches('/');
        return Err(Refusal::Wrong(if is_slash {
            "the issuer in the ID token differs from the configured one by a slash at the end; correct the issuer"
        } else {
            "the issuer in the ID token is not the configured one; correct the issuer, or remove it to use userinfo instead"
        }));
    }
    let audience = match claims.get("aud") {
        Some(Value::List(items)) => items.as_slice(),
        Some(single) => std::slice::from_ref(single),
        None => &[],
    };
    let audience: Option<Vec<_>> = audience.iter().map(|name| name.as_text().map(Text::decode)).collect();
    let audience = audience.ok_or_else(incomplete)?;
    let party = claims.string("azp").map_err(|_| incomplete())?;
    let is_other_party = party.as_deref().is_some_and(|party| party != client_id);
    if is_other_party || !audience.is_empty() && !audience.iter().any(|name| name == client_id) {
        return Err(Refusal::Wrong("the ID token was issued for another client; check the client id"));
    }
    let expires = claims.get("exp").and_then(Value::as_scalar).and_then(|text| Number::parse(text.trim()));
    let expires = i64::try_from(expires.ok_or_else(incomplete)?.whole).unwrap_or(i64::MAX);
    if expires.saturating_add(LEEWAY) <= now {
        return Err(Refusal::Wrong("the ID token has expired; check the clock"));
    }
    // Of several audiences, the authorized party names the client (OIDC Core §3.1.3.7, item 4).
    if audience.len() == 1 || party.is_some() && !audience.is_empty() { Ok(()) } else { Err(incomplete()) }
}

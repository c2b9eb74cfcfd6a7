//! Validates ID tokens (OIDC Core §3.1.3.7). They identify the connected account and log no user in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_domain::ports::{ProviderError, ProviderErrorKind};
use grantry_domain::provider::ProviderSnapshot;
use grantry_domain::secret::Secret;
use jsonwebtoken::crypto;
use zeroize::Zeroizing;

use super::Oauth2Server;
use super::keys::{PublicKey, SignatureKind};
use crate::codec::{Object, Text, Value, json};

/// Allowed clock skew in seconds.
const LEEWAY: i64 = 60;

/// The parts of a token. Header and claims are decoded.
struct Parts<'a> {
    header: Zeroizing<Vec<u8>>,
    claims: Zeroizing<Vec<u8>>,
    signed: &'a str,
    signature: &'a str,
}

impl Oauth2Server {
    /// Validates an ID token and returns its claims as JSON. If the issuer publishes keys, the signature is verified. Without
    /// keys, the TLS connection to the token endpoint authenticates the issuer (OIDC Core §3.1.3.7, item 6).
    pub(super) async fn checked_claims(
        &self,
        provider: &ProviderSnapshot,
        issuer: &str,
        token: &Secret,
        nonce: Option<&str>,
    ) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        let parts = token.expose_text().and_then(parts).ok_or_else(|| invalid("the ID token is not a signed JWT"))?;
        let header = json::parse_object(&parts.header).map_err(|_| invalid(HEADER))?;
        let text = |name: &str| header.string(name).map_err(|_| invalid(HEADER));
        let kind = text("alg")?.as_deref().and_then(SignatureKind::from_name);
        let kind = kind.ok_or_else(|| invalid("the ID token is signed with an algorithm that is not accepted"))?;
        if header.get("crit").is_some() {
            return Err(invalid("the ID token contains a critical extension"));
        }
        let now = self.clock.now().as_millis().div_euclid(1000);
        {
            let claims = json::parse_object(&parts.claims).map_err(|_| invalid(CLAIMS))?;
            if let Some(problem) = problem_of(&claims, issuer, &provider.client_id, nonce, now) {
                return Err(invalid(problem));
            }
        }
        if let Some(url) = &provider.endpoints.jwks {
            self.verify(url, kind, text("kid")?.as_deref(), &parts).await?;
        }
        Ok(parts.claims)
    }

    async fn verify(
        &self,
        url: &str,
        kind: SignatureKind,
        id: Option<&str>,
        parts: &Parts<'_>,
    ) -> Result<(), ProviderError> {
        let fitting = |key: &&PublicKey| key.fits(kind, id);
        let mut keys = self.key_set(url).await?;
        if keys.iter().find(fitting).is_none() {
            self.forget_keys(url).await;
            keys = self.key_set(url).await?;
        }
        let verifies = |key: &PublicKey| {
            crypto::verify(parts.signature, parts.signed.as_bytes(), key.key(), kind.algorithm).unwrap_or(false)
        };
        if keys.iter().filter(fitting).any(verifies) {
            Ok(())
        } else {
            Err(invalid("no key of the issuer verifies the ID token"))
        }
    }
}

const HEADER: &str = "the header of the ID token is not valid";
const CLAIMS: &str = "the claims of the ID token are not a valid JSON object";

fn invalid(problem: &'static str) -> ProviderError {
    ProviderErrorKind::Malformed.because(problem)
}

fn parts(token: &str) -> Option<Parts<'_>> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok().map(Zeroizing::new);
    Some(Parts { header: decode(header)?, claims: decode(claims)?, signed, signature })
}

/// What is wrong with the claims, and what to do where that is known. `None` if they are valid.
fn problem_of(claims: &Object<'_>, issuer: &str, client_id: &str, nonce: Option<&str>, now: i64) -> Option<&'static str> {
    let text = |name: &str| claims.string(name).ok().flatten();
    let audience: Vec<_> = match claims.get("aud") {
        Some(Value::List(items)) => items.iter().filter_map(Value::as_text).map(Text::decode).collect(),
        Some(single) => single.as_text().map(Text::decode).into_iter().collect(),
        None => Vec::new(),
    };
    let is_authorized_party = match text("azp") {
        Some(party) => party == client_id,
        None => audience.len() == 1,
    };
    let expires = claims.get("exp").and_then(Value::as_scalar).and_then(|text| whole_seconds(&text));
    let found = text("iss").unwrap_or_default();
    if found != issuer {
        let is_slash = found.trim_end_matches('/') == issuer.trim_end_matches('/');
        return Some(if is_slash {
            "the issuer in the ID token differs from the configured one by a slash at the end; correct the issuer"
        } else {
            "the issuer in the ID token is not the configured one; correct the issuer, or remove it to use userinfo instead"
        });
    }
    if !audience.iter().any(|name| name == client_id) || !is_authorized_party {
        return Some("the ID token was issued for another client; check the client id");
    }
    if expires.is_none_or(|at| at.saturating_add(LEEWAY) <= now) {
        return Some("the ID token has expired or has no expiry; check the clock");
    }
    if nonce.is_some_and(|sent| text("nonce").as_deref() != Some(sent)) {
        return Some("the nonce in the ID token is not that of the request");
    }
    None
}

fn whole_seconds(text: &str) -> Option<i64> {
    text.split('.').next()?.parse().ok()
}

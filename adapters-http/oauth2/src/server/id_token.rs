//! Checking an ID token (OIDC Core §3.1.3.7). It names an account; nobody is logged in by it (R35).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_domain::ports::ProviderError;
use grantry_domain::provider::ProviderSnapshot;
use grantry_domain::secret::Secret;
use jsonwebtoken::crypto;
use zeroize::Zeroizing;

use super::Oauth2Server;
use super::keys::{PublicKey, SignatureKind};
use crate::codec::{Object, Text, Value, json};

/// How far clocks may differ, in seconds.
const LEEWAY: i64 = 60;

/// The three parts of a token, of which the first two are decoded.
struct Parts<'a> {
    header: Zeroizing<Vec<u8>>,
    claims: Zeroizing<Vec<u8>>,
    signed: &'a str,
    signature: &'a str,
}

impl Oauth2Server {
    /// Checks an ID token and gives its claims as JSON. Where the issuer publishes keys the signature is checked; without
    /// keys the token is as good as the TLS connection to the token endpoint that it came through.
    pub(super) async fn checked_claims(
        &self,
        provider: &ProviderSnapshot,
        issuer: &str,
        token: &Secret,
        nonce: Option<&str>,
    ) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        const MALFORMED: ProviderError = ProviderError::Malformed;
        let parts = parts(token.expose_text().ok_or(MALFORMED)?).ok_or(MALFORMED)?;
        let header = json::parse_object(&parts.header).map_err(|_| MALFORMED)?;
        let text = |name: &str| header.string(name).map_err(|_| MALFORMED);
        let kind = text("alg")?.as_deref().and_then(SignatureKind::from_name).ok_or(MALFORMED)?;
        if header.get("crit").is_some() {
            return Err(MALFORMED);
        }
        let now = self.clock.now().as_millis().div_euclid(1000);
        {
            let claims = json::parse_object(&parts.claims).map_err(|_| MALFORMED)?;
            if !claims_are_valid(&claims, issuer, &provider.client_id, nonce, now) {
                return Err(MALFORMED);
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
        if keys.iter().filter(fitting).any(verifies) { Ok(()) } else { Err(ProviderError::Malformed) }
    }
}

fn parts(token: &str) -> Option<Parts<'_>> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok().map(Zeroizing::new);
    Some(Parts { header: decode(header)?, claims: decode(claims)?, signed, signature })
}

fn claims_are_valid(claims: &Object<'_>, issuer: &str, client_id: &str, nonce: Option<&str>, now: i64) -> bool {
    let text = |name: &str| claims.string(name).ok().flatten();
    let audience: Vec<_> = match claims.get("aud") {
        Some(Value::List(items)) => items.iter().filter_map(Value::as_text).map(Text::decode).collect(),
        Some(single) => single.as_text().map(Text::decode).into_iter().collect(),
        None => Vec::new(),
    };
    let for_us = audience.iter().any(|name| name == client_id);
    let presented_by_us = match text("azp") {
        Some(party) => party == client_id,
        None => audience.len() == 1,
    };
    let expires = claims.get("exp").and_then(Value::as_scalar).and_then(|text| whole_seconds(&text));
    text("iss").as_deref() == Some(issuer)
        && for_us
        && presented_by_us
        && expires.is_some_and(|at| at.saturating_add(LEEWAY) > now)
        && nonce.is_none_or(|sent| text("nonce").as_deref() == Some(sent))
}

fn whole_seconds(text: &str) -> Option<i64> {
    text.split('.').next()?.parse().ok()
}

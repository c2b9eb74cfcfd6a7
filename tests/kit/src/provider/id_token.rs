//! ID tokens (OIDC Core §2): ES256 over a P-256 key, published at the JWKS route.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::clock::Moment;
use super::config::User;
use super::secret::s256;

const LIFE_SECONDS: u64 = 3600;

/// The provider's key for ID tokens.
pub(super) struct SigningKey {
    pair: EcdsaKeyPair,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid()).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Reads the key from the state, or creates one and stores it there.
    pub(super) fn restore_or_make(stored: &mut Option<String>) -> Self {
        let restored = stored
            .as_ref()
            .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
            .and_then(|bytes| EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &bytes).ok());
        let pair = restored.unwrap_or_else(|| {
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .expect("a P-256 key can be made");
            *stored = Some(URL_SAFE_NO_PAD.encode(pkcs8.as_ref()));
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).expect("a key just made can be read")
        });
        Self { pair }
    }

    /// The key set with the public half (RFC 7517).
    pub(super) fn jwks(&self) -> Value {
        let (x, y) = self.point();
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid(), "x": x, "y": y }] })
    }

    /// An ID token about `user` for `client_id`.
    pub(super) fn id_token(&self, issuer: &str, user: &User, client_id: &str, nonce: Option<&str>, now: Moment) -> String {
        let issued_at = now.unix_seconds();
        let mut claims = json!({
            "iss": issuer,
            "sub": user.subject,
            "aud": client_id,
            "iat": issued_at,
            "exp": issued_at + LIFE_SECONDS,
            "email": user.email,
            "name": user.name,
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        let header = json!({ "typ": "JWT", "alg": "ES256", "kid": self.kid() });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).expect("a P-256 key signs any message");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    fn kid(&self) -> String {
        let (x, y) = self.point();
        s256(&format!("{x}.{y}")).chars().take(12).collect()
    }

    /// Both coordinates of the public point, base64url; the key holds them as `04 ‖ x ‖ y`.
    fn point(&self) -> (String, String) {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y))
    }
}

//! API keys of back ends: `Authorization: Bearer gak_…`.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use grantry_domain::ports::TokenVault;
use grantry_domain::secret::equal_in_constant_time;
use http::{HeaderMap, header};

use crate::auth::{AgentPrincipal, AuthenticationError, Authenticator, Principal};

/// A key as the configuration has it: never the key itself.
#[derive(Debug, Clone)]
pub struct AgentKey {
    /// SHA-256 of the whole key, `gak_` included.
    pub key_sha256: [u8; 32],
    /// Whose it is, and what they may do.
    pub agent: AgentPrincipal,
}

/// Recognises agents, and asks `people` about everybody else.
pub struct AgentKeys {
    keys: Vec<AgentKey>,
    vault: Arc<dyn TokenVault>,
    people: Arc<dyn Authenticator>,
}

impl AgentKeys {
    /// Keys in front of another authenticator. The vault is used for its hash alone.
    pub fn new(keys: Vec<AgentKey>, vault: Arc<dyn TokenVault>, people: Arc<dyn Authenticator>) -> Self {
        Self { keys, vault, people }
    }

    fn agent(&self, key: &str) -> Option<Principal> {
        let presented = self.vault.fingerprint(key.as_bytes());
        // Every key is compared, and each in constant time.
        let mut found = None;
        for known in &self.keys {
            if equal_in_constant_time(&known.key_sha256, &presented) {
                found = Some(Principal::Agent(known.agent.clone()));
            }
        }
        found
    }
}

#[async_trait]
impl Authenticator for AgentKeys {
    async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Option<Principal>, AuthenticationError> {
        // Whoever presents a key is that agent or nobody, whatever cookies come along.
        match headers.get(header::AUTHORIZATION).map(|value| value.to_str().ok().and_then(bearer)) {
            Some(Some(key)) if key.starts_with("gak_") => Ok(self.agent(key)),
            Some(_) | None => self.people.authenticate(headers, peer).await,
        }
    }
}

/// The token of a bearer credential (RFC 6750 §2.1); the scheme's name is case-insensitive.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

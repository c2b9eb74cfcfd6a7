//! API keys of back ends: `Authorization: Bearer gak_…`.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use grantry_domain::secret::equal_in_constant_time;
use http::{HeaderMap, HeaderName, header};
use sha2::{Digest, Sha256};

use crate::auth::authenticator::{AgentPrincipal, AuthenticationError, Authenticator, Principal};

/// A key in the configuration, by its hash.
#[derive(Debug, Clone)]
pub struct AgentKey {
    /// SHA-256 of the whole key, `gak_` included.
    pub key_sha256: [u8; 32],
    /// The agent and what it may do.
    pub agent: AgentPrincipal,
}

/// Authenticates agents by their keys, and passes every other request on.
pub struct AgentKeys {
    keys: Vec<AgentKey>,
    users: Arc<dyn Authenticator>,
}

impl AgentKeys {
    /// Keys in front of the authenticator of users.
    pub fn new(keys: Vec<AgentKey>, users: Arc<dyn Authenticator>) -> Self {
        Self { keys, users }
    }

    fn agent(&self, key: &str) -> Option<Principal> {
        let presented = Sha256::digest(key.as_bytes());
        // Every key is compared, each in constant time.
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
        // A presented key decides; cookies beside it are ignored.
        match headers.get(header::AUTHORIZATION).map(|value| value.to_str().ok().and_then(bearer)) {
            Some(Some(key)) if key.starts_with("gak_") => Ok(self.agent(key)),
            Some(_) | None => self.users.authenticate(headers, peer).await,
        }
    }

    fn credential_fields(&self) -> Vec<HeaderName> {
        self.users.credential_fields()
    }
}

/// The token of a bearer credential (RFC 6750 §2.1); the scheme's name is case-insensitive.
pub(crate) fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

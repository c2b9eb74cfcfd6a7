//! The version of what a user was shown before a flow.

use crate::encoding::{FieldWriter, base64url, from_base64url, sha256};
use crate::provider::{BindingDigest, Endpoints, ProviderSettings};

/// Identifies what a user was shown. It changes with everything that decides who receives something,
/// and with the scopes that are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsentVersion {
    /// Hash of the binding digest and of the requested scopes.
    settings: [u8; 32],
    /// Hash of the endpoints that the issuer's metadata named.
    discovered: Option<[u8; 32]>,
}

impl ConsentVersion {
    /// The version of the settings alone. With an issuer, it lacks the endpoints that metadata names, so that no start is
    /// possible with it.
    pub(super) fn of_settings(settings: &ProviderSettings, digest: BindingDigest) -> Self {
        let scopes = settings.requested_scopes.to_record();
        let fields = FieldWriter::default().bytes(0x01, &digest.0).bytes(0x02, scopes.as_bytes());
        Self { settings: sha256(&fields.finish()), discovered: None }
    }

    /// Adds the endpoints that the issuer's metadata named.
    #[must_use]
    pub fn with_discovered(self, endpoints: &Endpoints) -> Self {
        Self { discovered: Some(hash_of(endpoints)), ..self }
    }

    /// Whether it covers these settings, whose version is `live`. With an issuer, it must also cover the endpoints.
    pub(super) fn is_of(&self, live: Self, settings: &ProviderSettings) -> bool {
        self.settings == live.settings && self.discovered.is_some() == settings.endpoints.is_none()
    }

    /// Whether a flow may use these endpoints: those of the settings, or those of the issuer that were shown.
    pub(super) fn allows(&self, endpoints: &Endpoints) -> bool {
        self.discovered.is_none_or(|shown| shown == hash_of(endpoints))
    }

    /// The hashes as base64url, separated by a period.
    pub fn to_text(self) -> String {
        let settings = base64url(&self.settings);
        match self.discovered {
            Some(discovered) => format!("{}.{}", &*settings, &*base64url(&discovered)),
            None => settings.to_string(),
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        let (settings, discovered) = match text.split_once('.') {
            Some((settings, discovered)) => (settings, Some(from_base64url(discovered)?)),
            None => (text, None),
        };
        Some(Self { settings: from_base64url(settings)?, discovered })
    }
}

/// Covers the endpoints that receive something; the tags are those of the binding digest.
fn hash_of(endpoints: &Endpoints) -> [u8; 32] {
    let fields = FieldWriter::default()
        .bytes(0x04, endpoints.authorization.as_bytes())
        .bytes(0x05, endpoints.token.as_bytes())
        .optional(0x06, endpoints.revocation.as_deref().map(str::as_bytes))
        .optional(0x07, endpoints.refresh.as_deref().map(str::as_bytes))
        .optional(0x08, endpoints.userinfo.as_deref().map(str::as_bytes));
    sha256(&fields.finish())
}

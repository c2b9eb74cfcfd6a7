//! Connectors: named configurations of one provider, each in exactly one space.

use std::fmt;

use crate::display::acts_on_output;
use crate::encoding::{base64url, from_base64url};
use crate::identity::{InvalidId, SpaceId, path_safe, text_id};
use crate::row_tag::RowTag;
use crate::time::Timestamp;

text_id!(
    /// The id of a connector within its space: the same id may exist in two spaces. At most 64 URL-safe characters.
    ConnectorId,
    |value| path_safe("connector id", value, 64)
);

text_id!(
    /// The id of a provider profile, such as `.github`; `.oauth2` stands for hand-written endpoints.
    ProfileId,
    |value| match value.strip_prefix('.') {
        Some(name) => path_safe("connector type id", name, 63),
        None => Err(InvalidId { kind: "connector type id", problem: "must start with '.'" }),
    }
);

/// Space and id of a connector.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectorKey {
    /// The space. Never changes.
    pub space: SpaceId,
    /// The id within the space.
    pub id: ConnectorId,
}

/// 16 random bytes drawn at creation: they distinguish a connector from an earlier one with the same id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub [u8; 16]);

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incarnation({})", crate::encoding::hex(&self.0))
    }
}

/// Counter of a connector, incremented exactly when its binding digest changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of a new connector.
    pub const FIRST: Self = Self(1);

    /// The epoch after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Random id in a connector's callback path, unique in the deployment. Drawn at creation; edits keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallbackId(pub [u8; 16]);

impl CallbackId {
    /// The text in the callback path.
    pub fn to_text(self) -> String {
        base64url(&self.0).to_string()
    }

    /// Reads the text of a callback path.
    pub fn parse(text: &str) -> Option<Self> {
        from_base64url(text).map(Self)
    }
}

/// Which account a connector runs with. Fixed at creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Every user connects an account.
    PerUser,
    /// A service account: client credentials grant (RFC 6749 §4.4), its token in memory only.
    Shared,
}

impl AuthMode {
    /// The name used in the API and in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PerUser => "per-user",
            Self::Shared => "shared",
        }
    }

    /// Reads the name used in the API and in records.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "per-user" => Some(Self::PerUser),
            "shared" => Some(Self::Shared),
            _ => None,
        }
    }
}

/// A display name: 1 to 200 characters, no control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorName(String);

impl ConnectorName {
    /// Checks and wraps a name.
    pub fn new(value: impl Into<String>) -> Result<Self, InvalidId> {
        let value = value.into();
        let kind = "connector name";
        if value.chars().all(|character| character.is_whitespace() || acts_on_output(character)) {
            return Err(InvalidId { kind, problem: "must not be empty" });
        }
        if value.chars().count() > 200 {
            return Err(InvalidId { kind, problem: "must not be longer than 200 characters" });
        }
        // Joiners and variation selectors belong to the spelling of words and to emoji.
        let is_spelling = |character| matches!(character, '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}');
        if value.chars().any(|character| acts_on_output(character) && !is_spelling(character)) {
            return Err(InvalidId { kind, problem: "must not contain control or formatting characters" });
        }
        Ok(Self(value))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The configuration of a connector: profile, settings of the profile, and client id.
///
/// The settings are a JSON object as text. The domain does not parse them; the `ProviderProfiles` port does, and refuses
/// unknown fields by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorConfig {
    /// The profile, or `.oauth2` for hand-written endpoints.
    pub profile: ProfileId,
    /// The profile's settings: a JSON object, at most 16 KiB.
    pub settings: String,
    /// The client id registered at the provider, once it is known.
    pub client_id: Option<String>,
}

/// A connector as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connector {
    /// Space and id.
    pub key: ConnectorKey,
    /// Display name.
    pub name: ConnectorName,
    /// Provider configuration.
    pub config: ConnectorConfig,
    /// Per user, or shared.
    pub auth_mode: AuthMode,
    /// Distinguishes this connector from an earlier one with the same id.
    pub incarnation: Incarnation,
    /// Incremented by every edit that ends grants.
    pub epoch: Epoch,
    /// Id in the connector's callback path, used where the settings require one.
    pub callback_id: CallbackId,
    /// Whether a client secret of the present epoch is stored.
    pub has_client_secret: bool,
    /// Incremented by every edit, for optimistic concurrency of editors.
    pub revision: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last edited.
    pub updated_at: Timestamp,
    /// Authenticates all of the above.
    pub tag: RowTag,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_shadow_a_route_are_refused() {
        assert!(ConnectorId::new("drive-1").is_ok());
        for bad in ["_oauth_callback", "", "a/b", "..", "%2e"] {
            assert!(ConnectorId::new(bad).is_err(), "{bad:?}");
        }
        assert!(ProfileId::new(".oauth2").is_ok());
        assert!(ProfileId::new("oauth2").is_err());
    }

    #[test]
    fn callback_ids_round_trip() {
        let callback_id = CallbackId([7; 16]);
        assert_eq!(CallbackId::parse(&callback_id.to_text()), Some(callback_id));
        assert_eq!(CallbackId::parse("short"), None);
    }
}

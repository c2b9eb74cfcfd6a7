//! Provider profiles, as the console needs them to build a form.

use grantry_domain::connector::AuthMode;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// A provider profile from which connectors can be created.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConnectorType {
    /// Profile id, such as `.github`.
    #[schema(example = ".github")]
    pub id: String,
    /// Display name.
    pub name: String,
    /// Documentation of the provider about registering an application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docs_url: Option<String>,
    /// The redirect URI to register, if it is known before the connector exists: the shared one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    /// The modes its connectors may have.
    pub auth_modes: Vec<AuthModeName>,
    /// Its settings, in the order of the form.
    pub fields: Vec<ConnectorTypeField>,
}

/// Which account a connector uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AuthMode)]
#[serde(rename_all = "kebab-case")]
pub enum AuthModeName {
    /// Every user connects an account.
    PerUser,
    /// The service account of the connector.
    Shared,
}

/// Derived code would also accept an object with the name as its field.
impl<'de> Deserialize<'de> for AuthModeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let mode = AuthMode::parse(&name).map(Self::from);
        mode.ok_or_else(|| D::Error::unknown_variant(&name, &["per-user", "shared"]))
    }
}

impl From<AuthModeName> for AuthMode {
    fn from(name: AuthModeName) -> Self {
        match name {
            AuthModeName::PerUser => Self::PerUser,
            AuthModeName::Shared => Self::Shared,
        }
    }
}

impl From<AuthMode> for AuthModeName {
    fn from(mode: AuthMode) -> Self {
        match mode {
            AuthMode::PerUser => Self::PerUser,
            AuthMode::Shared => Self::Shared,
        }
    }
}

/// One setting of a profile.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConnectorTypeField {
    /// Name in `config`.
    #[schema(example = "tenantId")]
    pub name: String,
    /// Display name.
    pub label: String,
    /// What to enter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Kind of its value.
    pub kind: FieldKind,
    /// Whether the connector cannot be used without it.
    pub required: bool,
    /// Value that applies if nothing is entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Regular expression that the value must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Values to choose from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// Kind of the value of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// One line of text.
    Text,
    /// An absolute URL.
    Url,
    /// One of `options`.
    Choice,
    /// True or false.
    Flag,
    /// A list of strings.
    List,
    /// An object with strings as values.
    Map,
}

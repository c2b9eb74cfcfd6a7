//! Provider profiles, as the console needs them to build a form.

use grantry_domain::connector::AuthMode;
use grantry_domain::time::Timestamp;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// A provider profile from which connectors can be created.
#[derive(Debug, Clone)]
pub struct ConnectorType {
    /// Profile id, such as `.github`.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Documentation of the provider about registering an application.
    pub docs_url: Option<String>,
    /// The redirect URI to register, if it is known before the connector exists: the shared one.
    pub redirect_uri: Option<String>,
    /// The modes its connectors may have.
    pub auth_modes: Vec<AuthModeName>,
    /// Its settings, in the order of the form.
    pub fields: Vec<ConnectorTypeField>,
    /// When the provider ends the service that the profile describes, if that is announced.
    pub sunset: Option<Timestamp>,
    /// How a client is registered at the provider. `None` if that depends on the settings.
    pub setup: Option<ConnectorTypeSetup>,
    /// What users and editors should be aware of.
    pub notes: Vec<String>,
}

/// How a client is registered at the provider.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConnectorTypeSetup {
    /// The page on which clients are registered.
    pub register_url: String,
    /// What to do there, in order. `{redirect_uri}` stands for the redirect URI of the connector.
    pub steps: Vec<String>,
    /// The page that lists the scopes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes_url: Option<String>,
    /// The name of the provider's logo in the collection simple-icons.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "github")]
    pub icon: Option<String>,
}

impl ConnectorType {
    /// Whether its sunset has passed.
    pub(crate) fn is_deprecated(&self, now: Timestamp) -> bool {
        self.sunset.is_some_and(|sunset| sunset <= now)
    }
}

/// A provider profile in a response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectorType)]
#[expect(clippy::struct_excessive_bools, reason = "names of the contract")]
pub(crate) struct ListedConnectorType {
    /// Profile id, such as `.github`.
    #[schema(example = ".github")]
    id: String,
    /// Display name.
    name: String,
    /// Documentation of the provider about registering an application.
    #[serde(skip_serializing_if = "Option::is_none")]
    docs_url: Option<String>,
    /// The redirect URI to register, if it is known before the connector exists: the shared one.
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_uri: Option<String>,
    /// The modes its connectors may have.
    auth_modes: Vec<AuthModeName>,
    /// Its settings, in the order of the form.
    fields: Vec<ConnectorTypeField>,
    /// How a client is registered at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    setup: Option<ConnectorTypeSetup>,
    /// What users and editors should be aware of, in English.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// Whether the sunset of the provider's service has passed.
    is_deprecated: bool,
    /// Always true. For front ends of an earlier API.
    enabled: bool,
    /// Always true. For front ends of an earlier API.
    enabled_in_config: bool,
    /// Always true. For front ends of an earlier API.
    enabled_in_license: bool,
    /// Always `basic`. For front ends of an earlier API.
    minimum_license_required: &'static str,
    /// Always `workflows` only. For front ends of an earlier API.
    supported_feature_ids: [&'static str; 1],
    /// Always false. For front ends of an earlier API.
    is_system_action_type: bool,
    /// Always `spec`. For front ends of an earlier API.
    source: &'static str,
}

impl ListedConnectorType {
    pub(crate) fn of(kind: &ConnectorType, now: Timestamp) -> Self {
        Self {
            id: kind.id.clone(),
            name: kind.name.clone(),
            docs_url: kind.docs_url.clone(),
            redirect_uri: kind.redirect_uri.clone(),
            auth_modes: kind.auth_modes.clone(),
            fields: kind.fields.clone(),
            setup: kind.setup.clone(),
            notes: kind.notes.clone(),
            is_deprecated: kind.is_deprecated(now),
            enabled: true,
            enabled_in_config: true,
            enabled_in_license: true,
            minimum_license_required: "basic",
            supported_feature_ids: ["workflows"],
            is_system_action_type: false,
            source: "spec",
        }
    }
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

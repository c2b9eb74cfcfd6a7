//! The list of connector types for whoever creates a connector.

use grantry_domain::provider::CallbackPath;

use super::Profiles;

/// A kind of connector that can be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorType {
    /// The profile's id, such as `.github`.
    pub id: String,
    /// Name for people.
    pub title: String,
    /// The vendor's documentation.
    pub source: Option<String>,
    /// The settings that stand in `config`.
    pub fields: Vec<ConnectorTypeField>,
    /// Values of `auth_mode` that work with it.
    pub auth_modes: Vec<&'static str>,
    /// Which redirect URI its connectors register: the shared one or their own. `None`: it depends on the settings.
    pub callback: Option<CallbackPath>,
}

/// A setting of a connector type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorTypeField {
    /// Its name in `config`.
    pub name: String,
    /// Name for people.
    pub label: String,
    /// Whether it must be given.
    pub required: bool,
    /// One sentence of help.
    pub help: String,
    /// The values it takes, when they are few and fixed.
    pub values: Vec<String>,
}

impl Profiles {
    /// The connector types that can be used in this deployment, `.oauth2` first.
    pub fn connector_types(&self) -> Vec<ConnectorType> {
        let profiles = self.known.values().map(|profile| {
            let variables = profile.settings_fields().map(|(name, variable)| ConnectorTypeField {
                name: name.to_owned(),
                label: variable.label.clone(),
                required: variable.default.is_none(),
                help: variable.help.clone(),
                values: variable.values.clone(),
            });
            let scope = field("scope", "Scopes", false, "Permissions to ask for, separated by spaces.", &[]);
            ConnectorType {
                id: profile.id.as_str().to_owned(),
                title: profile.title.clone(),
                source: Some(profile.source.clone()),
                fields: variables.chain([scope]).collect(),
                auth_modes: if profile.client_credentials { vec!["per-user", "shared"] } else { vec!["per-user"] },
                callback: Some(profile.callback),
            }
        });
        let custom = ConnectorType {
            id: self.custom.as_str().to_owned(),
            title: "OAuth 2.0".to_owned(),
            source: None,
            fields: custom_fields(),
            auth_modes: vec!["per-user", "shared"],
            callback: None,
        };
        let denied = |kind: &ConnectorType| self.options.deny.iter().any(|id| id.as_str() == kind.id);
        std::iter::once(custom).chain(profiles).filter(|kind| !denied(kind)).collect()
    }
}

fn field(name: &str, label: &str, required: bool, help: &str, values: &[&str]) -> ConnectorTypeField {
    ConnectorTypeField {
        name: name.to_owned(),
        label: label.to_owned(),
        required,
        help: help.to_owned(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    }
}

fn custom_fields() -> Vec<ConnectorTypeField> {
    let optional = |name, label, help| field(name, label, false, help, &[]);
    vec![
        optional("issuer", "Issuer", "Alone, it finds the endpoints by the provider's metadata."),
        optional(
            "authorizationUrl",
            "Authorization URL",
            "Where people give their consent; unless an issuer is given alone.",
        ),
        optional("tokenUrl", "Token URL", "Where codes and refresh tokens are exchanged."),
        optional("revocationUrl", "Revocation URL", "Where tokens are revoked (RFC 7009)."),
        optional("userinfoUrl", "Userinfo URL", "Tells which account was connected."),
        optional("scope", "Scopes", "Permissions to ask for."),
        optional("scopeParameter", "Scope parameter", "Name of the parameter that carries the scopes; scope by default."),
        optional("scopeSeparator", "Scope separator", "What stands between scopes; a space by default."),
        field("clientAuth", "Client authentication", false, "How the client secret is sent.", &["basic", "post", "none"]),
        field("pkce", "PKCE", false, "Off only for hosts that the operator lists.", &["required", "off"]),
        optional("extraAuthorizationParameters", "Additional parameters", "Further parameters of the authorization URL."),
        field("baseUrl", "API base URL", true, "Calls are made below this URL.", &[]),
        optional("destinations", "Destinations", "Origins that may receive tokens; the API's own by default."),
    ]
}

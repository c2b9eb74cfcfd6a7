//! The list of connector types, for the creation of connectors.

use grantry_domain::provider::CallbackPath;

use super::Profiles;

/// A connector type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorType {
    /// The profile's id, such as `.github`.
    pub id: String,
    /// Display name.
    pub title: String,
    /// The vendor's documentation.
    pub source: Option<String>,
    /// The settings in `config`.
    pub fields: Vec<ConnectorTypeField>,
    /// Supported values of `auth_mode`.
    pub auth_modes: Vec<&'static str>,
    /// The redirect URI that its connectors register. `None` if it depends on the settings.
    pub callback: Option<CallbackPath>,
    /// The day on which the vendor ends the service, such as `2026-01-31`, if that is announced.
    pub sunset: Option<String>,
    /// How a client is registered. `None` for `.oauth2`.
    pub setup: Option<ConnectorTypeSetup>,
    /// What users and editors should be aware of.
    pub notes: Vec<String>,
}

/// How a client is registered at the vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorTypeSetup {
    /// Where clients are registered.
    pub console_url: String,
    /// Sentences. `{redirect_uri}` stands for the redirect URI of the connector.
    pub steps: Vec<String>,
    /// The page that lists the scopes.
    pub scopes_url: Option<String>,
    /// The name of the logo in the collection simple-icons.
    pub icon: Option<String>,
}

/// A setting of a connector type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorTypeField {
    /// Name in `config`.
    pub name: String,
    /// Display name.
    pub label: String,
    /// Whether a value is required.
    pub required: bool,
    /// One sentence of help.
    pub help: String,
    /// The possible values, if they are fixed.
    pub values: Vec<String>,
    /// The value that applies if none is set.
    pub default: Option<String>,
}

impl Profiles {
    /// The connector types available in this deployment, `.oauth2` first.
    pub fn connector_types(&self) -> Vec<ConnectorType> {
        let profiles = self.known.values().map(|profile| {
            let variables = profile.settings_fields().map(|(name, variable)| ConnectorTypeField {
                name: name.to_owned(),
                label: variable.label.clone(),
                required: variable.default.is_none(),
                help: variable.help.clone(),
                values: variable.values.clone(),
                default: variable.default.clone(),
            });
            let scope = field("scope", "Scopes", false, "The permissions to request, separated by spaces.", &[]);
            let variables = variables.chain([scope, required_scopes_field(), resource_field(), refresh_errors_field()]);
            ConnectorType {
                id: profile.id.as_str().to_owned(),
                title: profile.file.title.clone(),
                source: Some(profile.file.source.clone()),
                fields: variables.collect(),
                auth_modes: if profile.file.client.client_credentials {
                    vec!["per-user", "shared"]
                } else {
                    vec!["per-user"]
                },
                callback: Some(profile.callback),
                sunset: profile.file.sunset.clone(),
                setup: Some(ConnectorTypeSetup {
                    console_url: profile.file.setup.console_url.clone(),
                    steps: profile.file.setup.steps.clone(),
                    scopes_url: profile.file.setup.scopes_url.clone(),
                    icon: profile.file.setup.icon.clone(),
                }),
                notes: profile.file.notes.clone(),
            }
        });
        let custom = ConnectorType {
            id: self.custom.as_str().to_owned(),
            title: "OAuth 2.0".to_owned(),
            source: None,
            fields: custom_fields(),
            auth_modes: vec!["per-user", "shared"],
            callback: None,
            sunset: None,
            setup: None,
            notes: Vec::new(),
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
        default: None,
    }
}

fn refresh_errors_field() -> ConnectorTypeField {
    let help = "Error codes of the provider that mean invalid_grant when tokens are refreshed: the user must connect again.";
    field("refreshErrors", "Refresh errors", false, help, &[])
}

fn resource_field() -> ConnectorTypeField {
    let help =
        "The URIs of the APIs that tokens are requested for, separated by spaces (RFC 8707). Most providers need none.";
    field("resource", "Resource", false, help, &[])
}

fn required_scopes_field() -> ConnectorTypeField {
    let help = "The permissions without which the connector cannot work, as the provider names them in its responses. A user \
                who does not grant them is not connected. Default: none.";
    field("requiredScopes", "Required scopes", false, help, &[])
}

fn custom_fields() -> Vec<ConnectorTypeField> {
    let optional = |name, label, help| field(name, label, false, help, &[]);
    vec![
        optional("issuer", "Issuer", "Without endpoint URLs, the endpoints come from the issuer's metadata."),
        optional(
            "authorizationUrl",
            "Authorization URL",
            "The page where users grant access. Required unless the endpoints come from the issuer.",
        ),
        optional("tokenUrl", "Token URL", "The endpoint for authorization codes and refresh tokens."),
        optional("revocationUrl", "Revocation URL", "The endpoint for token revocation (RFC 7009)."),
        optional("userinfoUrl", "Userinfo URL", "The endpoint that returns the name of the connected account."),
        optional("scope", "Scopes", "The permissions to request."),
        required_scopes_field(),
        optional("scopeParameter", "Scope parameter", "The name of the scope parameter. Default: scope."),
        optional("scopeSeparator", "Scope separator", "The separator between scopes. Default: a space."),
        field(
            "clientAuth",
            "Client authentication",
            false,
            "How the client authenticates at the token endpoint.",
            &["basic", "post", "none"],
        ),
        field("pkce", "PKCE", false, "Off is possible only for token hosts that the operator lists.", &["required", "off"]),
        optional("extraAuthorizationParameters", "Additional parameters", "Additional parameters of the authorization URL."),
        optional(
            "baseUrl",
            "API base URL",
            "API calls go to URLs below this one. Default: the origin of the token URL. Required with an issuer alone.",
        ),
        optional(
            "destinations",
            "Destinations",
            "The origins that may receive tokens. Default: the origin of the API base URL.",
        ),
        resource_field(),
        optional(
            "sendScopeOnRefresh",
            "Send scopes on refresh",
            "For providers that require the scope parameter when a token is refreshed, such as Microsoft Entra.",
        ),
        optional(
            "zeroExpiresMeansNever",
            "Zero means no expiry",
            "For providers whose responses contain expires_in 0 for tokens that do not expire.",
        ),
        refresh_errors_field(),
    ]
}

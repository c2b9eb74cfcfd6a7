//! Connector types as the API lists them, made from the provider profiles.

use grantry_domain::connector::AuthMode;
use grantry_domain::ports::Urls as _;
use grantry_domain::provider::CallbackPath;
use grantry_domain::time::Timestamp;
use grantry_http_axum::{
    AuthModeName, ConnectorType, ConnectorTypeField, ConnectorTypeSetup, FieldKind, PublicBaseUrl, urls,
};
use grantry_provider_oauth2::{
    ConnectorType as Profile, ConnectorTypeField as ProfileField, ConnectorTypeSetup as ProfileSetup, Profiles,
};

pub(crate) fn connector_types(profiles: &Profiles, public: &PublicBaseUrl) -> Vec<ConnectorType> {
    profiles.connector_types().into_iter().map(|profile| connector_type(profile, public)).collect()
}

fn connector_type(profile: Profile, public: &PublicBaseUrl) -> ConnectorType {
    let is_known = profile.callback == Some(CallbackPath::Profiles);
    let mode = |name: &&str| match AuthMode::parse(name)? {
        AuthMode::PerUser => Some(AuthModeName::PerUser),
        AuthMode::Shared => Some(AuthModeName::Shared),
    };
    ConnectorType {
        id: profile.id,
        name: profile.title,
        docs_url: profile.source,
        redirect_uri: is_known.then(|| urls(public).profile_callback()),
        auth_modes: profile.auth_modes.iter().filter_map(mode).collect(),
        fields: profile.fields.into_iter().map(field).collect(),
        sunset: profile.sunset.as_deref().and_then(start_of_day),
        setup: profile.setup.map(setup),
        notes: profile.notes,
    }
}

fn setup(setup: ProfileSetup) -> ConnectorTypeSetup {
    ConnectorTypeSetup {
        register_url: setup.console_url,
        steps: setup.steps,
        scopes_url: setup.scopes_url,
        icon: setup.icon,
    }
}

/// The start of a day such as `2026-01-31`.
fn start_of_day(date: &str) -> Option<Timestamp> {
    let start: jiff::Timestamp = format!("{date}T00:00:00Z").parse().ok()?;
    Some(Timestamp::from_millis(start.as_millisecond()))
}

fn field(field: ProfileField) -> ConnectorTypeField {
    let kind = match field.name.as_str() {
        _ if !field.values.is_empty() => FieldKind::Choice,
        "destinations" => FieldKind::List,
        "extraAuthorizationParameters" => FieldKind::Map,
        "sendScopeOnRefresh" | "zeroExpiresMeansNever" => FieldKind::Flag,
        "issuer" => FieldKind::Url,
        name if name.ends_with("Url") => FieldKind::Url,
        _ => FieldKind::Text,
    };
    ConnectorTypeField {
        name: field.name,
        label: field.label,
        hint: Some(field.help).filter(|help| !help.is_empty()),
        kind,
        required: field.required,
        default: field.default,
        pattern: None,
        options: field.values,
    }
}

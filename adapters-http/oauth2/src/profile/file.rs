//! Profile files: one provider, described as data.

use std::collections::BTreeMap;

use grantry_domain::connector::{ConnectorConfig, ProfileId};
use grantry_domain::ports::InvalidConfig;
use grantry_domain::provider::{
    BindingKind, CallbackPath, ClientAuthentication, EndpointSource, Endpoints, Origin, ProviderSettings, Scopes,
};
use serde::Deserialize;
use thiserror::Error;

use super::config::{Config, REFRESH_ERRORS};
use super::reserved::{is_parameter_name, is_reserved};
use super::resource;
use super::rules::{ScopeRules, Wire};
use super::template::{self, Variable};
use super::{ParsedConnector, checked_client_id, checked_scopes, checked_url, problem, required_scopes};
use crate::egress::EgressPolicy;

/// Settings that repeat what the profile contains. Some front ends send them for every connector.
const REPEATED: [&str; 3] = ["authorizationUrl", "tokenUrl", "useBasicAuth"];

/// A parsed and checked profile.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) id: ProfileId,
    pub(crate) title: String,
    pub(crate) source: String,
    pub(crate) sunset: Option<String>,
    pub(crate) variables: BTreeMap<String, Variable>,
    pub(crate) client_credentials: bool,
    pub(crate) callback: CallbackPath,
    issuer: Option<String>,
    endpoints: EndpointTemplates,
    authentication: ClientAuthentication,
    resources: Vec<String>,
    base_url: String,
    destinations: Vec<String>,
    wire: Wire,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFile {
    id: String,
    title: String,
    verified_on: String,
    source: String,
    #[serde(default)]
    sunset: Option<String>,
    #[serde(default)]
    issuer: Option<String>,
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    endpoints: EndpointTemplates,
    client: ClientSection,
    api: ApiSection,
    #[serde(default)]
    wire: Wire,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointTemplates {
    authorization: String,
    token: String,
    #[serde(default)]
    revocation: Option<String>,
    #[serde(default)]
    userinfo: Option<String>,
    #[serde(default)]
    jwks: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientSection {
    authentication: String,
    #[serde(default)]
    client_credentials: bool,
    #[serde(default)]
    resources: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiSection {
    base_url: String,
    #[serde(default)]
    destinations: Vec<String>,
}

/// An invalid profile file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("profile {name}: {problem}")]
pub struct InvalidProfile {
    /// File name.
    pub name: String,
    /// Description of the error.
    pub problem: String,
}

impl Profile {
    /// Parses a profile. Unknown fields are errors.
    pub(crate) fn read(name: &str, text: &str) -> Result<Self, InvalidProfile> {
        let invalid = |problem: String| InvalidProfile { name: name.to_owned(), problem };
        let file: ProfileFile = toml::from_str(text).map_err(|error| invalid(error.to_string()))?;
        file.check().map_err(|problem| invalid(problem.to_owned()))?;
        let id = ProfileId::new(file.id).map_err(|error| invalid(error.to_string()))?;
        let authentication = ClientAuthentication::parse(&file.client.authentication)
            .ok_or_else(|| invalid("client.authentication is not basic, post or none".to_owned()))?;
        let callback = if file.endpoints.all().all(|url| template::stays_within_vendor_domain(url, &file.variables)) {
            CallbackPath::Profiles
        } else {
            CallbackPath::PerConnector
        };
        Ok(Self {
            id,
            title: file.title,
            source: file.source,
            sunset: file.sunset,
            variables: file.variables,
            client_credentials: file.client.client_credentials,
            callback,
            issuer: file.issuer,
            endpoints: file.endpoints,
            authentication,
            resources: file.client.resources,
            base_url: file.api.base_url,
            destinations: file.api.destinations,
            wire: file.wire,
        })
    }

    /// Parses a connector of this profile.
    pub(crate) fn parse_connector(
        &self,
        connector: &ConnectorConfig,
        policy: &EgressPolicy,
    ) -> Result<ParsedConnector, InvalidConfig> {
        let config = Config::read(&connector.settings)?;
        let settings = ["scope", required_scopes::SETTING, resource::SETTING, REFRESH_ERRORS].into_iter().chain(REPEATED);
        let known: Vec<&str> = self.variables.keys().map(String::as_str).chain(settings).collect();
        config.refuse_unknown(&known)?;
        let client_id = checked_client_id(connector.client_id.as_deref())?;
        let values = self.values(&config)?;

        let fill = |template: &str| {
            let value = |name: &str| match name {
                "client_id" => is_path_safe(client_id).then_some(client_id),
                _ => values.get(name).map(String::as_str),
            };
            template::fill(template, value).ok_or_else(|| problem("config", "does not set every variable"))
        };
        let url = |template: &str| fill(template).and_then(|text| checked_url(policy, "connector_type_id", &text));
        let authorization = repeated(&config, "authorizationUrl", policy, url(&self.endpoints.authorization)?.0)?;
        let token = repeated(&config, "tokenUrl", policy, url(&self.endpoints.token)?.0)?;
        // How the client authenticates is a property of the provider. The setting is only checked for its form.
        config.boolean("useBasicAuth")?;
        let optional = |template: &Option<String>| template.as_deref().map(|template| Ok(url(template)?.0)).transpose();
        let base_url = url(&self.base_url)?;
        let mut destinations: Vec<Origin> = vec![base_url.1];
        for destination in &self.destinations {
            destinations.push(url(destination)?.1);
        }
        destinations.sort();
        destinations.dedup();
        let requested = self.requested_scopes(config.text("scope")?.as_deref())?;

        let settings = ProviderSettings {
            profile: self.id.clone(),
            title: self.title.clone(),
            kind: BindingKind::Pinned,
            issuer: self.issuer.as_deref().map(fill).transpose()?,
            endpoint_source: EndpointSource::Operator,
            endpoints: Some(Endpoints {
                authorization,
                token,
                revocation: optional(&self.endpoints.revocation)?,
                userinfo: optional(&self.endpoints.userinfo)?,
                jwks: optional(&self.endpoints.jwks)?,
            }),
            client_id: client_id.to_owned(),
            authentication: self.authentication,
            resources: {
                let chosen = resource::resources(&config)?;
                if chosen.is_empty() { self.resources.clone() } else { chosen }
            },
            destinations,
            base_url: base_url.0,
            expected_scopes: self.wire.scopes.reported(&requested),
            required_scopes: required_scopes::required_scopes(&config, &self.wire.scopes)?,
            requested_scopes: requested,
            callback: self.callback,
            client_credentials: self.client_credentials,
            revocation_is_per_user: self.wire.revocation.per_user,
            missing: client_id.is_empty().then(|| "secrets.clientId".to_owned()),
        };
        let mut wire = self.wire.clone();
        wire.refresh.errors.extend(config.refresh_errors()?);
        Ok(ParsedConnector { settings, wire })
    }

    /// The values of the variables: from the connector, else the default of the profile.
    fn values(&self, config: &Config<'_>) -> Result<BTreeMap<&str, String>, InvalidConfig> {
        let mut values = BTreeMap::new();
        for (name, variable) in &self.variables {
            let Some(value) = config.text(name)?.or_else(|| variable.default.clone()) else {
                return Err(config.problem(name, "is required"));
            };
            if !variable.allows(&value) {
                return Err(config.problem(name, "is not a valid value for this provider"));
            }
            values.insert(name.as_str(), value);
        }
        Ok(values)
    }

    fn requested_scopes(&self, chosen: Option<&str>) -> Result<Scopes, InvalidConfig> {
        let rules = &self.wire.scopes;
        let always = rules.always.iter().map(String::as_str);
        match chosen {
            None => Ok(Scopes::new(rules.default.iter().map(String::as_str).chain(always))),
            Some(text) => {
                // Users copy scopes from requests or from responses, so both separators are accepted.
                let scopes = ScopeRules::split(&rules.separator, text)
                    .flat_map(|part| ScopeRules::split(&rules.response_separator, part));
                let chosen = checked_scopes("config.scope", scopes)?;
                Ok(Scopes::new(chosen.into_iter().chain(always)))
            }
        }
    }

    /// The variables, which are the fields of a connector's settings.
    pub(crate) fn settings_fields(&self) -> impl Iterator<Item = (&str, &Variable)> {
        self.variables.iter().map(|(name, variable)| (name.as_str(), variable))
    }
}

/// An endpoint of the profile. A connector may repeat it, and cannot set another one.
fn repeated(config: &Config<'_>, name: &str, policy: &EgressPolicy, endpoint: String) -> Result<String, InvalidConfig> {
    match config.text(name)? {
        Some(text) if checked_url(policy, &format!("config.{name}"), &text)?.0 != endpoint => {
            Err(config.problem(name, "is fixed by the connector type; omit it, or use the type .oauth2"))
        }
        Some(_) | None => Ok(endpoint),
    }
}

/// Whether a client id can be part of an endpoint's path without changing its structure.
fn is_path_safe(client_id: &str) -> bool {
    client_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) && !client_id.starts_with('.')
}

impl ProfileFile {
    /// The rules that the types do not express.
    fn check(&self) -> Result<(), &'static str> {
        let is_date = |text: &str| {
            let parts: Vec<&str> = text.split('-').collect();
            parts.iter().map(|part| part.len()).eq([4, 2, 2])
                && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit())
        };
        if !is_date(&self.verified_on) {
            return Err("verified_on must be a date such as 2026-01-31");
        }
        if self.sunset.as_deref().is_some_and(|date| !is_date(date)) {
            return Err("sunset must be a date such as 2026-01-31");
        }
        if !self.source.starts_with("https://") {
            return Err("source must be the URL of the vendor's documentation");
        }
        let extra = self.wire.authorize.parameters.keys();
        if extra.into_iter().any(|name| is_reserved(name) || !is_parameter_name(name)) {
            return Err("wire.authorize.parameters contains a reserved or invalid name");
        }
        let scope = &self.wire.scopes.parameter;
        if !is_parameter_name(scope) || (scope != "scope" && is_reserved(scope)) {
            return Err("wire.scopes.parameter is a reserved or invalid name");
        }
        let ScopeRules { separator, response_separator, default, always, implies, .. } = &self.wire.scopes;
        if separator.is_empty() || response_separator.is_empty() {
            return Err("a separator of wire.scopes is empty");
        }
        let is_scope = |scope: &String| checked_scopes("wire.scopes", std::iter::once(scope.as_str())).is_ok();
        if !default.iter().chain(always).chain(implies.keys()).chain(implies.values().flatten()).all(is_scope) {
            return Err("wire.scopes contains a scope with invalid characters");
        }
        let renamed = self.wire.authorize.client_id_parameter.as_deref();
        if renamed.is_some_and(|name| is_reserved(name) || !is_parameter_name(name)) {
            return Err("wire.authorize.client_id_parameter is a reserved or invalid name");
        }
        let is_setting = |name: &str| {
            let others = ["scope", "client_id", "authType", required_scopes::SETTING, resource::SETTING, REFRESH_ERRORS];
            REPEATED.contains(&name) || others.contains(&name)
        };
        if self.variables.keys().any(|name| is_setting(name)) {
            return Err("a variable must not have the name of another setting");
        }
        if self.variables.values().any(|variable| variable.default.as_ref().is_some_and(|value| !variable.allows(value))) {
            return Err("the default of a variable is not one of its values");
        }
        if self.endpoints.all().any(|url| !url.starts_with("https://")) {
            return Err("endpoints must start with https://");
        }
        Ok(())
    }
}

impl EndpointTemplates {
    fn all(&self) -> impl Iterator<Item = &str> {
        let optional = [&self.revocation, &self.userinfo, &self.jwks];
        [&self.authorization, &self.token].into_iter().chain(optional.into_iter().flatten()).map(String::as_str)
    }
}

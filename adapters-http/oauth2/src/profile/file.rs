//! Profile files: one provider, described as data.

use std::collections::BTreeMap;
use std::time::Duration;

use grantry_domain::connector::{ConnectorConfig, ProfileId};
use grantry_domain::ports::InvalidConfig;
use grantry_domain::provider::{
    BindingKind, CallbackPath, ClientAuthentication, EndpointSource, Endpoints, Origin, ProviderSettings, Scopes,
};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, TRANSFER_ENCODING, USER_AGENT};
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use thiserror::Error;

use super::config::{Config, REFRESH_ERRORS};
use super::grant_values::{ApiTemplate, GrantValue, GrantValueKind, GrantValueSource};
use super::reserved::{is_parameter_name, is_reserved};
use super::resource;
use super::rules::{ScopeRules, UserinfoMethod, Wire};
use super::template::{self, Variable};
use super::{ParsedConnector, checked_client_id, checked_scopes, checked_url, probe_at, problem, required_scopes};
use crate::egress::EgressPolicy;

/// Settings that repeat what the profile contains. Some front ends send them for every connector.
const REPEATED: [&str; 3] = ["authorizationUrl", "tokenUrl", "useBasicAuth"];

/// Header fields that the program sets.
const SENSITIVE: [HeaderName; 8] =
    [ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, TRANSFER_ENCODING, USER_AGENT];

/// A parsed and checked profile.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) id: ProfileId,
    pub(crate) callback: CallbackPath,
    pub(crate) authentication: ClientAuthentication,
    pub(crate) file: ProfileFile,
}

/// A profile as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileFile {
    pub(crate) id: String,
    /// The name of the product.
    pub(crate) title: String,
    /// The day on which the file was last compared with `source`.
    pub(crate) verified_on: String,
    /// The vendor's documentation.
    pub(crate) source: String,
    /// The day on which the vendor ends the service.
    #[serde(default)]
    pub(crate) sunset: Option<String>,
    /// The issuer of ID tokens.
    #[serde(default)]
    pub(crate) issuer: Option<String>,
    /// Paths of fields that the vendor's documentation does not state.
    #[serde(default)]
    pub(crate) unverified: Vec<String>,
    /// What users and editors should be aware of.
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    pub(crate) setup: Setup,
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, Variable>,
    #[serde(default)]
    pub(crate) grant_values: BTreeMap<String, GrantValue>,
    pub(crate) endpoints: EndpointTemplates,
    pub(crate) client: ClientSection,
    pub(crate) api: ApiSection,
    #[serde(default)]
    pub(crate) wire: Wire,
}

/// `[setup]`: how a client is registered at the vendor.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Setup {
    /// Where clients are registered.
    pub(crate) console_url: String,
    /// Sentences. `{redirect_uri}` stands for the redirect URI of the connector.
    pub(crate) steps: Vec<String>,
    /// The page that lists the scopes.
    #[serde(default)]
    pub(crate) scopes_url: Option<String>,
    /// The name of the logo in the collection simple-icons.
    #[serde(default)]
    pub(crate) icon: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndpointTemplates {
    pub(crate) authorization: String,
    pub(crate) token: String,
    /// Where tokens are refreshed, if not at `token`.
    #[serde(default)]
    pub(crate) refresh: Option<String>,
    #[serde(default)]
    pub(crate) revocation: Option<String>,
    #[serde(default)]
    pub(crate) userinfo: Option<String>,
    #[serde(default)]
    pub(crate) jwks: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientSection {
    pub(crate) authentication: String,
    #[serde(default)]
    pub(crate) client_credentials: bool,
    #[serde(default)]
    pub(crate) resources: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiSection {
    pub(crate) base_url: String,
    #[serde(default)]
    pub(crate) destinations: Vec<String>,
    /// A request that succeeds with every valid token. Default: userinfo.
    #[serde(default)]
    pub(crate) probe: Option<String>,
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
        let id = ProfileId::new(file.id.as_str()).map_err(|error| invalid(error.to_string()))?;
        let authentication = ClientAuthentication::parse(&file.client.authentication)
            .ok_or_else(|| invalid("client.authentication is not basic, post or none".to_owned()))?;
        let callback = if file.endpoints.all().all(|url| template::stays_within_vendor_domain(url, &file.variables)) {
            CallbackPath::Profiles
        } else {
            CallbackPath::PerConnector
        };
        Ok(Self { id, callback, authentication, file })
    }

    /// Parses a connector of this profile.
    pub(crate) fn parse_connector(
        &self,
        connector: &ConnectorConfig,
        policy: &EgressPolicy,
    ) -> Result<ParsedConnector, InvalidConfig> {
        let ProfileFile { endpoints, api, wire, .. } = &self.file;
        let config = Config::read(&connector.settings)?;
        let settings = ["scope", required_scopes::SETTING, resource::SETTING, REFRESH_ERRORS].into_iter().chain(REPEATED);
        let known: Vec<&str> = self.file.variables.keys().map(String::as_str).chain(settings).collect();
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
        let authorization = repeated(&config, "authorizationUrl", policy, url(&endpoints.authorization)?.0)?;
        let token = repeated(&config, "tokenUrl", policy, url(&endpoints.token)?.0)?;
        // How the client authenticates is a property of the provider. The setting is only checked for its form.
        config.boolean("useBasicAuth")?;
        let optional = |template: &Option<String>| template.as_deref().map(|template| Ok(url(template)?.0)).transpose();
        let mut destinations: Vec<Origin> = Vec::new();
        let (base_url, api_of_grant) = if self.file.grant_values.is_empty() {
            let (base_url, origin) = url(&api.base_url)?;
            destinations.push(origin);
            (Some(base_url), None)
        } else {
            // What the grant brings is filled in at the consent.
            let kept: BTreeMap<&str, String> =
                self.file.grant_values.keys().map(|name| (name.as_str(), format!("{{{name}}}"))).collect();
            let value = |name: &str| values.get(name).or_else(|| kept.get(name)).map(String::as_str);
            let template = template::fill(&api.base_url, value);
            let template = template.ok_or_else(|| problem("config", "does not set every variable"))?;
            (None, Some(ApiTemplate { template, values: self.file.grant_values.clone() }))
        };
        for destination in &api.destinations {
            destinations.push(url(destination)?.1);
        }
        destinations.sort();
        destinations.dedup();
        let requested = self.requested_scopes(config.text("scope")?.as_deref())?;

        let settings = ProviderSettings {
            profile: self.id.clone(),
            title: self.file.title.clone(),
            kind: BindingKind::Pinned,
            issuer: self.file.issuer.as_deref().map(fill).transpose()?,
            endpoint_source: EndpointSource::Operator,
            endpoints: Some(Endpoints {
                authorization,
                token,
                revocation: optional(&endpoints.revocation)?,
                userinfo: optional(&endpoints.userinfo)?,
                jwks: optional(&endpoints.jwks)?,
            }),
            client_id: client_id.to_owned(),
            authentication: self.authentication,
            resources: {
                let chosen = resource::resources(&config)?;
                if chosen.is_empty() { self.file.client.resources.clone() } else { chosen }
            },
            destinations,
            base_url,
            expected_scopes: wire.scopes.reported(&requested),
            required_scopes: required_scopes::required_scopes(&config, &wire.scopes)?,
            requested_scopes: requested,
            callback: self.callback,
            client_credentials: self.file.client.client_credentials,
            revocation_is_per_user: wire.revocation.per_user,
            refresh_margin: wire.refresh.margin_seconds.map(Duration::from_secs),
            missing: client_id.is_empty().then(|| "secrets.clientId".to_owned()),
        };
        let refresh_endpoint = optional(&endpoints.refresh)?;
        let userinfo = endpoints.userinfo.as_ref().filter(|_| wire.identity.method == UserinfoMethod::Get);
        let probe = api.probe.as_ref().or(userinfo).and_then(|template| fill(template).ok());
        let probe = probe.and_then(|url| probe_at(policy, &url, &wire.headers));
        let mut wire = wire.clone();
        wire.refresh.errors.extend(config.refresh_errors()?);
        Ok(ParsedConnector { settings, wire, refresh_endpoint, api: api_of_grant, probe })
    }

    /// The values of the variables: from the connector, else the default of the profile.
    fn values(&self, config: &Config<'_>) -> Result<BTreeMap<&str, String>, InvalidConfig> {
        let mut values = BTreeMap::new();
        for (name, variable) in &self.file.variables {
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
        let rules = &self.file.wire.scopes;
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
        self.file.variables.iter().map(|(name, variable)| (name.as_str(), variable))
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
        let pages = [Some(&self.source), Some(&self.setup.console_url), self.setup.scopes_url.as_ref()];
        if pages.into_iter().flatten().any(|page| !page.starts_with("https://")) {
            return Err("source, setup.console_url and setup.scopes_url must be https:// URLs of the vendor");
        }
        if !self.setup.steps.iter().any(|step| step.contains("{redirect_uri}")) {
            return Err("a step of setup.steps must contain {redirect_uri}");
        }
        if self.wire.refresh.tokens.is_none() {
            return Err("wire.refresh.tokens must be none, kept, rolling or single-use");
        }
        let Wire { authorize, token, refresh, revocation, identity, .. } = &self.wire;
        let extra = [&authorize.parameters, &token.parameters, &refresh.parameters, &revocation.parameters];
        if extra.into_iter().flat_map(BTreeMap::keys).any(|name| is_reserved(name) || !is_parameter_name(name)) {
            return Err("parameters of wire contains a reserved or invalid name");
        }
        let renamed = [refresh.token_parameter.as_ref(), Some(&revocation.token_parameter)];
        if renamed.into_iter().flatten().any(|name| is_reserved(name) || !is_parameter_name(name)) {
            return Err("a token_parameter of wire is a reserved or invalid name");
        }
        let renamed = [&revocation.client_id_parameter, &revocation.client_secret_parameter];
        if renamed.into_iter().flatten().any(|name| is_reserved(name) || !is_parameter_name(name)) {
            return Err("a client parameter of wire.revocation is a reserved or invalid name");
        }
        if (identity.method == UserinfoMethod::Post) != identity.body.is_some() {
            return Err("wire.identity.body is required for the method POST, and only for it");
        }
        let is_field = |(name, value): (&String, &String)| {
            HeaderName::try_from(name).is_ok_and(|name| !SENSITIVE.contains(&name)) && HeaderValue::try_from(value).is_ok()
        };
        if !self.wire.headers.iter().all(is_field) {
            return Err("wire.headers contains a field that is invalid or set by the program");
        }
        self.check_api()?;
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

impl ProfileFile {
    /// The API: below a URL of the vendor, with values of the grant that stay within the vendor's domains.
    fn check_api(&self) -> Result<(), &'static str> {
        if let Some(problem) = self.grant_values.values().find_map(GrantValue::problem) {
            return Err(problem);
        }
        if self.api.base_url.contains(['?', '#']) {
            return Err("api.base_url must not contain a query");
        }
        if self.grant_values.keys().any(|name| self.variables.contains_key(name)) {
            return Err("a grant value has the name of a variable");
        }
        let of_userinfo = self.grant_values.values().filter(|value| value.from == GrantValueSource::Userinfo).count();
        if of_userinfo != 0 && (of_userinfo != self.grant_values.len() || self.endpoints.userinfo.is_none()) {
            return Err("grant values of userinfo need endpoints.userinfo, and cannot be mixed with others");
        }
        if self.client.client_credentials && !self.grant_values.is_empty() {
            return Err("client.client_credentials is not possible with grant values: no grant brings them");
        }
        let names = |kind| self.grant_values.iter().filter(move |(_, value)| value.kind == kind).map(|(name, _)| name);
        let starts_with = |name: &String| {
            let rest = self.api.base_url.strip_prefix(&format!("{{{name}}}"));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if let Some(name) = names(GrantValueKind::Url).next() {
            let is_only = names(GrantValueKind::Url).count() == 1;
            return if is_only && starts_with(name) {
                Ok(())
            } else {
                Err("a grant value of the kind url must start api.base_url")
            };
        }
        let authority = self.api.base_url.strip_prefix("https://").ok_or("api.base_url must start with https://")?;
        let host = authority.split('/').next().unwrap_or_default();
        let is_whole_host = |name: &String| host == format!("{{{name}}}");
        let in_host = |name: &String| host.contains(&format!("{{{name}}}"));
        if names(GrantValueKind::Host).any(|name| !is_whole_host(name)) {
            return Err("a grant value of the kind host must be the host of api.base_url");
        }
        let is_below_domain = host.rsplit_once('}').is_none_or(|(_, suffix)| template::is_domain_suffix(suffix));
        if names(GrantValueKind::Label).chain(names(GrantValueKind::Id)).any(in_host) && !is_below_domain {
            return Err("a grant value in the host of api.base_url must be followed by the vendor's domain");
        }
        Ok(())
    }
}

impl EndpointTemplates {
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        let optional = [&self.refresh, &self.revocation, &self.userinfo, &self.jwks];
        [&self.authorization, &self.token].into_iter().chain(optional.into_iter().flatten()).map(String::as_str)
    }
}

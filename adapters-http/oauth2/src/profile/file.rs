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
use super::grant_values::{ApiHost, ApiTemplate, GrantValue, GrantValueKind, GrantValueSource};
use super::place::{Violation, at};
use super::reserved::{is_parameter_name, is_reserved};
use super::resource;
use super::rules::{ScopeRules, UserinfoMethod, Wire, is_all_of_resource, is_protocol_scope};
use super::template::{self, Variable, VariableKind};
use super::{ParsedConnector, checked_client_id, checked_scopes, checked_url, probe_at, problem, required_scopes};
use crate::egress::EgressPolicy;

/// Settings that repeat what the profile contains. Some front ends send them for every connector.
const REPEATED: [&str; 3] = ["authorizationUrl", "tokenUrl", "useBasicAuth"];

/// Header fields that the program sets.
const SENSITIVE: [HeaderName; 8] =
    [ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, TRANSFER_ENCODING, USER_AGENT];

const HTTPS: &str = "https://";

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
        let broken = |violation: Violation| invalid(violation.describe(text));
        file.check().map_err(broken)?;
        let id = ProfileId::new(file.id.as_str()).map_err(|error| broken(at(["id"], error.to_string())))?;
        let authentication = ClientAuthentication::parse(&file.client.authentication)
            .ok_or_else(|| broken(at(["client", "authentication"], "must be basic, post or none")))?;
        let callback = if file.endpoints.all().all(|url| template::stays_within_vendor_domain(url, &file.variables)) {
            CallbackPath::Profiles
        } else {
            CallbackPath::PerConnector
        };
        Ok(Self { id, callback, authentication, file })
    }

    /// The same for a file of a folder, with the rules that the built-in profiles keep by their tests: the file has the name of
    /// the id, `unverified` names fields, and the service has not ended before `today`.
    pub(crate) fn read_whole(name: &str, text: &str, today: Option<&str>) -> Result<Self, InvalidProfile> {
        let profile = Self::read(name, text)?;
        let broken = |violation: Violation| InvalidProfile { name: name.to_owned(), problem: violation.describe(text) };
        let expected = format!(".{}", name.strip_suffix(".toml").unwrap_or(name));
        if profile.file.id != expected {
            return Err(broken(at(["id"], format!("must be \"{expected}\", like the name of the file"))));
        }
        if let Some((sunset, _)) = profile.file.sunset.as_deref().zip(today).filter(|(sunset, today)| sunset < today) {
            let problem = format!("{sunset} has passed; remove the profile, or describe the new service");
            return Err(broken(at(["sunset"], problem)));
        }
        if let Some(path) = profile.file.unverified.iter().find(|path| !is_field(text, path)) {
            let problem = format!("names {path}, which is no field of a profile, such as \"wire.token.errors\"");
            return Err(broken(at(["unverified"], problem)));
        }
        Ok(profile)
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
        let (mut destinations, mut api_domains) = (Vec::<Origin>::new(), Vec::new());
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
            let api = ApiTemplate { template, values: self.file.grant_values.clone() };
            match api.host() {
                ApiHost::Fixed(host) => destinations.push(url(&format!("{HTTPS}{host}"))?.1),
                ApiHost::Within(domains) => api_domains.extend(domains.into_iter().map(str::to_owned)),
            }
            (None, Some(api))
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
            endpoint_source: if self.hosts_are_approved(&values) { EndpointSource::Operator } else { EndpointSource::User },
            endpoints: Some(Endpoints {
                authorization,
                token,
                refresh: optional(&endpoints.refresh)?,
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
            api_domains,
            expected_scopes: wire.scopes.reported(&requested),
            required_scopes: required_scopes::required_scopes(&config, &wire.scopes)?,
            requested_scopes: requested,
            callback: self.callback,
            client_credentials: self.file.client.client_credentials,
            revocation_is_per_user: wire.revocation.per_user,
            refresh_margin: wire.refresh.margin_seconds.map(Duration::from_secs),
            missing: client_id.is_empty().then(|| "secrets.clientId".to_owned()),
        };
        let probe = self.file.probe().and_then(|template| fill(template).ok());
        let probe = probe.and_then(|url| probe_at(policy, &url, &wire.headers));
        let mut wire = wire.clone();
        wire.refresh.errors.extend(config.refresh_errors()?);
        Ok(ParsedConnector { settings, wire, api: api_of_grant, probe })
    }

    /// Whether the profile decides which hosts receive something. An editor can enter any host for a variable without suffixes.
    fn hosts_are_approved(&self, values: &BTreeMap<&str, String>) -> bool {
        let ProfileFile { endpoints, api, variables, .. } = &self.file;
        let is_default =
            |name: &str| variables.get(name).is_none_or(|variable| variable.default.as_ref() == values.get(name));
        let templates = endpoints.all().chain([api.base_url.as_str()]).chain(api.destinations.iter().map(String::as_str));
        let is_approved = |template: &str| {
            template::stays_within_vendor_domain(template, variables) || template::names_of_host(template).all(is_default)
        };
        templates.into_iter().all(is_approved)
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
                let has_all = chosen.iter().any(|scope| is_all_of_resource(scope));
                let always = always.filter(|scope| !has_all || is_protocol_scope(scope));
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
    fn check(&self) -> Result<(), Violation> {
        self.check_description()?;
        self.check_variables()?;
        self.check_templates()?;
        self.check_wire()?;
        self.check_scopes()?;
        self.check_api()
    }

    fn check_description(&self) -> Result<(), Violation> {
        const DATE: &str = "must be a date such as 2026-01-31";
        const PAGE: &str = "must be an https:// URL of the vendor";
        if !is_date(&self.verified_on) {
            return Err(at(["verified_on"], DATE));
        }
        if self.sunset.as_deref().is_some_and(|date| !is_date(date)) {
            return Err(at(["sunset"], DATE));
        }
        if !self.source.starts_with(HTTPS) {
            return Err(at(["source"], PAGE));
        }
        if !self.setup.console_url.starts_with(HTTPS) {
            return Err(at(["setup", "console_url"], PAGE));
        }
        if self.setup.scopes_url.as_deref().is_some_and(|page| !page.starts_with(HTTPS)) {
            return Err(at(["setup", "scopes_url"], PAGE));
        }
        if !self.setup.steps.iter().any(|step| step.contains("{redirect_uri}")) {
            return Err(at(["setup", "steps"], "must contain {redirect_uri} in one step"));
        }
        Ok(())
    }

    fn check_variables(&self) -> Result<(), Violation> {
        let others = ["scope", "client_id", "authType", required_scopes::SETTING, resource::SETTING, REFRESH_ERRORS];
        for (name, variable) in &self.variables {
            let wrong = |field: &str, problem: &str| Err(at(["variables", name, field], problem));
            if REPEATED.contains(&name.as_str()) || others.contains(&name.as_str()) {
                return Err(at(["variables", name], "must not have the name of another setting"));
            }
            let is_host = variable.kind == VariableKind::Host;
            if !variable.suffixes.is_empty() && !is_host {
                return wrong("suffixes", "are for variables of the kind host");
            }
            if !variable.suffixes.iter().all(|suffix| template::is_domain_suffix(suffix)) {
                return wrong("suffixes", "must be domains with a leading dot, such as \".example.com\"");
            }
            let is_choice = variable.kind == VariableKind::OneOf;
            if variable.values.is_empty() == is_choice {
                return wrong("values", "are required for variables of the kind one-of, and only for them");
            }
            if variable.default.as_ref().is_some_and(|value| !variable.allows(value)) {
                return wrong("default", "is not a value that the variable allows");
            }
        }
        Ok(())
    }

    /// Every URL is https and names only variables of the profile.
    fn check_templates(&self) -> Result<(), Violation> {
        for (field, template) in self.endpoints.named() {
            self.check_template(["endpoints", field], template)?;
        }
        if let Some(issuer) = &self.issuer {
            self.check_template(["issuer"], issuer)?;
        }
        for destination in &self.api.destinations {
            self.check_template(["api", "destinations"], destination)?;
        }
        if let Some(probe) = &self.api.probe {
            self.check_template(["api", "probe"], probe)?;
            if !self.is_of_api(probe) {
                return Err(at(["api", "probe"], "must be at the host of api.base_url or of one of api.destinations"));
            }
        }
        let is_known = |name: &str| self.is_filled_in(name) || self.grant_values.contains_key(name);
        template::problem(&self.api.base_url, is_known).map_or(Ok(()), |problem| Err(at(["api", "base_url"], problem)))
    }

    /// The call with which users try a connection: a GET that succeeds with every valid token, at a host of the API.
    pub(crate) fn probe(&self) -> Option<&str> {
        let is_get = self.wire.identity.method == UserinfoMethod::Get;
        let userinfo = self.endpoints.userinfo.as_deref().filter(|_| is_get);
        self.api.probe.as_deref().or(userinfo).filter(|url| self.is_of_api(url))
    }

    fn is_of_api(&self, url: &str) -> bool {
        let mut hosts = self.api.destinations.iter().chain([&self.api.base_url]).map(|url| template::authority(url));
        hosts.any(|host| host == template::authority(url))
    }

    fn check_template<const N: usize>(&self, path: [&str; N], template: &str) -> Result<(), Violation> {
        if !template.starts_with(HTTPS) {
            return Err(at(path, "must start with https://"));
        }
        let problem = template::problem(template, |name| self.is_filled_in(name));
        problem.map_or(Ok(()), |problem| Err(at(path, problem)))
    }

    /// Whether a connector has a value for a name in a template.
    fn is_filled_in(&self, name: &str) -> bool {
        name == "client_id" || self.variables.contains_key(name)
    }

    fn check_wire(&self) -> Result<(), Violation> {
        const RESERVED: &str = "is a name that the program sets, or no name of a parameter";
        let is_wrong = |name: &str| is_reserved(name) || !is_parameter_name(name);
        let Wire { authorize, token, refresh, revocation, identity, .. } = &self.wire;
        if refresh.tokens.is_none() {
            return Err(at(["wire", "refresh", "tokens"], "must be none, kept, rolling or single-use"));
        }
        let parameters = [
            ("authorize", &authorize.parameters),
            ("token", &token.parameters),
            ("refresh", &refresh.parameters),
            ("revocation", &revocation.parameters),
        ];
        for (section, parameters) in parameters {
            if let Some(name) = parameters.keys().find(|name| is_wrong(name)) {
                return Err(at(["wire", section, "parameters", name], RESERVED));
            }
        }
        let renamed = [
            ("refresh", "token_parameter", refresh.token_parameter.as_deref()),
            ("revocation", "token_parameter", Some(revocation.token_parameter.as_str())),
            ("revocation", "client_id_parameter", revocation.client_id_parameter.as_deref()),
            ("revocation", "client_secret_parameter", revocation.client_secret_parameter.as_deref()),
            ("authorize", "client_id_parameter", authorize.client_id_parameter.as_deref()),
        ];
        for (section, field, name) in renamed {
            if name.is_some_and(is_wrong) {
                return Err(at(["wire", section, field], RESERVED));
            }
        }
        if (identity.method == UserinfoMethod::Post) != identity.body.is_some() {
            return Err(at(["wire", "identity", "body"], "is required for the method POST, and only for it"));
        }
        for (name, value) in &self.wire.headers {
            let is_free = HeaderName::try_from(name).is_ok_and(|name| !SENSITIVE.contains(&name));
            if !is_free || HeaderValue::try_from(value).is_err() {
                return Err(at(["wire", "headers", name], "is no header field, or one that the program sets"));
            }
        }
        Ok(())
    }

    fn check_scopes(&self) -> Result<(), Violation> {
        let ScopeRules { parameter, separator, response_separator, default, always, implies, .. } = &self.wire.scopes;
        if !is_parameter_name(parameter) || (parameter != "scope" && is_reserved(parameter)) {
            return Err(at(["wire", "scopes", "parameter"], "is a name that the program sets, or no name of a parameter"));
        }
        for (field, text) in [("separator", separator), ("response_separator", response_separator)] {
            if text.is_empty() {
                return Err(at(["wire", "scopes", field], "must not be empty"));
            }
        }
        let is_scope = |scope: &String| checked_scopes("wire.scopes", std::iter::once(scope.as_str())).is_ok();
        let implied = || implies.keys().chain(implies.values().flatten());
        for (field, all) in [
            ("default", default.iter().all(is_scope)),
            ("always", always.iter().all(is_scope)),
            ("implies", implied().all(is_scope)),
        ] {
            if !all {
                return Err(at(["wire", "scopes", field], "contains a scope with invalid characters"));
            }
        }
        Ok(())
    }

    /// The API: below a URL of the vendor, with values of the grant that stay within the vendor's domains.
    fn check_api(&self) -> Result<(), Violation> {
        let of_base = |problem: &str| Err(at(["api", "base_url"], problem));
        for (name, value) in &self.grant_values {
            if let Some(problem) = value.problem() {
                return Err(at(["grant_values", name, "suffixes"], problem));
            }
            if self.variables.contains_key(name) {
                return Err(at(["grant_values", name], "must not have the name of a variable"));
            }
        }
        if self.api.base_url.contains(['?', '#']) {
            return of_base("must not contain a query");
        }
        let of_userinfo = self.grant_values.values().filter(|value| value.from == GrantValueSource::Userinfo).count();
        if of_userinfo != 0 && (of_userinfo != self.grant_values.len() || self.endpoints.userinfo.is_none()) {
            let problem = "of userinfo need endpoints.userinfo, and cannot be mixed with others";
            return Err(at(["grant_values"], problem));
        }
        if self.client.client_credentials && !self.grant_values.is_empty() {
            let problem = "is not possible with grant values: no grant brings them";
            return Err(at(["client", "client_credentials"], problem));
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
                of_base("must start with the grant value of the kind url")
            };
        }
        let Some(authority) = self.api.base_url.strip_prefix(HTTPS) else {
            return of_base("must start with https://");
        };
        let host = authority.split('/').next().unwrap_or_default();
        let is_whole_host = |name: &String| host == format!("{{{name}}}");
        let in_host = |name: &String| host.contains(&format!("{{{name}}}"));
        if names(GrantValueKind::Host).any(|name| !is_whole_host(name)) {
            return of_base("must have the grant value of the kind host as its host");
        }
        let is_below_domain = host.rsplit_once('}').is_none_or(|(_, suffix)| template::is_domain_suffix(suffix));
        if names(GrantValueKind::Label).chain(names(GrantValueKind::Id)).any(in_host) && !is_below_domain {
            return of_base("must have the vendor's domain after a grant value in its host");
        }
        // Otherwise an editor could choose a part of a host that the consent does not name.
        let of_connector = |name: &str| !self.grant_values.contains_key(name);
        if self.grant_values.keys().any(in_host) && template::names_of_host(&self.api.base_url).any(of_connector) {
            return of_base("must not have a variable of the connector beside a grant value in its host");
        }
        Ok(())
    }
}

/// Whether a path, such as `wire.token.errors`, names a field of a profile. It need not be in the file.
fn is_field(text: &str, path: &str) -> bool {
    let parts: Vec<&str> = path.split('.').collect();
    (1..=parts.len()).all(|end| is_known(text, &parts[..end]).unwrap_or(false))
}

/// The same for a path whose tables are known. `None` if it leads into what is no table.
fn is_known(text: &str, path: &[&str]) -> Option<bool> {
    let mut file = text.parse::<toml::Table>().ok()?;
    let (name, outer) = path.split_last()?;
    let mut table = &mut file;
    for part in outer {
        table = table.entry(*part).or_insert_with(|| toml::Table::new().into()).as_table_mut()?;
    }
    if table.contains_key(*name) {
        return Some(true);
    }
    // A field refuses or accepts an empty table. Only what is no field is unknown, and one without its required fields is not there.
    table.insert((*name).to_owned(), toml::Table::new().into());
    let refusal = ProfileFile::deserialize(file).err().map(|error| error.message().to_owned()).unwrap_or_default();
    Some(!["unknown field", "missing field"].iter().any(|start| refusal.starts_with(start)))
}

/// Whether a text is a day, such as `2026-01-31`.
fn is_date(text: &str) -> bool {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    if [year.len(), month.len(), day.len()] != [4, 2, 2] || !parts.iter().all(|part| is_number(part)) {
        return false;
    }
    let number = |part: &str| part.parse::<u32>().unwrap_or_default();
    let (year, month, day) = (number(year), number(month), number(day));
    let is_leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap_year => 29,
        2 => 28,
        _ => 31,
    };
    (1..=12).contains(&month) && (1..=days).contains(&day)
}

impl EndpointTemplates {
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.named().map(|(_, template)| template)
    }

    /// The endpoints with the names of their fields.
    fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let optional = [
            ("refresh", &self.refresh),
            ("revocation", &self.revocation),
            ("userinfo", &self.userinfo),
            ("jwks", &self.jwks),
        ];
        let optional = optional.into_iter().filter_map(|(name, url)| Some((name, url.as_deref()?)));
        let required = [("authorization", &self.authorization), ("token", &self.token)];
        required.into_iter().map(|(name, url)| (name, url.as_str())).chain(optional)
    }
}

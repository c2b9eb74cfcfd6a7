//! `.oauth2`: a provider that the connector describes, by endpoints or by issuer.

use grantry_domain::connector::{ConnectorConfig, ProfileId};
use grantry_domain::ports::InvalidConfig;
use grantry_domain::provider::{
    BindingKind, CallbackPath, ClientAuthentication, EndpointSource, Endpoints, Origin, ProviderSettings, Scopes,
};

use super::config::Config;
use super::required_scopes::required_scopes;
use super::reserved::{is_parameter_name, is_reserved, is_resource};
use super::resource::resources;
use super::rules::{Pkce, ScopeRules, Wire};
use super::{ParsedConnector, checked_client_id, checked_scopes, checked_url, probe_at};
use crate::egress::EgressPolicy;

/// The settings of `.oauth2`.
pub(super) const FIELDS: &[&str] = &[
    "issuer",
    "authorizationUrl",
    "tokenUrl",
    "revocationUrl",
    "userinfoUrl",
    "scope",
    "requiredScopes",
    "scopeParameter",
    "scopeSeparator",
    "clientAuth",
    "useBasicAuth",
    "pkce",
    "extraAuthorizationParameters",
    "baseUrl",
    "destinations",
    "resource",
    "sendScopeOnRefresh",
    "zeroExpiresMeansNever",
    "refreshErrors",
];

/// Maximum number of additional authorization parameters.
const MAX_EXTRA: usize = 32;

/// Parses a connector of `.oauth2`.
pub(super) fn parse_connector(
    profile: &ProfileId,
    connector: &ConnectorConfig,
    policy: &EgressPolicy,
    pkce_off_hosts: &[String],
) -> Result<ParsedConnector, InvalidConfig> {
    let config = Config::read(&connector.settings)?;
    config.refuse_unknown(FIELDS)?;
    let client_id = checked_client_id(connector.client_id.as_deref())?;
    let issuer = issuer(&config, policy)?;
    let endpoints = endpoints(&config, policy, issuer.is_some())?;
    let (base_url, destinations) = destinations(&config, policy, endpoints.as_ref())?;
    let wire = wire(&config, endpoints.as_ref(), policy, pkce_off_hosts)?;
    let scope = config.text("scope")?.unwrap_or_default();
    let requested = Scopes::new(checked_scopes("config.scope", ScopeRules::split(&wire.scopes.separator, &scope))?);
    let kind = if endpoints.is_some() { BindingKind::Pinned } else { BindingKind::Issuer };

    let settings = ProviderSettings {
        profile: profile.clone(),
        title: "OAuth 2.0".to_owned(),
        kind,
        issuer,
        endpoint_source: EndpointSource::User,
        endpoints,
        client_id: client_id.to_owned(),
        authentication: authentication(&config)?,
        resources: resources(&config)?,
        destinations,
        base_url: Some(base_url),
        api_domains: Vec::new(),
        expected_scopes: wire.scopes.reported(&requested),
        required_scopes: required_scopes(&config, &wire.scopes)?,
        requested_scopes: requested,
        callback: match kind {
            BindingKind::Pinned => CallbackPath::PerConnector,
            BindingKind::Issuer => CallbackPath::Issuers,
        },
        client_credentials: true,
        revocation_is_per_user: false,
        refresh_margin: None,
        missing: client_id.is_empty().then(|| "secrets.clientId".to_owned()),
    };
    let userinfo = settings.endpoints.as_ref().and_then(|endpoints| endpoints.userinfo.as_deref());
    let probe = userinfo.and_then(|url| probe_at(policy, url, &wire.headers));
    Ok(ParsedConnector { settings, wire, api: None, probe })
}

/// The issuer identifier as written: it is compared character by character and never normalised (RFC 8414 §3.3).
fn issuer(config: &Config<'_>, policy: &EgressPolicy) -> Result<Option<String>, InvalidConfig> {
    let Some(issuer) = config.text("issuer")? else { return Ok(None) };
    checked_url(policy, "config.issuer", &issuer)?;
    if issuer.contains('?') {
        return Err(config.problem("issuer", "must not contain a query"));
    }
    Ok(Some(issuer))
}

fn endpoints(config: &Config<'_>, policy: &EgressPolicy, has_issuer: bool) -> Result<Option<Endpoints>, InvalidConfig> {
    let url = |name: &str| -> Result<Option<String>, InvalidConfig> {
        let text = config.text(name)?;
        text.map(|text| Ok(checked_url(policy, &format!("config.{name}"), &text)?.0)).transpose()
    };
    let (revocation, userinfo) = (url("revocationUrl")?, url("userinfoUrl")?);
    let (authorization, token) = match (url("authorizationUrl")?, url("tokenUrl")?) {
        (Some(authorization), Some(token)) => (authorization, token),
        (None, None) if has_issuer => {
            let lone = ["revocationUrl", "userinfoUrl"].into_iter().find(|name| config.has(name));
            return match lone {
                None => Ok(None),
                Some(name) => Err(config.problem(name, "comes from the issuer's metadata and must not be given")),
            };
        }
        (None, _) => return Err(config.problem("authorizationUrl", "is required")),
        (Some(_), None) => return Err(config.problem("tokenUrl", "is required")),
    };
    if has_reserved_query(&authorization) {
        return Err(config.problem("authorizationUrl", "sets a reserved parameter in its query"));
    }
    Ok(Some(Endpoints { authorization, token, revocation, userinfo, ..Endpoints::default() }))
}

/// Whether the query of an authorization endpoint sets a reserved parameter.
pub(crate) fn has_reserved_query(authorization: &str) -> bool {
    let url = url::Url::parse(authorization);
    url.is_ok_and(|url| url.query_pairs().any(|(name, _)| is_reserved(&name)))
}

fn destinations(
    config: &Config<'_>,
    policy: &EgressPolicy,
    endpoints: Option<&Endpoints>,
) -> Result<(String, Vec<Origin>), InvalidConfig> {
    let (base_url, own) = match (config.text("baseUrl")?, endpoints) {
        (Some(base_url), _) => checked_url(policy, "config.baseUrl", &base_url)?,
        // The host that issues the tokens is the only other one that has them already.
        (None, Some(endpoints)) => {
            let (_, own) = checked_url(policy, "config.tokenUrl", &endpoints.token)?;
            (format!("{}/", own.as_str()), own)
        }
        (None, None) => return Err(config.problem("baseUrl", "is required")),
    };
    if base_url.contains('?') {
        return Err(config.problem("baseUrl", "must not contain a query"));
    }
    let Some(texts) = config.texts("destinations")? else { return Ok((base_url, vec![own])) };
    let mut origins = Vec::new();
    for text in texts {
        let (normalised, origin) = checked_url(policy, "config.destinations", &text)?;
        if normalised.strip_suffix('/') != Some(origin.as_str()) {
            return Err(config.problem("destinations", "must contain origins without a path"));
        }
        origins.push(origin);
    }
    if !origins.contains(&own) {
        return Err(config.problem("destinations", "must contain the origin of baseUrl"));
    }
    origins.sort();
    origins.dedup();
    Ok((base_url, origins))
}

fn authentication(config: &Config<'_>) -> Result<ClientAuthentication, InvalidConfig> {
    let name = config.text("clientAuth")?;
    let named = name.map(|name| {
        ClientAuthentication::parse(&name)
            .ok_or_else(|| config.problem("clientAuth", "must be \"basic\", \"post\" or \"none\""))
    });
    let by_flag = config.boolean("useBasicAuth")?;
    let by_flag = by_flag.map(|basic| if basic { ClientAuthentication::Basic } else { ClientAuthentication::Post });
    match (named.transpose()?, by_flag) {
        (Some(named), Some(by_flag)) if named != by_flag => Err(config.problem("useBasicAuth", "contradicts clientAuth")),
        (named, by_flag) => Ok(named.or(by_flag).unwrap_or(ClientAuthentication::Basic)),
    }
}

fn wire(
    config: &Config<'_>,
    endpoints: Option<&Endpoints>,
    policy: &EgressPolicy,
    pkce_off_hosts: &[String],
) -> Result<Wire, InvalidConfig> {
    let mut wire = Wire::default();
    wire.token.token_type_optional = true;
    wire.token.access_lifetime.zero_means_never = config.flag("zeroExpiresMeansNever")?;
    wire.refresh.send_scope = config.flag("sendScopeOnRefresh")?;
    wire.refresh.errors = config.refresh_errors()?;
    if let Some(name) = config.text("scopeParameter")? {
        if !is_parameter_name(&name) || (name != "scope" && is_reserved(&name)) {
            return Err(config.problem("scopeParameter", "is a reserved or invalid parameter name"));
        }
        wire.scopes.parameter = name;
    }
    if let Some(separator) = config.text("scopeSeparator")? {
        let plain = |byte: u8| byte == b' ' || byte.is_ascii_punctuation();
        if separator.len() > 3 || !separator.bytes().all(plain) {
            return Err(config.problem("scopeSeparator", "must be a space or up to three punctuation marks"));
        }
        wire.scopes.separator.clone_from(&separator);
        wire.scopes.response_separator = separator;
    }
    wire.authorize.pkce = match config.text("pkce")?.as_deref() {
        None | Some("required") => Pkce::Required,
        Some("off") => {
            let token = endpoints.and_then(|endpoints| policy.check(&endpoints.token).ok());
            let permitted = token.is_some_and(|token| pkce_off_hosts.iter().any(|host| host == token.host()));
            if !permitted {
                return Err(config.problem("pkce", "\"off\" requires the token host in [oauth] pkce_off_hosts"));
            }
            Pkce::Off
        }
        Some(_) => return Err(config.problem("pkce", "must be \"required\" or \"off\"")),
    };
    let extra = config.pairs("extraAuthorizationParameters")?;
    if extra.len() > MAX_EXTRA {
        return Err(config.problem("extraAuthorizationParameters", "contains more than 32 parameters"));
    }
    for (name, value) in extra {
        let field = |problem: &str| {
            let shown: String = name.chars().filter(|letter| !letter.is_control()).take(64).collect();
            config.problem(&format!("extraAuthorizationParameters.{shown}"), problem)
        };
        if is_resource(&name) {
            return Err(field("is set by the setting resource"));
        }
        if is_reserved(&name) || name == wire.scopes.parameter {
            return Err(field("is reserved and cannot be set"));
        }
        if !is_parameter_name(&name) {
            return Err(field("is not a valid parameter name"));
        }
        if value.len() > 1024 || value.chars().any(char::is_control) {
            return Err(field("has a value that is too long or contains control characters"));
        }
        wire.authorize.parameters.insert(name, value);
    }
    Ok(wire)
}

//! Provider profiles: parses the configuration of connectors.
//!
//! A profile is a TOML file that describes one provider as data. For `.oauth2` the connector contains the description. The
//! results are the settings for the domain and the wire rules for this crate. Parsing sends no request.

mod catalogue;
mod config;
mod custom;
mod file;
pub(crate) mod grant_values;
mod page;
mod place;
mod required_scopes;
mod reserved;
mod resource;
pub(crate) mod rules;
mod template;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};

use grantry_domain::connector::{ConnectorConfig, ProfileId};
use grantry_domain::ports::{InvalidConfig, Probe, ProviderProfiles};
use grantry_domain::provider::{Origin, ProviderSettings, ProviderSnapshot};

pub use self::catalogue::{ConnectorType, ConnectorTypeField, ConnectorTypeSetup};
pub(crate) use self::custom::has_reserved_query;
pub use self::file::InvalidProfile;
use self::file::Profile;
use self::grant_values::ApiTemplate;
pub use self::page::ProfileSummary;
use self::rules::Wire;
pub use self::rules::reported_scopes;
use crate::egress::EgressPolicy;

/// The id of providers that the connector describes.
const CUSTOM: &str = ".oauth2";

/// The profiles in `profiles/`: file name and text. The file name is the id without the dot.
const BUILT_IN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/built_in_profiles.rs"));

/// Maximum number of cached connectors.
const MAX_CACHED: usize = 1024;

/// The operator's settings for profiles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileOptions {
    /// `[oauth] pkce_off_hosts`: token hosts whose connectors may switch PKCE off.
    pub pkce_off_hosts: Vec<String>,
    /// `[providers] deny`: profiles that may not be used.
    pub deny: Vec<ProfileId>,
    /// The operator's profiles: file name and text. The name is the id of the profile without its dot, and `.toml`.
    pub additional: Vec<(String, String)>,
    /// `[providers] skip_invalid`: an invalid profile of the operator is left out, and the others are loaded.
    pub skip_invalid: bool,
    /// The present day, such as `2026-01-31`: a profile of the operator whose service has ended is not valid. `None`: not compared.
    pub today: Option<String>,
}

/// The profiles of this deployment.
pub struct Profiles {
    custom: ProfileId,
    known: BTreeMap<ProfileId, Profile>,
    skipped: Vec<InvalidProfile>,
    policy: EgressPolicy,
    options: ProfileOptions,
    hasher: RandomState,
    cache: RwLock<HashMap<u64, Arc<CachedConnector>>>,
}

/// A parsed connector configuration.
pub(crate) struct ParsedConnector {
    pub(crate) settings: ProviderSettings,
    pub(crate) wire: Wire,
    /// The API, if each grant names it.
    pub(crate) api: Option<ApiTemplate>,
    /// A request that succeeds with every valid token.
    pub(crate) probe: Option<Probe>,
}

struct CachedConnector {
    config: ConnectorConfig,
    parsed: Result<Arc<ParsedConnector>, InvalidConfig>,
}

impl Profiles {
    /// Parses the built-in profiles and the operator's profiles. An invalid profile of the operator is an error unless the options
    /// permit to leave it out.
    pub fn new(policy: EgressPolicy, options: ProfileOptions) -> Result<Self, InvalidProfile> {
        let mut profiles = Self::empty(policy)?;
        for (name, text) in BUILT_IN {
            profiles.insert(name, Profile::read(name, text)?)?;
        }
        for (name, text) in &options.additional {
            match profiles.add_additional(name, text, options.today.as_deref()) {
                Err(invalid) if options.skip_invalid => profiles.skipped.push(invalid),
                added => added?,
            }
        }
        profiles.options = options;
        Ok(profiles)
    }

    fn add_additional(&mut self, name: &str, text: &str, today: Option<&str>) -> Result<(), InvalidProfile> {
        self.insert(name, Profile::read_whole(name, text, today)?)
    }

    fn insert(&mut self, name: &str, profile: Profile) -> Result<(), InvalidProfile> {
        if profile.id == self.custom || self.known.contains_key(&profile.id) {
            return Err(InvalidProfile { name: name.to_owned(), problem: "has the id of another profile".to_owned() });
        }
        self.known.insert(profile.id.clone(), profile);
        Ok(())
    }

    /// The invalid profiles of the operator that were left out.
    pub fn skipped(&self) -> &[InvalidProfile] {
        &self.skipped
    }

    /// One profile, without the built-in ones.
    pub(crate) fn of_file(policy: EgressPolicy, name: &str, text: &str) -> Result<Self, InvalidProfile> {
        let profile = Profile::read(name, text)?;
        let mut profiles = Self::empty(policy)?;
        profiles.known.insert(profile.id.clone(), profile);
        Ok(profiles)
    }

    /// Without a profile.
    fn empty(policy: EgressPolicy) -> Result<Self, InvalidProfile> {
        let custom = ProfileId::new(CUSTOM)
            .map_err(|error| InvalidProfile { name: CUSTOM.to_owned(), problem: error.to_string() })?;
        let (options, hasher, cache) = (ProfileOptions::default(), RandomState::new(), RwLock::default());
        Ok(Self { custom, known: BTreeMap::new(), skipped: Vec::new(), policy, options, hasher, cache })
    }

    /// The first profile.
    pub(crate) fn only(&self) -> Option<&Profile> {
        self.known.values().next()
    }

    /// Whether this crate contains the profile. An unknown name in the list of denied profiles would deny nothing.
    pub fn is_built_in(id: &ProfileId) -> bool {
        let name = id.as_str();
        name == CUSTOM || BUILT_IN.iter().any(|(file, _)| file.strip_suffix(".toml") == name.strip_prefix('.'))
    }

    /// The egress policy for every URL.
    pub fn policy(&self) -> &EgressPolicy {
        &self.policy
    }

    /// The configuration of a provider as frozen at the start of a flow. Fails if the operator's settings no longer allow it.
    pub(crate) fn parse_snapshot(&self, provider: &ProviderSnapshot) -> Result<Arc<ParsedConnector>, InvalidConfig> {
        self.parse_connector(&ConnectorConfig {
            profile: provider.profile.clone(),
            settings: provider.config.clone(),
            client_id: Some(provider.client_id.clone()),
        })
    }

    /// Parses a connector configuration. The result is cached, errors included.
    fn parse_connector(&self, config: &ConnectorConfig) -> Result<Arc<ParsedConnector>, InvalidConfig> {
        let key = self.hasher.hash_one((config.profile.as_str(), &config.settings, &config.client_id));
        let cached = self.cache.read().unwrap_or_else(PoisonError::into_inner).get(&key).map(Arc::clone);
        if let Some(cached) = cached.filter(|cached| cached.config == *config) {
            return cached.parsed.clone();
        }
        let parsed = self.parse_uncached(config).map(Arc::new);
        let entry = Arc::new(CachedConnector { config: config.clone(), parsed: parsed.clone() });
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= MAX_CACHED {
            cache.clear();
        }
        cache.insert(key, entry);
        parsed
    }

    fn parse_uncached(&self, config: &ConnectorConfig) -> Result<ParsedConnector, InvalidConfig> {
        if config.profile == self.custom {
            return custom::parse_connector(&self.custom, config, &self.policy, &self.options.pkce_off_hosts);
        }
        match self.known.get(&config.profile) {
            Some(profile) => profile.parse_connector(config, &self.policy),
            None => Err(problem("connector_type_id", "is not known")),
        }
    }
}

impl ProviderProfiles for Profiles {
    fn settings(&self, config: &ConnectorConfig) -> Result<ProviderSettings, InvalidConfig> {
        if self.options.deny.contains(&config.profile) {
            return Err(problem("connector_type_id", "is denied by the operator"));
        }
        Ok(self.parse_connector(config)?.settings.clone())
    }

    fn generation(&self) -> u64 {
        0
    }

    fn probe(&self, config: &ConnectorConfig) -> Option<Probe> {
        self.parse_connector(config).ok()?.probe.clone()
    }
}

/// An error about a field, unrelated to allowed hosts.
fn problem(field: &str, text: &str) -> InvalidConfig {
    InvalidConfig { field: field.to_owned(), problem: text.to_owned(), host_not_allowed: false }
}

/// Checks a URL against the policy. Returns the normalised text and the origin.
fn checked_url(policy: &EgressPolicy, field: &str, text: &str) -> Result<(String, Origin), InvalidConfig> {
    let url = policy.check(text).map_err(|refused| InvalidConfig {
        field: field.to_owned(),
        problem: match refused.accepted_form(text) {
            Some(accepted) => format!("{refused}; write {accepted}"),
            None => refused.to_string(),
        },
        host_not_allowed: refused.operator_can_allow(),
    })?;
    let origin = url.origin().ok_or_else(|| problem(field, "has a host with unsupported characters"))?;
    Ok((url.as_str().to_owned(), origin))
}

/// A GET that expects JSON, with the header fields of the profile. `None` for a URL that the policy does not allow.
fn probe_at(policy: &EgressPolicy, url: &str, headers: &BTreeMap<String, String>) -> Option<Probe> {
    let (url, origin) = checked_url(policy, "connector_type_id", url).ok()?;
    let accept = ("accept".to_owned(), "application/json".to_owned());
    let headers = std::iter::once(accept).chain(headers.iter().map(|(name, value)| (name.clone(), value.clone()))).collect();
    Some(Probe { url, origin, headers })
}

/// A client id (RFC 6749 appendix A.1). Empty if it is not known yet.
fn checked_client_id(client_id: Option<&str>) -> Result<&str, InvalidConfig> {
    let client_id = client_id.unwrap_or_default();
    if client_id.len() <= 512 && client_id.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(client_id)
    } else {
        Err(problem("secrets.clientId", "must be at most 512 visible ASCII characters"))
    }
}

/// Scopes whose characters fit RFC 6749 §3.3.
fn checked_scopes<'a>(field: &str, scopes: impl Iterator<Item = &'a str>) -> Result<Vec<&'a str>, InvalidConfig> {
    let scopes: Vec<&str> = scopes.collect();
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if scopes.len() > 256 || scopes.iter().any(|scope| !scope.bytes().all(plain)) {
        return Err(problem(field, "contains more than 256 scopes, or one with invalid characters"));
    }
    Ok(scopes)
}

#[cfg(test)]
mod tests;

//! Provider profiles from a table.

use std::collections::HashMap;
use std::sync::Mutex;

use grantry_domain::connector::ConnectorConfig;
use grantry_domain::ports::{InvalidConfig, Probe, ProviderProfiles};
use grantry_domain::provider::{
    BindingKind, CallbackPath, ClientAuthentication, EndpointSource, Endpoints, ProviderSettings, Scopes,
};

use super::{fixtures, locked};

/// Returns the same settings for every configuration: configured endpoints at `as.example` and an API at `api.example`. A
/// test can change or refuse the settings for an exact text of `ConnectorConfig::settings`. Connectors of `.oauth2` have
/// separate callback paths.
///
/// ```
/// # use grantry_testkit::doubles::TestProfiles;
/// let profiles = TestProfiles::default();
/// profiles.set("moved", |settings| settings.base_url = Some("https://elsewhere.example".to_owned()));
/// ```
#[derive(Default)]
pub struct TestProfiles(Mutex<Rules>);

#[derive(Default)]
struct Rules {
    by_config: HashMap<String, Rule>,
    probe: Option<Probe>,
    changes: u64,
}

impl Rules {
    fn set(&mut self, config: &str, rule: Rule) {
        self.by_config.insert(config.to_owned(), rule);
        self.changes += 1;
    }
}

type Change = Box<dyn Fn(&mut ProviderSettings) + Send>;

enum Rule {
    Change(Change),
    Refuse(InvalidConfig),
}

impl TestProfiles {
    /// Changes the settings of connectors with exactly this configuration text.
    pub fn set(&self, config: &str, change: impl Fn(&mut ProviderSettings) + Send + 'static) {
        locked(&self.0).set(config, Rule::Change(Box::new(change)));
    }

    /// Refuses connectors with exactly this configuration text.
    pub fn refuse(&self, config: &str, field: &str, problem: &str) {
        let refusal = InvalidConfig { field: field.to_owned(), problem: problem.to_owned(), host_not_allowed: false };
        locked(&self.0).set(config, Rule::Refuse(refusal));
    }

    /// Offers a request with which users try their connections, for every configuration. There is none at first.
    pub fn offer_probe(&self, probe: Probe) {
        let mut rules = locked(&self.0);
        rules.probe = Some(probe);
        rules.changes += 1;
    }

    fn plain(config: &ConnectorConfig) -> ProviderSettings {
        let is_custom = config.profile.as_str() == ".oauth2";
        ProviderSettings {
            profile: config.profile.clone(),
            title: "Example".to_owned(),
            kind: BindingKind::Pinned,
            issuer: None,
            endpoint_source: if is_custom { EndpointSource::User } else { EndpointSource::Operator },
            endpoints: Some(Endpoints {
                authorization: "https://as.example/authorize".to_owned(),
                token: "https://as.example/token".to_owned(),
                revocation: Some("https://as.example/revoke".to_owned()),
                ..Endpoints::default()
            }),
            client_id: config.client_id.clone().unwrap_or_default(),
            authentication: ClientAuthentication::Post,
            resources: Vec::new(),
            destinations: vec![fixtures::origin("https://api.example")],
            base_url: Some("https://api.example".to_owned()),
            api_domains: Vec::new(),
            requested_scopes: Scopes::new(["read", "write"]),
            expected_scopes: Scopes::new(["read", "write"]),
            required_scopes: Scopes::new(["read"]),
            callback: if is_custom { CallbackPath::PerConnector } else { CallbackPath::Profiles },
            client_credentials: true,
            revocation_is_per_user: false,
            refresh_margin: None,
            missing: config.client_id.is_none().then(|| "secrets.clientId".to_owned()),
        }
    }
}

impl ProviderProfiles for TestProfiles {
    fn settings(&self, config: &ConnectorConfig) -> Result<ProviderSettings, InvalidConfig> {
        let mut settings = Self::plain(config);
        match locked(&self.0).by_config.get(&config.settings) {
            None => {}
            Some(Rule::Change(change)) => change(&mut settings),
            Some(Rule::Refuse(refusal)) => return Err(refusal.clone()),
        }
        Ok(settings)
    }

    fn generation(&self) -> u64 {
        locked(&self.0).changes
    }

    fn probe(&self, _config: &ConnectorConfig) -> Option<Probe> {
        locked(&self.0).probe.clone()
    }
}

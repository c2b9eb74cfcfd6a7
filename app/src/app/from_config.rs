//! A builder filled from a configuration.

use std::sync::Arc;

use grantry_crypto_aes_gcm::Keyring;
use grantry_domain::usecase::Policy;
use grantry_http_axum::{AgentKey, AgentPrincipal, Limits};
use grantry_provider_oauth2::ProfileOptions;

use crate::app::{App, AppBuilder, BuildError, Identity, open_store};
use crate::config::{Agent, Config};
use crate::telemetry;

impl App {
    /// A builder with everything that the configuration sets. Installs the metrics recorder of this process.
    pub async fn from_config(config: &Config) -> Result<AppBuilder, BuildError> {
        let settings = &config.settings;
        // The keys come first: without them no empty database is created.
        let keyring = Keyring::load(&config.write_key, &settings.keys.read, &config.folder)?;
        let store = open_store(config).await?;
        let metrics = telemetry::metrics();
        let max_body = usize::try_from(settings.execute.max_body.get()).unwrap_or(usize::MAX);
        Ok(AppBuilder::new(config.public_base_url.clone(), store, keyring.into(), Identity::of(config))
            .policy(|present| *present = policy(config))
            .egress(config.egress.clone())
            .profile_options(ProfileOptions {
                pkce_off_hosts: settings.oauth.pkce_off_hosts.clone(),
                deny: settings.providers.deny.clone(),
                additional: Vec::new(),
            })
            .rate_limits((&settings.oauth.rate_limits).into())
            .agents(settings.identity.agents.iter().map(agent_key).collect())
            .additional_hosts(vec![settings.listen.to_string()])
            .trusted_proxies(config.trusted_proxies.clone())
            .limits(Limits { execute_body: max_body, ..Limits::default() })
            .metrics(Arc::new(move || metrics.render())))
    }
}

/// The times and limits of a configuration.
pub(crate) fn policy(config: &Config) -> Policy {
    let settings = &config.settings;
    let mut policy = Policy::default();
    policy.flow_ttl = settings.oauth.flow_ttl;
    policy.pending.per_user = settings.oauth.pending_per_user.get();
    policy.sweep.unused_grants = settings.retention.unused_grants;
    policy.sweep.ended_grants = settings.retention.ended;
    policy
}

fn agent_key(agent: &Agent) -> AgentKey {
    AgentKey {
        key_sha256: agent.key_sha256.0,
        agent: AgentPrincipal { name: agent.name.clone(), spaces: agent.spaces.clone(), access_tokens: agent.access_tokens },
    }
}

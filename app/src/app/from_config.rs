//! A builder filled from a configuration.

use std::sync::Arc;

use grantry_crypto_aes_gcm::Keyring;
use grantry_domain::usecase::Policy;
use grantry_http_axum::{AgentKey, AgentPrincipal, Limits};
use grantry_provider_oauth2::ProfileOptions;

use crate::app::{App, AppBuilder, BuildError, Identity, StorePorts};
use crate::config::{Agent, Config};
use crate::telemetry;

impl App {
    /// A builder with everything that the configuration sets. Installs the metrics recorder of this process.
    pub async fn from_config(config: &Config) -> Result<AppBuilder, BuildError> {
        // The keys come first: without them no empty database is created.
        let keyring = Keyring::load(&config.write_key, &config.read_keys, &config.folder)?;
        let store = open_store(config).await?;
        let metrics = telemetry::metrics();
        Ok(AppBuilder::new(policy(config), store, keyring.into(), Identity::of(config))
            .egress(config.egress.clone())
            .profile_options(ProfileOptions {
                pkce_off_hosts: config.pkce_off_hosts.clone(),
                deny: config.denied_profiles.clone(),
                additional: Vec::new(),
            })
            .rate_limits(config.rate_limits)
            .agents(config.agents.iter().map(agent_key).collect())
            .additional_hosts(vec![config.listen.to_string()])
            .trusted_proxies(config.trusted_proxies.clone())
            .limits(Limits { execute_body: config.max_body, ..Limits::default() })
            .metrics(Arc::new(move || metrics.render())))
    }
}

/// The times and limits of a configuration.
pub(crate) fn policy(config: &Config) -> Policy {
    let mut policy = Policy::new(config.public_base_url.clone());
    policy.flow_ttl = config.flow_ttl;
    policy.pending.per_user = config.pending_per_user;
    policy.sweep.unused_grants = config.unused_grants;
    policy.sweep.ended_grants = config.ended;
    policy
}

/// Opens the database, and creates it if it does not exist.
#[cfg(feature = "sqlite")]
pub(crate) async fn open_store(config: &Config) -> Result<StorePorts, BuildError> {
    use grantry_runtime::{SystemClock, SystemRandom};
    use grantry_store_sqlite::{SqliteOptions, SqliteStore};

    let mut options = SqliteOptions::new(&config.database, Arc::new(SystemClock), Arc::new(SystemRandom));
    options.deployment_id = config.deployment_id;
    let opened = SqliteStore::open(options).await;
    opened.map(|store| Arc::new(store).into()).map_err(|error| BuildError::Database { path: config.database.clone(), error })
}

/// This build contains no store.
#[cfg(not(feature = "sqlite"))]
#[expect(clippy::unused_async, reason = "the signature of the function with the feature `sqlite`")]
pub(crate) async fn open_store(_: &Config) -> Result<StorePorts, BuildError> {
    Err(BuildError::NoStore)
}

fn agent_key(agent: &Agent) -> AgentKey {
    AgentKey {
        key_sha256: agent.key_sha256,
        agent: AgentPrincipal { name: agent.name.clone(), spaces: agent.spaces.clone(), access_tokens: agent.access_tokens },
    }
}

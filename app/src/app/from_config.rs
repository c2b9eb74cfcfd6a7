//! A builder filled from a configuration.

use std::sync::Arc;

use grantry_crypto_aes_gcm::Keyring;
use grantry_domain::ports::{PendingLimits, SweepPolicy};
use grantry_domain::usecase::Policy;
use grantry_http_axum::{AgentKey, AgentPrincipal, Limits, MetricsAccess};
use grantry_provider_oauth2::ProfileOptions;

use crate::app::{App, AppBuilder, BuildError, Identity};
use crate::config::{Agent, Config, Settings};
use crate::profile_folder;
use crate::store::{self, AppStore, OpenOptions};
use crate::telemetry;

impl App {
    /// A builder with everything that the configuration sets. Installs the metrics recorder of this process.
    pub async fn from_config(config: &Config) -> Result<AppBuilder, BuildError> {
        let settings = &config.settings;
        // The keys come first: without them no empty database is created.
        let keyring = Keyring::load(&config.write_key, &settings.keys.read, &config.folder)?;
        let metrics_access = match &settings.telemetry.metrics_token {
            Some(source) => {
                let token = source.load_text(&config.folder).map_err(BuildError::MetricsToken)?;
                MetricsAccess::bearer(&token)
            }
            None => MetricsAccess::Closed,
        };
        let store = store_of(config).await?;
        let metrics = telemetry::metrics();
        let max_body = usize::try_from(settings.execute.max_body.get()).unwrap_or(usize::MAX);
        Ok(AppBuilder::new(config.public_base_url.clone(), store, keyring.into(), Identity::of(config))
            .policy(|present| *present = policy(config))
            .egress(config.egress.clone())
            .profile_options(ProfileOptions {
                pkce_off_hosts: settings.oauth.pkce_off_hosts.clone(),
                deny: settings.providers.deny.clone(),
                additional: profile_folder::read(config)?,
                skip_invalid: settings.providers.skip_invalid,
                today: Some(profile_folder::today()),
            })
            .rate_limits((&settings.oauth.rate_limits).into())
            .agents(settings.identity.agents.iter().map(agent_key).collect())
            .additional_hosts(hosts(settings))
            .trusted_proxies(config.trusted_proxies.clone())
            .limits(Limits { execute_body: max_body, ..Limits::default() })
            .metrics_access(metrics_access)
            .serves_operations(settings.telemetry.listen.is_none())
            .metrics(Arc::new(move || metrics.render())))
    }
}

/// The values of `Host` besides that of the public base URL: the listening address, its names on this machine, and those of the
/// configuration. A page of another site cannot make a browser send one of the first two.
fn hosts(settings: &Settings) -> Vec<String> {
    let listen = settings.listen;
    let names = ["localhost", "127.0.0.1", "[::1]"].map(|name| format!("{name}:{}", listen.port()));
    let is_local = listen.ip().is_loopback() || listen.ip().is_unspecified();
    let local = names.into_iter().filter(|_| is_local);
    std::iter::once(listen.to_string()).chain(local).chain(settings.additional_hosts.iter().cloned()).collect()
}

/// The times and limits of a configuration.
pub(crate) fn policy(config: &Config) -> Policy {
    let settings = &config.settings;
    let defaults = Policy::default();
    Policy {
        flow_ttl: settings.oauth.flow_ttl,
        pending: PendingLimits { per_user: settings.oauth.pending_per_user.get(), ..defaults.pending },
        refusals: settings.oauth.refusals.get(),
        refusal_window: settings.oauth.refusal_window,
        on_audit_failure: settings.audit.on_failure,
        sweep: SweepPolicy {
            unused_grants: settings.retention.unused_grants,
            ended_grants: settings.retention.ended,
            ..defaults.sweep
        },
        ..defaults
    }
}

/// The store of a configuration.
pub(crate) async fn store_of(config: &Config) -> Result<AppStore, BuildError> {
    let settings = &config.settings.store;
    let options = OpenOptions {
        deployment_id: settings.deployment_id.map(|id| id.0),
        #[cfg(feature = "postgres")]
        connections: settings.connections.get(),
        #[cfg(feature = "postgres")]
        statement_cache: settings.statement_cache,
    };
    Ok(store::open(&config.database, &options).await?)
}

fn agent_key(agent: &Agent) -> AgentKey {
    AgentKey {
        key_sha256: agent.key_sha256.0,
        agent: AgentPrincipal { name: agent.name.clone(), spaces: agent.spaces.clone(), access_tokens: agent.access_tokens },
    }
}

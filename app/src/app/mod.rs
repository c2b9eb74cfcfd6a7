//! The composition root: from a configuration to ports, use cases and a router. The only place that knows every adapter.
//!
//! Nothing here decides anything. A host with its own parts builds [`Ports`] and [`Api`] in the same way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use axum::Router;
use grantry_crypto_aes_gcm::{AesGcmVault, Keyring, KeyringError, UnknownKeys};
use grantry_domain::authorization::AuthorizationId;
use grantry_domain::ports::{AuthorizationStore, Clock, Directory, SecureRandom, StoreError, TokenVault};
use grantry_domain::usecase::{Connections, InvalidPolicy, Policy, Ports};
use grantry_http_axum::{
    Accounts, AgentKey, AgentKeys, AgentPrincipal, Api, Authenticator, ConsoleAssets, IdentityMode, Limits, People,
    ProxyHeaderAuthenticator, Readiness,
};
use grantry_http_reqwest::{Limits as TransportLimits, ReqwestTransport, TransportSetupError};
use grantry_provider_oauth2::{ApiCaller, InvalidProfile, Oauth2Server, ProfileOptions, Profiles};
use grantry_runtime::MemoryRateLimiter;
use grantry_runtime::{SystemClock, SystemRandom, TokioSpawner};
use grantry_store_sqlite::{SqliteOptions, SqliteStore};
use thiserror::Error;

use crate::audit::LogSink;
use crate::config::{Agent, Config, Identity};
use crate::connector_types::connector_types;
use crate::console::EmbeddedConsole;
use crate::directory::{AccountDirectory, ProxyDirectory};
use crate::passwords::AccountPasswords;
use crate::telemetry;

/// Why the parts could not be put together. One sentence each, which says what to set.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A key is missing, wrong or weak.
    #[error("{0}")]
    Keys(#[from] KeyringError),
    /// The store holds records under keys that are not configured (R75).
    #[error("{0}, or start with --allow-unknown-keys to leave those records unusable")]
    UnknownKeys(#[from] UnknownKeys),
    /// The database cannot be used.
    #[error("the database {path} cannot be used: {error}", path = path.display())]
    Store {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        error: StoreError,
    },
    /// A time or a limit would break a requirement.
    #[error("`{}` {}", .0.setting, .0.problem)]
    Policy(#[from] InvalidPolicy),
    /// A provider profile cannot be read.
    #[error("{0}")]
    Profile(#[from] InvalidProfile),
    /// There is no TLS.
    #[error("{0}")]
    Transport(#[from] TransportSetupError),
}

/// Everything that runs in one process, put together.
pub struct App {
    /// The use cases.
    pub connections: Arc<Connections>,
    /// The store, to close at the end.
    pub store: Arc<SqliteStore>,
    /// Detached work, to wait for at the end.
    pub tasks: TokioSpawner,
    /// Connector definitions and the egress policy.
    pub profiles: Arc<Profiles>,
    /// The keys.
    pub vault: Arc<AesGcmVault>,
    readiness: Arc<StoreReadiness>,
    people: Arc<dyn People>,
    identity: IdentityMode,
    authenticator: Arc<dyn Authenticator>,
}

impl App {
    /// Opens keys and store and puts everything together. Must run on a Tokio runtime. `allow_unknown_keys` goes on although
    /// the store holds records that cannot be opened; none of them is changed (R76).
    pub async fn new(config: &Config, allow_unknown_keys: bool) -> Result<Self, BuildError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let random: Arc<dyn SecureRandom> = Arc::new(SystemRandom);
        let tasks = TokioSpawner::new(tokio::runtime::Handle::current());

        // Keys first: without them not even an empty database is made.
        let keyring = Keyring::load(&config.write_key, &config.read_keys, &config.folder)?;
        let store = Arc::new(open_store(config).await?);
        let vault = Arc::new(AesGcmVault::new(keyring, store.deployment_id(), Arc::clone(&random)));
        let usage = store.key_usage().await.map_err(|error| store_error(config, error))?;
        match vault.check_usage(&usage) {
            Err(unknown) if allow_unknown_keys => {
                tracing::warn!(
                    records = unknown.count,
                    "some stored records are sealed with unknown keys and cannot be used"
                );
            }
            checked => checked?,
        }

        let options = ProfileOptions {
            pkce_off_hosts: config.pkce_off_hosts.clone(),
            deny: config.denied_profiles.clone(),
            additional: Vec::new(),
        };
        let profiles = Arc::new(Profiles::new(config.egress.clone(), options)?);
        let to_providers = Arc::new(ReqwestTransport::new(config.egress.clone(), TransportLimits::OAUTH)?);
        let to_apis = Arc::new(ReqwestTransport::new(config.egress.clone(), TransportLimits::API)?);
        let who = Who::of(config);
        let ports = Ports {
            authorizations: store.clone(),
            connectors: store.clone(),
            vault: vault.clone(),
            provider: Arc::new(Oauth2Server::new(to_providers, profiles.clone(), clock.clone())),
            profiles: profiles.clone(),
            resource: Arc::new(ApiCaller::new(to_apis, config.egress.clone(), config.max_body)),
            directory: who.directory.clone(),
            limiter: Arc::new(MemoryRateLimiter::new(config.rate_limits, &clock)),
            sink: Arc::new(LogSink),
            clock: clock.clone(),
            random: random.clone(),
            spawner: Arc::new(tasks.clone()),
        };
        let connections = Connections::new(ports, policy(config))?;
        let (identity, people_authenticator) = who.log_in(config, &store, &vault, &clock, &random);
        let authenticator = Arc::new(AgentKeys::new(agent_keys(&config.agents), vault.clone(), people_authenticator));
        let readiness = Arc::new(StoreReadiness { store: store.clone(), stopping: AtomicBool::new(false) });
        Ok(Self { connections, store, tasks, profiles, vault, readiness, people: who.people, identity, authenticator })
    }

    /// The router of this deployment.
    pub fn router(&self, config: &Config) -> Router {
        let metrics = telemetry::metrics();
        grantry_http_axum::router(Api {
            connections: self.connections.clone(),
            authenticator: self.authenticator.clone(),
            identity: self.identity.clone(),
            people: self.people.clone(),
            public: config.public_base_url.clone(),
            more_hosts: vec![config.listen.to_string()],
            trusted_proxies: config.trusted_proxies.clone(),
            limits: Limits { execute_body: config.max_body, ..Limits::default() },
            connector_types: connector_types(&self.profiles, &config.public_base_url),
            readiness: self.readiness.clone(),
            metrics: Arc::new(move || metrics.render()),
            console: EmbeddedConsole::found().map(|console| Arc::new(console) as Arc<dyn ConsoleAssets>),
        })
    }

    /// Says from now on that this process is not ready, so that no balancer sends it more.
    pub fn begin_to_stop(&self) {
        self.readiness.stopping.store(true, Ordering::Relaxed);
    }
}

/// Who comes in, and who decides what they may do.
struct Who {
    directory: Arc<dyn Directory>,
    people: Arc<dyn People>,
    /// Hears the roles that a proxy names.
    proxy: Option<Arc<ProxyDirectory>>,
}

impl Who {
    fn of(config: &Config) -> Self {
        match &config.identity {
            Identity::Accounts(accounts) => {
                let directory = Arc::new(AccountDirectory::new(config.spaces.clone(), accounts));
                Self { directory: directory.clone(), people: directory, proxy: None }
            }
            Identity::ProxyHeader(proxy) => {
                let directory = Arc::new(match proxy.roles_header {
                    Some(_) => ProxyDirectory::told_by_proxy(config.spaces.clone()),
                    None => ProxyDirectory::listed(config.spaces.clone(), &proxy.accounts),
                });
                Self { directory: directory.clone(), people: directory.clone(), proxy: Some(directory) }
            }
        }
    }

    fn log_in(
        &self,
        config: &Config,
        store: &Arc<SqliteStore>,
        vault: &Arc<AesGcmVault>,
        clock: &Arc<dyn Clock>,
        random: &Arc<dyn SecureRandom>,
    ) -> (IdentityMode, Arc<dyn Authenticator>) {
        match &config.identity {
            Identity::Accounts(accounts) => {
                let hash: Arc<dyn TokenVault> = vault.clone();
                let accounts = Arc::new(Accounts::new(
                    Arc::new(AccountPasswords::new(accounts)),
                    store.clone(),
                    hash,
                    clock.clone(),
                    random.clone(),
                    &config.public_base_url,
                ));
                (IdentityMode::Accounts(accounts.clone()), accounts)
            }
            Identity::ProxyHeader(proxy) => {
                let headers = ProxyHeaderAuthenticator::new(proxy.user_header.clone(), config.trusted_proxies.clone());
                let headers = match (&proxy.roles_header, &self.proxy) {
                    (Some(header), Some(directory)) => headers.with_roles(header.clone(), directory.clone()),
                    (None, _) | (_, None) => headers,
                };
                (IdentityMode::ProxyHeader, Arc::new(headers))
            }
        }
    }
}

/// Times and limits as configured; the rest as the requirements have it.
pub(crate) fn policy(config: &Config) -> Policy {
    let mut policy = Policy::new(config.public_base_url.clone());
    policy.flow_ttl = config.flow_ttl;
    policy.pending.per_user = config.pending_per_user;
    policy.sweep.unused_grants = config.unused_grants;
    policy.sweep.ended_grants = config.ended;
    policy
}

/// Opens the database, which is made if it is not there yet.
pub(crate) async fn open_store(config: &Config) -> Result<SqliteStore, BuildError> {
    let mut options = SqliteOptions::new(&config.database, Arc::new(SystemClock), Arc::new(SystemRandom));
    options.deployment_id = config.deployment_id;
    SqliteStore::open(options).await.map_err(|error| store_error(config, error))
}

fn store_error(config: &Config, error: StoreError) -> BuildError {
    BuildError::Store { path: config.database.clone(), error }
}

fn agent_keys(agents: &[Agent]) -> Vec<AgentKey> {
    let key = |agent: &Agent| AgentKey {
        key_sha256: agent.key_sha256,
        agent: AgentPrincipal { name: agent.name.clone(), spaces: agent.spaces.clone(), access_tokens: agent.access_tokens },
    };
    agents.iter().map(key).collect()
}

/// Ready while the store answers and nobody has asked to stop.
struct StoreReadiness {
    store: Arc<SqliteStore>,
    stopping: AtomicBool,
}

#[async_trait]
impl Readiness for StoreReadiness {
    async fn check(&self) -> Result<(), &'static str> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err("shutting down");
        }
        // Any look-up will do; this one finds nothing.
        self.store.find(AuthorizationId::from_bytes([0; 24])).await.map(drop).map_err(|_| "store")
    }
}

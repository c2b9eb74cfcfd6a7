//! The builder: every port and every part of the router, each with a default that can be replaced.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use grantry_crypto_aes_gcm::{AesGcmVault, Keyring};
use grantry_domain::ports::{
    AuthorizationServer, Clock, EventSink, FailureLog, ProviderProfiles, RateLimiter, ResourceServer, RowAuthenticator,
    SecureRandom, Spawner, StorePorts, TokenVault,
};
use grantry_domain::usecase::{Connections, Policy, PolicyBounds, Ports};
use grantry_http_axum::{
    AgentKey, AgentKeys, ConnectorType, ConsoleAssets, Limits, MetricsAccess, Network, PublicBaseUrl, urls,
};
use grantry_http_reqwest::{Limits as TransportLimits, ReqwestTransport};
use grantry_provider_oauth2::{ApiCaller, EgressPolicy, Oauth2Server, ProfileOptions, Profiles};
use grantry_runtime::{MemoryRateLimiter, RateLimits, SystemClock, SystemRandom, TokioSpawner};

use crate::app::error::BuildError;
use crate::app::identity::{Identity, SessionParts};
use crate::app::{App, MetricsText, RouterParts};
use crate::audit::{AuditedSessions, CountingSink, LogSink};
use crate::connector_types::connector_types;
use crate::console::EmbeddedConsole;
use crate::failure_log::{CorrelatedSpawner, TracingFailureLog};
use crate::store::AppStore;

/// How records are sealed and rows authenticated: with a keyring, or by a vault of the host.
pub struct Sealing(SealingKind);

enum SealingKind {
    Keyring(Keyring),
    Vault(Arc<dyn TokenVault>, Arc<dyn RowAuthenticator>),
}

impl From<Keyring> for Sealing {
    fn from(keyring: Keyring) -> Self {
        Self(SealingKind::Keyring(keyring))
    }
}

impl<V: TokenVault + RowAuthenticator + 'static> From<Arc<V>> for Sealing {
    fn from(vault: Arc<V>) -> Self {
        Self(SealingKind::Vault(vault.clone(), vault))
    }
}

/// Builds an [`App`]. The four arguments of [`App::builder`] have no default, so code that omits one does not compile.
pub struct AppBuilder {
    public_base_url: PublicBaseUrl,
    policy: Policy,
    policy_bounds: PolicyBounds,
    store: AppStore,
    sealing: Sealing,
    identity: Identity,
    allow_unknown_keys: bool,
    egress: Option<EgressPolicy>,
    profile_options: ProfileOptions,
    rate_limits: RateLimits,
    replaced: Replaced,
    agents: Vec<AgentKey>,
    additional_hosts: Vec<String>,
    trusted_proxies: Vec<Network>,
    limits: Limits,
    console: Option<Arc<dyn ConsoleAssets>>,
    metrics: MetricsText,
    metrics_access: MetricsAccess,
    serves_operations: bool,
}

/// Ports of the host in place of the default ones.
#[derive(Default)]
struct Replaced {
    profiles: Option<(Arc<dyn ProviderProfiles>, Vec<ConnectorType>)>,
    provider: Option<Arc<dyn AuthorizationServer>>,
    resource: Option<Arc<dyn ResourceServer>>,
    limiter: Option<Arc<dyn RateLimiter>>,
    sink: Option<Arc<dyn EventSink>>,
    failures: Option<Arc<dyn FailureLog>>,
    clock: Option<Arc<dyn Clock>>,
    random: Option<Arc<dyn SecureRandom>>,
    spawner: Option<Arc<dyn Spawner>>,
}

impl AppBuilder {
    pub(crate) fn new(public_base_url: PublicBaseUrl, store: AppStore, sealing: Sealing, identity: Identity) -> Self {
        let console = EmbeddedConsole::found().map(|console| Arc::new(console) as Arc<dyn ConsoleAssets>);
        Self {
            public_base_url,
            policy: Policy::default(),
            policy_bounds: PolicyBounds::default(),
            store,
            sealing,
            identity,
            allow_unknown_keys: false,
            egress: None,
            profile_options: ProfileOptions::default(),
            rate_limits: RateLimits::default(),
            replaced: Replaced::default(),
            agents: Vec::new(),
            additional_hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
            console,
            metrics: Arc::new(String::new),
            metrics_access: MetricsAccess::Closed,
            serves_operations: true,
        }
    }

    /// Changes times and limits of the use cases. They are checked in [`build`](Self::build).
    #[must_use]
    pub fn policy(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.policy);
        self
    }

    /// Replaces the lower bounds of the policy: for tests with short times.
    #[must_use]
    pub fn policy_bounds(mut self, bounds: PolicyBounds) -> Self {
        self.policy_bounds = bounds;
        self
    }

    /// Builds although the store contains records that are sealed with keys of no keyring. Those records stay unchanged and
    /// unusable. Without effect if a vault of the host seals.
    #[must_use]
    pub fn allow_unknown_keys(mut self, allow: bool) -> Self {
        self.allow_unknown_keys = allow;
        self
    }

    /// Hosts that connectors may use. Default: every public host.
    #[must_use]
    pub fn egress(mut self, egress: EgressPolicy) -> Self {
        self.egress = Some(egress);
        self
    }

    /// Options of the built-in provider profiles.
    #[must_use]
    pub fn profile_options(mut self, options: ProfileOptions) -> Self {
        self.profile_options = options;
        self
    }

    /// Replaces the provider profiles, and the connector types that the console offers.
    #[must_use]
    pub fn profiles(mut self, profiles: Arc<dyn ProviderProfiles>, types: Vec<ConnectorType>) -> Self {
        self.replaced.profiles = Some((profiles, types));
        self
    }

    /// Replaces the OAuth client.
    #[must_use]
    pub fn provider(mut self, provider: Arc<dyn AuthorizationServer>) -> Self {
        self.replaced.provider = Some(provider);
        self
    }

    /// Replaces the caller of the APIs behind connectors.
    #[must_use]
    pub fn resource(mut self, resource: Arc<dyn ResourceServer>) -> Self {
        self.replaced.resource = Some(resource);
        self
    }

    /// Rates of the default rate limiter, which counts in memory.
    #[must_use]
    pub fn rate_limits(mut self, limits: RateLimits) -> Self {
        self.rate_limits = limits;
        self
    }

    /// Replaces the rate limiter.
    #[must_use]
    pub fn limiter(mut self, limiter: Arc<dyn RateLimiter>) -> Self {
        self.replaced.limiter = Some(limiter);
        self
    }

    /// Replaces the sink of audit events. Default: the log, with target `audit`.
    #[must_use]
    pub fn sink(mut self, sink: Arc<dyn EventSink>) -> Self {
        self.replaced.sink = Some(sink);
        self
    }

    /// Replaces the log of failures at providers. Default: the log, with target `grantry`.
    #[must_use]
    pub fn failure_log(mut self, failures: Arc<dyn FailureLog>) -> Self {
        self.replaced.failures = Some(failures);
        self
    }

    /// Replaces the clock. The clock of the store is set where the store is opened.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.replaced.clock = Some(clock);
        self
    }

    /// Replaces the source of randomness.
    #[must_use]
    pub fn random(mut self, random: Arc<dyn SecureRandom>) -> Self {
        self.replaced.random = Some(random);
        self
    }

    /// Replaces the spawner of detached work. [`App::drain`] then waits for nothing: the host waits for its tasks.
    #[must_use]
    pub fn spawner(mut self, spawner: Arc<dyn Spawner>) -> Self {
        self.replaced.spawner = Some(spawner);
        self
    }

    /// API keys of back ends.
    #[must_use]
    pub fn agents(mut self, agents: Vec<AgentKey>) -> Self {
        self.agents = agents;
        self
    }

    /// Values of `Host` that are accepted besides the one of the public base URL, such as `127.0.0.1:8080`.
    #[must_use]
    pub fn additional_hosts(mut self, hosts: Vec<String>) -> Self {
        self.additional_hosts = hosts;
        self
    }

    /// Addresses or networks of proxies whose `X-Forwarded-For` is used.
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: impl IntoIterator<Item = impl Into<Network>>) -> Self {
        self.trusted_proxies = proxies.into_iter().map(Into::into).collect();
        self
    }

    /// Whether the router has `/livez`, `/readyz` and `/metrics`, as it has by default. Otherwise the host serves
    /// [`App::operations_router`] on another listener.
    #[must_use]
    pub fn serves_operations(mut self, serves: bool) -> Self {
        self.serves_operations = serves;
        self
    }

    /// Sizes and times of requests. `execute_body` bounds both directions of `_execute`.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Replaces the console. With `None`, `/` lists the connectors with their start links.
    #[must_use]
    pub fn console(mut self, console: Option<Arc<dyn ConsoleAssets>>) -> Self {
        self.console = console;
        self
    }

    /// The text of `/metrics`. Default: empty, because a library installs no metrics recorder.
    #[must_use]
    pub fn metrics(mut self, text: MetricsText) -> Self {
        self.metrics = text;
        self
    }

    /// Access to `/metrics`. Default: closed at [`App::router`], open at [`App::operations_router`].
    #[must_use]
    pub fn metrics_access(mut self, access: MetricsAccess) -> Self {
        self.metrics_access = access;
        self
    }

    /// Assembles the application. Must run on a Tokio runtime unless the spawner is replaced.
    pub async fn build(self) -> Result<App, BuildError> {
        let Self { policy, store, identity, replaced, limits, .. } = self;
        let clock = replaced.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let random = replaced.random.unwrap_or_else(|| Arc::new(SystemRandom));
        let (spawner, tasks) = spawner(replaced.spawner);
        let (vault, rows) = vault(self.sealing, &store, &random, self.allow_unknown_keys).await?;

        let egress = self.egress.map_or_else(|| EgressPolicy::new(&["*"], &[]), Ok)?;
        let built_in = Arc::new(Profiles::new(egress.clone(), self.profile_options)?);
        for invalid in built_in.skipped() {
            tracing::warn!(%invalid, "a provider profile is not valid and was left out");
        }
        let (profiles, connector_types) = replaced.profiles.unwrap_or_else(|| {
            let types = connector_types(&built_in, &self.public_base_url);
            (built_in.clone(), types)
        });
        let provider = provider(replaced.provider, &egress, built_in, &clock)?;

        let public_base_url = self.public_base_url;
        let limiter = replaced.limiter.unwrap_or_else(|| Arc::new(MemoryRateLimiter::new(self.rate_limits, &clock)));
        #[cfg(feature = "cli")]
        let inspection =
            crate::app::Inspection { egress: egress.clone(), profiles: profiles.clone(), provider: provider.clone() };
        let ports = Ports {
            store: StorePorts::of(store.ports.clone()),
            vault,
            rows: rows.clone(),
            provider,
            profiles,
            resource: resource(replaced.resource, &egress, limits.execute_body)?,
            directory: identity.directory.clone(),
            urls: Arc::new(urls(&public_base_url)),
            limiter: limiter.clone(),
            sink: Arc::new(CountingSink::new(replaced.sink.unwrap_or_else(|| Arc::new(LogSink)))),
            failures: replaced.failures.unwrap_or_else(|| Arc::<TracingFailureLog>::default()),
            clock: clock.clone(),
            random: random.clone(),
            spawner,
        };
        let connections = Connections::with_bounds(&ports, policy, &self.policy_bounds)?;
        connections.observe_clock().await?;
        let (mode, user_authenticator) = identity.authenticator(SessionParts {
            sessions: store.ports.clone(),
            rows: Arc::new(AuditedSessions::new(rows, connections.clone())),
            limiter,
            clock: clock.clone(),
            random: random.clone(),
            public_base_url: &public_base_url,
        });
        let router_parts = RouterParts {
            authenticator: Arc::new(AgentKeys::new(self.agents, user_authenticator)),
            identity: mode,
            users: identity.users,
            public_base_url,
            additional_hosts: self.additional_hosts,
            trusted_proxies: self.trusted_proxies,
            connector_types,
            console: self.console,
            metrics: self.metrics,
            metrics_access: self.metrics_access,
            serves_operations: self.serves_operations,
            limits,
        };
        let stopping = Arc::new(AtomicBool::new(false));
        Ok(App {
            connections,
            store,
            tasks,
            #[cfg(feature = "cli")]
            inspection,
            clock,
            random,
            stopping,
            probe: Arc::default(),
            router_parts,
        })
    }
}

fn spawner(replaced: Option<Arc<dyn Spawner>>) -> (Arc<dyn Spawner>, Option<TokioSpawner>) {
    if let Some(spawner) = replaced {
        return (Arc::new(CorrelatedSpawner::new(spawner)), None);
    }
    let tasks = TokioSpawner::new(tokio::runtime::Handle::current());
    (Arc::new(CorrelatedSpawner::new(Arc::new(tasks.clone()))), Some(tasks))
}

/// The limits of outgoing requests that the descriptor limit of the process leaves room for.
fn within_descriptors(limits: TransportLimits) -> TransportLimits {
    crate::descriptors::limit().map_or(limits, |descriptors| limits.within(descriptors))
}

fn provider(
    replaced: Option<Arc<dyn AuthorizationServer>>,
    egress: &EgressPolicy,
    profiles: Arc<Profiles>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn AuthorizationServer>, BuildError> {
    if let Some(provider) = replaced {
        return Ok(provider);
    }
    let transport = Arc::new(ReqwestTransport::new(egress.clone(), within_descriptors(TransportLimits::OAUTH))?);
    Ok(Arc::new(Oauth2Server::new(transport, profiles, clock.clone())))
}

fn resource(
    replaced: Option<Arc<dyn ResourceServer>>,
    egress: &EgressPolicy,
    max_body: usize,
) -> Result<Arc<dyn ResourceServer>, BuildError> {
    if let Some(resource) = replaced {
        return Ok(resource);
    }
    let transport = Arc::new(ReqwestTransport::new(egress.clone(), within_descriptors(TransportLimits::API))?);
    Ok(Arc::new(ApiCaller::new(transport, egress.clone(), max_body)))
}

async fn vault(
    sealing: Sealing,
    store: &AppStore,
    random: &Arc<dyn SecureRandom>,
    allow_unknown_keys: bool,
) -> Result<(Arc<dyn TokenVault>, Arc<dyn RowAuthenticator>), BuildError> {
    let keyring = match sealing.0 {
        SealingKind::Keyring(keyring) => keyring,
        SealingKind::Vault(vault, rows) => return Ok((vault, rows)),
    };
    let vault = Arc::new(AesGcmVault::new(keyring, store.deployment_id(), random.clone()));
    // Records are counted only for the message; with many of them that takes seconds.
    let keys = store.ports.keys_in_use().await?;
    let one_of_each: Vec<_> = keys.into_iter().map(|key| (key, 1)).collect();
    let checked = match vault.check_usage(&one_of_each) {
        Ok(()) => Ok(()),
        Err(_) => vault.check_usage(&store.ports.key_usage().await?),
    };
    match checked {
        Err(unknown) if allow_unknown_keys => {
            tracing::warn!(records = unknown.count, "some stored records are sealed with unknown keys and cannot be used");
        }
        checked => checked?,
    }
    Ok((vault.clone(), vault))
}

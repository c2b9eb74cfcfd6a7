//! One node in this process: the real adapters on a random loopback port.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grantry_crypto_aes_gcm::{AesGcmVault, KeySource, Keyring, KeyringError, UnknownKeys};
use grantry_domain::ports::{AuthorizationStore as _, Clock, SecureRandom, SessionStore, StoreError, TokenVault};
use grantry_domain::usecase::{Connections, InvalidPolicy, Policy, Ports, PublicBaseUrl};
use grantry_http_axum::{Accounts, AgentKey, AgentKeys, AgentPrincipal, Api, IdentityMode, Limits, Readiness};
use grantry_http_reqwest::{Limits as TransportLimits, ReqwestTransport, TransportSetupError};
use grantry_provider_oauth2::{
    ApiCaller, EgressPolicy, InvalidEgress, InvalidProfile, Oauth2Server, ProfileOptions, Profiles,
};
use grantry_runtime::{MemoryRateLimiter, Quota, RateLimits};
use grantry_runtime::{SystemRandom, TokioSpawner};
use grantry_store_sqlite::{SqliteOptions, SqliteStore};
use grantry_testkit::doubles::CollectingSink;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::clock::MovableClock;
use crate::deployment::{Settings, database_file, key_file};
use crate::users::{AGENT_KEY, TestUsers, space};

/// Work under way may take this long when a node stops.
const DRAIN: Duration = Duration::from_secs(20);

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// Records under other keys.
    #[error(transparent)]
    UnknownKeys(#[from] UnknownKeys),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The times.
    #[error(transparent)]
    Policy(#[from] InvalidPolicy),
    /// The egress list.
    #[error(transparent)]
    Egress(#[from] InvalidEgress),
    /// The profiles.
    #[error(transparent)]
    Profiles(#[from] InvalidProfile),
    /// TLS.
    #[error(transparent)]
    Transport(#[from] TransportSetupError),
    /// The socket.
    #[error(transparent)]
    Socket(#[from] io::Error),
}

/// A running node. Background jobs run only when a test calls them on [`Host::connections`]; a revocation that is owed
/// starts by itself, as everywhere.
pub struct Host {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its use cases.
    pub connections: Arc<Connections>,
    /// Its store.
    pub store: Arc<SqliteStore>,
    /// Audit events it has delivered.
    pub sink: Arc<CollectingSink>,
    spawner: TokioSpawner,
    stop: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

impl Host {
    /// Puts the parts together and serves.
    pub async fn start(settings: &Settings, users: &TestUsers) -> Result<Self, HostError> {
        let clock: Arc<dyn Clock> = Arc::new(MovableClock::of(&settings.folder));
        let random: Arc<dyn SecureRandom> = Arc::new(SystemRandom);
        let spawner = TokioSpawner::new(tokio::runtime::Handle::current());
        let sink = Arc::new(CollectingSink::default());

        let keyring = Keyring::load(&KeySource::File(key_file(&settings.folder)), &[], &settings.folder)?;
        let store = Arc::new(SqliteStore::open(options(settings, &clock, &random)).await?);
        let vault = Arc::new(AesGcmVault::new(keyring, store.deployment_id(), random.clone()));
        vault.check_usage(&store.key_usage().await?)?;

        let egress = EgressPolicy::new(&["*".to_owned()], &settings.egress)?;
        let profiles = Arc::new(Profiles::new(egress.clone(), ProfileOptions::default())?);
        let to_providers = Arc::new(ReqwestTransport::new(egress.clone(), TransportLimits::OAUTH)?);
        let to_apis = Arc::new(ReqwestTransport::new(egress.clone(), TransportLimits::API)?);
        let ports = Ports {
            authorizations: store.clone(),
            connectors: store.clone(),
            vault: vault.clone(),
            provider: Arc::new(Oauth2Server::new(to_providers, profiles.clone(), clock.clone())),
            profiles,
            resource: Arc::new(ApiCaller::new(to_apis, egress, ApiCaller::MAX_BODY)),
            directory: users.directory.clone(),
            limiter: Arc::new(MemoryRateLimiter::new(rates(settings), &clock)),
            sink: sink.clone(),
            clock: clock.clone(),
            random: random.clone(),
            spawner: Arc::new(spawner.clone()),
        };
        let connections = Connections::new(ports, policy(settings)?)?;
        let router = grantry_http_axum::router(api(settings, users, &connections, &store, &vault)?);

        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let serving = axum::serve(listener, service).with_graceful_shutdown(async { drop(stopped.await) });
        let server = tokio::spawn(serving.into_future());
        Ok(Self { address, connections, store, sink, spawner, stop, server })
    }

    /// Stops as a process does that was asked to: requests and detached work finish, the store is closed.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        // Idle connections of browsers are not waited for.
        drop(tokio::time::timeout(Duration::from_millis(200), self.server).await);
        self.spawner.drain(DRAIN).await;
        self.store.close().await;
    }

    /// Waits until nothing runs detached any more: revocations that started by themselves are done or put off.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn drain(&self) {
        assert_eq!(self.spawner.drain(DRAIN).await, 0, "detached work goes on and on");
    }
}

/// The policy of the tests: every time may be short.
pub fn policy(settings: &Settings) -> Result<Policy, InvalidPolicy> {
    let mut policy = Policy::new(PublicBaseUrl::new(&settings.public)?);
    policy.flow_ttl = settings.flow_ttl;
    policy.request_deadline = settings.request_deadline;
    policy.quarantine = settings.quarantine;
    policy.disconnect_wait = settings.disconnect_wait;
    policy.short_times_for_tests = true;
    Ok(policy)
}

fn options(settings: &Settings, clock: &Arc<dyn Clock>, random: &Arc<dyn SecureRandom>) -> SqliteOptions {
    let mut options = SqliteOptions::new(database_file(&settings.folder), clock.clone(), random.clone());
    options.busy_timeout = settings.busy_timeout;
    options.max_pages = settings.max_pages;
    options
}

fn api(
    settings: &Settings,
    users: &TestUsers,
    connections: &Arc<Connections>,
    store: &Arc<SqliteStore>,
    vault: &Arc<AesGcmVault>,
) -> Result<Api, InvalidPolicy> {
    let ports = connections.ports();
    let public = PublicBaseUrl::new(&settings.public)?;
    let (sessions, hash): (Arc<dyn SessionStore>, Arc<dyn TokenVault>) = (store.clone(), vault.clone());
    let accounts =
        Accounts::new(Arc::new(users.clone()), sessions, hash.clone(), ports.clock.clone(), ports.random.clone(), &public);
    let accounts = Arc::new(accounts);
    let agent = AgentKey {
        key_sha256: vault.fingerprint(AGENT_KEY.as_bytes()),
        agent: AgentPrincipal { name: "workflows".to_owned(), spaces: vec![space("default")], access_tokens: true },
    };
    Ok(Api {
        connections: connections.clone(),
        authenticator: Arc::new(AgentKeys::new(vec![agent], hash, accounts.clone())),
        identity: IdentityMode::Accounts(accounts),
        users: Arc::new(users.clone()),
        public,
        more_hosts: Vec::new(),
        trusted_proxies: Vec::new(),
        limits: Limits::default(),
        connector_types: Vec::new(),
        readiness: Arc::new(AlwaysReady),
        metrics: Arc::new(String::new),
        console: None,
    })
}

/// Generous limits are met by no test by accident; those that are about limits use the default ones.
fn rates(settings: &Settings) -> RateLimits {
    if !settings.generous {
        return RateLimits::default();
    }
    let quota = Quota::in_ten_minutes(1_000_000);
    RateLimits { start: quota, callback: quota, log_in: quota, status: quota, disconnect: quota }
}

struct AlwaysReady;

#[async_trait]
impl Readiness for AlwaysReady {
    async fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

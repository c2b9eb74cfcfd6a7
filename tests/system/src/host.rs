//! A node in this process: the application of `grantry`, with the clock, users and event sink of the tests, on a random
//! loopback port.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use grantry::app::{App, BuildError, Identity};
use grantry::store::AppStore;
use grantry_crypto_aes_gcm::{KeySource, Keyring, KeyringError};
use grantry_domain::ports::{Clock, Store, StoreError};
use grantry_domain::usecase::{Connections, Policy, PolicyBounds};
use grantry_http_axum::{AgentKey, AgentPrincipal, InvalidPublicBaseUrl, PublicBaseUrl};
use grantry_provider_oauth2::{EgressPolicy, InvalidEgress};
use grantry_runtime::{Quota, RateLimits, SystemRandom};
use grantry_store_postgres::{InvalidPostgresUrl, PostgresOptions, PostgresStore, PostgresUrl};
use grantry_store_sqlite::{SqliteOptions, SqliteStore};
use grantry_testkit::doubles::CollectingSink;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::clock::MovableClock;
use crate::deployment::{Settings, database_file, key_file};
use crate::users::{AGENT_KEY, TestUsers, space};

/// How long detached work may take when a node stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);
/// How long idle connections of browsers may stay open when a node stops.
const CLOSE_LIMIT: Duration = Duration::from_millis(200);

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The URL of the database.
    #[error(transparent)]
    PostgresUrl(#[from] InvalidPostgresUrl),
    /// The public base URL.
    #[error(transparent)]
    PublicBaseUrl(#[from] InvalidPublicBaseUrl),
    /// The egress list.
    #[error(transparent)]
    Egress(#[from] InvalidEgress),
    /// The application.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The socket.
    #[error(transparent)]
    Socket(#[from] io::Error),
}

/// A running node. It runs no background jobs: tests call them on [`Host::connections`]. A revocation starts at once when it
/// becomes pending.
pub struct Host {
    /// The address it listens on.
    pub address: SocketAddr,
    /// The use cases.
    pub connections: Arc<Connections>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The audit events it has delivered.
    pub sink: Arc<CollectingSink>,
    app: App,
    stop: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

impl Host {
    /// Builds the application and serves it.
    pub async fn start(settings: &Settings, users: &TestUsers) -> Result<Self, HostError> {
        let clock: Arc<dyn Clock> = Arc::new(MovableClock::of(&settings.folder, &settings.clock));
        let sink = Arc::new(CollectingSink::default());
        let keyring = Keyring::load(&KeySource::File(key_file(&settings.folder)), &[], &settings.folder)?;
        let (store, app_store) = open_store(settings, &clock).await?;
        let accounts = Arc::new(users.clone());
        let identity = Identity::with_passwords(users.directory.clone(), accounts.clone(), accounts);
        let app = App::builder(PublicBaseUrl::new(&settings.public)?, app_store, keyring, identity)
            .policy(|policy| set_times(policy, settings))
            .policy_bounds(settings.times.map_or_else(PolicyBounds::default, |_| PolicyBounds::NONE))
            .egress(EgressPolicy::new(&["*".to_owned()], &settings.egress)?)
            .rate_limits(rate_limits(settings))
            .agents(vec![agent()])
            .console(None)
            .sink(sink.clone())
            .clock(clock)
            .build()
            .await?;

        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let service = app.router().into_make_service_with_connect_info::<SocketAddr>();
        let serving = axum::serve(listener, service).with_graceful_shutdown(async { drop(stopped.await) });
        let server = tokio::spawn(serving.into_future());
        Ok(Self { address, connections: app.connections().clone(), store, sink, app, stop, server })
    }

    /// Stops like a process that receives SIGTERM: requests and detached work finish, then the store is closed.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        drop(tokio::time::timeout(CLOSE_LIMIT, self.server).await);
        self.app.drain(DRAIN_LIMIT).await;
        self.app.close().await;
    }

    /// Waits until no detached work runs: revocations that started by themselves are completed or postponed.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn drain(&self) {
        assert_eq!(self.app.drain(DRAIN_LIMIT).await, 0, "detached work does not finish");
    }
}

async fn open_store(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<(Arc<dyn Store>, AppStore), HostError> {
    Ok(match &settings.postgres {
        None => {
            let store = Arc::new(SqliteStore::open(sqlite_options(settings, clock)).await?);
            (store.clone(), store.into())
        }
        Some(url) => {
            let mut options = PostgresOptions::new(PostgresUrl::parse(url)?, Arc::new(SystemRandom));
            options.clock = Some(clock.clone());
            options.connections = 4;
            let store = Arc::new(PostgresStore::open(options).await?);
            (store.clone(), store.into())
        }
    })
}

fn sqlite_options(settings: &Settings, clock: &Arc<dyn Clock>) -> SqliteOptions {
    let mut options = SqliteOptions::new(database_file(&settings.folder), clock.clone(), Arc::new(SystemRandom));
    options.busy_timeout = settings.busy_timeout;
    options.max_pages = settings.max_pages;
    options
}

fn set_times(policy: &mut Policy, settings: &Settings) {
    policy.disconnect_wait = settings.disconnect_wait;
    if let Some(times) = settings.times {
        policy.request_deadline = times.request_deadline;
        policy.quarantine = times.quarantine;
    }
}

fn agent() -> AgentKey {
    AgentKey {
        key_sha256: Sha256::digest(AGENT_KEY.as_bytes()).into(),
        agent: AgentPrincipal { name: "workflows".to_owned(), spaces: vec![space("default")], access_tokens: true },
    }
}

fn rate_limits(settings: &Settings) -> RateLimits {
    if !settings.generous_rates {
        return RateLimits::default();
    }
    let quota = Quota::in_ten_minutes(1_000_000);
    RateLimits { start: quota, callback: quota, log_in: quota, status: quota, disconnect: quota }
}

//! A node in this process: the application of `grantry`, with the clock, users and sink of the tests, on a random loopback port.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use grantry::app::{App, BuildError, Identity};
use grantry_crypto_aes_gcm::{KeySource, Keyring, KeyringError};
use grantry_domain::ports::{Clock, StoreError};
use grantry_domain::usecase::{Connections, InvalidPolicy, Policy, PublicBaseUrl};
use grantry_http_axum::{AgentKey, AgentPrincipal};
use grantry_provider_oauth2::{EgressPolicy, InvalidEgress};
use grantry_runtime::{Quota, RateLimits, SystemRandom};
use grantry_store_sqlite::{SqliteOptions, SqliteStore};
use grantry_testkit::doubles::CollectingSink;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::clock::MovableClock;
use crate::deployment::{Settings, database_file, key_file};
use crate::people::{AGENT_KEY, TestPeople, space};

/// How long detached work may take when a node stops.
const DRAIN: Duration = Duration::from_secs(20);

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
    /// The public base URL.
    #[error(transparent)]
    Policy(#[from] InvalidPolicy),
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

/// A running node. No background job runs unless a test calls it on [`Host::connections`]. A revocation that becomes due
/// starts by itself.
pub struct Host {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its use cases.
    pub connections: Arc<Connections>,
    /// Its store.
    pub store: Arc<SqliteStore>,
    /// The audit events it has delivered.
    pub sink: Arc<CollectingSink>,
    app: App,
    stop: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

impl Host {
    /// Builds the application and serves it.
    pub async fn start(settings: &Settings, people: &TestPeople) -> Result<Self, HostError> {
        let clock: Arc<dyn Clock> = Arc::new(MovableClock::of(&settings.folder));
        let sink = Arc::new(CollectingSink::default());
        let keyring = Keyring::load(&KeySource::File(key_file(&settings.folder)), &[], &settings.folder)?;
        let store = Arc::new(SqliteStore::open(options(settings, &clock)).await?);
        let users = Arc::new(people.clone());
        let identity = Identity::with_passwords(people.directory.clone(), users.clone(), users);
        let app = App::builder(PublicBaseUrl::new(&settings.public)?, store.clone(), keyring, identity)
            .policy(|policy| shorten(policy, settings))
            .egress(EgressPolicy::new(&["*".to_owned()], &settings.egress)?)
            .rate_limits(rates(settings))
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

    /// Stops like a process that received a signal: requests and detached work finish, then the store is closed.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        // Idle connections of browsers are not waited for.
        drop(tokio::time::timeout(Duration::from_millis(200), self.server).await);
        self.app.drain(DRAIN).await;
        self.store.close().await;
    }

    /// Waits until no detached work runs: revocations that started by themselves are completed or postponed.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn settle(&self) {
        assert_eq!(self.app.drain(DRAIN).await, 0, "detached work does not finish");
    }
}

/// Sets the times of the tests, which may be shorter than the bounds of a deployment.
fn shorten(policy: &mut Policy, settings: &Settings) {
    policy.flow_ttl = settings.flow_ttl;
    policy.request_deadline = settings.request_deadline;
    policy.quarantine = settings.quarantine;
    policy.disconnect_wait = settings.disconnect_wait;
    policy.short_times_for_tests = true;
}

fn options(settings: &Settings, clock: &Arc<dyn Clock>) -> SqliteOptions {
    let mut options = SqliteOptions::new(database_file(&settings.folder), clock.clone(), Arc::new(SystemRandom));
    options.busy_timeout = settings.busy_timeout;
    options.max_pages = settings.max_pages;
    options
}

fn agent() -> AgentKey {
    AgentKey {
        key_sha256: Sha256::digest(AGENT_KEY.as_bytes()).into(),
        agent: AgentPrincipal { name: "workflows".to_owned(), spaces: vec![space("default")], access_tokens: true },
    }
}

/// Generous limits, which no test reaches by accident. Tests of the limits use the default ones.
fn rates(settings: &Settings) -> RateLimits {
    if !settings.generous {
        return RateLimits::default();
    }
    let quota = Quota::in_ten_minutes(1_000_000);
    RateLimits { start: quota, callback: quota, log_in: quota, status: quota, disconnect: quota }
}

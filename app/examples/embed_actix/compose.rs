//! The ports of the host: the adapters of Grantry, and the users, URLs and logs of the host.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grantry_crypto_aes_gcm::{AesGcmVault, KeySource, Keyring};
use grantry_domain::connector::{CallbackId, ConnectorKey};
use grantry_domain::identity::{ConnectionName, Role, SpaceId, UserId};
use grantry_domain::ports::{
    Anomaly, Clock, ConnectorFailure, Directory, DirectoryError, EventSink, FailureLog, Housekeeping as _, Membership,
    RecordedEvent, SecureRandom, SinkError, StoreError, StorePorts, Urls, UserStatus,
};
use grantry_domain::usecase::{Connections, Policy, Ports};
use grantry_http_reqwest::{Limits, ReqwestTransport};
use grantry_provider_oauth2::{ApiCaller, EgressPolicy, Oauth2Server, ProfileOptions, Profiles};
use grantry_runtime::{MemoryRateLimiter, RateLimits, SystemClock, SystemRandom, TokioSpawner};
use grantry_store_sqlite::{SqliteOptions, SqliteStore};

/// At most how long a response of an API is.
const LONGEST_RESPONSE: usize = 1 << 20;

/// The users of the host. A real host asks its database.
struct Users;

#[async_trait]
impl Directory for Users {
    async fn membership(&self, user: &UserId, space: &SpaceId) -> Result<Membership, DirectoryError> {
        let role = match user.as_str() {
            "u_ada" => Some(Role::Editor),
            "u_ben" => Some(Role::Viewer),
            _ => None,
        };
        // `Unknown` ends every grant of the user for good. A user who only has no role is `Active`.
        let is_user = ["u_ada", "u_ben", "u_eva"].contains(&user.as_str());
        let status = if is_user { UserStatus::Active } else { UserStatus::Unknown };
        Ok(Membership { space_exists: space.is_default(), user: status, role })
    }
}

/// The URLs of the routes below this origin. Each callback has a path of its kind.
struct HostUrls(String);

impl Urls for HostUrls {
    fn start_link(&self, connector: &ConnectorKey, connection: &ConnectionName) -> String {
        format!("{}/connectors/{}/connect?connection={connection}", self.0, connector.id)
    }

    fn issuer_callback(&self) -> String {
        format!("{}/callback/issuers", self.0)
    }

    fn profile_callback(&self) -> String {
        format!("{}/callback/profiles", self.0)
    }

    fn connector_callback(&self, callback_id: CallbackId) -> String {
        format!("{}/callback/connectors/{}", self.0, callback_id.to_text())
    }
}

/// The logs of the host: audit events, and failures at providers.
struct Log;

#[async_trait]
impl EventSink for Log {
    async fn deliver(&self, events: &[RecordedEvent]) -> Result<(), SinkError> {
        for RecordedEvent { event, .. } in events {
            eprintln!("audit: {} {} {}", event.actor, event.kind.as_str(), event.outcome.as_str());
        }
        Ok(())
    }
}

impl FailureLog for Log {
    fn correlation_id(&self) -> Option<String> {
        None
    }

    fn failure(&self, connector: &ConnectorKey, failure: &ConnectorFailure) {
        eprintln!("connector {}: {} at the provider", connector.id, failure.code.as_str());
    }

    fn anomalies(&self, connector: &ConnectorKey, anomalies: &[Anomaly]) {
        eprintln!("connector {}: {} deviations in a response", connector.id, anomalies.len());
    }

    fn not_stored(&self, connector: &ConnectorKey, error: &StoreError) {
        eprintln!("connector {}: {error}", connector.id);
    }
}

/// The use cases, and what is closed with them.
pub(crate) struct Host {
    pub(crate) connections: Arc<Connections>,
    /// The origin of the host, such as `https://app.example.com`.
    pub(crate) origin: String,
    spawner: TokioSpawner,
    store: Arc<SqliteStore>,
}

impl Host {
    /// Waits for detached work, writes buffered audit events and closes the store.
    pub(crate) async fn close(&self) {
        self.spawner.drain(Duration::from_secs(20)).await;
        if let Err(error) = self.connections.flush_audit().await {
            eprintln!("the last audit events were lost: {error}");
        }
        self.store.close().await;
    }
}

/// One value for each port, with key and database in `folder`.
pub(crate) async fn compose(folder: &Path, origin: &str, egress: EgressPolicy) -> Result<Host, Box<dyn Error>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random: Arc<dyn SecureRandom> = Arc::new(SystemRandom);
    let options = SqliteOptions::new(folder.join("grantry.db"), clock.clone(), random.clone());
    let store = Arc::new(SqliteStore::open(options).await?);

    let key = folder.join("primary.key");
    if !key.exists() {
        grantry::key_file::write_new(&key)?;
    }
    let keyring = Keyring::load(&KeySource::File("primary.key".into()), &[], folder)?;
    let vault = Arc::new(AesGcmVault::new(keyring, store.deployment_id(), random.clone()));
    // Records that are sealed with an unknown key would be found one by one, at their next use.
    vault.check_usage(&store.key_usage().await?)?;

    let profiles = Arc::new(Profiles::new(egress.clone(), ProfileOptions::default())?);
    let to_providers = Arc::new(ReqwestTransport::new(egress.clone(), Limits::OAUTH)?);
    let to_apis = Arc::new(ReqwestTransport::new(egress.clone(), Limits::API)?);
    let spawner = TokioSpawner::new(tokio::runtime::Handle::current());
    let ports = Ports {
        store: StorePorts::of(store.clone()),
        vault: vault.clone(),
        rows: vault,
        provider: Arc::new(Oauth2Server::new(to_providers, profiles.clone(), clock.clone())),
        profiles,
        resource: Arc::new(ApiCaller::new(to_apis, egress, LONGEST_RESPONSE)),
        directory: Arc::new(Users),
        urls: Arc::new(HostUrls(origin.to_owned())),
        limiter: Arc::new(MemoryRateLimiter::new(RateLimits::default(), &clock)),
        sink: Arc::new(Log),
        failures: Arc::new(Log),
        clock,
        random,
        spawner: Arc::new(spawner.clone()),
    };
    let connections = Connections::new(&ports, Policy::default())?;
    Ok(Host { connections, origin: origin.to_owned(), spawner, store })
}

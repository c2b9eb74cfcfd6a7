//! The composition root: the only module that names every adapter.
//!
//! [`App::builder`] takes the parts that have no default and lets a host replace every other port. [`App::from_config`] fills
//! the same builder from a configuration file, as `grantry serve`, `check` and `demo` do. An [`App`] offers the use cases, the
//! router, and the order of a shutdown; [`Jobs`](crate::jobs::Jobs) runs its background work.

mod builder;
mod error;
mod from_config;
mod identity;
mod readiness;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use grantry_domain::ports::{Clock, SecureRandom};
use grantry_domain::usecase::Connections;
use grantry_http_axum::{
    Api, Authenticator, ConnectorType, ConsoleAssets, IdentityMode, Limits, MetricsAccess, Network, PublicBaseUrl,
    Readiness, UserDirectory, operations_router,
};
use grantry_runtime::TokioSpawner;
use tracing::warn;

use self::readiness::StoreReadiness;
use crate::store::AppStore;

pub use builder::{AppBuilder, Sealing};
pub use error::BuildError;
pub use identity::Identity;
pub(crate) use readiness::StoreProbe;

#[cfg(feature = "cli")]
pub(crate) use from_config::{policy, store_of};

/// Produces the text of `/metrics`.
pub type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

/// An assembled application.
pub struct App {
    connections: Arc<Connections>,
    store: AppStore,
    /// The default spawner; `None` if the host replaced it.
    tasks: Option<TokioSpawner>,
    #[cfg(feature = "cli")]
    pub(crate) inspection: Inspection,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn SecureRandom>,
    stopping: Arc<AtomicBool>,
    pub(crate) probe: Arc<StoreProbe>,
    router_parts: RouterParts,
}

/// The parts that the commands `check` and `connectors` use directly.
#[cfg(feature = "cli")]
pub(crate) struct Inspection {
    pub(crate) egress: grantry_provider_oauth2::EgressPolicy,
    pub(crate) profiles: Arc<dyn grantry_domain::ports::ProviderProfiles>,
    pub(crate) provider: Arc<dyn grantry_domain::ports::AuthorizationServer>,
}

/// What only the router uses.
struct RouterParts {
    authenticator: Arc<dyn Authenticator>,
    identity: IdentityMode,
    users: Arc<dyn UserDirectory>,
    public_base_url: PublicBaseUrl,
    additional_hosts: Vec<String>,
    trusted_proxies: Vec<Network>,
    limits: Limits,
    connector_types: Vec<ConnectorType>,
    console: Option<Arc<dyn ConsoleAssets>>,
    metrics: MetricsText,
    metrics_access: MetricsAccess,
    serves_operations: bool,
}

impl App {
    /// A builder with the parts that have no default: the URL under which users reach the application, the store, the keys or
    /// the vault that seal records, and the users.
    ///
    /// ```no_run
    /// use std::error::Error;
    /// use std::time::Duration;
    ///
    /// use grantry::prelude::*;
    ///
    /// async fn serve(store: AppStore, keyring: Keyring, identity: Identity) -> Result<(), Box<dyn Error>> {
    ///     let url = PublicBaseUrl::new("https://app.example.com/oauth")?;
    ///     let app = App::builder(url, store, keyring, identity).build().await?;
    ///     let _pages: axum::Router = axum::Router::new().nest_service("/oauth", app.router());
    ///     let jobs = Jobs::spawn(&app, Periods::default());
    ///     // Serve the router, then stop in order.
    ///     app.begin_shutdown();
    ///     jobs.stop(Duration::from_secs(10)).await;
    ///     app.close().await;
    ///     Ok(())
    /// }
    /// ```
    pub fn builder(
        public_base_url: PublicBaseUrl,
        store: impl Into<AppStore>,
        sealing: impl Into<Sealing>,
        identity: Identity,
    ) -> AppBuilder {
        AppBuilder::new(public_base_url, store.into(), sealing.into(), identity)
    }

    /// The use cases.
    pub fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// The store.
    pub fn store(&self) -> &AppStore {
        &self.store
    }

    /// The router of the API, the pages and the console. A host mounts it at the path of the public base URL, with
    /// `Router::nest_service`.
    pub fn router(&self) -> Router {
        let router_parts = &self.router_parts;
        let api = Api {
            connections: self.connections.clone(),
            authenticator: router_parts.authenticator.clone(),
            identity: router_parts.identity.clone(),
            users: router_parts.users.clone(),
            public: router_parts.public_base_url.clone(),
            additional_hosts: router_parts.additional_hosts.clone(),
            trusted_proxies: router_parts.trusted_proxies.clone(),
            limits: router_parts.limits.clone(),
            connector_types: router_parts.connector_types.clone(),
            clock: self.clock.clone(),
            readiness: self.readiness(),
            metrics: router_parts.metrics.clone(),
            metrics_access: router_parts.metrics_access.clone(),
            serves_operations: router_parts.serves_operations,
            console: router_parts.console.clone(),
        };
        grantry_http_axum::router(api, &*self.random)
    }

    /// A router with `/livez`, `/readyz` and `/metrics` only, which responds under any host, for a separate listener. The
    /// metrics need the token of the metrics, if there is one.
    pub fn operations_router(&self) -> Router {
        let access = match &self.router_parts.metrics_access {
            MetricsAccess::Closed => MetricsAccess::Open,
            set @ (MetricsAccess::Open | MetricsAccess::Bearer(_)) => set.clone(),
        };
        operations_router(self.readiness(), self.router_parts.metrics.clone(), access)
    }

    /// Networks of proxies, whose connections stand for many clients.
    pub(crate) fn trusted_proxies(&self) -> &[Network] {
        &self.router_parts.trusted_proxies
    }

    fn readiness(&self) -> Arc<dyn Readiness> {
        let (store, probe, stopping) = (self.store.ports.clone(), self.probe.clone(), self.stopping.clone());
        Arc::new(StoreReadiness { store, probe, stopping })
    }

    /// Probes the store and keeps the result for `/readyz`. The background jobs do it every few seconds.
    pub async fn probe_store(&self) {
        self.probe.run(&self.store).await;
    }

    /// Makes `/readyz` fail from now on, so that a load balancer sends no more requests.
    pub fn begin_shutdown(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Waits until no detached work runs, at most `limit`. Returns how many tasks still run.
    pub async fn drain(&self, limit: Duration) -> usize {
        match &self.tasks {
            Some(tasks) => tasks.drain(limit).await,
            None => 0,
        }
    }

    /// Writes buffered audit events and closes the store. Call it last, after [`drain`](Self::drain) and after the jobs ended.
    pub async fn close(&self) {
        if let Err(error) = self.connections.flush_audit().await {
            warn!(%error, "the last audit events of issued access tokens, or days of last use, were lost");
        }
        if let Err(error) = self.connections.deliver_events().await {
            warn!(%error, "audit events are delivered after the next start");
        }
        self.store.close().await;
    }
}

//! One server from start to end: listen, answer, work in the background, and stop in order.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::app::{App, BuildError};
use crate::config::Config;
use crate::http_server::{self, Deadlines};
use crate::jobs::{Jobs, Periods};

/// Deadlines of connections.
const DEADLINES: Deadlines = Deadlines { headers: Duration::from_secs(10), drain: Duration::from_secs(20) };
/// How long detached work and jobs may take after that. An exchange with a provider takes 15 s at most.
const DRAIN_TASKS: Duration = Duration::from_secs(20);

/// Why a server did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Keys, store or another part.
    #[error(transparent)]
    Compose(#[from] BuildError),
    /// Something else listens there.
    #[error("port {} of {} is already in use; stop what listens there or choose another port", .0.port(), .0.ip())]
    PortTaken(SocketAddr),
    /// The socket could not be opened for another reason.
    #[error("cannot listen on {address} ({kind}); choose another address or port")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the operating system said.
        kind: io::ErrorKind,
    },
}

/// A server that listens and is ready to run.
pub struct Server {
    app: App,
    listener: TcpListener,
    router: axum::Router,
}

impl Server {
    /// Takes the port and puts the parts together.
    pub async fn start(config: &Config, allow_unknown_keys: bool) -> Result<Self, ServeError> {
        let listener = listen(config.listen).await?;
        Self::start_on(listener, config, allow_unknown_keys).await
    }

    /// Puts the parts together for a socket that listens at the configured address.
    pub async fn start_on(listener: TcpListener, config: &Config, allow_unknown_keys: bool) -> Result<Self, ServeError> {
        let app = App::new(config, allow_unknown_keys).await?;
        let router = app.router(config);
        Ok(Self { app, listener, router })
    }

    /// The parts, to look at and to prepare.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`, then ends in order: no new connections, requests under way, detached work, jobs, notes, store.
    pub async fn run(self, periods: Periods, stop: impl Future<Output = ()>) {
        let Self { app, listener, router } = self;
        let jobs = Jobs::start(&app, periods);
        let told = async {
            stop.await;
            app.begin_to_stop();
            info!("stopping: finishing what is under way");
        };
        let cut = http_server::serve(listener, router, told, DEADLINES).await;
        let left = app.tasks.drain(DRAIN_TASKS).await;
        jobs.stop(DRAIN_TASKS).await;
        if cut + left > 0 {
            warn!(connections = cut, tasks = left, "some work was cut off");
        }
        close(&app).await;
        info!("stopped");
    }
}

/// Writes down what is still in memory and closes the store.
async fn close(app: &App) {
    if let Err(error) = app.connections.write_notes().await {
        warn!(%error, "notes of the last hand-outs were lost");
    }
    if let Err(error) = app.connections.deliver_events().await {
        warn!(%error, "audit events are delivered after the next start");
    }
    app.store.close().await;
}

/// Opens the socket, in clear words if that fails.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|error| {
        let kind = error.kind();
        if kind == io::ErrorKind::AddrInUse { ServeError::PortTaken(address) } else { ServeError::Listen { address, kind } }
    })
}

//! One server from start to shutdown.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::app::{App, BuildError};
use crate::config::Config;
use crate::http_server::{self, Caps, Deadlines};
use crate::jobs::{Jobs, Periods};

/// Deadlines of connections.
const DEADLINES: Deadlines = Deadlines {
    headers: Duration::from_secs(10),
    idle: Duration::from_mins(2),
    write: Duration::from_secs(30),
    drain: Duration::from_secs(20),
};
/// How long detached work and jobs may take after that. A request to a provider takes at most 15 s.
const DRAIN_TASKS: Duration = Duration::from_secs(20);

/// Why a server did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The application could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Another process listens there.
    #[error("port {} of {} is already in use; stop the process that listens there or choose another port", .0.port(), .0.ip())]
    PortTaken(SocketAddr),
    /// The socket could not be opened for another reason.
    #[error("cannot listen on {address} ({kind}); choose another address or port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        kind: io::ErrorKind,
    },
}

/// A server that listens and is ready to run.
pub struct Server {
    app: App,
    router: Router,
    listener: TcpListener,
    operations: Option<TcpListener>,
}

impl Server {
    /// Listens at the configured address and builds the application.
    pub async fn start(config: &Config, allow_unknown_keys: bool) -> Result<Self, ServeError> {
        // The port comes first: if it is taken, no database is created.
        let listener = listen(config.settings.listen).await?;
        let operations = match config.settings.telemetry.listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let app = App::from_config(config).await?.allow_unknown_keys(allow_unknown_keys).build().await?;
        Ok(Self { operations, ..Self::new(app, listener) })
    }

    /// A server for an application, on a socket that listens.
    pub fn new(app: App, listener: TcpListener) -> Self {
        Self { router: app.router(), app, listener, operations: None }
    }

    /// Serves a router of the host, which contains [`App::router`] below the path of the public base URL.
    #[must_use]
    pub fn with_router(self, router: Router) -> Self {
        Self { router, ..self }
    }

    /// The application.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` completes. The shutdown then closes the socket, finishes requests, detached work and jobs, writes
    /// audit events and closes the store, in this order.
    pub async fn run(self, periods: Periods, stop: impl Future<Output = ()>) {
        let Self { app, router, listener, operations } = self;
        let jobs = Jobs::spawn(&app, periods);
        // Health and metrics are served until the end of the shutdown.
        let (end, ended) = oneshot::channel::<()>();
        let operations = operations.map(|listener| {
            let (router, caps) = (app.operations_router(), Caps::of_operations());
            tokio::spawn(http_server::serve(listener, router, async { drop(ended.await) }, DEADLINES, caps))
        });
        let caps = Caps::of_process(app.trusted_proxies().to_vec());
        let stopped = async {
            stop.await;
            app.begin_shutdown();
            info!("stopping: finishing requests and tasks");
        };
        let connections = http_server::serve(listener, router, stopped, DEADLINES, caps).await;
        let tasks = app.drain(DRAIN_TASKS).await;
        jobs.stop(DRAIN_TASKS).await;
        if connections + tasks > 0 {
            warn!(connections, tasks, "connections or tasks were cut off");
        }
        app.close().await;
        drop(end);
        if let Some(operations) = operations {
            drop(operations.await);
        }
        info!("stopped");
    }
}

/// How many connections may wait to be accepted. The operating system drops those beyond, and their clients try again after a
/// second. It may have a lower limit (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;

/// Opens the socket.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    open(address).map_err(|error| {
        let kind = error.kind();
        if kind == io::ErrorKind::AddrInUse { ServeError::PortTaken(address) } else { ServeError::Listen { address, kind } }
    })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As for every listener of tokio: a new process can listen while connections of the last one are being closed.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Duration;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;

    /// More connections than the backlog that the standard library requests (128) and tokio requests (1024).
    const WAITING: usize = 1200;
    /// The client's end of each, and what the test process has open besides.
    const DESCRIPTORS: u64 = WAITING as u64 + 200;

    #[tokio::test]
    async fn connections_beyond_the_usual_backlog_wait_to_be_accepted() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        let system_limit = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
        let system_limit: usize = system_limit.trim().parse().unwrap();
        if maximum.is_some_and(|maximum| maximum < DESCRIPTORS) || system_limit < WAITING {
            eprintln!("skipped: the system allows {maximum:?} descriptors and a backlog of {system_limit}");
            return;
        }
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
        let listener = listen((std::net::Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        for _ in 0..WAITING {
            // The system drops a connection beyond the backlog. Its client would try again until this deadline.
            let connecting = tokio::time::timeout(Duration::from_secs(10), TcpSocket::new_v4().unwrap().connect(address));
            waiting.push(connecting.await.expect("the connection waits in the queue").unwrap());
        }
        assert_eq!(waiting.len(), WAITING);
    }
}

//! The accept loop: a plain HTTP/1.1 server that can also close a connection without a response, which `axum::serve`
//! cannot.

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tower::ServiceExt as _;

/// How long a stop waits for responses in progress.
const DRAIN: Duration = Duration::from_secs(2);

/// Marks a response that is not sent: the connection is closed instead.
#[derive(Clone, Copy, Debug)]
pub(super) struct HangUp;

impl HangUp {
    pub(super) fn response() -> Response {
        let mut response = Response::default();
        response.extensions_mut().insert(Self);
        response
    }
}

impl fmt::Display for HangUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fault closes the connection")
    }
}

impl std::error::Error for HangUp {}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// No new connections; responses in progress are finished.
    Draining,
    /// All connections are closed.
    Stopped,
}

/// A running accept loop. Dropping it closes all connections at once.
#[derive(Debug)]
pub(super) struct Server {
    phase: watch::Sender<Phase>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(listener: TcpListener, router: Router) -> Self {
        let phase = watch::Sender::new(Phase::Serving);
        let accepting = tokio::spawn(accept(listener, router, phase.subscribe()));
        Self { phase, accepting: Some(accepting) }
    }

    /// Stops listening, waits briefly for responses in progress, and returns when the port is free again.
    pub(super) async fn stop(mut self) {
        self.phase.send_replace(Phase::Draining);
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.await);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.phase.send_replace(Phase::Stopped);
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
        }
    }
}

async fn accept(listener: TcpListener, router: Router, mut phase: watch::Receiver<Phase>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = reached(&mut phase, Phase::Draining) => break,
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, router.clone(), phase.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    drop(tokio::time::timeout(DRAIN, finished).await);
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, router: Router, mut phase: watch::Receiver<Phase>) {
    let in_requests = phase.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        handle(request.map(Body::new), router.clone(), in_requests.clone())
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return drop(ended),
        () = reached(&mut phase, Phase::Draining) => connection.as_mut().graceful_shutdown(),
    }
    drop(connection.await);
}

/// Runs one request in a separate task, so that it is processed even if the client closes the connection: tests need
/// requests that take effect after the client's timeout.
async fn handle(
    request: http::Request<Body>,
    router: Router,
    mut phase: watch::Receiver<Phase>,
) -> Result<Response, HangUp> {
    let processed = tokio::spawn(async move {
        tokio::select! {
            response = router.oneshot(request) => Some(infallible(response)),
            () = reached(&mut phase, Phase::Stopped) => None,
        }
    });
    let response = processed.await.ok().flatten().ok_or(HangUp)?;
    if response.extensions().get::<HangUp>().is_some() { Err(HangUp) } else { Ok(response) }
}

fn infallible(response: Result<Response, Infallible>) -> Response {
    response.unwrap_or_else(|never| match never {})
}

/// Returns when the server has reached this phase or was dropped.
async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    drop(phase.wait_for(|now| *now >= wanted).await);
}

//! The accept loop: HTTP/1.1 and HTTP/2 on one port, with a deadline for the header section and a graceful shutdown.
//!
//! `axum::serve` has no deadline for the header section.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;
use tracing::{debug, warn};

/// Deadlines of connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// For the header section of a request.
    pub(crate) headers: Duration,
    /// For running requests at shutdown.
    pub(crate) drain: Duration,
}

/// Largest header section. The router refuses smaller ones with a page or a problem document.
const HEADER_BUFFER: usize = 256 * 1024;
/// Most header fields. The router refuses fewer with a page or a problem document.
const HEADER_FIELDS: usize = 256;
/// Concurrent requests on one HTTP/2 connection.
const STREAMS: u32 = 256;
/// Pause after an accept error, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` completes, then lets running requests finish. Returns how many connections were cut off.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    deadlines: Deadlines,
) -> usize {
    let builder = builder(deadlines.headers);
    let connections = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => handle(&builder, &connections, stream, peer, router.clone()),
                Err(error) => {
                    warn!(kind = ?error.kind(), "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    let open = connections.count();
    debug!(open, "the socket is closed");
    match tokio::time::timeout(deadlines.drain, connections.shutdown()).await {
        Ok(()) => 0,
        Err(_) => open,
    }
}

fn builder(header_deadline: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_deadline)
        .max_buf_size(HEADER_BUFFER)
        .max_headers(HEADER_FIELDS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(HEADER_BUFFER).unwrap_or(u32::MAX));
    builder
}

fn handle(
    builder: &Builder<TokioExecutor>,
    connections: &GracefulShutdown,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
) {
    // Responses are small; waiting to fill a packet would only delay them.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        // The client disconnected or was too slow. The error may contain text of the client, so it is not logged.
        drop(connection.await);
    });
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::{Notify, oneshot};

    use super::*;

    const LONG: Deadlines = Deadlines { headers: Duration::from_secs(30), drain: Duration::from_secs(30) };

    async fn request(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
    }

    #[tokio::test]
    async fn running_requests_finish_and_new_ones_are_refused() {
        let (arrived, go) = (std::sync::Arc::new(Notify::new()), std::sync::Arc::new(Notify::new()));
        let (seen, gate) = (arrived.clone(), go.clone());
        let slow = get(async move || {
            seen.notify_one();
            gate.notified().await;
            "finished"
        });
        let router = Router::new()
            .route("/slow", slow)
            .route("/peer", get(async |peer: ConnectInfo<SocketAddr>| peer.0.ip().to_string()));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, router, async { drop(stopped.await) }, LONG));

        assert!(request(address, "/peer").await.ends_with("127.0.0.1"));
        let running = tokio::spawn(async move { request(address, "/slow").await });
        arrived.notified().await;
        stop.send(()).unwrap();
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        go.notify_one();
        assert!(running.await.unwrap().ends_with("finished"));
        assert_eq!(server.await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_request_that_exceeds_the_drain_deadline_is_cut_off_and_counted() {
        let arrived = std::sync::Arc::new(Notify::new());
        let seen = arrived.clone();
        let stuck = get(async move || {
            seen.notify_one();
            std::future::pending::<()>().await;
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let short = Deadlines { drain: Duration::from_millis(50), ..LONG };
        let server = tokio::spawn(serve(listener, Router::new().route("/", stuck), async { drop(stopped.await) }, short));
        let requesting = tokio::spawn(async move { request(address, "/").await });
        arrived.notified().await;
        stop.send(()).unwrap();
        assert_eq!(server.await.unwrap(), 1);
        requesting.abort();
    }

    #[tokio::test]
    async fn r58_an_incomplete_header_section_is_cut_off() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let short = Deadlines { headers: Duration::from_millis(50), ..LONG };
        let server = tokio::spawn(serve(listener, Router::new(), std::future::pending(), short));
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-half: ").await.unwrap();
        let mut rest = Vec::new();
        // Ends only because the server closes the connection.
        drop(slow.read_to_end(&mut rest).await);
        assert!(!String::from_utf8_lossy(&rest).starts_with("HTTP/1.1 2"));
        server.abort();
    }
}

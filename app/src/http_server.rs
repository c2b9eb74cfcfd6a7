//! The accept loop: HTTP/1.1 and HTTP/2 on one port, with a deadline for headers, and an orderly end.
//!
//! `axum::serve` has no deadline for the header section (R58), so the loop is written here.

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

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// The header section of a request (R58).
    pub(crate) headers: Duration,
    /// Requests under way once the server was told to stop.
    pub(crate) drain: Duration,
}

/// Bytes of a header section that are read; the router refuses less in better words.
const HEADER_BUFFER: usize = 64 * 1024;
/// Header fields that are parsed; the router refuses less in better words.
const HEADER_FIELDS: usize = 128;
/// Requests at the same time on one HTTP/2 connection.
const STREAMS: u32 = 256;
/// Pause after a connection could not be accepted, as when there are too many open files.
const AFTER_A_FAILURE: Duration = Duration::from_millis(100);

/// Serves until `stop`, then lets requests under way finish. Answers how many connections had to be cut.
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
                Ok((stream, peer)) => attend(&builder, &connections, stream, peer, router.clone()),
                Err(error) => {
                    warn!(kind = ?error.kind(), "a connection could not be accepted");
                    tokio::time::sleep(AFTER_A_FAILURE).await;
                }
            }
        }
    }
    drop(listener);
    let open = connections.count();
    debug!(open, "no new connections");
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

fn attend(
    builder: &Builder<TokioExecutor>,
    connections: &GracefulShutdown,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
) {
    // Answers are small; waiting to fill a packet would only delay them.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        // A client that went away, or was too slow: nothing to do, and its words are not ours to log (R78).
        drop(connection.await);
    });
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::{Notify, oneshot};

    use super::*;

    const PATIENT: Deadlines = Deadlines { headers: Duration::from_secs(30), drain: Duration::from_secs(30) };

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn requests_under_way_are_answered_and_new_ones_are_not() {
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
        let server = tokio::spawn(serve(listener, router, async { drop(stopped.await) }, PATIENT));

        assert!(ask(address, "/peer").await.ends_with("127.0.0.1"));
        let under_way = tokio::spawn(async move { ask(address, "/slow").await });
        arrived.notified().await;
        stop.send(()).unwrap();
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        go.notify_one();
        assert!(under_way.await.unwrap().ends_with("finished"));
        assert_eq!(server.await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_does_not_finish_in_time_is_cut_and_told() {
        let arrived = std::sync::Arc::new(Notify::new());
        let seen = arrived.clone();
        let stuck = get(async move || {
            seen.notify_one();
            std::future::pending::<()>().await;
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let hasty = Deadlines { drain: Duration::from_millis(50), ..PATIENT };
        let server = tokio::spawn(serve(listener, Router::new().route("/", stuck), async { drop(stopped.await) }, hasty));
        let asking = tokio::spawn(async move { ask(address, "/").await });
        arrived.notified().await;
        stop.send(()).unwrap();
        assert_eq!(server.await.unwrap(), 1);
        asking.abort();
    }

    #[tokio::test]
    async fn r58_half_a_header_section_is_not_waited_for() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let hasty = Deadlines { headers: Duration::from_millis(50), ..PATIENT };
        let server = tokio::spawn(serve(listener, Router::new(), std::future::pending(), hasty));
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-half: ").await.unwrap();
        let mut rest = Vec::new();
        // Ends only because the server hangs up.
        drop(slow.read_to_end(&mut rest).await);
        assert!(!String::from_utf8_lossy(&rest).starts_with("HTTP/1.1 2"));
        server.abort();
    }
}

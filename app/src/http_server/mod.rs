//! The accept loop: HTTP/1.1 and HTTP/2 on one port, with caps and deadlines for connections and a graceful shutdown.
//!
//! `axum::serve` has neither. A connection costs a client nothing, so it is bounded here what one can hold: descriptors by
//! [`Caps`], time by [`Deadlines`], memory by the number of concurrent requests and by handing over bodies in parts.

mod activity;
mod body;
mod table;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt as _;
use tracing::{debug, warn};

use self::activity::RecordedSocket;
use self::table::{Admitted, Connections};
use crate::log_limit::LogLimit;

pub(crate) use self::table::Caps;

/// Deadlines of connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// For the header section of a request, and from the accept to the end of the first one.
    pub(crate) headers: Duration,
    /// For the next request on a connection.
    pub(crate) idle: Duration,
    /// For the client to accept the next part of a response. Between parts, a connection of a trusted proxy has no deadline.
    pub(crate) write: Duration,
    /// For running requests at shutdown.
    pub(crate) drain: Duration,
}

impl Deadlines {
    /// How often connections are compared with them: often enough to exceed the shortest by an eighth at most.
    fn period(&self) -> Duration {
        let shortest = self.headers.min(self.idle).min(self.write);
        (shortest / 8).clamp(Duration::from_millis(5), Duration::from_secs(1))
    }
}

/// Largest header section. The router refuses smaller ones with a page or a problem document.
const HEADER_BUFFER: usize = 112 * 1024;
/// Most header fields. The router refuses fewer with a page or a problem document.
const HEADER_FIELDS: usize = 256;
/// Concurrent requests on one HTTP/2 connection.
const STREAMS: u32 = 32;
/// Bytes of request bodies that HTTP/2 buffers for one connection before they are read.
const RECEIVE_WINDOW: u32 = 128 * 1024;
/// Bytes of responses that HTTP/2 buffers for one request.
const SEND_BUFFER: usize = 64 * 1024;
/// How long a new connection has for its first request before it counts as stalled.
const OPENING_GRACE: Duration = Duration::from_millis(500);
/// How long a response may make no progress, or a request may arrive too slowly, before it counts as stalled.
const STALL_GRACE: Duration = Duration::from_secs(5);
/// How many connections a client may open at once beyond its cap before those without a request are closed.
const BURST: usize = 16;
/// Pause after an accept error, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` completes, then lets running requests finish. Returns how many connections were cut off.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    deadlines: Deadlines,
    caps: Caps,
) -> usize {
    let protocols = Protocols::new(deadlines.headers);
    let graceful = GracefulShutdown::new();
    let (accepting, opening) = watch::channel(());
    let connections = Connections::new(caps);
    let refusals = LogLimit::new(1);
    let mut overdue = tokio::time::interval(deadlines.period());
    overdue.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = overdue.tick() => close_overdue(&connections, &deadlines),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    if let Some(admitted) = connections.admit(peer.ip()) {
                        handle(&protocols, &graceful, &opening, admitted, stream, peer, router.clone());
                        // Connections that were just accepted read their requests before others replace them.
                        tokio::task::yield_now().await;
                    } else {
                        log_refusal(&refusals, "the maximum number of connections is reached, and all of them are in use");
                    }
                }
                // The client has gone.
                Err(error) if is_of_client(&error) => {}
                Err(error) => {
                    connections.free_descriptors();
                    log_refusal(&refusals, &format!("it could not be accepted: {:?}", error.kind()));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    // Connections whose first bytes were not read yet are closed.
    drop(accepting);
    let open = connections.count();
    debug!(open, "the socket is closed");
    let shutdown = graceful.shutdown();
    let drain = tokio::time::sleep(deadlines.drain);
    tokio::pin!(shutdown, drain);
    loop {
        tokio::select! {
            () = &mut shutdown => return 0,
            () = &mut drain => return connections.count(),
            _ = overdue.tick() => close_overdue(&connections, &deadlines),
        }
    }
}

fn close_overdue(connections: &Connections, deadlines: &Deadlines) {
    let closed = connections.close_overdue(deadlines);
    if closed > 0 {
        metrics::counter!("grantry_connections_overdue_total").increment(closed as u64);
        debug!(closed, "connections exceeded a deadline");
    }
    metrics::gauge!("grantry_connections_open").set(f64::from(u32::try_from(connections.count()).unwrap_or(u32::MAX)));
}

/// Whether an accept failed because of its client, which costs the process nothing.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Counts and logs a connection that was not served. Each reason is logged at most once a minute; suppressed lines are those of
/// all reasons. There are few reasons.
fn log_refusal(lines: &LogLimit<String>, reason: &str) {
    metrics::counter!("grantry_connections_refused_total").increment(1);
    if let Some(line) = lines.admit(reason.to_owned()) {
        warn!(suppressed = line.suppressed, "a connection was not served: {reason}");
    }
}

/// The first bytes of an HTTP/2 connection (RFC 9113 §3.4) that no method of HTTP/1 begins with.
const HTTP2_BEGINS: &[u8] = b"PRI";

/// How connections are served.
#[derive(Clone)]
struct Protocols {
    /// Most connections: a builder for one protocol costs less per request.
    http1: http1::Builder,
    /// Connections that begin like HTTP/2.
    either: Builder<TokioExecutor>,
}

impl Protocols {
    fn new(header_deadline: Duration) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(header_deadline)
            .max_buf_size(HEADER_BUFFER)
            .max_headers(HEADER_FIELDS);
        Self { http1, either: either(header_deadline) }
    }
}

/// Whether a connection is HTTP/1. Waits for its first bytes.
async fn is_http1(stream: &TcpStream) -> bool {
    let mut first = [0; HTTP2_BEGINS.len()];
    match stream.peek(&mut first).await {
        Ok(read) => !HTTP2_BEGINS.starts_with(first.get(..read).unwrap_or_default()),
        Err(_) => false,
    }
}

fn either(header_deadline: Duration) -> Builder<TokioExecutor> {
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
        .initial_stream_window_size(RECEIVE_WINDOW / 2)
        .initial_connection_window_size(RECEIVE_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(HEADER_BUFFER).unwrap_or(u32::MAX));
    builder
}

fn handle(
    protocols: &Protocols,
    graceful: &GracefulShutdown,
    opening: &watch::Receiver<()>,
    admitted: Admitted,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
) {
    // Responses are small; waiting to fill a packet would only delay them.
    drop(stream.set_nodelay(true));
    let activity = admitted.activity.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let recorded = activity.request();
        request.extensions_mut().insert(ConnectInfo(peer));
        let response = router.clone().oneshot(request.map(|body| Body::new(recorded.receives(body))));
        async move { response.await.map(|response| recorded.answered(response)) }
    });
    let (protocols, watcher, mut opening) = (protocols.clone(), graceful.watcher(), opening.clone());
    tokio::spawn(async move {
        let connection = async {
            let is_http1 = tokio::select! {
                is_http1 = is_http1(&stream) => is_http1,
                _ = opening.changed() => return,
            };
            let socket = TokioIo::new(RecordedSocket { socket: stream, activity: admitted.activity.clone() });
            // The client disconnected or was too slow. The error may contain text of the client, so it is not logged.
            if is_http1 {
                drop(watcher.watch(protocols.http1.serve_connection(socket, service)).await);
            } else {
                drop(watcher.watch(protocols.either.serve_connection(socket, service)).await);
            }
        };
        tokio::select! {
            () = connection => {}
            () = admitted.activity.closed() => {}
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::Bytes;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::{Notify, Semaphore, oneshot};

    use super::*;

    const LONG: Deadlines = Deadlines {
        headers: Duration::from_secs(30),
        idle: Duration::from_secs(30),
        write: Duration::from_secs(30),
        drain: Duration::from_secs(30),
    };

    fn caps() -> Caps {
        Caps { total: 100, per_client: 100, proxies: Vec::new() }
    }

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
        let server = tokio::spawn(serve(listener, router, async { drop(stopped.await) }, LONG, caps()));

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
        let server =
            tokio::spawn(serve(listener, Router::new().route("/", stuck), async { drop(stopped.await) }, short, caps()));
        let requesting = tokio::spawn(async move { request(address, "/").await });
        arrived.notified().await;
        stop.send(()).unwrap();
        assert_eq!(server.await.unwrap(), 1);
        requesting.abort();
    }

    /// Serves with short deadlines and returns the address.
    async fn serve_with(deadlines: Deadlines, caps: Caps, router: Router) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, router, std::future::pending(), deadlines, caps));
        address
    }

    #[tokio::test]
    async fn r58_a_connection_without_a_whole_header_section_is_closed() {
        let short = Deadlines { headers: Duration::from_millis(50), ..LONG };
        let address = serve_with(short, caps(), Router::new()).await;
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
        for sent in [b"".as_slice(), b"P", b"GET / HTTP/1.1\r\nhost: x\r\nx-half: ", preface] {
            let mut slow = TcpStream::connect(address).await.unwrap();
            slow.write_all(sent).await.unwrap();
            let mut rest = Vec::new();
            // Ends only because the server closes the connection.
            drop(slow.read_to_end(&mut rest).await);
            assert!(!String::from_utf8_lossy(&rest).starts_with("HTTP/1.1 2"), "{sent:?}");
        }
    }

    #[tokio::test]
    async fn an_idle_connection_is_closed() {
        let short = Deadlines { idle: Duration::from_millis(50), ..LONG };
        let address = serve_with(short, caps(), Router::new().route("/", get(async || "text"))).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.ends_with("text"), "{response}");
    }

    #[tokio::test]
    async fn a_client_that_accepts_no_bytes_is_disconnected() {
        let short = Deadlines { write: Duration::from_millis(100), ..LONG };
        let large = Router::new().route("/", get(async || vec![b'x'; 32 * 1024 * 1024]));
        let address = serve_with(short, caps(), large).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        // Wait for the head, then until the server closes the connection: nothing is read in between.
        let mut first = [0; 1];
        stream.read_exact(&mut first).await.unwrap();
        while stream.write_all(b"GET / HTTP/1.1\r\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_client_that_keeps_its_http2_window_closed_is_disconnected() {
        let short = Deadlines { write: Duration::from_millis(100), ..LONG };
        let address = serve_with(short, caps(), Router::new().route("/", get(async || "text"))).await;
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut client, connection) =
            h2::client::Builder::new().initial_window_size(0).handshake::<_, Bytes>(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = hyper::Request::get("http://x/").body(()).unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        // The client responds to PINGs meanwhile. Ends only because the server closes the connection.
        drop(connection.await.unwrap());
        drop(response);
        assert!(client.ready().await.is_err());
    }

    #[tokio::test]
    async fn silent_connections_leave_room_for_others() {
        let few = Caps { total: 4, per_client: 4, proxies: Vec::new() };
        let address = serve_with(LONG, few, Router::new().route("/", get(async || "text"))).await;
        let mut silent = Vec::new();
        for _ in 0..20 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        assert!(request(address, "/").await.ends_with("text"));
    }

    /// Lowers the limit of descriptors of this process, so that it has no unused one below the limit.
    fn use_up_descriptors() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let next = std::os::fd::AsRawFd::as_raw_fd(&std::fs::File::open("/dev/null").unwrap());
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(u64::try_from(next).unwrap()), maximum }).unwrap();
    }

    /// The test runs again in another process, where this variable is set.
    const IN_OWN_PROCESS: &str = "GRANTRY_TEST_IN_OWN_PROCESS";

    #[test]
    fn r82_a_process_without_descriptors_closes_an_idle_connection() {
        if std::env::var_os(IN_OWN_PROCESS).is_some() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let test = async { tokio::time::timeout(LONG.idle / 2, without_descriptors()).await };
            return runtime.block_on(test).expect("an idle connection is closed in time");
        }
        let module = module_path!().split_once("::").unwrap().1;
        let ended = std::process::Command::new(std::env::current_exe().unwrap())
            .args([&format!("{module}::r82_a_process_without_descriptors_closes_an_idle_connection"), "--exact"])
            .env(IN_OWN_PROCESS, "1")
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success() && output.contains("1 passed"), "{output}");
    }

    async fn without_descriptors() {
        let address = serve_with(LONG, caps(), Router::new().route("/", get(async || "text"))).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        idle.read_exact(&mut [0; 8]).await.unwrap();
        let client = tokio::net::TcpSocket::new_v4().unwrap();
        use_up_descriptors();
        let mut stream = client.connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.ends_with("text"), "{response}");
        // Ends only because the server closed the connection.
        drop(idle.read_to_end(&mut Vec::new()).await);
    }

    #[test]
    fn an_accept_that_fails_because_of_its_client_is_not_logged() {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, OutOfMemory};
        for kind in [ConnectionAborted, ConnectionReset, Interrupted] {
            assert!(is_of_client(&kind.into()), "{kind}");
        }
        let too_many_open_files = 24;
        for error in [OutOfMemory.into(), io::Error::from_raw_os_error(too_many_open_files)] {
            assert!(!is_of_client(&error), "{error}");
        }
    }

    /// A router that reads the bodies of `POST /`, and how many of them it reads.
    fn reader() -> (Router, Arc<Semaphore>) {
        let begun = Arc::new(Semaphore::new(0));
        let seen = begun.clone();
        let read = async move |body: Body| {
            seen.add_permits(1);
            drop(axum::body::to_bytes(body, usize::MAX).await);
        };
        (Router::new().route("/", get(async || "text").post(read)), begun)
    }

    #[tokio::test]
    async fn r82_slow_bodies_leave_room_for_others() {
        let (router, begun) = reader();
        let few = Caps { total: 4, per_client: 4, proxies: Vec::new() };
        let address = serve_with(LONG, few, router).await;
        let mut slow = Vec::new();
        for _ in 0..4 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\n{").await.unwrap();
            slow.push(stream);
        }
        drop(begun.acquire_many(4).await.unwrap());
        assert!(request(address, "/").await.ends_with("text"));
    }

    /// An HTTP/2 client with as many requests as it may have, of whose bodies a byte arrives.
    async fn slow_bodies(address: SocketAddr) -> Vec<h2::SendStream<Bytes>> {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut bodies = Vec::new();
        for _ in 0..STREAMS {
            client = client.ready().await.unwrap();
            let request = hyper::Request::post("http://x/").body(()).unwrap();
            let (_, mut body) = client.send_request(request, false).unwrap();
            body.send_data(Bytes::from_static(b"{"), false).unwrap();
            bodies.push(body);
        }
        bodies
    }

    #[tokio::test]
    async fn r82_slow_bodies_over_http2_leave_room_for_others() {
        let (router, begun) = reader();
        let few = Caps { total: 2, per_client: 2, proxies: Vec::new() };
        let address = serve_with(LONG, few, router).await;
        let slow = [slow_bodies(address).await, slow_bodies(address).await];
        drop(begun.acquire_many(2 * STREAMS).await.unwrap());
        assert!(request(address, "/").await.ends_with("text"));
        drop(slow);
    }

    #[tokio::test]
    async fn a_stalled_response_does_not_end_another_request_of_the_connection() {
        let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (seen, gate) = (arrived.clone(), go.clone());
        let slow = get(async move || {
            seen.notify_one();
            gate.notified().await;
        });
        let short = Deadlines { write: Duration::from_millis(50), ..LONG };
        let router = Router::new().route("/", get(async || "text")).route("/slow", slow);
        let address = serve_with(short, caps(), router).await;
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut client, connection) =
            h2::client::Builder::new().initial_window_size(0).handshake::<_, Bytes>(stream).await.unwrap();
        tokio::spawn(connection);
        let request = |path: &str| hyper::Request::get(format!("http://x{path}")).body(()).unwrap();
        let (running, _) = client.send_request(request("/slow"), true).unwrap();
        arrived.notified().await;
        let stalled = client.send_request(request("/"), true).unwrap().0.await.unwrap();
        // The deadline of the stalled response passes.
        tokio::time::sleep(4 * short.write).await;
        go.notify_one();
        assert_eq!(running.await.unwrap().status(), 200);
        drop(stalled);
    }
}

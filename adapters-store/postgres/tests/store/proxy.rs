//! A proxy between a store and the server, which loses connections in several ways.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a proxy does with the next commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server gets it, and the connection ends before its response.
    AfterCommit,
    /// The server does not get it.
    BeforeCommit,
}

/// Forwards connections.
pub(crate) struct Proxy {
    url: String,
    state: Arc<State>,
}

struct State {
    cut: Cut,
    /// How many commits are still to be cut.
    left: AtomicUsize,
    /// The number of connections that were accepted.
    accepted: AtomicUsize,
    /// The number of requests to cancel a statement.
    cancels: AtomicUsize,
    /// Connections with a smaller number stay open, and nothing is forwarded any more.
    silent_before: AtomicUsize,
    /// Whether new connections are accepted and not forwarded.
    is_silent: AtomicBool,
}

impl Proxy {
    /// A proxy to the server of a URL.
    pub(crate) async fn start(url: &str, cut: Cut) -> Self {
        let server = url.split(['@', '/']).find(|part| part.contains("127.0.0.1:")).unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let through = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let state = Arc::new(State {
            cut,
            left: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            cancels: AtomicUsize::new(0),
            silent_before: AtomicUsize::new(0),
            is_silent: AtomicBool::new(false),
        });
        let (url, shared) = (url.replace(&server, &through), state.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
                let (server, state) = (server.clone(), shared.clone());
                tokio::spawn(async move {
                    if state.is_silent.load(Ordering::SeqCst) {
                        return ignore(client).await;
                    }
                    let server = TcpStream::connect(&server).await.unwrap();
                    forward(client, server, number, &state).await;
                });
            }
        });
        Self { url, state }
    }

    /// The URL of the database through the proxy.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Cuts the next commits.
    pub(crate) fn cut_next(&self, commits: usize) {
        self.state.left.store(commits, Ordering::SeqCst);
    }

    /// How many commits are still to be cut.
    pub(crate) fn left(&self) -> usize {
        self.state.left.load(Ordering::SeqCst)
    }

    /// Connections so far.
    pub(crate) fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// Requests to cancel a statement so far.
    pub(crate) fn cancels(&self) -> usize {
        self.state.cancels.load(Ordering::SeqCst)
    }

    /// The present connections stay open without a response, as those to a host that vanished.
    pub(crate) fn silence_present(&self) {
        self.state.silent_before.store(self.accepted(), Ordering::SeqCst);
    }

    /// New connections are accepted and get no response.
    pub(crate) fn silence_new(&self) {
        self.state.is_silent.store(true, Ordering::SeqCst);
    }
}

async fn forward(mut client: TcpStream, mut server: TcpStream, number: usize, state: &State) {
    let (mut sent, mut received) = (vec![0; 65536], vec![0; 65536]);
    loop {
        let is_silent = || number < state.silent_before.load(Ordering::SeqCst);
        tokio::select! {
            read = client.read(&mut sent) => {
                let Ok(length @ 1..) = read else { return };
                if is_silent() {
                    return ignore(client).await;
                }
                if sent[..length].starts_with(b"\0\0\0\x10\x04\xd2\x16\x2e") {
                    state.cancels.fetch_add(1, Ordering::SeqCst);
                }
                let is_commit = sent[..length].starts_with(b"Q\0\0\0\x0bCOMMIT\0");
                let is_cut =
                    is_commit && state.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
                if is_cut && state.cut == Cut::BeforeCommit {
                    return;
                }
                if server.write_all(&sent[..length]).await.is_err() {
                    return;
                }
                if is_cut {
                    // The server has committed when it responds; the response is dropped.
                    drop(server.read(&mut received).await);
                    return;
                }
            }
            read = server.read(&mut received) => {
                let Ok(length @ 1..) = read else { return };
                if is_silent() {
                    return ignore(client).await;
                }
                if client.write_all(&received[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Reads until the client closes the connection.
async fn ignore(mut client: TcpStream) {
    let mut sent = vec![0; 65536];
    while let Ok(1..) = client.read(&mut sent).await {}
}

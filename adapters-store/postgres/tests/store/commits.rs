//! Connections that end at the commit: the store reports what became of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use grantry_domain::identity::Actor;
use grantry_domain::ports::{AuditEvent, AuditKind, AuditOutbox};
use grantry_store_postgres::{PostgresOptions, PostgresStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::database::{TestDatabase, options_of};

/// What a proxy does with the next commits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// The server gets it, and the connection ends before its response.
    AfterCommit,
    /// The server does not get it.
    BeforeCommit,
}

/// Forwards connections, and ends them at a number of commits.
struct Proxy {
    port: u16,
    left: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start(server: String, cut: Cut) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, left) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let counter = left.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(forward(client, server, cut, counter.clone()));
            }
        });
        Self { port, left }
    }

    fn cut_next(&self, commits: usize) {
        self.left.store(commits, Ordering::SeqCst);
    }

    fn left(&self) -> usize {
        self.left.load(Ordering::SeqCst)
    }
}

async fn forward(mut client: TcpStream, mut server: TcpStream, cut: Cut, left: Arc<AtomicUsize>) {
    let (mut sent, mut received) = (vec![0; 65536], vec![0; 65536]);
    loop {
        tokio::select! {
            read = client.read(&mut sent) => {
                let Ok(length @ 1..) = read else { return };
                let is_commit = sent[..length].starts_with(b"Q\0\0\0\x0bCOMMIT\0");
                let is_cut = is_commit && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
                if is_cut && cut == Cut::BeforeCommit {
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
                if client.write_all(&received[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A store behind a proxy, and the number of events it wrote in ten calls whose commits were cut.
async fn written_through(cut: Cut) -> usize {
    let database = TestDatabase::new().await;
    let url = database.database.url();
    let address = url.split(['@', '/']).find(|part| part.contains("127.0.0.1:")).unwrap().to_owned();
    let proxy = Proxy::start(address.clone(), cut).await;
    let through = url.replace(&address, &format!("127.0.0.1:{}", proxy.port));
    let clock: Option<Arc<dyn grantry_domain::ports::Clock>> = Some(Arc::new(database.clock.clone()));
    let store = PostgresStore::open(PostgresOptions { clock, ..options_of(&through) }).await.unwrap();
    for n in 0..10 {
        proxy.cut_next(1);
        let event = AuditEvent::new(AuditKind::DecryptFailed, Actor::Agent(n.to_string()), database.now());
        assert_eq!(store.record(vec![event]).await, Ok(()));
        assert_eq!(proxy.left(), 0, "no commit was cut");
    }
    store.pending_events(100).await.unwrap().len()
}

#[tokio::test]
async fn a_commit_whose_response_was_lost_is_found_and_not_repeated() {
    assert_eq!(written_through(Cut::AfterCommit).await, 10);
}

#[tokio::test]
async fn a_commit_that_did_not_arrive_is_repeated() {
    assert_eq!(written_through(Cut::BeforeCommit).await, 10);
}

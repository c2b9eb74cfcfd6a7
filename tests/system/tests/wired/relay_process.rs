//! Relayed requests through a server in a process of its kind, as an operator runs it.

use futures_util::future::{Either, select};
use grantry_system_tests::browser::Browser;
use grantry_system_tests::paths::Draft;
use grantry_system_tests::process::{GrantryProcess, Installation};
use grantry_testkit::provider::{Client, MockProvider};
use reqwest::{Method, StatusCode};
use std::pin::pin;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::relay::{FILES, PART, StreamingApi, parts, upload};
use crate::GRANTRY;

/// The most memory that relaying may add, in MiB: a quarter of what the short variant relays in one direction, and a sixty-fourth of
/// the long one. An allocator returns memory to the system late.
const MEMORY: u64 = 16;

/// A server with the connector `files`, and a browser of a connected user.
struct Served {
    installation: Installation,
    process: GrantryProcess,
    alice: Browser,
    _provider: MockProvider,
    _api: StreamingApi,
    _folder: TempDir,
}

impl Served {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let provider = MockProvider::builder().start().await.unwrap();
        let api = StreamingApi::start(folder.path()).await;
        let installation = Installation::new(GRANTRY, &[provider.port(), api.address.port()]).unwrap();
        let callback = format!("{}/api/actions/connector/_oauth_callback", installation.public());
        provider.register(Client::new("demo", "demo-secret").redirect_uri(callback));
        let process = installation.serve().await.unwrap();
        let mut alice = Browser::new(&installation.public(), installation.address());
        alice.log_in("alice").await;
        let draft = Draft::issuer(provider.base_url(), &format!("http://{}/v1", api.address));
        assert_eq!(alice.post(&FILES.public(""), draft.body).await.status, 200);
        let flow = alice.start(FILES).await;
        let callback = provider.approve(&flow.authorization_url, "alice").await.unwrap();
        alice.open_callback(callback.as_str()).await;
        assert_eq!(alice.status_name(FILES).await, "connected");
        Self { installation, process, alice, _provider: provider, _api: api, _folder: folder }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.alice.fetch(method, &FILES.public(&format!("/_relay{path}")))
    }

    /// Sends this many parts and receives them back. Returns the most memory that the server had meanwhile, in MiB.
    async fn echo(&self, parts: usize) -> u64 {
        let relayed = async {
            let mut echo = self.request(Method::POST, "/echo").body(upload(parts)).send().await.unwrap();
            assert_eq!(echo.status(), StatusCode::OK);
            let mut received = 0;
            while let Some(part) = echo.chunk().await.unwrap() {
                received += part.len();
            }
            assert_eq!(received, parts * PART);
        };
        let mut relayed = pin!(relayed);
        let mut most = 0;
        loop {
            most = most.max(self.process.memory().unwrap());
            match select(relayed, pin!(tokio::time::sleep(Duration::from_millis(5)))).await {
                Either::Left(_) => return most.max(self.process.memory().unwrap()),
                Either::Right(((), rest)) => relayed = rest,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_of_the_server_does_not_grow_with_relayed_bodies() {
    let served = Served::new().await;
    // Buffers and connections of the first relayed bodies stay for the next ones.
    let before = served.echo(64).await;
    let most = served.echo(parts()).await;
    assert!(most <= before + MEMORY, "{before} MiB before, {most} MiB while {} MiB were relayed", (parts() * PART) >> 20);
    assert!(served.process.stop().await.unwrap().success());
}

#[tokio::test]
async fn a_websocket_is_refused_by_name_and_other_sites_are_refused() {
    let served = Served::new().await;
    let cookies: Vec<String> = served.alice.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let handshake = |fields: &str| {
        let path = FILES.public("/_relay/echo");
        let host = served.alice.host();
        format!(
            "GET {path} HTTP/1.1\r\nhost: {host}\r\ncookie: {}\r\nconnection: Upgrade, close\r\n{fields}\r\n",
            cookies.join("; ")
        )
    };
    let upgrade = "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (site, status, text) in
        [("same-origin", "HTTP/1.1 400", "must not be websocket"), ("cross-site", "HTTP/1.1 403", "another site")]
    {
        let mut socket = TcpStream::connect(served.installation.address()).await.unwrap();
        let request = handshake(&format!("{upgrade}sec-fetch-site: {site}\r\n"));
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        socket.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with(status) && response.contains(text), "{response}");
    }
    for site in ["cross-site", "same-site", "none"] {
        let read = served.alice.request(Method::GET, &FILES.public("/_relay/count")).header("sec-fetch-site", site);
        assert_eq!(read.send().await.unwrap().status(), StatusCode::FORBIDDEN, "{site}");
    }
}

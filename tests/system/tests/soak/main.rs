//! Hostile clients against a running server with few descriptors: it stays up, its memory stays bounded, and other users are
//! served meanwhile.
//!
//! Each test takes a few seconds. `cargo xtask soak` runs them longer: `SOAK_SECONDS` is the time of each.

#![expect(clippy::print_stdout, reason = "the measured figures are part of the result")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod api;
mod bystander;
mod clients;

use std::time::Duration;

use grantry_system_tests::browser::Browser;
use grantry_system_tests::paths::ConnectorPath;
use grantry_system_tests::process::{GrantryProcess, Installation};
use grantry_testkit::provider::{Client, MockProvider};

use self::api::Api;
use self::bystander::Bystander;

const GRANTRY: &str = env!("CARGO_BIN_EXE_grantry-under-test");
/// The connector whose API and revocation endpoint respond.
const DRIVE: ConnectorPath = ConnectorPath::of("drive");
/// Open files that the server may have.
const DESCRIPTORS: u32 = 1024;
/// The same for clients whose connections cost this process many tasks each.
const FEW_DESCRIPTORS: u32 = 256;
/// The most memory above that of the idle server, in MiB.
const MEMORY: u64 = 150;
/// The same with clients that keep their HTTP/2 window closed.
const WINDOW_MEMORY: u64 = 100;

/// A server under load: its parts end with this value.
struct Soak {
    installation: Installation,
    process: GrantryProcess,
    provider: MockProvider,
    api: Api,
    duration: Duration,
    idle: u64,
    memory: u64,
}

impl Soak {
    /// A server with the connector `drive`.
    async fn start() -> Self {
        Self::with_descriptors(DESCRIPTORS).await
    }

    async fn with_descriptors(descriptors: u32) -> Self {
        clients::raise_descriptor_limit();
        let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
        let provider = MockProvider::builder().start().await.unwrap();
        let api = Api::start().await;
        let installation = Installation::new(GRANTRY, &[provider.port(), api.port()]).unwrap();
        let rates =
            "[oauth]\nrate_limits = { start = \"5000/10m\", disconnect = \"5000/10m\", status = \"5000/10m\" }\n[store]";
        let config = installation.config().unwrap().replace("[store]", rates).replace("log = \"info\"", "log = \"warn\"");
        installation.write_config(&config).unwrap();
        let shared = format!("{}/api/actions/connector/_oauth_callback", installation.public());
        provider.register(Client::new("demo", "demo-secret").redirect_uri(shared));
        let process = installation.serve_with_descriptors(descriptors).await.unwrap();
        let mut soak =
            Self { installation, process, provider, api, duration: Duration::from_secs(seconds), idle: 0, memory: MEMORY };
        let mut editor = soak.browser("alice").await;
        let draft = grantry_system_tests::paths::Draft::issuer(soak.provider.base_url(), &soak.api.url(""));
        assert_eq!(editor.post(&DRIVE.public(""), draft.body).await.status, 200);
        // The memory after a log-in includes that of password hashing.
        soak.idle = soak.process.memory().unwrap();
        soak
    }

    /// A browser in which this user is signed in.
    async fn browser(&self, name: &str) -> Browser {
        let mut browser = self.anonymous();
        browser.log_in(name).await;
        browser
    }

    fn anonymous(&self) -> Browser {
        Browser::new(&self.installation.public(), self.installation.address())
    }

    /// Connects a user to `drive`.
    async fn connect(&self, browser: &mut Browser) {
        let flow = browser.start(DRIVE).await;
        let callback = self.provider.approve(&flow.authorization_url, "alice").await.unwrap();
        assert_eq!(browser.open_callback(callback.as_str()).await.status, 303);
        assert_eq!(browser.status_name(DRIVE).await, "connected");
    }

    /// Runs hostile clients while a bystander uses the server, then checks memory and log.
    ///
    /// The clients are another task: in one with the bystander, its requests would wait until all of them were polled.
    async fn withstands(self, what: &str, clients: impl Future<Output = ()> + Send + 'static) {
        let bystander = Bystander::new(&self, self.browser("alice").await.without_idle_connections());
        let mut clients = tokio::spawn(clients);
        tokio::select! {
            ended = &mut clients => panic!("the clients ended: {ended:?}"),
            seen = bystander.watch() => seen.report(what, self.idle, self.memory),
        }
        clients.abort();
        drop(clients.await);
        let log = self.process.log().unwrap();
        assert!(!log.contains("panicked"), "{log}");
        assert!(self.process.stop().await.unwrap().success(), "the server ends in an orderly way");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r82_clients_that_keep_their_http2_window_closed() {
    let soak = Soak { memory: WINDOW_MEMORY, ..Soak::start().await };
    let clients = clients::closed_windows(soak.installation.address(), soak.largest_asset().await, 60);
    soak.withstands("60 HTTP/2 clients with a closed window", clients).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r82_silent_sockets() {
    let soak = Soak::start().await;
    let clients = clients::silent(soak.installation.address(), 1000);
    soak.withstands("1000 silent sockets", clients).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r82_slow_request_bodies() {
    let soak = Soak::start().await;
    let clients = clients::slow_bodies(soak.installation.address(), soak.anonymous(), 900);
    soak.withstands("900 slow request bodies", clients).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r82_slow_request_bodies_over_http2() {
    let soak = Soak::with_descriptors(FEW_DESCRIPTORS).await;
    let clients = clients::slow_http2_bodies(soak.installation.address(), soak.anonymous(), 180);
    soak.withstands("180 HTTP/2 clients with 32 slow request bodies each", clients).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r82_slow_readers_of_large_responses() {
    let soak = Soak::start().await;
    let mut bob = soak.browser("bob").await;
    soak.connect(&mut bob).await;
    let requests = vec![
        clients::request("GET", &soak.largest_asset().await, &bob, ""),
        clients::request("POST", &DRIVE.public("/_execute"), &bob, r#"{"params":{"method":"GET","path":"/large"}}"#),
        clients::request("GET", &DRIVE.public("/_relay/large"), &bob, ""),
    ];
    let clients = clients::slow_readers(soak.installation.address(), requests, 200);
    soak.withstands("200 slow readers of large responses", clients).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r82_large_json_with_many_fields() {
    let soak = Soak::start().await;
    let mut bob = soak.browser("bob").await;
    soak.connect(&mut bob).await;
    let clients = clients::many_fields(bob, DRIVE.public("/_execute"), 50);
    soak.withstands("50 clients with 128,000 JSON fields", clients).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r82_junk_callbacks_and_log_ins() {
    let soak = Soak::start().await;
    let clients = clients::junk(soak.anonymous());
    soak.withstands("1000 junk callbacks and log-ins a minute", clients).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r82_hanging_runs() {
    let soak = Soak::start().await;
    let mut bob = soak.browser("bob").await;
    soak.connect(&mut bob).await;
    let clients = clients::hanging_runs(bob, DRIVE, 200);
    soak.withstands("200 hanging runs of one viewer", clients).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r82_hanging_revocations() {
    let soak = Soak::start().await;
    let mut bob = soak.browser("bob").await;
    clients::disconnect_with_hanging_revocations(&soak, &mut bob, 50).await;
    // The bystander waits for its revocations.
    soak.withstands("50 hanging revocations", std::future::pending()).await;
}

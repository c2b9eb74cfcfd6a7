//! Requests that are relayed to an API while their bodies arrive.

use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response as ApiResponse;
use axum::routing::{any, get};
use futures_util::{StreamExt as _, stream};
use grantry_system_tests::browser::Browser;
use grantry_system_tests::paths::{ConnectorPath, Draft};
use grantry_system_tests::test_app::{DRIVE, MARKETING_DRIVE, TestApp};
use grantry_system_tests::users::AGENT_KEY;
use grantry_testkit::provider::MockProvider;
use reqwest::{Method, StatusCode};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

pub(super) const FILES: ConnectorPath = ConnectorPath::of("files");
pub(super) const PART: usize = 64 * 1024;
/// 64 MiB, or 1 GiB in the long variant.
pub(super) fn parts() -> usize {
    if super::is_long() { 16 * 1024 } else { 1024 }
}

/// An API below `/v1`: `echo` returns the body of the request while it arrives, `count` its length, `events` what the test sends,
/// `endless` a body without an end, `strict` the length of the body unless the request has the first token that it has received,
/// and `git` repositories of a folder.
pub(super) struct StreamingApi {
    pub(super) address: SocketAddr,
    events: UnboundedSender<String>,
    produced: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl StreamingApi {
    pub(super) async fn start(repositories: &FilePath) -> Self {
        let (events, received) = unbounded_channel();
        let received = Arc::new(std::sync::Mutex::new(Some(received)));
        let produced = Arc::new(AtomicUsize::new(0));
        // A handler is cloned for each request.
        let first_token = Arc::new(OnceLock::new());
        let (counter, folder) = (produced.clone(), repositories.to_owned());
        let router = Router::new()
            .route("/v1/echo", any(async |request: Request| ApiResponse::new(request.into_body())))
            .route("/v1/count", any(async |request: Request| length_of(request.into_body()).await.to_string()))
            .route("/v1/events", get(async move || events_of(received.lock().unwrap().take().unwrap())))
            .route("/v1/endless", get(async move || endless(counter)))
            .route("/v1/strict", any(async move |request: Request| strict(&first_token, request).await))
            .route("/v1/git/{*path}", any(async move |request: Request| git(&folder, request).await));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, events, produced, task }
    }
}

impl Drop for StreamingApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn length_of(body: Body) -> usize {
    body.into_data_stream().fold(0, async |sum, part| sum + part.unwrap().len()).await
}

fn events_of(received: UnboundedReceiver<String>) -> ApiResponse {
    let events =
        stream::unfold(received, async |mut received| Some((Ok::<_, axum::Error>(received.recv().await?), received)));
    ApiResponse::builder().header("content-type", "text/event-stream").body(Body::from_stream(events)).unwrap()
}

fn endless(produced: Arc<AtomicUsize>) -> ApiResponse {
    let parts = stream::repeat_with(move || {
        produced.fetch_add(PART, Ordering::SeqCst);
        Ok::<_, axum::Error>(Bytes::from(vec![b'x'; PART]))
    });
    ApiResponse::new(Body::from_stream(parts))
}

/// Reads the whole body and rejects the first token.
async fn strict(first: &OnceLock<String>, request: Request) -> ApiResponse {
    let token = request.headers()["authorization"].to_str().unwrap().to_owned();
    let is_first = *first.get_or_init(|| token.clone()) == token;
    let length = length_of(request.into_body()).await;
    let status = if is_first { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    ApiResponse::builder().status(status.as_u16()).body(Body::from(length.to_string())).unwrap()
}

/// Runs `git http-backend` for a request, as a web server does.
async fn git(repositories: &FilePath, request: Request) -> ApiResponse {
    let (head, body) = request.into_parts();
    let field = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut backend = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", repositories)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", head.uri.path().trim_start_matches("/v1/git"))
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", head.method.as_str())
        .env("CONTENT_TYPE", field("content-type"))
        .env("HTTP_CONTENT_ENCODING", field("content-encoding"))
        .env("GIT_PROTOCOL", field("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let mut input = backend.stdin.take().unwrap();
    input.write_all(&bytes).await.unwrap();
    drop(input);
    let output = backend.wait_with_output().await.unwrap().stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let fields = String::from_utf8(output[..end].to_vec()).unwrap();
    let mut response = ApiResponse::builder();
    for (name, value) in fields.lines().filter_map(|line| line.split_once(": ")) {
        response = match name {
            "Status" => response.status(&value[..3]),
            _ => response.header(name, value),
        };
    }
    response.body(Body::from(output[end + 4..].to_vec())).unwrap()
}

/// A deployment with the connector `files`, the API behind it, and a browser of a connected user.
struct Relays {
    app: TestApp,
    api: StreamingApi,
    alice: Browser,
    repositories: tempfile::TempDir,
}

impl Relays {
    async fn new() -> Self {
        let repositories = tempfile::tempdir().unwrap();
        let api = StreamingApi::start(repositories.path()).await;
        let target = api.address.to_string();
        let app = TestApp::with(MockProvider::builder(), |settings| settings.egress.push(target.clone())).await;
        app.create(FILES, &Draft::issuer(app.provider.base_url(), &format!("http://{target}/v1"))).await;
        let alice = app.connected("alice", FILES).await;
        Self { app, api, alice, repositories }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.alice.fetch(method, &FILES.public(&format!("/_relay{path}")))
    }
}

/// A body of parts that are made when they are asked for.
pub(super) fn upload(parts: usize) -> reqwest::Body {
    let part = Bytes::from(vec![b'x'; PART]);
    reqwest::Body::wrap_stream(stream::iter((0..parts).map(move |_| Ok::<_, std::io::Error>(part.clone()))))
}

#[tokio::test]
async fn large_bodies_pass_in_both_directions() {
    let relays = Relays::new().await;
    let counted = relays.request(Method::PUT, "/count").body(upload(parts())).send().await.unwrap();
    assert_eq!(counted.text().await.unwrap(), (parts() * PART).to_string());
    let mut echo = relays.request(Method::POST, "/echo").body(upload(parts())).send().await.unwrap();
    assert_eq!(echo.status(), StatusCode::OK);
    let mut received = 0;
    while let Some(part) = echo.chunk().await.unwrap() {
        assert!(part.iter().all(|byte| *byte == b'x'));
        received += part.len();
    }
    assert_eq!(received, parts() * PART);
}

#[tokio::test]
async fn each_event_arrives_before_the_next_one_is_sent() {
    let relays = Relays::new().await;
    let mut events = relays.request(Method::GET, "/events").send().await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let mut waits = Vec::new();
    for number in 0..21 {
        let event = format!("data: {number}\n\n");
        let sent = Instant::now();
        relays.api.events.send(event.clone()).unwrap();
        assert_eq!(events.chunk().await.unwrap().unwrap(), event.as_bytes());
        waits.push(sent.elapsed());
    }
    // A busy machine delays single events. A delay of the relay, such as a buffer that waits for more, delays all of them.
    waits.sort_unstable();
    println!("an event takes {:?}, and at most {:?}", waits[10], waits[20]);
    assert!(waits[10] < Duration::from_millis(50), "{waits:?}");
}

#[tokio::test]
async fn a_caller_that_does_not_read_stops_the_api() {
    let relays = Relays::new().await;
    let mut endless = relays.request(Method::GET, "/endless").send().await.unwrap();
    assert!(endless.chunk().await.unwrap().is_some());
    // The buffers of the sockets are full when the API makes no further part for a while.
    let mut before = usize::MAX;
    super::until("the API stops", async || {
        let produced = relays.api.produced.load(Ordering::SeqCst);
        std::mem::replace(&mut before, produced) == produced
    })
    .await;
    let buffered = relays.api.produced.load(Ordering::SeqCst);
    assert!(buffered < 64 * 1024 * 1024, "{buffered} bytes were read ahead");
    let mut read = 0;
    while read < 2 * buffered {
        read += endless.chunk().await.unwrap().unwrap().len();
    }
    assert!(relays.api.produced.load(Ordering::SeqCst) > buffered, "and goes on when the caller reads");
}

#[tokio::test]
async fn a_rejected_token_is_replaced_and_a_short_body_is_sent_again() {
    let relays = Relays::new().await;
    let repeated = relays.request(Method::PUT, "/strict").body(upload(1)).send().await.unwrap();
    assert_eq!((repeated.status(), repeated.text().await.unwrap()), (StatusCode::OK, PART.to_string()));

    let relays = Relays::new().await;
    let rejected = relays.request(Method::PUT, "/strict").body(upload(2)).send().await.unwrap();
    assert_eq!(rejected.headers()["x-grantry-response"], "api");
    assert_eq!((rejected.status(), rejected.text().await.unwrap()), (StatusCode::UNAUTHORIZED, (2 * PART).to_string()));
    let next = relays.request(Method::PUT, "/strict").body(upload(2)).send().await.unwrap();
    assert_eq!((next.status(), next.text().await.unwrap()), (StatusCode::OK, (2 * PART).to_string()));
}

#[tokio::test]
async fn relays_of_two_spaces_use_their_own_connections() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    let account = async |browser: &mut Browser, connector: ConnectorPath| {
        let request = browser.fetch(Method::GET, &connector.public("/_relay/me"));
        let response = browser.send(request).await;
        (response.status, response.json()["user"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(account(&mut alice, DRIVE).await, (200, "alice@example.test".to_owned()));
    assert_eq!(account(&mut alice, MARKETING_DRIVE).await, (409, String::new()), "the other space has no connection yet");
    app.connect(&mut alice, MARKETING_DRIVE, "bob").await;
    assert_eq!(account(&mut alice, MARKETING_DRIVE).await, (200, "bob@example.test".to_owned()));
    assert_eq!(account(&mut alice, DRIVE).await, (200, "alice@example.test".to_owned()));
    // The back end acts in the default space.
    for (connector, status) in [(DRIVE, 200), (MARKETING_DRIVE, 404)] {
        let mut agent = app.anonymous_browser();
        let request = agent.request(Method::GET, &connector.public("/_relay/me")).bearer_auth(AGENT_KEY);
        assert_eq!(agent.send(request.header("x-grantry-user", "u_alice")).await.status, status);
    }
}

#[tokio::test]
async fn an_upload_is_refused_before_its_body_is_read() {
    let relays = Relays::new().await;
    let bob = relays.app.browser("bob").await;
    let request = bob.fetch(Method::PUT, &FILES.public("/_relay/count")).body(upload(1));
    let refused = request.send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    assert!(refused.text().await.unwrap().contains("authorization_required"));
}

#[tokio::test]
async fn git_clones_and_pushes_through_the_relay() {
    let relays = Relays::new().await;
    let work = tempfile::tempdir().unwrap();
    let repository = relays.repositories.path().join("project.git");
    let repository = repository.to_str().unwrap();
    run_git(work.path(), &["init", "--quiet", "--bare", "--initial-branch=main", repository]).await;
    run_git(work.path(), &["-C", repository, "config", "http.receivepack", "true"]).await;
    let source = work.path().join("source");
    let source = source.to_str().unwrap();
    run_git(work.path(), &["init", "--quiet", "--initial-branch=main", source]).await;
    // Larger than git sends in one request with a length (http.postBuffer).
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    std::fs::write(work.path().join("source/file"), &large).unwrap();
    run_git(work.path(), &["-C", source, "add", "file"]).await;
    let commit = ["-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "First"];
    run_git(work.path(), &[&["-C", source][..], &commit].concat()).await;

    let url = format!("http://{}{}", relays.app.host.address, FILES.public("/_relay/git/project.git"));
    let fields = [
        format!("http.extraHeader=Host: {}", relays.alice.host()),
        format!("http.extraHeader=Authorization: Bearer {AGENT_KEY}"),
        "http.extraHeader=x-grantry-user: u_alice".to_owned(),
    ];
    let options: Vec<&str> = fields.iter().flat_map(|field| ["-c", field.as_str()]).collect();
    run_git(work.path(), &[&options[..], &["-C", source, "push", "--quiet", &url, "main"]].concat()).await;
    run_git(work.path(), &[&options[..], &["clone", "--quiet", &url, "copy"]].concat()).await;
    assert_eq!(std::fs::read(work.path().join("copy/file")).unwrap(), large);
}

/// Runs git without settings of the machine.
async fn run_git(folder: &FilePath, arguments: &[&str]) {
    let git = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .output();
    let output = git.await.unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

//! No secret reaches logs, responses, metrics or the database in clear text: complete flows, including failures, with the log
//! at level TRACE. This test is a separate binary because the log belongs to a process.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grantry_system_tests::browser::{Browser, FetchSite, Response, unknown_value};
use grantry_system_tests::paths::{ConnectorPath, Draft};
use grantry_system_tests::process::Installation;
use grantry_system_tests::test_app::{DRIVE, TestApp, account_of};
use grantry_system_tests::users::AGENT_KEY;
use grantry_testkit::provider::{Client, Endpoint, Fault, MockProvider, Rotation};
use reqwest::Method;
use rusqlite::Connection;
use serde_json::json;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use url::Url;

/// The client secret: long enough to be found only where it was stored.
const CLIENT_SECRET: &str = "canary-client-secret-4f2a9c";
const WRONG_PASSWORD: &str = "canary-password-77b1e0";
/// A text in error responses of the provider.
const PROVIDER_TEXT: &str = "canary-provider-text-b03d11";

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Everything that must stay secret, with its kind.
#[derive(Default)]
struct Secrets(BTreeSet<(&'static str, String)>);

impl Secrets {
    fn add(&mut self, what: &'static str, secret: &str) {
        assert!(secret.len() >= 16, "{what} is too short to be searched for: {secret:?}");
        self.0.insert((what, secret.to_owned()));
    }

    /// All cookies of a browser.
    fn add_cookies(&mut self, browser: &Browser) {
        for (name, value) in &browser.cookies {
            let what = if name.contains("session") { "session cookie" } else { "flow cookie" };
            self.add(what, value);
        }
    }

    /// Codes, verifiers and tokens in the requests to the provider.
    fn add_calls(&mut self, provider: &MockProvider) {
        for call in provider.ledger().iter() {
            for name in ["code", "code_verifier", "refresh_token", "token", "client_secret"] {
                if let Some(value) = call.form.iter().find(|(key, _)| key == name) {
                    self.add(kind_of(name), &value.1);
                }
            }
            if let Some(token) = call.bearer_token() {
                self.add("access token", token);
            }
            if let Some(value) = call.header("authorization").filter(|value| value.starts_with("Basic ")) {
                self.add("client credentials", value.trim_start_matches("Basic "));
            }
        }
    }

    /// The kinds of secrets that a text contains.
    fn found_in(&self, text: &[u8]) -> Vec<&'static str> {
        let contains = |secret: &str| text.windows(secret.len()).any(|window| window == secret.as_bytes());
        self.0.iter().filter(|(_, secret)| contains(secret)).map(|(what, _)| *what).collect()
    }
}

fn kind_of(parameter: &str) -> &'static str {
    match parameter {
        "code" => "code",
        "code_verifier" => "verifier",
        "refresh_token" => "refresh token",
        "token" => "revoked token",
        _ => "client secret",
    }
}

/// All responses, with a description each.
#[derive(Default)]
struct Responses(Vec<(String, Response)>);

impl Responses {
    fn keep(&mut self, what: &str, response: Response) -> Response {
        self.0.push((what.to_owned(), response.clone()));
        response
    }
}

fn parameter(url: &str, name: &str) -> String {
    let url = Url::parse(url).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap()
}

/// An app whose secrets and responses are recorded.
struct RecordedApp {
    app: TestApp,
    secrets: Secrets,
    responses: Responses,
    alice: Browser,
    bob: Browser,
}

/// The connector with the known client secret.
const CONNECTOR: ConnectorPath = ConnectorPath::of("canary");

impl RecordedApp {
    async fn new() -> Self {
        let grace = MockProvider::builder().rotation(Rotation::Grace(Duration::from_hours(24)));
        let app = TestApp::with(grace, |settings| settings.busy_timeout = Duration::from_millis(100)).await;
        let shared = app.deployment.shared_callback();
        app.provider.register(Client::new("canary", CLIENT_SECRET).redirect_uri(shared));
        app.create(CONNECTOR, &Self::draft(&app)).await;
        let mut secrets = Secrets::default();
        secrets.add("client secret", CLIENT_SECRET);
        secrets.add("password", WRONG_PASSWORD);
        secrets.add("agent key", AGENT_KEY);
        secrets.add("provider text", PROVIDER_TEXT);
        secrets.add("root key", std::fs::read_to_string(app.deployment.key_file()).unwrap().trim());
        let (alice, bob) = (app.browser("alice").await, app.browser("bob").await);
        secrets.add_cookies(&alice);
        secrets.add_cookies(&bob);
        Self { app, secrets, responses: Responses::default(), alice, bob }
    }

    fn draft(app: &TestApp) -> Draft {
        app.draft().client("canary", CLIENT_SECRET)
    }

    /// Starts a flow as bob or alice and consents. Returns the callback URL, whose parts are secret.
    async fn consent(&mut self, name: &str) -> String {
        let browser = if name == "bob" { &mut self.bob } else { &mut self.alice };
        let flow = browser.start(CONNECTOR).await;
        self.secrets.add_cookies(browser);
        self.secrets.add("state", &flow.state);
        let callback = self.app.provider.approve(&flow.authorization_url, name).await.unwrap();
        self.secrets.add("code", &parameter(callback.as_str(), "code"));
        callback.into()
    }

    /// A flow that other users and browsers try to complete, then its user, then a replay.
    async fn connect(&mut self) {
        let wrong = json!({ "username": "alice", "password": WRONG_PASSWORD });
        self.responses.keep("a wrong password", self.app.anonymous_browser().post("/api/session", wrong).await);
        let callback = self.consent("alice").await;
        let state = parameter(&callback, "state");
        self.responses.keep("another user", self.bob.open_callback(&callback).await);
        self.responses.keep("no session", self.app.anonymous_browser().open_callback(&callback).await);
        let unknown = callback.replace(&state, &unknown_value(9));
        self.responses.keep("an unknown state", self.alice.open_callback(&unknown).await);
        let duplicate = format!("{callback}&state={}", unknown_value(8));
        self.responses.keep("two states", self.alice.open_callback(&duplicate).await);
        self.secrets.add("state", &unknown_value(9));
        self.secrets.add("state", &unknown_value(8));
        let mut tab = self.alice.clone();
        let done = self.responses.keep("the callback", self.alice.open_callback(&callback).await);
        self.responses.keep("the result", self.alice.open(done.location(), FetchSite::SameOrigin).await);
        self.responses.keep("a replay", tab.open_callback(&callback).await);
        let run = self.responses.keep("an execution", self.alice.execute(CONNECTOR, "/me").await);
        assert_eq!(account_of(&run), "alice@example.test");
    }

    /// Failures of token responses, at a refresh and at an exchange.
    async fn fail(&mut self) {
        let failures = [
            Fault::oauth_error(PROVIDER_TEXT),
            Fault::not_json(),
            Fault::CutBody(40),
            Fault::DropResponse,
            Fault::duplicate("access_token", json!(PROVIDER_TEXT)),
            Fault::with("token_type", json!(PROVIDER_TEXT)),
            Fault::with("access_token", json!(format!("{PROVIDER_TEXT}\r\n"))),
            Fault::with("expires_in", json!(PROVIDER_TEXT)),
            Fault::nested(PROVIDER_TEXT),
        ];
        for fault in failures {
            self.app.expire_access_tokens();
            self.app.provider.faults().once(Endpoint::Token, fault.clone());
            self.responses.keep("a failed refresh", self.alice.execute(CONNECTOR, "/me").await);
            self.app.advance(Duration::from_mins(20));
            self.responses.keep("a refresh", self.alice.execute(CONNECTOR, "/me").await);
            let callback = self.consent("bob").await;
            self.app.provider.faults().once(Endpoint::Token, fault);
            let done = self.responses.keep("a failed exchange", self.bob.open_callback(&callback).await);
            self.responses.keep("its result", self.bob.open(done.location(), FetchSite::SameOrigin).await);
        }
        let flow = self.bob.start(CONNECTOR).await;
        self.secrets.add("state", &flow.state);
        let denied = self.app.provider.deny(&flow.authorization_url, "bob").await.unwrap();
        let denied = format!("{denied}&error_description={PROVIDER_TEXT}");
        self.responses.keep("a denial", self.bob.open_callback(&denied).await);
        self.app.provider.faults().once(Endpoint::Api, Fault::status(401));
        self.responses.keep("a forced refresh", self.alice.execute(CONNECTOR, "/me").await);
        let lock = Connection::open(self.app.deployment.database()).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        self.responses.keep("a locked store", self.alice.try_start(CONNECTOR, json!({})).await);
        lock.execute_batch("ROLLBACK").unwrap();
    }

    /// Reads everything as an administrator, a user and a back end. Only the back end gets a token, by the route for it.
    async fn read_all(&mut self) {
        let mut carol = self.app.browser("carol").await;
        self.secrets.add_cookies(&carol);
        let (connector, start) = (CONNECTOR.public(""), CONNECTOR.public("/oauth/start"));
        let paths = [
            "/",
            "/api/actions/connectors",
            "/internal/actions/grants",
            "/api/session",
            "/metrics",
            "/readyz",
            "/openapi.json",
            &connector,
            &start,
        ];
        for path in paths {
            self.responses.keep(path, carol.get(path).await);
        }
        let statuses = "/internal/actions/connectors/_me/auth_status";
        self.responses.keep("statuses", self.alice.post(statuses, json!({})).await);
        self.responses.keep("an edit", self.app.edit(CONNECTOR, &Self::draft(&self.app)).await);

        let mut agent = self.app.anonymous_browser();
        let body = json!({ "user": "u_alice", "destination": self.app.provider.base_url() });
        let request = agent.request(Method::POST, &CONNECTOR.internal("/_access_token")).bearer_auth(AGENT_KEY).json(&body);
        let issued = agent.send(request).await;
        self.secrets
            .add("access token", issued.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", issued.text())));
    }

    /// Disconnects, runs the background jobs, and leaves another grant in the store.
    async fn disconnect(&mut self) {
        self.responses.keep("a disconnect", self.alice.disconnect(CONNECTOR).await);
        self.app.provider.until(|ledger| ledger.revocations().len() >= 2).await;
        self.app.host.drain().await;
        self.app.advance(Duration::from_mins(20));
        let connections = &self.app.host.connections;
        connections.revoke_due().await.unwrap();
        connections.sweep(|_| {}).await.unwrap();
        connections.flush_audit().await.unwrap();
        connections.deliver_events().await.unwrap();
        self.app.connect(&mut self.alice, DRIVE, "alice").await;
        self.secrets.add_cookies(&self.alice);
        account_of(&self.alice.execute(DRIVE, "/me").await);
        self.secrets.add_calls(&self.app.provider);
        let kinds: BTreeSet<_> = self.secrets.0.iter().map(|(what, _)| *what).collect();
        for expected in
            ["access token", "refresh token", "verifier", "code", "state", "flow cookie", "session cookie", "revoked token"]
        {
            assert!(kinds.contains(expected), "there was no {expected}: {kinds:?}");
        }
    }

    #[track_caller]
    fn assert_no_secret(&self, name: &str, bytes: &[u8]) {
        assert_eq!(self.secrets.found_in(bytes), Vec::<&str>::new(), "in {name}");
    }
}

#[tokio::test]
async fn r30_r44_r61_r64_r77_r78_r79_lesson_31_no_secret_is_logged_returned_or_stored_in_clear_text() {
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt::layer().json().with_writer(move || writer.clone());
    // The crates of this workspace at level TRACE, libraries at the level of the program.
    let filter = tracing_subscriber::filter::Targets::new()
        .with_target("grantry", tracing::Level::TRACE)
        .with_target("audit", tracing::Level::TRACE)
        .with_default(tracing::Level::INFO);
    tracing_subscriber::registry().with(lines).with(filter).init();
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder().unwrap();

    let mut recorded = RecordedApp::new().await;
    recorded.connect().await;
    recorded.fail().await;
    recorded.read_all().await;
    recorded.disconnect().await;

    let logged = log.0.lock().unwrap().clone();
    assert!(logged.len() > 10_000, "there is a log");
    recorded.assert_no_secret("the log", &logged);
    let audit = format!("{:?}", recorded.app.host.sink.events());
    assert!(audit.len() > 1_000, "there is an audit trail");
    recorded.assert_no_secret("the audit trail", audit.as_bytes());
    let figures = metrics.render();
    assert!(figures.contains("grantry_http_requests_total"), "there are metrics: {figures}");
    recorded.assert_no_secret("the metrics", figures.as_bytes());
    for (what, response) in &recorded.responses.0 {
        let mut response = response.clone();
        // `Set-Cookie` is the only place for a cookie.
        response.headers.remove("set-cookie");
        recorded.assert_no_secret(what, response.full_text().as_bytes());
    }
    for end in ["", "-wal", "-shm"] {
        let file = format!("{}{end}", recorded.app.deployment.database().display());
        let Ok(bytes) = std::fs::read(Path::new(&file)) else { continue };
        recorded.assert_no_secret(&file, &bytes);
    }
}

/// The same for the program, with its log and its metrics.
#[tokio::test]
async fn r77_r79_lesson_31_the_program_logs_no_secret_at_level_trace() {
    let provider = MockProvider::builder().start().await.unwrap();
    let installation = Installation::new(env!("CARGO_BIN_EXE_grantry-under-test"), &[provider.port()]).unwrap();
    installation.write_config(&installation.config().unwrap().replace("log = \"info\"", "log = \"trace\"")).unwrap();
    let redirect_uri = format!("{}/api/actions/connector/_oauth_callback", installation.public());
    provider.register(Client::new("canary", CLIENT_SECRET).redirect_uri(redirect_uri));
    let process = installation.serve().await.unwrap();

    let mut secrets = Secrets::default();
    secrets.add("client secret", CLIENT_SECRET);
    secrets.add("password", WRONG_PASSWORD);
    secrets.add("root key", std::fs::read_to_string(installation.path("primary.key")).unwrap().trim());
    let mut alice = Browser::new(&installation.public(), installation.address());
    alice.post("/api/session", json!({ "username": "alice", "password": WRONG_PASSWORD })).await;
    alice.log_in("alice").await;
    let draft = Draft::issuer(provider.base_url(), &provider.url("/api")).client("canary", CLIENT_SECRET);
    assert_eq!(alice.post(&DRIVE.public(""), draft.body).await.status, 200);
    for failing in [true, false] {
        let flow = alice.start(DRIVE).await;
        secrets.add("state", &flow.state);
        secrets.add_cookies(&alice);
        if failing {
            provider.faults().once(Endpoint::Token, Fault::duplicate("access_token", json!(PROVIDER_TEXT)));
        }
        let callback = String::from(provider.approve(&flow.authorization_url, "alice").await.unwrap());
        secrets.add("code", &parameter(&callback, "code"));
        alice.open_callback(&callback).await;
    }
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    provider.expire_access_tokens();
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    let figures = installation.metrics().await.unwrap();
    secrets.add("metrics token", std::fs::read_to_string(installation.path("metrics.token")).unwrap().trim());
    assert_eq!(alice.disconnect(DRIVE).await.status, 204);
    provider.until(|ledger| ledger.revocations().len() == 2).await;
    assert!(process.stop().await.unwrap().success());

    secrets.add_calls(&provider);
    secrets.add("provider text", PROVIDER_TEXT);
    let logged = std::fs::read(installation.path("log")).unwrap();
    let text = String::from_utf8_lossy(&logged);
    assert!(text.contains("TRACE") || text.contains("DEBUG"), "the level is in effect: {text}");
    for line in text.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "one JSON object per line: {line}");
    }
    assert_eq!(secrets.found_in(&logged), Vec::<&str>::new(), "in the log");
    assert_eq!(secrets.found_in(figures.as_bytes()), Vec::<&str>::new(), "in the metrics");
    assert_eq!(secrets.found_in(&std::fs::read(installation.database()).unwrap()), Vec::<&str>::new(), "in the database");
}

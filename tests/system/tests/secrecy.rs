//! Nothing secret leaves the places it belongs to: a complete flow, failures included, with the log at its finest level.
//! In a binary of its own, because a log belongs to a whole process.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grantry_system_tests::browser::{Answer, Browser, From, made_up};
use grantry_system_tests::people::AGENT_KEY;
use grantry_system_tests::place::{Draft, Place};
use grantry_system_tests::served::Operator;
use grantry_system_tests::world::{DRIVE, World, whose};
use grantry_testkit::provider::{Client, Endpoint, Fault, MockProvider, Rotation};
use reqwest::Method;
use rusqlite::Connection;
use serde_json::json;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use url::Url;

/// Client secrets of the flow; long enough to be found only where they were put.
const CLIENT_SECRET: &str = "canary-client-secret-4f2a9c";
const WRONG_PASSWORD: &str = "canary-password-77b1e0";
/// What the provider says about errors.
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

/// Everything that must stay secret, by what it is.
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

    /// What has reached the provider: codes, verifiers, tokens.
    fn add_calls(&mut self, provider: &MockProvider) {
        for call in provider.ledger().iter() {
            for name in ["code", "code_verifier", "refresh_token", "token", "client_secret"] {
                if let Some(value) = call.form.iter().find(|(key, _)| key == name) {
                    self.add(name_of(name), &value.1);
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

    /// Which of them stand in a text.
    fn found_in(&self, text: &[u8]) -> Vec<&'static str> {
        let stands = |secret: &str| text.windows(secret.len()).any(|window| window == secret.as_bytes());
        self.0.iter().filter(|(_, secret)| stands(secret)).map(|(what, _)| *what).collect()
    }
}

fn name_of(parameter: &str) -> &'static str {
    match parameter {
        "code" => "code",
        "code_verifier" => "verifier",
        "refresh_token" => "refresh token",
        "token" => "revoked token",
        _ => "client secret",
    }
}

/// A witness that keeps every answer, to be searched at the end.
#[derive(Default)]
struct Answers(Vec<(String, Answer)>);

impl Answers {
    fn keep(&mut self, what: &str, answer: Answer) -> Answer {
        self.0.push((what.to_owned(), answer.clone()));
        answer
    }
}

fn parameter(url: &str, name: &str) -> String {
    let url = Url::parse(url).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap()
}

/// A world that is watched while people use it.
struct Watched {
    world: World,
    secrets: Secrets,
    answers: Answers,
    alice: Browser,
    bob: Browser,
}

/// The connector whose secret is known.
const PLACE: Place = Place::of("secretive");

impl Watched {
    async fn new() -> Self {
        let grace = MockProvider::builder().rotation(Rotation::Grace(Duration::from_hours(24)));
        let world = World::with(grace, |settings| settings.busy_timeout = Duration::from_millis(100)).await;
        let shared = world.deployment.shared_callback();
        world.provider.register(Client::new("canary", CLIENT_SECRET).redirect_uri(shared));
        world.create(PLACE, &Self::draft(&world)).await;
        let mut secrets = Secrets::default();
        secrets.add("client secret", CLIENT_SECRET);
        secrets.add("password", WRONG_PASSWORD);
        secrets.add("agent key", AGENT_KEY);
        secrets.add("provider text", PROVIDER_TEXT);
        secrets.add("root key", std::fs::read_to_string(world.deployment.key_file()).unwrap().trim());
        let (alice, bob) = (world.browser("alice").await, world.browser("bob").await);
        secrets.add_cookies(&alice);
        secrets.add_cookies(&bob);
        Self { world, secrets, answers: Answers::default(), alice, bob }
    }

    fn draft(world: &World) -> Draft {
        Draft::issuer(world.provider.base_url(), &world.provider.url("/api")).client("canary", CLIENT_SECRET)
    }

    /// Bob or alice starts a flow and consents; answers the callback, whose parts are secret.
    async fn consent(&mut self, name: &str) -> String {
        let browser = if name == "bob" { &mut self.bob } else { &mut self.alice };
        let flow = browser.start(PLACE).await;
        self.secrets.add_cookies(browser);
        self.secrets.add("state", &flow.state);
        let callback = self.world.provider.approve(&flow.authorization_url, name).await.unwrap();
        self.secrets.add("code", &parameter(callback.as_str(), "code"));
        callback.into()
    }

    /// A flow, tried by everybody who must not finish it, then by its owner, then again.
    async fn connect(&mut self) {
        let wrong = json!({ "username": "alice", "password": WRONG_PASSWORD });
        self.answers.keep("a wrong password", self.world.stranger().post("/api/session", wrong).await);
        let callback = self.consent("alice").await;
        let state = parameter(&callback, "state");
        self.answers.keep("another person", self.bob.come_back(&callback).await);
        self.answers.keep("nobody", self.world.stranger().come_back(&callback).await);
        let unknown = callback.replace(&state, &made_up(9));
        self.answers.keep("an unknown state", self.alice.come_back(&unknown).await);
        let doubled = format!("{callback}&state={}", made_up(8));
        self.answers.keep("two states", self.alice.come_back(&doubled).await);
        self.secrets.add("state", &made_up(9));
        self.secrets.add("state", &made_up(8));
        let mut tab = self.alice.clone();
        let done = self.answers.keep("the callback", self.alice.come_back(&callback).await);
        self.answers.keep("the result", self.alice.open(done.location(), From::OurPages).await);
        self.answers.keep("a replay", tab.come_back(&callback).await);
        let run = self.answers.keep("a run", self.alice.execute(PLACE, "/me").await);
        assert_eq!(whose(&run), "alice@example.test");
    }

    /// Everything that can go wrong with an answer of the provider, at a renewal and at an exchange.
    async fn fail(&mut self) {
        let failures = [
            Fault::oauth_error(PROVIDER_TEXT),
            Fault::not_json(),
            Fault::CutBody(40),
            Fault::DropAnswer,
            Fault::duplicate("access_token", json!(PROVIDER_TEXT)),
            Fault::with("token_type", json!(PROVIDER_TEXT)),
            Fault::with("access_token", json!(format!("{PROVIDER_TEXT}\r\n"))),
            Fault::with("expires_in", json!(PROVIDER_TEXT)),
            Fault::nested(PROVIDER_TEXT),
        ];
        for fault in failures {
            self.world.expire_access_tokens();
            self.world.provider.faults().once(Endpoint::Token, fault.clone());
            self.answers.keep("a failed renewal", self.alice.execute(PLACE, "/me").await);
            self.world.advance(Duration::from_mins(20));
            self.answers.keep("a renewal", self.alice.execute(PLACE, "/me").await);
            let callback = self.consent("bob").await;
            self.world.provider.faults().once(Endpoint::Token, fault);
            let done = self.answers.keep("a failed exchange", self.bob.come_back(&callback).await);
            self.answers.keep("its result", self.bob.open(done.location(), From::OurPages).await);
        }
        let flow = self.bob.start(PLACE).await;
        self.secrets.add("state", &flow.state);
        let denied = self.world.provider.deny(&flow.authorization_url, "bob").await.unwrap();
        let denied = format!("{denied}&error_description={PROVIDER_TEXT}");
        self.answers.keep("a denial", self.bob.come_back(&denied).await);
        self.world.provider.faults().once(Endpoint::Api, Fault::status(401));
        self.answers.keep("a forced renewal", self.alice.execute(PLACE, "/me").await);
        let lock = Connection::open(self.world.deployment.database()).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        self.answers.keep("a locked store", self.alice.try_start(PLACE, json!({})).await);
        lock.execute_batch("ROLLBACK").unwrap();
    }

    /// What an administrator, a person and a back end can look at. Only the last gets a token, by the one route for it.
    async fn look(&mut self) {
        let mut carol = self.world.browser("carol").await;
        self.secrets.add_cookies(&carol);
        let (connector, start) = (PLACE.public(""), PLACE.public("/oauth/start"));
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
            self.answers.keep(path, carol.get(path).await);
        }
        let statuses = "/internal/actions/connectors/_me/auth_status";
        self.answers.keep("statuses", self.alice.post(statuses, json!({})).await);
        self.answers.keep("an edit", self.world.edit(PLACE, &Self::draft(&self.world)).await);

        let mut agent = self.world.stranger();
        let body = json!({ "user": "u_alice", "destination": self.world.provider.base_url() });
        let request = agent.request(Method::POST, &PLACE.internal("/_access_token")).bearer_auth(AGENT_KEY).json(&body);
        let handed = agent.send(request).await;
        self.secrets
            .add("access token", handed.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", handed.text())));
    }

    /// Disconnects, lets the background do its work, and leaves another grant behind.
    async fn end(&mut self) {
        self.answers.keep("a disconnect", self.alice.disconnect(PLACE).await);
        self.world.provider.until(|ledger| ledger.revocations().len() >= 2).await;
        self.world.host.settle().await;
        self.world.advance(Duration::from_mins(20));
        let connections = &self.world.host.connections;
        connections.revoke_due().await.unwrap();
        connections.sweep(|_| {}).await.unwrap();
        connections.write_notes().await.unwrap();
        connections.deliver_events().await.unwrap();
        self.world.connect(&mut self.alice, DRIVE, "alice").await;
        self.secrets.add_cookies(&self.alice);
        whose(&self.alice.execute(DRIVE, "/me").await);
        self.secrets.add_calls(&self.world.provider);
        let kinds: BTreeSet<_> = self.secrets.0.iter().map(|(what, _)| *what).collect();
        for expected in
            ["access token", "refresh token", "verifier", "code", "state", "flow cookie", "session cookie", "revoked token"]
        {
            assert!(kinds.contains(expected), "there was no {expected}: {kinds:?}");
        }
    }

    #[track_caller]
    fn assert_clean(&self, place: &str, bytes: &[u8]) {
        assert_eq!(self.secrets.found_in(bytes), Vec::<&str>::new(), "in {place}");
    }
}

#[tokio::test]
async fn r30_r44_r61_r64_r77_r78_r79_lesson_31_nothing_secret_is_logged_answered_or_stored_in_clear() {
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt::layer().json().with_writer(move || writer.clone());
    // Everything of ours at the finest level; libraries as the program logs them.
    let filter = tracing_subscriber::filter::Targets::new()
        .with_target("grantry", tracing::Level::TRACE)
        .with_target("audit", tracing::Level::TRACE)
        .with_default(tracing::Level::INFO);
    tracing_subscriber::registry().with(lines).with(filter).init();
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder().unwrap();

    let mut watched = Watched::new().await;
    watched.connect().await;
    watched.fail().await;
    watched.look().await;
    watched.end().await;

    let logged = log.0.lock().unwrap().clone();
    assert!(logged.len() > 10_000, "there is a log");
    watched.assert_clean("the log", &logged);
    let audit = format!("{:?}", watched.world.host.sink.events());
    assert!(audit.len() > 1_000, "there is an audit trail");
    watched.assert_clean("the audit trail", audit.as_bytes());
    let figures = metrics.render();
    assert!(figures.contains("grantry_http_requests_total"), "there are metrics: {figures}");
    watched.assert_clean("the metrics", figures.as_bytes());
    for (what, answer) in &watched.answers.0 {
        let mut answer = answer.clone();
        // A cookie goes to the browser it belongs to, and to nobody else.
        answer.headers.remove("set-cookie");
        watched.assert_clean(what, answer.everything().as_bytes());
    }
    for end in ["", "-wal", "-shm"] {
        let file = format!("{}{end}", watched.world.deployment.database().display());
        let Ok(bytes) = std::fs::read(Path::new(&file)) else { continue };
        watched.assert_clean(&file, &bytes);
    }
}

/// The program itself, with its own log and metrics.
#[tokio::test]
async fn r77_r79_lesson_31_the_program_at_its_finest_log_level_tells_no_secret() {
    let provider = MockProvider::builder().start().await.unwrap();
    let operator = Operator::new(env!("CARGO_BIN_EXE_grantry-under-test"), &[provider.port()]).unwrap();
    operator.write_config(&operator.config().unwrap().replace("log = \"info\"", "log = \"trace\"")).unwrap();
    let redirect_uri = format!("{}/api/actions/connector/_oauth_callback", operator.public());
    provider.register(Client::new("canary", CLIENT_SECRET).redirect_uri(redirect_uri));
    let served = operator.serve().await.unwrap();

    let mut secrets = Secrets::default();
    secrets.add("client secret", CLIENT_SECRET);
    secrets.add("password", WRONG_PASSWORD);
    secrets.add("root key", std::fs::read_to_string(operator.path("primary.key")).unwrap().trim());
    let mut alice = Browser::new(&operator.public(), operator.address());
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
        alice.come_back(&callback).await;
    }
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    provider.expire_access_tokens();
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    let figures = alice.get("/metrics").await.text();
    assert_eq!(alice.disconnect(DRIVE).await.status, 204);
    provider.until(|ledger| ledger.revocations().len() == 2).await;
    assert!(served.stop().await.unwrap().success());

    secrets.add_calls(&provider);
    secrets.add("provider text", PROVIDER_TEXT);
    let logged = std::fs::read(operator.path("log")).unwrap();
    let text = String::from_utf8_lossy(&logged);
    assert!(text.contains("TRACE") || text.contains("DEBUG"), "the level counts: {text}");
    for line in text.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "R79: one well-formed line each: {line}");
    }
    assert_eq!(secrets.found_in(&logged), Vec::<&str>::new(), "in the log");
    assert_eq!(secrets.found_in(figures.as_bytes()), Vec::<&str>::new(), "in the metrics");
    assert_eq!(secrets.found_in(&std::fs::read(operator.database()).unwrap()), Vec::<&str>::new(), "in the database");
}

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

    let (mut secrets, mut answers) = (Secrets::default(), Answers::default());
    let world = World::with(MockProvider::builder().rotation(Rotation::Grace(Duration::from_hours(24))), |settings| {
        settings.busy_timeout = Duration::from_millis(100);
    })
    .await;
    let shared = world.deployment.shared_callback();
    world.provider.register(Client::new("canary", CLIENT_SECRET).redirect_uri(shared));
    let draft = Draft::issuer(world.provider.base_url(), &world.provider.url("/api")).client("canary", CLIENT_SECRET);
    let place = Place::of("secretive");
    world.create(place, &draft).await;
    secrets.add("client secret", CLIENT_SECRET);
    secrets.add("password", WRONG_PASSWORD);
    secrets.add("agent key", AGENT_KEY);
    secrets.add("provider text", PROVIDER_TEXT);
    secrets.add("root key", std::fs::read_to_string(world.deployment.key_file()).unwrap().trim());

    // Log-in, start, a complete flow.
    let mut alice = world.browser("alice").await;
    let wrong = world.stranger().post("/api/session", json!({ "username": "alice", "password": WRONG_PASSWORD })).await;
    answers.keep("a wrong password", wrong);
    let flow = alice.start(place).await;
    secrets.add_cookies(&alice);
    secrets.add("state", &flow.state);
    let callback = String::from(world.provider.approve(&flow.authorization_url, "alice").await.unwrap());
    secrets.add("code", &parameter(&callback, "code"));

    // Everybody who must not finish it, then its owner, then a replay.
    let mut bob = world.browser("bob").await;
    secrets.add_cookies(&bob);
    answers.keep("another person", bob.come_back(&callback).await);
    answers.keep("nobody", world.stranger().come_back(&callback).await);
    answers.keep("an unknown state", alice.come_back(&callback.replace(&flow.state, &made_up(9))).await);
    secrets.add("state", &made_up(9));
    answers.keep("two states", alice.come_back(&format!("{callback}&state={}", made_up(8))).await);
    secrets.add("state", &made_up(8));
    let mut tab = alice.clone();
    let done = answers.keep("the callback", alice.come_back(&callback).await);
    answers.keep("the result", alice.open(done.location(), From::OurPages).await);
    answers.keep("a replay", tab.come_back(&callback).await);

    // Use, renewal, every kind of failure on the way.
    assert_eq!(whose(&answers.keep("a run", alice.execute(place, "/me").await)), "alice@example.test");
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
    for (index, fault) in failures.into_iter().enumerate() {
        world.expire_access_tokens();
        world.provider.faults().once(Endpoint::Token, fault.clone());
        answers.keep("a failed renewal", alice.execute(place, "/me").await);
        world.advance(Duration::from_mins(20));
        answers.keep("a renewal", alice.execute(place, "/me").await);
        // The same at the exchange.
        let flow = bob.start(place).await;
        secrets.add_cookies(&bob);
        secrets.add("state", &flow.state);
        world.provider.faults().once(Endpoint::Token, fault);
        let callback = String::from(world.provider.approve(&flow.authorization_url, "bob").await.unwrap());
        secrets.add("code", &parameter(&callback, "code"));
        answers.keep("a failed exchange", bob.come_back(&callback).await);
        answers.keep("its result", bob.get(&format!("/api/actions/connector/_oauth_callback_result/{}", flow.id)).await);
        if index % 6 == 5 {
            for (browser, name) in [(&mut alice, "alice"), (&mut bob, "bob")] {
                browser.log_in(name).await;
                secrets.add_cookies(browser);
            }
        }
    }
    let flow = bob.start(place).await;
    secrets.add("state", &flow.state);
    let denied = String::from(world.provider.deny(&flow.authorization_url, "bob").await.unwrap());
    answers.keep("a denial", bob.come_back(&format!("{denied}&error_description={PROVIDER_TEXT}")).await);
    world.provider.faults().once(Endpoint::Api, Fault::status(401));
    answers.keep("a forced renewal", alice.execute(place, "/me").await);

    // A store that does not answer, and the administrator's views.
    let lock = Connection::open(world.deployment.database()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    answers.keep("a locked store", alice.try_start(place, json!({})).await);
    lock.execute_batch("ROLLBACK").unwrap();
    let mut carol = world.browser("carol").await;
    secrets.add_cookies(&carol);
    for path in [
        place.public(""),
        "/api/actions/connectors".to_owned(),
        "/internal/actions/grants".to_owned(),
        "/api/session".to_owned(),
        "/metrics".to_owned(),
        "/readyz".to_owned(),
        "/openapi.json".to_owned(),
        place.public("/oauth/start"),
        "/".to_owned(),
    ] {
        let answer = carol.get(&path).await;
        answers.keep(&path, answer);
    }
    let statuses = "/internal/actions/connectors/_me/auth_status";
    answers.keep("statuses", alice.post(statuses, json!({})).await);
    answers.keep("an edit", world.edit(place, &draft).await);

    // The one route that hands a token out, to a back end.
    let mut agent = world.stranger();
    let body = json!({ "user": "u_alice", "destination": world.provider.base_url() });
    let request = agent.request(Method::POST, &place.internal("/_access_token")).bearer_auth(AGENT_KEY).json(&body);
    let handed = agent.send(request).await;
    assert_eq!(handed.status, 200, "{}", handed.text());
    secrets.add("access token", handed.json()["access_token"].as_str().unwrap());

    assert_eq!(alice.disconnect(place).await.status, 204);
    world.provider.until(|ledger| ledger.revocations().len() >= 2).await;
    world.host.settle().await;
    world.advance(Duration::from_mins(20));
    world.host.connections.revoke_due().await.unwrap();
    world.host.connections.sweep(|_| {}).await.unwrap();
    world.host.connections.write_notes().await.unwrap();
    world.host.connections.deliver_events().await.unwrap();
    // A grant that stays, so that the database holds live secrets.
    world.connect(&mut alice, DRIVE, "alice").await;
    secrets.add_cookies(&alice);
    whose(&alice.execute(DRIVE, "/me").await);
    secrets.add_calls(&world.provider);
    let kinds: BTreeSet<_> = secrets.0.iter().map(|(what, _)| *what).collect();
    for expected in ["access token", "refresh token", "verifier", "code", "state", "flow cookie", "session cookie", "revoked token"] {
        assert!(kinds.contains(expected), "the test has no {expected}: {kinds:?}");
    }

    let logged = log.0.lock().unwrap().clone();
    assert!(logged.len() > 10_000, "there is a log");
    assert_eq!(secrets.found_in(&logged), Vec::<&str>::new(), "R79: in the log");

    let audit = format!("{:?}", world.host.sink.events());
    assert!(audit.len() > 1_000, "there is an audit trail");
    assert_eq!(secrets.found_in(audit.as_bytes()), Vec::<&str>::new(), "R79: in the audit trail");

    let figures = metrics.render();
    assert!(figures.contains("grantry_http_requests_total"), "there are metrics: {figures}");
    assert_eq!(secrets.found_in(figures.as_bytes()), Vec::<&str>::new(), "R79: in the metrics");

    for (what, answer) in &answers.0 {
        let mut answer = answer.clone();
        // A cookie goes to the browser it belongs to, and to nobody else.
        answer.headers.remove("set-cookie");
        let text = answer.everything();
        assert_eq!(secrets.found_in(text.as_bytes()), Vec::<&str>::new(), "{what}: {text}");
    }

    for end in ["", "-wal", "-shm"] {
        let file = format!("{}{end}", world.deployment.database().display());
        let Ok(bytes) = std::fs::read(Path::new(&file)) else { continue };
        assert_eq!(secrets.found_in(&bytes), Vec::<&str>::new(), "R73: in {file}");
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

//! A whole flow against the built server with the finest log level, and what it leaves in log, audit trail, metrics and database.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use grantry_testkit::provider::{Client, MockProvider};
use rustix::process::Signal;
use serde_json::{Value, json};
use url::Url;

use crate::support::{Browser, Response, Site, grantry, run};

pub(crate) const CLIENT_SECRET: &str = "client-secret-canary";

pub(crate) fn endpoints(provider: &str) -> Value {
    json!({
        "authorizationUrl": format!("{provider}/authorize"),
        "tokenUrl": format!("{provider}/token"),
        "revocationUrl": format!("{provider}/revoke"),
        "userinfoUrl": format!("{provider}/userinfo"),
        "scope": "profile email files.read",
        "baseUrl": format!("{provider}/api"),
    })
}

fn execute(browser: &mut Browser) -> Response {
    let body = json!({ "params": { "method": "GET", "path": "/me" } });
    browser.post("/api/actions/connector/files/_execute", &body)
}

/// Waits until the metrics contain this line. Audit events are written and delivered every second.
fn until_metrics_contain(browser: &mut Browser, line: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let metrics = browser.get("/metrics").body;
        if metrics.lines().any(|present| present == line) {
            return;
        }
        assert!(Instant::now() < deadline, "{line} is missing:\n{metrics}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// The value of a query parameter.
fn parameter(url: &Url, name: &str) -> String {
    url.query_pairs().find(|(known, _)| known == name).unwrap().1.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_31_r77_r79_r80_a_whole_flow_leaves_its_trail_and_no_secret() {
    let provider = MockProvider::builder().access_ttl(Duration::from_mins(5)).start().await.unwrap();
    let lines = format!("egress.allow = [\"127.0.0.1:{}\"]\ntelemetry.log = \"trace\"", provider.port());
    let site = Site::new(&format!("telemetry.metrics_token = \"file:metrics.token\"\n{lines}"));
    grantry::key_file::write_new(&site.path("metrics.token")).unwrap();
    let mut prometheus = Browser::new(site.port);
    prometheus.key = Some(fs::read_to_string(site.path("metrics.token")).unwrap().trim().to_owned());
    let server = site.serve();
    let mut alice = Browser::new(site.port);
    alice.log_in("alice", "password-canary");

    let connector = json!({
        "name": "Files", "connector_type_id": ".oauth2", "config": endpoints(provider.base_url()),
        "secrets": { "clientId": "client", "clientSecret": CLIENT_SECRET },
    });
    let created = alice.post("/api/actions/connector/files", &connector);
    assert_eq!(created.status, 200, "{created:?}");
    let redirect_uri = created.json()["redirect_uri"].as_str().unwrap().to_owned();
    provider.register(Client::new("client", CLIENT_SECRET).redirect_uri(redirect_uri));

    assert_eq!(execute(&mut alice).json()["code"], "authorization_required");
    let started = alice.post("/internal/actions/connector/files/_start_oauth_flow", &json!({}));
    assert_eq!(started.status, 200, "{started:?}");
    let authorization_url = Url::parse(started.json()["authorizationUrl"].as_str().unwrap()).unwrap();
    let flow_cookies: Vec<String> = alice.cookies.values().cloned().collect();
    let callback = provider.approve(authorization_url.as_str(), "alice").await.unwrap();
    let finished = alice.get(&format!("{}?{}", callback.path(), callback.query().unwrap()));
    assert_eq!(finished.status, 303, "{finished:?}");
    assert!(!finished.header("location").unwrap().contains('?'));

    let first = execute(&mut alice).json();
    assert_eq!(first["data"]["body"]["user"], "alice@example.test", "{first}");
    // The provider expires the token early: it rejects the run, which is repeated after a refresh.
    provider.expire_access_tokens();
    let second = execute(&mut alice).json();
    assert_eq!(second["data"]["status"], 200, "{second}");
    assert_ne!(second["data"]["body"]["token_id"], first["data"]["body"]["token_id"]);

    let ended = alice.post("/internal/actions/connector/files/_oauth_disconnect", &json!({}));
    assert_eq!(ended.status, 204, "{ended:?}");
    let ledger = provider.until(|ledger| !ledger.revocations().is_empty()).await;
    for line in [
        "grantry_audit_events_total{kind=\"connected\",outcome=\"ok\"} 1",
        "grantry_audit_events_total{kind=\"refreshed\",outcome=\"ok\"} 1",
        "grantry_audit_events_total{kind=\"grant_terminated\",outcome=\"disconnected\"} 1",
        "grantry_audit_events_total{kind=\"access_token_refused\",outcome=\"authorization_required\"} 1",
        "grantry_pending_commits 0",
    ] {
        until_metrics_contain(&mut prometheus, line);
    }
    let (code, lines) = server.stop(Signal::TERM);
    assert_eq!(code, Some(0));

    // Every secret that occurred.
    let mut secrets: BTreeSet<String> = flow_cookies.into_iter().chain(alice.cookies.into_values()).collect();
    secrets.extend([CLIENT_SECRET.to_owned(), "password-canary".to_owned(), parameter(&authorization_url, "state")]);
    secrets.insert(parameter(&callback, "code"));
    secrets.insert(fs::read_to_string(site.path("metrics.token")).unwrap().trim_end().to_owned());
    secrets.insert(fs::read_to_string(site.path("primary.key")).unwrap().trim_end().to_owned());
    for call in ledger.back_channel() {
        let names = ["code", "code_verifier", "refresh_token", "token"];
        secrets.extend(names.iter().filter_map(|name| call.param(name)).map(str::to_owned));
        secrets.extend(call.bearer_token().map(str::to_owned));
    }
    for call in ledger.api_calls() {
        secrets.extend(call.bearer_token().map(str::to_owned));
    }
    assert!(secrets.len() >= 10, "{}", secrets.len());
    for line in &lines {
        let parsed: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("not one JSON object: {line}"));
        assert!(parsed["level"].is_string());
        let leaked = secrets.iter().find(|secret| line.contains(secret.as_str()));
        assert_eq!(leaked, None, "{line}");
    }
    for name in ["grantry.db", "grantry.db-wal"] {
        let bytes = fs::read(site.path(name)).unwrap_or_default();
        let stored = secrets.iter().find(|secret| bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        assert_eq!(stored, None, "{name} holds a secret in the clear");
    }

    let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let events: Vec<Value> = lines.filter(|line| line["target"] == "audit").collect();
    let trail: BTreeSet<&str> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    for event in &events {
        let is_direct = event["kind"] == "access_token_issued" || event["kind"] == "access_token_refused";
        assert_eq!(event["sequence"].is_null(), is_direct, "{event}");
    }
    for kind in [
        "connector_created",
        "flow_started",
        "callback_consumed",
        "connected",
        "access_token_issued",
        "access_token_refused",
        "refreshed",
        "grant_terminated",
        "revocation_completed",
    ] {
        assert!(trail.contains(kind), "{kind} is missing from {trail:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r68_proxies_of_the_environment_are_never_used() {
    let provider = MockProvider::builder().start().await.unwrap();
    let site = Site::new(&format!("egress.allow = [\"127.0.0.1:{}\"]", provider.port()));
    site.install("files", json!({ "issuer": provider.base_url(), "baseUrl": provider.url("/api") }), CLIENT_SECRET).await;
    let trap = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    trap.set_nonblocking(true).unwrap();
    let mut check = grantry(&["check", "--config", &site.config_path()]);
    let address = format!("http://{}", trap.local_addr().unwrap());
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        check.env(name, &address);
    }
    check.env("REQUEST_METHOD", "");
    let checked = tokio::task::spawn_blocking(move || run(&mut check, "")).await.unwrap();
    assert_eq!(checked.code, Some(0), "{}", checked.stdout);
    assert!(provider.ledger().back_channel().iter().any(|call| call.path.contains("well-known")), "discovery took place");
    assert!(trap.accept().is_err(), "no connection reached the proxy");
}

/// A browser in which alice has connected her account.
pub(crate) async fn connected(provider: &MockProvider, site: &Site) -> Browser {
    let mut alice = Browser::new(site.port);
    alice.log_in("alice", "password-canary");
    let started = alice.post("/internal/actions/connector/files/_start_oauth_flow", &json!({})).json();
    let callback = provider.approve(started["authorizationUrl"].as_str().unwrap(), "alice").await.unwrap();
    let finished = alice.get(&format!("{}?{}", callback.path(), callback.query().unwrap()));
    assert_eq!(finished.status, 303, "{finished:?}");
    alice
}

#[tokio::test(flavor = "multi_thread")]
async fn r53_a_user_without_an_account_is_disconnected_at_the_next_start() {
    let provider = MockProvider::builder().start().await.unwrap();
    let site = Site::new(&format!("egress.allow = [\"127.0.0.1:{}\"]", provider.port()));
    let connector = site.install("files", endpoints(provider.base_url()), CLIENT_SECRET).await;
    let callback = format!("/api/actions/connector/_oauth_context/{}", connector.callback_id.to_text());
    let redirect_uri = format!("http://127.0.0.1:{}{callback}", site.port);
    provider.register(Client::new("client-of-files", CLIENT_SECRET).redirect_uri(redirect_uri));
    let server = site.serve();
    let mut alice = connected(&provider, &site).await;
    assert_eq!(execute(&mut alice).status, 200);
    server.stop(Signal::TERM);
    assert!(provider.ledger().revocations().is_empty());

    site.replace("u_alice", "u_other");
    let server = site.serve();
    provider.until(|ledger| !ledger.revocations().is_empty()).await;
    let (_, lines) = server.stop(Signal::TERM);
    assert!(lines.iter().any(|line| line.contains("user_disabled")), "{lines:?}");
    assert!(provider.grants().iter().all(|grant| grant.ended.is_some()));
    let listed = run(&mut grantry(&["users", "list", "--config", &site.config_path()]), "");
    assert_eq!(listed.stdout, "\"u_alice\"  -  disabled\n\"u_other\"  alice  active\n");
    // A proxy may sign in users without an account.
    site.replace("listen =", "identity.mode = \"proxy-header\"\nlisten =");
    let listed = run(&mut grantry(&["users", "list", "--config", &site.config_path()]), "");
    assert_eq!(listed.stdout, "\"u_alice\"  -  active\n\"u_other\"  -  active\n");
    site.replace("listen =", "identity.proxy.roles_header = \"x-roles\"\nlisten =");
    let listed = run(&mut grantry(&["users", "list", "--config", &site.config_path()]), "");
    assert_eq!(listed.stdout, "\"u_alice\"  -  active\n");
    assert!(listed.stderr.contains("those without connections are not listed"), "{}", listed.stderr);
}

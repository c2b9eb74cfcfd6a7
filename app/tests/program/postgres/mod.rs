//! The program on `PostgreSQL`.

mod failover;
mod pooler;
mod roles;
mod tls;

use std::fs;
use std::time::{Duration, Instant};

use grantry::store::{AppStore, OpenStoreError};
use grantry_domain::connector::Connector;
use grantry_test_postgres::{TestDatabase, private_cluster};
use grantry_testkit::provider::{Client, MockProvider};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::flow::{CLIENT_SECRET, endpoints};
use crate::support::{Browser, Finished, Response, Site, grantry, run};

const KEY_STATUS: [&str; 3] = ["keys", "status", "--json"];

/// Runs the program with the configuration of a site.
fn run_at(site: &Site, arguments: &[&str]) -> Finished {
    run(grantry(arguments).args(["--config", &site.config_path()]), "")
}

fn site_at(url: &str, lines: &str) -> Site {
    Site::new(&format!("store.url = \"{url}\"\n{lines}"))
}

fn execute(browser: &mut Browser) -> Response {
    let body = json!({ "params": { "method": "GET", "path": "/me" } });
    browser.post("/api/actions/connector/files/_execute", &body)
}

/// The settings with which a deployment reaches a provider.
fn reaching(provider: &MockProvider) -> String {
    format!("egress.allow = [\"127.0.0.1:{}\"]", provider.port())
}

/// Creates the connector `files`, with the database as the owner of its tables.
async fn install(site: &Site, provider: &MockProvider) -> Connector {
    site.install("files", endpoints(provider.base_url()), CLIENT_SECRET).await
}

/// Connects an account of the provider. Returns the response of the callback.
async fn connect(browser: &mut Browser, provider: &MockProvider, account: &str, body: &Value) -> Response {
    let started = browser.post("/internal/actions/connector/files/_start_oauth_flow", body);
    let authorization_url = started.json()["authorizationUrl"].as_str().unwrap_or_else(|| panic!("{started:?}")).to_owned();
    let callback = provider.approve(&authorization_url, account).await.unwrap();
    browser.get(&format!("{}?{}", callback.path(), callback.query().unwrap()))
}

/// Registers the client of the connector at the provider.
fn register(browser: &mut Browser, provider: &MockProvider, connector: &Connector) {
    let listed = browser.get("/api/actions/connectors").json();
    let redirect_uri = listed[0]["redirect_uri"].as_str().unwrap_or_else(|| panic!("{listed}")).to_owned();
    let client = Client::new(connector.config.client_id.as_deref().unwrap(), CLIENT_SECRET);
    provider.register(client.redirect_uri(redirect_uri));
}

fn assert_runs(browser: &mut Browser) {
    let response = execute(browser);
    assert_eq!(response.json()["data"]["body"]["user"], "alice@example.test", "{response:?}");
}

/// The main path: a consent, runs, a refresh, a restart, and a disconnect with its revocation.
async fn use_deployment(site: &Site, provider: &MockProvider, connector: &Connector) {
    let server = site.serve();
    let mut alice = Browser::new(site.port);
    alice.log_in("alice", "password-canary");
    register(&mut alice, provider, connector);
    let finished = connect(&mut alice, provider, "alice", &json!({})).await;
    assert_eq!(finished.status, 303, "{finished:?}");
    assert_runs(&mut alice);
    provider.expire_access_tokens();
    assert_runs(&mut alice);
    assert_eq!(provider.ledger().refreshes().len(), 1);
    assert_eq!(alice.get("/readyz").status, 200);
    assert_eq!(server.stop(Signal::TERM).0, Some(0));

    let server = site.serve();
    // The session and the grant are kept.
    assert_runs(&mut alice);
    let checked = run_at(site, &["check"]);
    assert!(checked.stdout.contains("opens; deployment_id = "), "{}{}", checked.stdout, checked.stderr);
    let keys: Value = serde_json::from_str(&run_at(site, &KEY_STATUS).stdout).unwrap();
    assert!(keys[0]["records"].as_u64().unwrap() >= 2, "{keys}");
    let ended = alice.post("/internal/actions/connector/files/_oauth_disconnect", &json!({}));
    assert_eq!(ended.status, 204, "{ended:?}");
    provider.until(|ledger| !ledger.revocations().is_empty()).await;
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
}

/// `serve` and `check` end with the code 1 and this text.
fn assert_refused(site: &Site, expected: &str) {
    for command in [&["serve"], &["check"]] {
        assert_refuses(site, command, expected);
    }
}

/// A command ends with the code 1 and this text, `serve` with one sentence. None shows the password `hunter2`.
fn assert_refuses(site: &Site, command: &[&str], expected: &str) {
    let refused = run_at(site, command);
    let output = format!("{}{}", refused.stdout, refused.stderr);
    assert_eq!(refused.code, Some(1), "{command:?} {output}");
    assert!(output.contains(expected) && !output.contains("hunter2"), "{command:?} {output}");
    if command == ["serve"] {
        let sentences = refused.stderr.lines().filter(|line| line.starts_with("grantry: ")).count();
        assert_eq!(sentences, 1, "{}", refused.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_checked_used_restarted_and_counted() {
    let database = TestDatabase::new().await;
    let provider = MockProvider::builder().start().await.unwrap();
    let site = site_at(&database.url(), &reaching(&provider));

    let checked = run_at(&site, &["check"]);
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
    assert!(checked.stdout.contains("has no tables yet; the first start creates them"), "{}", checked.stdout);
    let keys: Value = serde_json::from_str(&run_at(&site, &KEY_STATUS).stdout).unwrap();
    assert_eq!(keys[0]["records"], 0);
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    let count: i64 = database.client().await.query_one(tables, &[]).await.unwrap().get(0);
    assert_eq!(count, 0, "neither command creates a table");

    let connector = install(&site, &provider).await;
    use_deployment(&site, &provider, &connector).await;
}

#[tokio::test]
async fn a_database_that_cannot_be_used_stops_the_start_with_one_sentence() {
    let database = TestDatabase::new().await;
    let other = site_at(&database.url(), "store.deployment_id = \"000102030405060708090a0b0c0d0e0f\"");
    drop(other.serve());
    let closed = grantry_test_ports::reserve();
    let latin = TestDatabase::with("ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0").await;
    for (url, lines, expected) in [
        (database.url(), "store.deployment_id = \"ff0102030405060708090a0b0c0d0e0f\"", "belongs to another deployment"),
        (format!("postgres://grantry:hunter2@127.0.0.1:{closed}/grantry"), "", "cannot be used"),
        (format!("{}_missing", database.url()), "", "does not exist"),
        (latin.url(), "", "does not have the encoding UTF8"),
    ] {
        let site = site_at(&url, lines);
        assert_refused(&site, expected);
        // Of a database of another deployment, only the key ids are counted.
        assert_refuses(&site, &["keys", "status"], expected);
    }
}

#[test]
fn r78_an_outage_is_reported_and_ends_without_a_restart() {
    let cluster = private_cluster();
    let site = site_at(&cluster.url("postgres"), "");
    let server = site.serve();
    let mut alice = Browser::new(site.port);
    alice.log_in("alice", "password-canary");
    assert_eq!(alice.get("/api/actions/connectors").status, 200);

    cluster.stop("immediate");
    let refused = alice.get("/api/actions/connectors");
    assert_eq!((refused.status, refused.json()["code"].as_str()), (503, Some("store_unavailable")), "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    until_ready_is(&mut alice, 503);

    cluster.start();
    until_ready_is(&mut alice, 200);
    assert_eq!(alice.get("/api/actions/connectors").status, 200, "the session is kept");
    let (code, lines) = server.stop(Signal::TERM);
    assert_eq!(code, Some(0));
    assert!(lines.iter().any(|line| line.contains("store_unavailable")), "{lines:?}");
    assert!(fs::read_dir(site.path(".")).unwrap().all(|file| file.unwrap().file_name() != "grantry.db"));
}

fn until_ready_is(browser: &mut Browser, status: u16) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while browser.get("/readyz").status != status {
        assert!(Instant::now() < deadline, "/readyz does not become {status}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn a_host_opens_the_database_by_its_url() {
    let database = TestDatabase::new().await;
    let first = AppStore::postgres(&database.url()).await.unwrap();
    let second = AppStore::postgres(&database.url()).await.unwrap();
    assert_eq!(first.deployment_id(), second.deployment_id());
    first.close().await;
    second.close().await;
    let refused = AppStore::postgres("postgres://grantry:hunter2@").await.unwrap_err();
    assert!(matches!(refused, OpenStoreError::Url(_)), "{refused}");
    assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused:?}");
    let absent = AppStore::postgres(&format!("{}_absent", database.url())).await.unwrap_err();
    assert!(matches!(absent, OpenStoreError::Database { .. }), "{absent}");
}

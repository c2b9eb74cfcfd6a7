//! Failures at a provider: the log and the editors of the connector get the reason, and no secret or text of the provider.

use std::io::Write;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use grantry_system_tests::browser::{Browser, FetchSite, Response};
use grantry_system_tests::paths::{ConnectorPath, Draft};
use grantry_system_tests::test_app::{DRIVE, TestApp};
use grantry_testkit::provider::{Edit, Endpoint, Fault, ScriptedResponse};
use serde_json::{Value, json};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// A text in every response of the provider that must reach neither log nor editor.
const CANARY: &str = "TEXT-CANARY";

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Starts the log of this process, as JSON lines.
pub(crate) fn start_log() {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(|| Log);
        let filter = tracing_subscriber::filter::Targets::new().with_target("grantry", tracing::Level::DEBUG);
        tracing_subscriber::registry().with(lines).with(filter).init();
    });
}

fn log_text() -> String {
    String::from_utf8_lossy(&LOG.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}

fn log_lines() -> Vec<Value> {
    log_text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The lines about failed requests of the request with this correlation id.
pub(crate) fn failures_of(correlation_id: &str) -> Vec<Value> {
    let is_failure = |line: &Value| line["message"] == "a request to a provider failed";
    log_lines().into_iter().filter(|line| is_failure(line) && line["correlation_id"] == correlation_id).collect()
}

/// What a response of the provider must lead to.
struct Expected {
    name: &'static str,
    fault: Fault,
    code: &'static str,
    http_status: Option<u16>,
    oauth_error: Option<&'static str>,
    hint: &'static str,
}

fn error(status: u16, code: &str) -> Fault {
    let body = json!({ "error": code, "error_description": CANARY, "error_uri": format!("https://{CANARY}/") });
    Fault::Instead(ScriptedResponse::json(status, &body))
}

fn page(status: u16) -> Fault {
    Fault::Instead(ScriptedResponse::new(status).header("content-type", "text/html").body(format!("<p>{CANARY}</p>")))
}

/// Failures that every endpoint of the provider may have, in an order in which none ends a grant.
fn failures() -> Vec<Expected> {
    let expected =
        |name, fault, code, http_status, oauth_error, hint| Expected { name, fault, code, http_status, oauth_error, hint };
    vec![
        expected("500", page(500), "no_response", Some(500), None, "try again later"),
        expected("429", Fault::throttled(1), "throttled", Some(429), None, "limits the rate"),
        expected("503", Fault::unavailable(1), "throttled", Some(503), None, "limits the rate"),
        expected("cut", Fault::DropRequest, "no_response", None, None, "interrupted"),
        expected("redirect", Fault::redirect("http://127.0.0.1:1/TEXT-CANARY"), "malformed", Some(307), None, "redirects"),
        expected(
            "invalid client",
            error(401, "invalid_client"),
            "client_refused",
            Some(401),
            Some("invalid_client"),
            "secret",
        ),
    ]
}

/// The last failure as an editor reads it.
pub(crate) async fn last_failure(app: &TestApp, connector: ConnectorPath) -> Value {
    // The last failure is stored by detached work.
    app.host.drain().await;
    let response = app.browser("alice").await.get(&connector.public("/diagnostics")).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(!response.text().contains(CANARY) && !response.text().contains("demo-secret"), "{}", response.text());
    response.json()["last_failure"].clone()
}

/// Checks the log line of a request and what editors read.
async fn assert_explained(
    app: &TestApp,
    connector: ConnectorPath,
    request: &Response,
    operation: &str,
    expected: &Expected,
) {
    let id = request.header("x-correlation-id").to_owned();
    let shown = last_failure(app, connector).await;
    let lines = failures_of(&id);
    let name = expected.name;
    let line = lines.last().unwrap_or_else(|| panic!("{operation}, {name}: no line for {id}: {}", request.full_text()));
    for facts in [line, &shown] {
        assert_eq!(facts["operation"], operation, "{name}: {facts}");
        assert_eq!(facts["code"], expected.code, "{name}: {facts}");
        assert_eq!(facts["correlation_id"], id, "{name}: {facts}");
        assert_eq!(facts.get("http_status"), expected.http_status.map(Value::from).as_ref(), "{name}: {facts}");
        assert_eq!(facts.get("oauth_error"), expected.oauth_error.map(Value::from).as_ref(), "{name}: {facts}");
        assert_eq!(facts["endpoint_host"], "127.0.0.1", "{name}: {facts}");
        assert!(facts["hint"].as_str().is_some_and(|hint| hint.contains(expected.hint)), "{name}: {facts}");
    }
    assert_eq!((&line["space"], &line["connector"]), (&json!(connector.space), &json!(connector.id)));
    assert!(shown["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{shown}");
    assert_nothing_secret(app);
}

/// Checks that the log contains no token, no secret and no text of the provider.
fn assert_nothing_secret(app: &TestApp) {
    let log = log_text();
    let ledger = app.provider.ledger();
    let sent = ["code", "code_verifier", "refresh_token", "token", "client_secret"];
    let requests = ledger.at(Endpoint::Token).into_iter().chain(ledger.at(Endpoint::Revocation));
    let secrets: Vec<String> = requests
        .flat_map(|call| sent.iter().filter_map(|name| call.param(name).map(str::to_owned)).collect::<Vec<_>>())
        .collect();
    assert!(!ledger.at(Endpoint::Token).is_empty(), "there was a token request");
    for secret in secrets.iter().map(String::as_str).chain([CANARY, "demo-secret"]) {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn r81_a_failed_exchange_is_explained_and_the_page_has_the_id_of_the_callback() {
    start_log();
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let mut expected = failures();
    let more =
        |name, fault, code, http_status, oauth_error, hint| Expected { name, fault, code, http_status, oauth_error, hint };
    expected.extend([
        more(
            "invalid grant",
            error(400, "invalid_grant"),
            "invalid_grant",
            Some(400),
            Some("invalid_grant"),
            "redirect URI",
        ),
        more("invalid scope", error(400, "invalid_scope"), "oauth_error", Some(400), Some("invalid_scope"), "scopes"),
        more("401 page", page(401), "client_refused", Some(401), None, "client id"),
    ]);
    for expected in expected {
        let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
        app.provider.faults().once(Endpoint::Token, expected.fault.clone());
        let response = alice.open_callback(&callback).await;
        assert_explained(&app, DRIVE, &response, "exchange", &expected).await;
        let (status, code) = alice.flow_result(DRIVE, &flow.id).await;
        assert_eq!(status, "failed", "{}", expected.name);
        assert_page_has_id_of(&mut alice, &response, &code).await;
    }
}

#[tokio::test]
async fn r81_a_success_that_was_not_understood_is_not_called_an_error_of_the_provider() {
    start_log();
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    for fault in [Fault::not_json(), Fault::without("access_token"), Fault::with("access_token", json!(7)), page(200)] {
        let (_, callback) = app.consent(&mut alice, DRIVE, "alice").await;
        app.provider.faults().once(Endpoint::Token, fault);
        let response = alice.open_callback(&callback).await;
        let shown = last_failure(&app, DRIVE).await;
        assert_eq!((&shown["operation"], &shown["code"]), (&json!("exchange"), &json!("malformed")), "{shown}");
        assert!(shown["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{shown}");
        let page = assert_page_has_id_of(&mut alice, &response, "exchange_failed").await;
        assert!(page.contains("No usable tokens") && !page.contains("an error"), "{page}");
        assert_nothing_secret(&app);
    }
}

/// Opens the page that a callback redirects to, and checks its code and the correlation id of the callback on it.
async fn assert_page_has_id_of(browser: &mut Browser, callback: &Response, code: &str) -> String {
    let id = callback.header("x-correlation-id");
    let page = browser.open(callback.location(), FetchSite::CrossSite).await;
    assert_eq!(page.status, 200);
    assert_ne!(page.header("x-correlation-id"), id);
    assert!(page.text().contains(&format!("{code} · {id}")), "{}", page.text());
    page.text()
}

#[tokio::test]
async fn r81_the_page_of_a_refused_callback_has_the_id_of_the_callback() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (_, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    let mut tab = alice.clone();
    let completed = alice.open_callback(&callback).await;
    assert!(!completed.location().contains('?'), "a success needs no id: {}", completed.location());
    let replayed = tab.open_callback(&callback).await;
    assert_page_has_id_of(&mut tab, &replayed, "flow_already_used").await;
    let forged = replayed.location().replace(replayed.header("x-correlation-id"), "%3Cscript%3E0123456");
    let page = alice.open(&forged, FetchSite::CrossSite).await.text();
    assert!(page.contains("flow_already_used") && !page.contains("0123456"), "{page}");
}

#[tokio::test]
async fn r81_a_failed_refresh_is_explained_with_the_id_of_its_problem() {
    start_log();
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    for expected in failures() {
        app.advance(Duration::from_mins(20));
        app.provider.faults().once(Endpoint::Token, expected.fault.clone());
        let response = alice.execute(DRIVE, "/me").await;
        assert!(response.status >= 500, "{}: {}", expected.name, response.text());
        assert_eq!(response.json()["correlation_id"], response.header("x-correlation-id"));
        assert_explained(&app, DRIVE, &response, "refresh", &expected).await;
    }
    app.advance(Duration::from_mins(20));
    app.provider.faults().once(Endpoint::Token, error(400, "invalid_grant"));
    let expected = Expected {
        name: "invalid grant",
        fault: Fault::not_json(),
        code: "invalid_grant",
        http_status: Some(400),
        oauth_error: Some("invalid_grant"),
        hint: "connect again",
    };
    let response = alice.execute(DRIVE, "/me").await;
    assert_explained(&app, DRIVE, &response, "refresh", &expected).await;
}

#[tokio::test]
async fn r81_a_failed_discovery_is_explained() {
    start_log();
    let mut app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    let mut expected: Vec<_> =
        failures().into_iter().filter(|failure| ["500", "429", "cut"].contains(&failure.name)).collect();
    expected.push(Expected {
        name: "another issuer",
        fault: Fault::Edit(Edit::Set("issuer".to_owned(), json!(format!("https://{CANARY}.example")))),
        code: "bad_metadata",
        http_status: None,
        oauth_error: None,
        hint: "the issuer in the metadata",
    });
    for expected in expected {
        // A node keeps the metadata of an issuer in memory.
        app.restart().await;
        alice.move_to(app.host.address);
        app.provider.faults().always(Endpoint::Metadata, expected.fault.clone());
        let response = alice.try_start(DRIVE, json!({})).await;
        assert!(response.status >= 500, "{}: {}", expected.name, response.text());
        assert_explained(&app, DRIVE, &response, "discovery", &expected).await;
        app.provider.faults().clear(Endpoint::Metadata);
    }
}

#[tokio::test]
async fn r81_a_failed_revocation_is_explained_with_the_id_of_the_disconnect() {
    start_log();
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    for expected in failures() {
        app.connect(&mut alice, DRIVE, "alice").await;
        app.provider.faults().always(Endpoint::Revocation, expected.fault.clone());
        let response = alice.disconnect(DRIVE).await;
        assert_eq!(response.status, 204);
        assert_explained(&app, DRIVE, &response, "revocation", &expected).await;
        app.provider.faults().clear(Endpoint::Revocation);
        app.advance(Duration::from_hours(2));
        app.host.connections.revoke_due().await.unwrap();
        alice.log_in("alice").await;
    }
}

#[tokio::test]
async fn r81_a_failed_request_of_the_client_for_itself_is_explained() {
    start_log();
    let app = TestApp::new().await;
    let service = ConnectorPath::of("service");
    let mut draft = Draft::with_endpoints(app.provider.base_url());
    draft.body["auth_mode"] = json!("shared");
    app.create(service, &draft).await;
    let mut alice = app.browser("alice").await;
    for expected in failures() {
        app.provider.faults().once(Endpoint::Token, expected.fault.clone());
        let response = alice.execute(service, "/me").await;
        assert!(response.status >= 500, "{}: {}", expected.name, response.text());
        assert_explained(&app, service, &response, "client_credentials", &expected).await;
        let refused_since = alice.get(&service.public("/diagnostics")).await.json()["client_refused_since"].clone();
        assert_eq!(refused_since.is_string(), expected.code == "client_refused", "{refused_since}");
        app.advance(Duration::from_mins(20));
    }
}

#[tokio::test]
async fn r81_an_id_token_that_is_refused_is_explained() {
    start_log();
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (_, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    // The header is `{"alg":"none"}`, and the claims are `{"nonce":"TEXT-CANARY"}`.
    let forged = "eyJhbGciOiJub25lIn0.eyJub25jZSI6IlRFWFQtQ0FOQVJZIn0.";
    app.provider.faults().once(Endpoint::Token, Fault::with("id_token", json!(forged)));
    let response = alice.open_callback(&callback).await;
    let shown = last_failure(&app, DRIVE).await;
    assert_eq!((&shown["operation"], &shown["code"]), (&json!("userinfo"), &json!("malformed")), "{shown}");
    assert!(shown["hint"].as_str().is_some_and(|hint| hint.contains("ID token")), "{shown}");
    assert_eq!(shown["correlation_id"], response.header("x-correlation-id"));
    assert_page_has_id_of(&mut alice, &response, "exchange_failed").await;
    assert_nothing_secret(&app);
}

#[tokio::test]
async fn r81_a_refresh_that_cannot_be_sent_is_explained() {
    start_log();
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    app.expire_access_tokens();
    let database = rusqlite::Connection::open(app.deployment.database()).unwrap();
    for (name, operation, change, hint) in
        [("no secret", "refresh", "DELETE FROM client_secrets", "the client secret is missing")]
    {
        database.execute_batch(change).unwrap();
        let refused = alice.execute(DRIVE, "/me").await;
        assert_eq!(refused.outcome(), (502, "provider_misconfigured".to_owned()), "{name}");
        let id = refused.header("x-correlation-id");
        let shown = last_failure(&app, DRIVE).await;
        let lines = failures_of(id);
        let line = lines.last().unwrap_or_else(|| panic!("{name}: no line for {id}"));
        for facts in [line, &shown] {
            let found = (&facts["operation"], &facts["code"], &facts["correlation_id"]);
            assert_eq!(found, (&json!(operation), &json!("provider_misconfigured"), &json!(id)), "{name}: {facts}");
            assert!(facts["hint"].as_str().is_some_and(|text| text.contains(hint)), "{name}: {facts}");
        }
        assert_nothing_secret(&app);
    }
    assert!(app.provider.ledger().refreshes().is_empty());
}

#[tokio::test]
async fn r81_anomalies_of_an_exchange_and_of_a_refresh_are_logged_and_shown() {
    start_log();
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    app.provider.faults().once(Endpoint::Token, Fault::with("refresh_token_expires_in", json!(CANARY)));
    let exchange = app.connect(&mut alice, DRIVE, "alice").await;
    app.expire_access_tokens();
    let scopes = json!(["openid", "files.read", "offline_access"]);
    app.provider.faults().once(Endpoint::Token, Fault::with("scope", scopes));
    let refresh = alice.execute(DRIVE, "/me").await;
    assert_eq!(refresh.status, 200, "{}", refresh.text());
    app.host.drain().await;
    let shown = alice.get(&DRIVE.public("/diagnostics")).await;
    assert!(!shown.text().contains(CANARY), "{}", shown.text());
    let anomalies = shown.json()["anomalies"].clone();
    let members: Vec<&str> = anomalies.as_array().unwrap().iter().filter_map(|one| one["member"].as_str()).collect();
    assert_eq!(members, ["scope", "refresh_token_expires_in"], "{anomalies}");
    assert!(anomalies[0]["kind"].is_string() && anomalies[0]["at"].is_string(), "{anomalies}");
    let log = log_lines();
    for (request, member) in [(exchange, "refresh_token_expires_in="), (refresh, "scope=")] {
        let id = request.header("x-correlation-id");
        let line = log.iter().find(|line| line["correlation_id"] == id && line["anomalies"].is_string());
        let line = line.unwrap_or_else(|| panic!("no line for {member}"));
        assert!(line["anomalies"].as_str().is_some_and(|text| text.starts_with(member)), "{line}");
    }
    assert_nothing_secret(&app);
}

#[tokio::test]
async fn r81_diagnostics_are_for_editors_and_end_with_their_connector() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let path = DRIVE.public("/diagnostics");
    let nothing = json!({ "anomalies": [] });
    assert_eq!(alice.get(&path).await.json(), nothing);
    let (_, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    app.provider.faults().once(Endpoint::Token, error(400, "invalid_grant"));
    alice.open_callback(&callback).await;
    assert_eq!(last_failure(&app, DRIVE).await["code"], "invalid_grant");

    assert_eq!(app.browser("bob").await.get(&path).await.outcome(), (403, "forbidden".to_owned()));
    assert_eq!(app.anonymous_browser().get(&path).await.outcome(), (401, "not_signed_in".to_owned()));
    let elsewhere = DRIVE.in_other_space("marketing").public("/diagnostics");
    assert_eq!(alice.get(&elsewhere).await.outcome(), (403, "forbidden".to_owned()), "a viewer in that space");
    assert_eq!(app.browser("carol").await.get(&elsewhere).await.json(), nothing, "of another connector");

    app.delete(DRIVE).await;
    assert_eq!(alice.get(&path).await.outcome(), (404, "not_found".to_owned()));
    app.create(DRIVE, &app.draft()).await;
    assert_eq!(alice.get(&path).await.json(), nothing);
}

#[tokio::test]
async fn r81_a_use_case_does_not_depend_on_the_store_of_diagnostics() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let database = rusqlite::Connection::open(app.deployment.database()).unwrap();
    database.execute_batch("DROP TABLE connector_failures; DROP TABLE connector_anomalies").unwrap();
    let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    app.provider.faults().once(Endpoint::Token, error(400, "invalid_grant"));
    alice.open_callback(&callback).await;
    assert_eq!(alice.flow_result(DRIVE, &flow.id).await, ("failed".to_owned(), "exchange_failed".to_owned()));
    app.host.drain().await;
    app.connect(&mut alice, DRIVE, "alice").await;
    assert_eq!(alice.status_name(DRIVE).await, "connected");
}

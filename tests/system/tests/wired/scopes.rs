//! Granted, missing and required scopes: page, flow status, return URL, audit event, status and runs agree.

use grantry_system_tests::browser::{Browser, FetchSite};
use grantry_system_tests::paths::{ConnectorPath, Draft};
use grantry_system_tests::test_app::{DRIVE, TestApp, account_of};
use grantry_testkit::provider::{Endpoint, Fault};
use reqwest::Method;
use serde_json::{Value, json};

use crate::assert_all_revoked;

/// A connector whose endpoints an editor entered.
const CUSTOM: ConnectorPath = ConnectorPath::of("custom");

/// An app with the connector [`CUSTOM`] that requests these scopes, and requires some.
async fn app_with(scope: &str, required: Value) -> TestApp {
    let app = TestApp::new().await;
    let draft = Draft::with_endpoints(app.provider.base_url()).config("scope", scope).config("requiredScopes", required);
    app.create_with_endpoints(CUSTOM, &draft, &app.provider).await;
    app
}

/// How one attempt ended, from everything that reports it.
#[derive(Debug, PartialEq)]
struct Reported {
    flow: Value,
    page: String,
    return_url: String,
    audit: Vec<(String, String)>,
    connection: Value,
    run: (u16, Value),
}

/// Connects twice, once with a return URL and once with the result page, with these scopes in the token response; the two
/// report the same.
async fn attempt(app: &TestApp, alice: &mut Browser, scope: &Value) -> Reported {
    let seen = events(app).await.len();
    let fault = if scope.is_null() { Fault::without("scope") } else { Fault::with("scope", scope.clone()) };
    let body = json!({ "returnUrl": "/after?x=1" });
    let flow = alice.start_with(CUSTOM, body).await;
    let callback = app.provider.approve(&flow.authorization_url, "alice").await.unwrap();
    app.provider.faults().once(Endpoint::Token, fault.clone());
    let return_url = alice.open_callback(callback.as_ref()).await.location().to_owned();

    let (flow, callback) = app.consent(alice, CUSTOM, "alice").await;
    app.provider.faults().once(Endpoint::Token, fault);
    let redirect = alice.open_callback(&callback).await;
    let page = alice.open(redirect.location(), FetchSite::CrossSite).await.text();
    let flow = alice.flow(CUSTOM, &flow.id).await.json();
    app.host.drain().await;
    let audit = events(app).await.into_iter().skip(seen);
    let audit = audit.filter(|(kind, _)| ["connected", "flow_ended"].contains(&kind.as_str())).collect();
    let connection = alice.connection(CUSTOM).await;
    let run = alice.execute(CUSTOM, "/me").await;
    let run = (run.status, run.json()["reason"].clone());
    Reported { flow, page, return_url, audit, connection, run }
}

/// Kinds and outcomes of all audit events so far.
async fn events(app: &TestApp) -> Vec<(String, String)> {
    app.host.connections.deliver_events().await.unwrap();
    let events = app.host.sink.events();
    events.iter().map(|event| (event.kind.as_str().to_owned(), event.outcome.as_str().to_owned())).collect()
}

fn twice(kind: &str, outcome: &str) -> Vec<(String, String)> {
    vec![(kind.to_owned(), outcome.to_owned()); 2]
}

/// Checks that everything reports a connection, with these missing scopes.
#[track_caller]
fn assert_connected(reported: &Reported, missing: &[&str], what: &str) {
    let missing_json = if missing.is_empty() { Value::Null } else { json!(missing) };
    assert_eq!(reported.flow["status"], "authorized", "{what}: {}", reported.flow);
    assert_eq!(reported.flow["missingScopes"], missing_json, "{what}");
    assert!(reported.page.contains("<h1>Connected</h1>"), "{what}: {}", reported.page);
    assert_eq!(reported.page.contains("Not granted:"), !missing.is_empty(), "{what}: {}", reported.page);
    assert!(missing.iter().all(|scope| reported.page.contains(&format!("<code>{scope}</code>"))), "{}", reported.page);
    let query = "/after?x=1&oauth_authorization=success&connector_id=custom&status_code=200";
    assert!(reported.return_url.ends_with(query), "{what}: {}", reported.return_url);
    assert_eq!(reported.audit, twice("connected", "ok"), "{what}");
    assert_eq!(reported.connection["status"], "connected", "{what}: {}", reported.connection);
    assert_eq!(reported.connection["missing_scopes"], missing_json, "{what}");
    assert_eq!(reported.run, (200, Value::Null), "{what}");
}

/// Checks that everything reports that these required scopes were not granted.
#[track_caller]
fn assert_insufficient(reported: &Reported, missing: &[&str], what: &str) {
    let flow = &reported.flow;
    assert_eq!((&flow["status"], &flow["code"]), (&json!("failed"), &json!("insufficient_scope")), "{what}");
    assert_eq!(flow["missingScopes"], json!(missing), "{what}");
    assert!(reported.page.contains("Not all permissions were granted"), "{what}: {}", reported.page);
    for data in ["data-status=\"error\"", "data-status-code=\"403\"", "data-error=\"insufficient_scope\""] {
        assert!(reported.page.contains(data), "{what}: {data} in {}", reported.page);
    }
    assert!(reported.page.contains("/api/actions/connector/custom/oauth/start\">Try again</a>"), "{}", reported.page);
    assert!(missing.iter().all(|scope| reported.page.contains(&format!("<code>{scope}</code>"))), "{}", reported.page);
    let query = "oauth_authorization=error&connector_id=custom&error=insufficient_scope&status_code=403";
    assert!(reported.return_url.ends_with(query), "{what}: {}", reported.return_url);
    assert_eq!(reported.audit, twice("flow_ended", "insufficient_scope"), "{what}");
    let connection = &reported.connection;
    let status = (&connection["status"], &connection["reason"], &connection["missing_scopes"]);
    assert_eq!(status, (&json!("needs_reauthorization"), &json!("insufficient_scope"), &json!(missing)), "{what}");
    assert_eq!(reported.run, (409, json!("insufficient_scope")), "{what}");
}

#[tokio::test]
async fn r13_scopes_that_are_named_in_another_form_or_not_at_all_block_nothing() {
    // What is requested, what the response names, and what is missing.
    let samples: [(&str, Value, &[&str]); 9] = [
        ("r_liteprofile r_emailaddress", json!("r_emailaddress,r_liteprofile"), &[]),
        ("user.read mail.read", json!("Mail.Read User.Read profile openid email"), &[]),
        ("https://graph.microsoft.com/User.Read", json!("User.Read"), &[]),
        ("https://graph.microsoft.com/.default offline_access", json!("User.Read Mail.Send"), &[]),
        ("insight:read insight:write", json!("insight:write"), &["insight:read"]),
        ("repo", json!(""), &[]),
        ("repo", Value::Null, &[]),
        ("openid profile email files.read offline_access refresh_token", json!("files.read"), &[]),
        ("files.read files.write", json!("FILES.READ"), &["files.write"]),
    ];
    for (scope, response, missing) in samples {
        let app = app_with(scope, json!(null)).await;
        let mut alice = app.browser("alice").await;
        let reported = attempt(&app, &mut alice, &response).await;
        assert_connected(&reported, missing, &format!("{scope}: {response}"));
    }
}

#[tokio::test]
async fn r13_a_flow_without_a_required_scope_ends_as_insufficient_scope_everywhere() {
    for (required, response, missing) in [
        (json!("files.write"), json!("files.read"), vec!["files.write"]),
        (json!(["files.write", "Files.Read"]), json!("mail"), vec!["Files.Read", "files.write"]),
        (json!("files.write files.read"), json!(""), vec!["files.read", "files.write"]),
        (json!("https://a.example/files.read"), json!("https://b.example/files.read"), vec!["https://a.example/files.read"]),
    ] {
        let app = app_with("files.read", required.clone()).await;
        let mut alice = app.browser("alice").await;
        let reported = attempt(&app, &mut alice, &response).await;
        let what = format!("{required}: {response}");
        let all: Vec<&str> = reported.flow["missingScopes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(missing.iter().all(|scope| all.contains(scope)), "{what}: {all:?}");
        assert_insufficient(&reported, &all, &what);
        // The tokens received are revoked.
        assert_all_revoked(&app).await;
        // The link to try again leads to a connection.
        let granted = format!("{} files.read", required.as_str().unwrap_or("FILES.WRITE FILES.READ"));
        let reported = attempt(&app, &mut alice, &json!(granted)).await;
        assert_connected(&reported, &[], &what);
    }
}

#[tokio::test]
async fn r24_a_failed_reconnect_keeps_the_usable_grant() {
    let app = app_with("files.read files.write", json!("files.write")).await;
    let mut alice = app.connected("alice", CUSTOM).await;
    let kept = app.live_grants().len();
    let reported = attempt(&app, &mut alice, &json!("files.read")).await;
    assert_eq!(reported.flow["code"], "insufficient_scope");
    assert!(reported.page.contains("Nothing was connected or changed"), "{}", reported.page);
    assert_eq!(reported.audit, twice("flow_ended", "insufficient_scope"));
    assert_eq!(reported.connection["status"], "connected");
    assert_eq!(reported.connection["missing_scopes"], Value::Null);
    assert_eq!(reported.run, (200, Value::Null));
    app.host.connections.revoke_due().await.unwrap();
    assert_eq!(app.live_grants().len(), kept, "only the tokens that were not kept are revoked");
}

#[tokio::test]
async fn r13_a_narrower_scope_of_a_refresh_is_reported_and_keeps_the_grant() {
    let app = app_with("files.read files.write offline_access", json!("files.read")).await;
    let mut alice = app.connected("alice", CUSTOM).await;
    for (response, missing, usable) in [
        (json!("Files.Read"), json!(["files.write"]), true),
        (json!("files.read,files.write"), Value::Null, true),
        (json!("files.write"), json!(["files.read"]), false),
    ] {
        app.expire_access_tokens();
        app.provider.faults().once(Endpoint::Token, Fault::with("scope", response.clone()));
        let run = alice.execute(CUSTOM, "/me").await;
        assert_eq!(run.status, if usable { 200 } else { 409 }, "{response}: {}", run.text());
        let connection = alice.connection(CUSTOM).await;
        assert_eq!(connection["missing_scopes"], missing, "{response}");
        assert_eq!(connection["status"], if usable { "connected" } else { "needs_reauthorization" }, "{response}");
    }
    assert_eq!(alice.execute(CUSTOM, "/me").await.json()["reason"], "insufficient_scope");
    assert!(app.provider.ledger().revocations().is_empty());
    let relaxed = Draft::with_endpoints(app.provider.base_url())
        .config("scope", "files.read files.write offline_access")
        .without_secrets();
    let edited = app.edit(CUSTOM, &relaxed).await;
    assert_eq!((&edited.json()["disconnected_users"], &edited.json()["affected_users"]), (&json!(0), &json!(0)));
    assert_eq!(account_of(&alice.execute(CUSTOM, "/me").await), "alice@example.test", "the grant was kept");
}

#[tokio::test]
async fn lesson_16_an_edit_and_its_dry_run_count_the_affected_users() {
    let app = TestApp::new().await;
    let (mut alice, mut bob) = (app.connected("alice", DRIVE).await, app.connected("bob", DRIVE).await);
    let mut carol = app.browser("carol").await;
    let wider = app.draft().without_secrets().config("scope", "openid files.read files.write offline_access");
    let stricter = wider.clone().config("requiredScopes", json!(["files.write"]));
    let edits = [(wider, (0, 0)), (stricter, (0, 2))];
    for (draft, (disconnected, affected)) in &edits {
        let counted = |body: Value| (body["disconnected_users"].clone(), body["affected_users"].clone());
        let dry = carol.call(Method::PUT, &DRIVE.public("?dry_run=true"), Some(draft.body.clone())).await;
        assert_eq!(counted(dry.json()), (json!(disconnected), json!(affected)), "{}", dry.text());
        assert_eq!(alice.status_name(DRIVE).await, "connected", "a dry run changes nothing");
        assert_eq!(counted(app.edit(DRIVE, draft).await.json()), (json!(disconnected), json!(affected)));
    }
    for browser in [&mut alice, &mut bob] {
        let insufficient = ("needs_reauthorization".to_owned(), "insufficient_scope".to_owned());
        assert_eq!(browser.status_and_reason(DRIVE).await, insufficient);
        assert_eq!(browser.connection(DRIVE).await["missing_scopes"], json!(["files.write"]));
        assert_eq!(browser.execute(DRIVE, "/me").await.json()["reason"], "insufficient_scope");
    }
    assert!(app.provider.ledger().revocations().is_empty());
}

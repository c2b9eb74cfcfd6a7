//! Refused refreshes: a refusal that names the grant ends it at once; an unclear one ends it only if it lasts; one about the
//! client stops requests only after two grants were refused.

use std::time::Duration;

use grantry_system_tests::browser::{Browser, Response};
use grantry_system_tests::paths::ConnectorPath;
use grantry_system_tests::test_app::{DRIVE, TestApp, account_of};
use grantry_testkit::provider::{Endpoint, Fault, ScriptedResponse};
use serde_json::{Value, json};

const MINUTES: Duration = Duration::from_mins(1);

fn refusal(status: u16, body: &Value) -> Fault {
    Fault::Instead(ScriptedResponse::json(status, body))
}

fn html(status: u16) -> Fault {
    Fault::Instead(ScriptedResponse::new(status).header("content-type", "text/html").body("<html>blocked"))
}

fn refreshes(app: &TestApp) -> usize {
    app.provider.ledger().refreshes().len()
}

/// A browser of this user, connected to an account of the provider that several users share.
async fn connected(app: &TestApp, name: &str) -> Browser {
    let mut browser = app.browser(name).await;
    app.connect(&mut browser, DRIVE, "bob").await;
    assert_eq!(browser.status_name(DRIVE).await, "connected");
    browser
}

/// Refuses the next refresh, which this browser's run causes.
async fn refused(app: &TestApp, browser: &mut Browser, fault: Fault) -> Response {
    app.provider.faults().once(Endpoint::Token, fault);
    let response = browser.execute(DRIVE, "/me").await;
    app.provider.faults().clear(Endpoint::Token);
    response
}

/// Refusals that name neither the grant nor the client, with their HTTP status.
fn unclear() -> Vec<(u16, Fault)> {
    vec![
        (400, refusal(400, &json!({"error": "unauthorized_client"}))),
        (400, refusal(400, &json!({"error": "unsupported_grant_type"}))),
        (400, refusal(400, &json!({"error": "invalid_request", "error_description": "Unknown token"}))),
        (400, refusal(400, &json!({"error": "interaction_required"}))),
        (401, refusal(401, &json!({"error": "access_denied"}))),
        (403, refusal(403, &json!({"error": "access_denied"}))),
        (400, refusal(400, &json!({"error_code": "refresh_token_not_found"}))),
        (422, refusal(422, &json!({"message": "no"}))),
        (403, html(403)),
        (404, html(404)),
        (400, Fault::status(400)),
    ]
}

#[tokio::test]
async fn r39_an_unclear_refusal_keeps_the_grant_and_is_reported_with_its_status_and_a_way_out() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    for (status, fault) in unclear() {
        let name = format!("{fault:?}");
        app.expire_access_tokens();
        let response = refused(&app, &mut alice, fault).await;
        for response in [response, alice.execute(DRIVE, "/me").await] {
            assert_eq!(response.outcome(), (503, "refresh_refused".to_owned()), "{name}: {}", response.text());
            assert_eq!(response.json()["providerStatus"], status, "{name}");
            let start = response.json()["startUrl"].as_str().unwrap().to_owned();
            assert!(start.contains("/api/actions/connector/drive/"), "{name}: {start}");
            assert!(response.header("retry-after").parse::<u64>().unwrap() > 0, "{name}");
        }
        let connection = alice.connection(DRIVE).await;
        assert_eq!((&connection["status"], &connection["provider_note"]), (&json!("connected"), &json!("refresh_refused")));
        assert!(connection["provider_note_since"].is_string(), "{name}: {connection}");
        // A success resets everything.
        app.advance(2 * MINUTES);
        assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test", "{name}");
        assert_eq!(alice.provider_note(DRIVE).await, Value::Null, "{name}");
    }
}

#[tokio::test]
async fn r39_three_unclear_refusals_over_ten_minutes_end_the_grant() {
    let app = TestApp::new().await;
    for (_, fault) in unclear() {
        let name = format!("{fault:?}");
        let mut alice = app.browser("alice").await;
        app.connect(&mut alice, DRIVE, "alice").await;
        app.expire_access_tokens();
        for wait in [5, 5, 0] {
            let before = refreshes(&app);
            assert_eq!(alice.status_name(DRIVE).await, "connected", "{name}");
            let response = refused(&app, &mut alice, fault.clone()).await;
            assert_eq!(refreshes(&app), before + 1, "{name}");
            let code = if wait == 0 { "authorization_required" } else { "refresh_refused" };
            assert_eq!(response.code(), code, "{name}: {}", response.text());
            app.advance(wait * MINUTES);
        }
        let rejected = ("needs_reauthorization".to_owned(), "refresh_rejected".to_owned());
        assert_eq!(alice.status_and_reason(DRIVE).await, rejected, "{name}");
        let response = alice.execute(DRIVE, "/me").await;
        assert_eq!(
            (response.code().as_str(), &response.json()["reason"]),
            ("authorization_required", &json!("refresh_rejected"))
        );
        app.host.drain().await;
    }
}

#[tokio::test]
async fn r39_three_refusals_within_less_than_ten_minutes_do_not_end_the_grant() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    app.expire_access_tokens();
    for wait in [4, 4, 4] {
        let response = refused(&app, &mut alice, html(403)).await;
        assert_eq!(response.code(), "refresh_refused", "{}", response.text());
        app.advance(wait * MINUTES);
    }
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
}

#[tokio::test]
async fn r39_invalid_grant_ends_the_grant_at_once_wherever_the_response_contains_it() {
    let app = TestApp::new().await;
    let mapped = ConnectorPath::of("mapped");
    let mut draft = app.draft();
    draft.body["config"]["refreshErrors"] = json!(["refresh_token_not_found", "20064"]);
    app.create(mapped, &draft).await;
    let mut alice = app.browser("alice").await;
    for (connector, status, body) in [
        (DRIVE, 400, json!({"error": "invalid_grant"})),
        (DRIVE, 401, json!({"error": "invalid_grant"})),
        (DRIVE, 400, json!({"errors": [{"errorType": "invalid_grant", "message": "x"}], "success": false})),
        (DRIVE, 401, json!({"errors": ["invalid_grant"]})),
        (DRIVE, 400, json!({"error": "invalid_request", "errors": [{"code": "invalid_grant"}]})),
        (mapped, 400, json!({"error_code": "refresh_token_not_found"})),
        (mapped, 401, json!({"error": "refresh_token_not_found"})),
        (mapped, 400, json!({"errors": [{"code": "refresh_token_not_found"}]})),
        (mapped, 400, json!({"code": 20064, "message": "x"})),
    ] {
        app.connect(&mut alice, connector, "alice").await;
        app.expire_access_tokens();
        app.provider.faults().once(Endpoint::Token, refusal(status, &body));
        let response = alice.execute(connector, "/me").await;
        assert_eq!(response.outcome(), (409, "authorization_required".to_owned()), "{body}: {}", response.text());
        let rejected = ("needs_reauthorization".to_owned(), "refresh_rejected".to_owned());
        assert_eq!(alice.status_and_reason(connector).await, rejected, "{body}");
    }
}

#[tokio::test]
async fn r39_the_refresh_errors_of_the_connector_apply_to_existing_grants() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    let mut draft = app.draft();
    draft.body["config"]["refreshErrors"] = json!("gone, token_unknown");
    assert_eq!(app.edit(DRIVE, &draft).await.status, 200);
    assert_eq!(alice.status_name(DRIVE).await, "connected", "such an edit keeps the grants");
    app.expire_access_tokens();
    let response = refused(&app, &mut alice, refusal(403, &json!({"error": "token_unknown"}))).await;
    assert_eq!(
        (response.code().as_str(), &response.json()["reason"]),
        ("authorization_required", &json!("refresh_rejected"))
    );
}

#[tokio::test]
async fn r39_statuses_that_say_later_are_unavailability() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    for status in [408, 425, 429, 500, 502, 503, 504] {
        app.expire_access_tokens();
        let response = refused(&app, &mut alice, refusal(status, &json!({"error": "invalid_grant"}))).await;
        assert_eq!(response.outcome(), (503, "provider_unavailable".to_owned()), "{status}: {}", response.text());
        assert_eq!(alice.provider_note(DRIVE).await, "provider_unreachable", "{status}");
        app.advance(2 * MINUTES);
        assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test", "{status}");
    }
}

#[tokio::test]
async fn r47_one_dead_token_never_stops_the_other_users() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    let mut others = Vec::new();
    for name in ["bob", "carol", "dave"] {
        others.push(connected(&app, name).await);
    }
    for fault in [
        refusal(400, &json!({"error": "unauthorized_client"})),
        refusal(401, &json!({"error": "unauthorized_client"})),
        refusal(401, &json!({"error": "invalid_client"})),
        html(401),
        html(403),
    ] {
        for other in &mut others {
            app.expire_access_tokens();
            let code = refused(&app, &mut alice, fault.clone()).await.code();
            assert!(["refresh_refused", "authorization_required"].contains(&code.as_str()), "{fault:?}: {code}");
            let run = other.execute(DRIVE, "/me").await;
            assert_eq!(run.status, 200, "{fault:?}: {}", run.text());
        }
    }
}

#[tokio::test]
async fn r47_a_refused_client_stops_requests_after_two_grants_until_one_probe_succeeds() {
    for fault in
        [refusal(401, &json!({"error": "invalid_client"})), refusal(400, &json!({"error": "invalid_client"})), html(401)]
    {
        let app = TestApp::new().await;
        let mut users = Vec::new();
        for name in ["alice", "bob", "carol"] {
            users.push(connected(&app, name).await);
        }
        app.expire_access_tokens();
        app.provider.faults().always(Endpoint::Token, fault.clone());
        assert_eq!(users[0].execute(DRIVE, "/me").await.code(), "refresh_refused", "{fault:?}: one grant is no proof");
        for user in &mut users[1..] {
            let response = user.execute(DRIVE, "/me").await;
            assert_eq!(response.outcome(), (502, "provider_misconfigured".to_owned()), "{fault:?}");
            assert_eq!(user.status_name(DRIVE).await, "connected");
        }
        assert_eq!(refreshes(&app), 2, "{fault:?}: no request while the circuit is open");
        app.advance(2 * MINUTES);
        for user in &mut users {
            assert_eq!(user.execute(DRIVE, "/me").await.code(), "provider_misconfigured");
        }
        assert_eq!(refreshes(&app), 3, "{fault:?}: one probe");
        app.provider.faults().clear(Endpoint::Token);
        app.advance(2 * MINUTES);
        for user in &mut users {
            assert_eq!(user.execute(DRIVE, "/me").await.status, 200, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn r47_a_refused_client_secret_is_shown_at_every_connection_and_to_editors_also_after_a_restart() {
    let mut app = TestApp::new().await;
    let mut users = Vec::new();
    for name in ["alice", "bob", "carol"] {
        users.push(connected(&app, name).await);
    }
    app.expire_access_tokens();
    app.provider.faults().always(Endpoint::Token, refusal(401, &json!({"error": "invalid_client"})));
    for user in &mut users[..2] {
        user.execute(DRIVE, "/me").await;
    }
    app.restart().await;
    for name in ["alice", "bob", "carol"] {
        let connection = app.browser(name).await.connection(DRIVE).await;
        assert_eq!((&connection["status"], &connection["provider_note"]), (&json!("connected"), &json!("client_refused")));
        assert!(connection["provider_note_since"].is_string(), "{connection}");
    }
    let diagnostics = app.browser("alice").await.get(&DRIVE.public("/diagnostics")).await.json();
    assert!(diagnostics["client_refused_since"].is_string(), "{diagnostics}");
    assert_eq!(diagnostics["last_failure"]["oauth_error"], "invalid_client");

    app.provider.faults().clear(Endpoint::Token);
    app.advance(2 * MINUTES);
    let mut carol = app.browser("carol").await;
    assert_eq!(carol.execute(DRIVE, "/me").await.status, 200);
    assert_eq!(carol.provider_note(DRIVE).await, Value::Null);
    let diagnostics = app.browser("alice").await.get(&DRIVE.public("/diagnostics")).await.json();
    assert_eq!(diagnostics["client_refused_since"], Value::Null, "{diagnostics}");
}

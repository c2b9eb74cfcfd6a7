//! Revocation of each kind of token: a failure for one does not keep the other alive.

use std::time::Duration;

use grantry_system_tests::test_app::{DRIVE, TestApp};
use grantry_testkit::provider::{Endpoint, Fault, ScriptedResponse};
use serde_json::json;

/// The kinds of the revocation requests so far.
fn requested(app: &TestApp) -> Vec<String> {
    let ledger = app.provider.ledger();
    ledger.revocations().iter().filter_map(|call| call.param("token_type_hint").map(str::to_owned)).collect()
}

/// The outcomes of completed revocations.
async fn outcomes(app: &TestApp) -> Vec<&'static str> {
    app.host.connections.deliver_events().await.unwrap();
    let events = app.host.sink.events();
    let completed = events.iter().filter(|event| event.kind.as_str() == "revocation_completed");
    completed.map(|event| event.outcome.as_str()).collect()
}

#[tokio::test]
async fn r50_a_failure_for_the_refresh_token_does_not_keep_the_access_token_alive() {
    for fault in [
        Fault::status(503),
        Fault::unavailable(30),
        Fault::status(500),
        Fault::oauth_error("invalid_request"),
        Fault::oauth_error("invalid_client"),
        Fault::DropRequest,
        Fault::not_json(),
    ] {
        let app = TestApp::new().await;
        let mut alice = app.connected("alice", DRIVE).await;
        alice.execute(DRIVE, "/me").await;
        let access_token = app.last_access_token();
        app.provider.faults().once(Endpoint::Revocation, fault.clone());
        assert!(alice.disconnect(DRIVE).await.status < 300);
        app.host.drain().await;
        assert_eq!(requested(&app), ["refresh_token", "access_token"], "{fault:?}");
        assert!(!app.provider.accepts_access_token(&access_token), "{fault:?}");

        app.advance(Duration::from_mins(1));
        app.host.connections.revoke_due().await.unwrap();
        assert_eq!(app.live_grants(), Vec::new(), "{fault:?}");
        assert_eq!(outcomes(&app).await, ["revoked"], "{fault:?}");
        let sent = requested(&app).len();
        app.advance(Duration::from_hours(2));
        app.host.connections.revoke_due().await.unwrap();
        assert_eq!(requested(&app).len(), sent, "the job is over: {fault:?}");
    }
}

#[tokio::test]
async fn r50_a_failure_for_the_access_token_is_tried_again() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    app.provider.faults().once(Endpoint::Revocation, Fault::with_status(200));
    app.provider.faults().once(Endpoint::Revocation, Fault::status(503));
    alice.disconnect(DRIVE).await;
    app.host.drain().await;
    assert_eq!((app.live_grants(), outcomes(&app).await), (Vec::new(), Vec::new()));
    app.advance(Duration::from_mins(1));
    app.host.connections.revoke_due().await.unwrap();
    assert_eq!(requested(&app), ["refresh_token", "access_token", "refresh_token", "access_token"]);
    assert_eq!(outcomes(&app).await, ["revoked"]);
}

#[tokio::test]
async fn r50_a_token_that_the_provider_does_not_accept_any_more_counts_as_revoked() {
    for (status, body) in [
        (400, json!({ "error": "invalid_token" })),
        (400, json!({ "error": "token_not_found" })),
        (400, json!({ "error": "invalid_grant", "error_description": "unknown" })),
        (400, json!({ "error_code": "refresh_token_not_found" })),
        (400, json!({ "error": { "code": "token_expired" } })),
        (400, json!({ "error": "invalid_request", "error_code": "token_revoked" })),
        (400, json!({ "error": "invalid_request", "errors": [{ "code": "other" }, { "reason": "invalid_token" }] })),
        (400, json!({ "errors": [{ "errorType": "expired_token", "message": "expired" }], "success": false })),
        (400, json!({ "errors": ["invalid_token"] })),
        (400, json!({ "errors": [{ "message": "unknown", "extensions": { "code": "invalid_token" } }] })),
        (400, json!({ "errors": [{ "error": { "code": "token_not_found" } }] })),
        (400, json!({ "errorType": "invalid_token" })),
        (410, json!({ "error": { "status": "failed", "reason": "token_not_found" } })),
        (404, json!({ "error": "unknown_token" })),
        (202, json!({})),
    ] {
        let app = TestApp::new().await;
        let mut alice = app.connected("alice", DRIVE).await;
        let response = ScriptedResponse::json(status, &body);
        app.provider.faults().times(2, Endpoint::Revocation, &Fault::Instead(response));
        alice.disconnect(DRIVE).await;
        app.host.drain().await;
        assert_eq!(requested(&app), ["refresh_token", "access_token"], "{status} {body}");
        assert_eq!(outcomes(&app).await, ["revoked"], "{status} {body}");
    }
}

#[tokio::test]
async fn r50_an_error_that_does_not_name_the_token_is_tried_again() {
    for body in [
        json!({ "error": "invalid_request", "message": "invalid_token" }),
        json!({ "error": "invalid_client", "reason": "invalid_token" }),
        json!({ "errors": [{ "reason": "token_type" }] }),
        json!({ "error": "unauthorized_client", "errors": ["invalid_token"] }),
        json!({ "error": "access_denied", "code": "invalid_token" }),
    ] {
        let app = TestApp::new().await;
        let mut alice = app.connected("alice", DRIVE).await;
        let response = ScriptedResponse::json(400, &body);
        app.provider.faults().times(2, Endpoint::Revocation, &Fault::Instead(response));
        alice.disconnect(DRIVE).await;
        app.host.drain().await;
        assert_eq!(outcomes(&app).await, Vec::<&str>::new(), "{body}");
        app.advance(Duration::from_mins(1));
        app.host.connections.revoke_due().await.unwrap();
        assert_eq!((app.live_grants(), outcomes(&app).await), (Vec::new(), vec!["revoked"]), "{body}");
    }
}

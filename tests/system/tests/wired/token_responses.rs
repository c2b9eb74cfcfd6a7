//! Responses of a token endpoint, to an exchange and to a refresh (RFC 6749 §5).

use std::time::Duration;

use grantry_system_tests::test_app::{DRIVE, TestApp, account_of};
use grantry_testkit::provider::{Edit, Endpoint, Fault, MockProvider, Rotation, ScriptedResponse};
use serde_json::{Value, json};

use crate::{assert_all_revoked, assert_failed};

/// Unusual responses that contain valid tokens.
fn valid() -> Vec<(&'static str, Fault)> {
    vec![
        ("lower-case type", Fault::with("token_type", json!("bearer"))),
        ("upper-case type", Fault::with("token_type", json!("BEARER"))),
        ("lifetime as text", Fault::with("expires_in", json!("300"))),
        ("no lifetime", Fault::without("expires_in")),
        ("lifetime null", Fault::with("expires_in", Value::Null)),
        ("very long lifetime", Fault::with("expires_in", json!(9_007_199_254_740_991_u64))),
        ("no scope", Fault::without("scope")),
        ("more members", Fault::with("x_vendor", json!({ "deep": [1, 2, { "er": null }] }))),
        ("escapes in an unknown member", Fault::with("x_text", json!("a\"b\\c\u{1f600}"))),
    ]
}

/// Responses that are refused.
fn invalid() -> Vec<(&'static str, Fault)> {
    let json_response =
        |body: &str| Fault::Replace(ScriptedResponse::new(200).header("content-type", "application/json").body(body));
    vec![
        ("empty", Fault::empty_body()),
        ("not JSON", Fault::not_json()),
        ("a list", json_response("[]")),
        ("null", json_response("null")),
        ("deep", json_response(&format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200)))),
        ("huge", Fault::huge_body(2_200_000)),
        ("endless", Fault::EndlessBody),
        ("truncated", Fault::CutBody(30)),
        ("nested", Fault::nested("data")),
        ("form-encoded", Fault::form_encoded()),
        ("200 with an error", Fault::ok_with_error("invalid_request")),
        ("no access token", Fault::without("access_token")),
        ("an empty access token", Fault::with("access_token", json!(""))),
        ("an access token that is a number", Fault::with("access_token", json!(7))),
        ("an access token with a line break", Fault::with("access_token", json!("a\r\nx-evil: 1"))),
        ("an access token of 25 KiB", Fault::with("access_token", json!("x".repeat(25 * 1024)))),
        ("another type", Fault::with("token_type", json!("mac"))),
        ("two access tokens", Fault::duplicate("access_token", json!("second"))),
        ("a redirect", Fault::redirect("http://127.0.0.1:1/")),
        ("304", Fault::with_status(304)),
        ("HTML", Fault::Replace(ScriptedResponse::new(200).header("content-type", "text/html").body("<p>hello</p>"))),
        ("gzip", Fault::Replace(ScriptedResponse::new(200).header("content-encoding", "gzip").body(vec![0x1f, 0x8b, 8, 0]))),
        (
            "many header fields",
            Fault::Replace((0..90).fold(ScriptedResponse::new(200), |response, index| {
                response.header(&format!("x-{index}"), "y".repeat(400))
            })),
        ),
    ]
}

#[tokio::test]
async fn r28_lesson_09_unusual_responses_with_tokens_are_accepted() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    for (name, fault) in valid() {
        app.provider.faults().once(Endpoint::Token, fault.clone());
        app.connect(&mut alice, DRIVE, "alice").await;
        assert_eq!(alice.status_name(DRIVE).await, "connected", "{name} at the exchange");
        app.advance(Duration::from_mins(61));
        app.provider.faults().once(Endpoint::Token, fault);
        app.provider.expire_access_tokens();
        assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test", "{name} at a refresh");
    }
}

#[tokio::test]
async fn r28_r71_lesson_09_invalid_responses_to_an_exchange_give_no_grant() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    for (name, fault) in invalid() {
        let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
        app.provider.faults().once(Endpoint::Token, fault);
        alice.open_callback(&callback).await;
        let (status, code) = alice.flow_result(DRIVE, &flow.id).await;
        assert_eq!(status, "failed", "{name}");
        assert!(["exchange_failed", "provider_unavailable"].contains(&code.as_str()), "{name}: {code}");
        assert_eq!(alice.status_name(DRIVE).await, "not_connected", "{name}");
    }
}

#[tokio::test]
async fn r28_r39_lesson_09_invalid_responses_to_a_refresh_do_not_end_a_grant() {
    let builder = MockProvider::builder().rotation(Rotation::Grace(Duration::from_hours(24)));
    let app = TestApp::with(builder, |_| {}).await;
    let mut alice = app.connected("alice", DRIVE).await;
    for (round, (name, fault)) in invalid().into_iter().enumerate() {
        app.expire_access_tokens();
        app.provider.faults().once(Endpoint::Token, fault);
        let refused = alice.execute(DRIVE, "/me").await;
        assert_eq!(refused.outcome(), (503, "provider_unavailable".to_owned()), "{name}");
        assert_eq!(alice.status_name(DRIVE).await, "connected", "{name}");
        app.advance(Duration::from_mins(20));
        assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test", "{name}");
        if round % 8 == 7 {
            alice.log_in("alice").await;
        }
    }
    assert_eq!(app.provider.grants()[0].ended, None);
}

#[tokio::test]
async fn r13_a_narrower_scope_is_reported_and_a_wider_one_is_in_the_audit_log() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    app.provider.faults().once(Endpoint::Token, Fault::with("scope", json!("openid")));
    app.connect(&mut alice, DRIVE, "alice").await;
    assert_eq!(alice.status_name(DRIVE).await, "connected");
    assert_eq!(alice.connection(DRIVE).await["missing_scopes"], json!(["files.read"]));
    account_of(&alice.execute(DRIVE, "/me").await);

    let wider = "openid files.read offline_access files.write";
    app.provider.faults().once(Endpoint::Token, Fault::with("scope", json!(wider)));
    app.connect(&mut alice, DRIVE, "alice").await;
    assert_eq!(alice.status_name(DRIVE).await, "connected");
    app.host.connections.deliver_events().await.unwrap();
    assert!(app.host.sink.events().iter().any(|event| event.kind.as_str() == "scope_widened"));
    app.expire_access_tokens();
    account_of(&alice.execute(DRIVE, "/me").await);
    let ledger = app.provider.ledger();
    let asked = ledger.refreshes().last().unwrap().param("scope").map(str::to_owned);
    assert!(asked.is_none_or(|scope| scope.split(' ').all(|word| wider.contains(word))));
}

#[tokio::test]
async fn an_invalid_id_token_prevents_the_grant_and_a_failing_userinfo_does_not() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let forged = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.";
    app.provider.faults().once(Endpoint::Token, Fault::Edit(Edit::Set("id_token".to_owned(), json!(forged))));
    let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    alice.open_callback(&callback).await;
    assert_failed(&mut alice, DRIVE, &flow, "exchange_failed").await;
    assert_all_revoked(&app).await;

    app.provider.faults().once(Endpoint::Token, Fault::without("id_token"));
    app.provider.faults().always(Endpoint::Userinfo, Fault::status(500));
    app.connect(&mut alice, DRIVE, "alice").await;
    let connection = alice.connection(DRIVE).await;
    assert_eq!((&connection["status"], connection.get("account")), (&json!("connected"), None));
}

#[tokio::test]
async fn r67_r68_a_redirect_of_a_token_request_is_not_followed() {
    let app = TestApp::new().await;
    let attacker = MockProvider::builder().start().await.unwrap();
    let mut alice = app.connected("alice", DRIVE).await;
    app.expire_access_tokens();
    app.provider.faults().once(Endpoint::Token, Fault::redirect(&attacker.url("/token")));
    assert_eq!(alice.execute(DRIVE, "/me").await.code(), "provider_unavailable");
    app.provider.faults().once(Endpoint::Api, Fault::redirect(&attacker.url("/api/me")));
    app.advance(Duration::from_mins(20));
    let response = alice.execute(DRIVE, "/me").await;
    assert_eq!(response.json()["data"]["status"], 307, "the redirect of the API is returned and not followed");
    assert!(attacker.ledger().is_empty());
}

//! What a token endpoint can answer: at the exchange, and at a renewal.

use std::time::Duration;

use grantry_system_tests::world::{DRIVE, World, whose};
use grantry_testkit::provider::{Answer, Edit, Endpoint, Fault, MockProvider, Rotation};
use serde_json::{Value, json};

use crate::{assert_failed, assert_nothing_lives};

/// Answers that bring tokens all the same.
fn good() -> Vec<(&'static str, Fault)> {
    vec![
        ("lower-case type", Fault::with("token_type", json!("bearer"))),
        ("shouted type", Fault::with("token_type", json!("BEARER"))),
        ("life as text", Fault::with("expires_in", json!("300"))),
        ("no life", Fault::without("expires_in")),
        ("life null", Fault::with("expires_in", Value::Null)),
        ("endless life", Fault::with("expires_in", json!(9_007_199_254_740_991_u64))),
        ("no scope", Fault::without("scope")),
        ("more members", Fault::with("x_vendor", json!({ "deep": [1, 2, { "er": null }] }))),
        ("an escape in a member nobody needs", Fault::with("x_text", json!("a\"b\\c\u{1f600}"))),
    ]
}

/// Answers that are refused.
fn bad() -> Vec<(&'static str, Fault)> {
    let json_answer = |body: &str| Fault::Replace(Answer::new(200).header("content-type", "application/json").body(body));
    vec![
        ("empty", Fault::empty_body()),
        ("not JSON", Fault::not_json()),
        ("a list", json_answer("[]")),
        ("null", json_answer("null")),
        ("deep", json_answer(&format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200)))),
        ("huge", Fault::huge_body(70_000)),
        ("endless", Fault::EndlessBody),
        ("cut", Fault::CutBody(30)),
        ("nested", Fault::nested("data")),
        ("form-encoded", Fault::form_encoded()),
        ("200 with an error", Fault::ok_with_error("invalid_request")),
        ("no access token", Fault::without("access_token")),
        ("an empty access token", Fault::with("access_token", json!(""))),
        ("an access token that is a number", Fault::with("access_token", json!(7))),
        ("an access token with a line break", Fault::with("access_token", json!("a\r\nx-evil: 1"))),
        ("an access token of 17 KiB", Fault::with("access_token", json!("x".repeat(17 * 1024)))),
        ("no type", Fault::without("token_type")),
        ("another type", Fault::with("token_type", json!("mac"))),
        ("two access tokens", Fault::duplicate("access_token", json!("second"))),
        ("a redirect", Fault::redirect("http://127.0.0.1:1/")),
        ("201", Fault::Replace(Answer::json(201, &json!({ "access_token": "x", "token_type": "Bearer" })))),
        ("HTML", Fault::Replace(Answer::new(200).header("content-type", "text/html").body("<p>hello</p>"))),
        ("gzip", Fault::Replace(Answer::new(200).header("content-encoding", "gzip").body(vec![0x1f, 0x8b, 8, 0]))),
        (
            "many header fields",
            Fault::Replace(
                (0..90).fold(Answer::new(200), |answer, index| answer.header(&format!("x-{index}"), "y".repeat(400))),
            ),
        ),
    ]
}

#[tokio::test]
async fn r28_lesson_09_odd_answers_that_bring_tokens_are_understood() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    for (name, fault) in good() {
        world.provider.faults().once(Endpoint::Token, fault.clone());
        world.connect(&mut alice, DRIVE, "alice").await;
        assert_eq!(alice.status_name(DRIVE).await, "connected", "{name} at the exchange");
        world.advance(Duration::from_mins(61));
        world.provider.faults().once(Endpoint::Token, fault);
        world.provider.expire_access_tokens();
        assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test", "{name} at a renewal");
    }
}

#[tokio::test]
async fn r28_r71_lesson_09_answers_that_cannot_be_understood_give_no_grant() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    for (name, fault) in bad() {
        let (flow, callback) = world.consent(&mut alice, DRIVE, "alice").await;
        world.provider.faults().once(Endpoint::Token, fault);
        alice.come_back(&callback).await;
        let (status, code) = alice.flow_end(DRIVE, &flow.id).await;
        assert_eq!(status, "failed", "{name}");
        assert!(["exchange_failed", "provider_unavailable"].contains(&code.as_str()), "{name}: {code}");
        assert_eq!(alice.status_name(DRIVE).await, "not_connected", "{name}");
    }
}

#[tokio::test]
async fn r28_r39_lesson_09_answers_that_cannot_be_understood_do_not_end_a_grant() {
    let builder = MockProvider::builder().rotation(Rotation::Grace(Duration::from_hours(24)));
    let world = World::with(builder, |_| {}).await;
    let mut alice = world.connected("alice", DRIVE).await;
    for (round, (name, fault)) in bad().into_iter().enumerate() {
        world.expire_access_tokens();
        world.provider.faults().once(Endpoint::Token, fault);
        let refused = alice.execute(DRIVE, "/me").await;
        assert_eq!(refused.outcome(), (503, "provider_unavailable".to_owned()), "{name}");
        assert_eq!(alice.status_name(DRIVE).await, "connected", "{name}");
        world.advance(Duration::from_mins(20));
        assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test", "{name}");
        if round % 8 == 7 {
            alice.log_in("alice").await;
        }
    }
    assert_eq!(world.provider.grants()[0].ended, None);
}

#[tokio::test]
async fn r13_a_narrower_scope_is_told_and_a_wider_one_leaves_a_trace() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    world.provider.faults().once(Endpoint::Token, Fault::with("scope", json!("openid")));
    world.connect(&mut alice, DRIVE, "alice").await;
    let status = alice.status(DRIVE).await;
    assert_eq!(
        (&status["user_auth_status"], &status["reason"]),
        (&json!("needs_reauthorization"), &json!("insufficient_scope"))
    );
    assert_eq!(alice.execute(DRIVE, "/me").await.json()["reason"], "insufficient_scope");

    let wider = "openid files.read offline_access files.write";
    world.provider.faults().once(Endpoint::Token, Fault::with("scope", json!(wider)));
    world.connect(&mut alice, DRIVE, "alice").await;
    assert_eq!(alice.status_name(DRIVE).await, "connected");
    world.host.connections.deliver_events().await.unwrap();
    assert!(world.host.sink.events().iter().any(|event| event.kind.as_str() == "scope_widened"));
    world.expire_access_tokens();
    whose(&alice.execute(DRIVE, "/me").await);
    let ledger = world.provider.ledger();
    let asked = ledger.refreshes().last().unwrap().param("scope").map(str::to_owned);
    assert!(asked.is_none_or(|scope| scope.split(' ').all(|word| wider.contains(word))));
}

#[tokio::test]
async fn an_id_token_that_is_not_for_us_costs_the_grant_and_a_silent_userinfo_does_not() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    let forged = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.";
    world.provider.faults().once(Endpoint::Token, Fault::Edit(Edit::Set("id_token".to_owned(), json!(forged))));
    let (flow, callback) = world.consent(&mut alice, DRIVE, "alice").await;
    alice.come_back(&callback).await;
    assert_failed(&mut alice, DRIVE, &flow, "exchange_failed").await;
    assert_nothing_lives(&world).await;

    world.provider.faults().once(Endpoint::Token, Fault::without("id_token"));
    world.provider.faults().always(Endpoint::Userinfo, Fault::status(500));
    world.connect(&mut alice, DRIVE, "alice").await;
    let status = alice.status(DRIVE).await;
    assert_eq!((&status["user_auth_status"], status.get("account")), (&json!("connected"), None));
}

#[tokio::test]
async fn r67_r68_a_redirected_token_request_takes_its_secrets_nowhere() {
    let world = World::new().await;
    let thief = MockProvider::builder().start().await.unwrap();
    let mut alice = world.connected("alice", DRIVE).await;
    world.expire_access_tokens();
    world.provider.faults().once(Endpoint::Token, Fault::redirect(&thief.url("/token")));
    assert_eq!(alice.execute(DRIVE, "/me").await.code(), "provider_unavailable");
    world.provider.faults().once(Endpoint::Api, Fault::redirect(&thief.url("/api/me")));
    world.advance(Duration::from_mins(20));
    let answer = alice.execute(DRIVE, "/me").await;
    assert_eq!(answer.json()["data"]["status"], 307, "the API's own answer, not followed");
    assert!(thief.ledger().is_empty());
}

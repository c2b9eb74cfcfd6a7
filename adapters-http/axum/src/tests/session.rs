//! Logging in and out, and who is let in.

use std::time::Duration;

use grantry_domain::ports::{Operation, UserStatus};
use http::{Method, StatusCode};
use serde_json::json;

use super::html;
use super::world::{BASE, Options, World, id_of};

#[tokio::test]
async fn a_session_from_log_in_to_log_out() {
    let world = World::new();
    let mut alice = world.browser();
    assert_eq!(alice.get("/api/session").await.code(), "not_signed_in");
    let answer = alice.post("/api/session", &json!({"username": "alice", "password": "alice"})).await;
    insta::assert_json_snapshot!("session", answer.json());
    let cookie = &answer.set_cookies[0];
    assert!(cookie.starts_with("grantry_session_8080="), "{cookie}");
    assert!(cookie.ends_with("; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax"), "{cookie}");
    let stale = alice.clone();
    assert_eq!(alice.get("/api/session").await.json(), answer.json());
    assert_eq!(alice.delete("/api/session").await.status, StatusCode::NO_CONTENT);
    assert_eq!(alice.delete("/api/session").await.status, StatusCode::NO_CONTENT);
    assert_eq!(stale.clone().get("/api/session").await.code(), "not_signed_in", "the session is gone, not only its cookie");
}

#[tokio::test]
async fn a_new_log_in_ends_the_session_before_it() {
    let world = World::new();
    let mut browser = world.signed_in("alice").await;
    let before = browser.clone();
    browser.post("/api/session", &json!({"username": "bob", "password": "bob"})).await;
    assert_eq!(browser.get("/api/session").await.json()["user_id"], "u_bob");
    assert_eq!(before.clone().get("/api/session").await.code(), "not_signed_in");
}

#[tokio::test]
async fn sessions_end_by_idleness_and_by_age() {
    let world = World::new();
    let mut alice = world.signed_in("alice").await;
    for _ in 0..3 {
        world.clock.advance(Duration::from_mins(7 * 60 + 59));
        let status = alice.get("/api/session").await.status;
        assert_eq!(status, StatusCode::OK, "seen within eight hours");
    }
    world.clock.advance(Duration::from_mins(4));
    assert_eq!(alice.get("/api/session").await.code(), "not_signed_in", "24 hours are over");
    let mut bob = world.signed_in("bob").await;
    world.clock.advance(Duration::from_hours(8));
    assert_eq!(bob.get("/api/session").await.code(), "not_signed_in", "idle for eight hours");
}

#[tokio::test]
async fn r59_log_in_is_limited_by_address_and_by_name() {
    let world = World::new();
    let mut browser = world.browser();
    let body = json!({"username": "alice", "password": "wrong"});
    let answer = browser.post("/api/session", &body).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "not_signed_in"));
    assert_eq!(answer.json()["detail"], "User name or password is wrong.");
    assert_eq!(
        answer.json()["detail"],
        browser.post("/api/session", &json!({"username": "nobody", "password": "x"})).await.json()["detail"]
    );
    let expected = |who: &str| (who.to_owned(), Operation::LogIn);
    assert_eq!(world.rate.taken()[..2], [expected("address:203.0.113.7"), expected("name:alice")]);

    world.rate.let_through();
    world.rate.refuse(Duration::from_millis(61_500));
    let answer = browser.post("/api/session", &json!({"username": "alice", "password": "alice"})).await;
    assert_eq!((answer.code().as_str(), answer.header("retry-after")), ("rate_limited", "62"));
    assert!(answer.set_cookies.is_empty(), "the right password does not help");
}

#[tokio::test]
async fn r59_start_status_and_disconnect_are_limited_by_user() {
    let world = World::new();
    world.connector("default", "drive", ".example").await;
    let mut alice = world.signed_in("alice").await;
    let flow = alice.start("drive").await;
    for (method, path) in [
        (Method::POST, "/internal/actions/connector/drive/_start_oauth_flow".to_owned()),
        (Method::POST, "/internal/actions/connectors/_me/auth_status".to_owned()),
        (Method::POST, "/internal/actions/connector/drive/_oauth_disconnect".to_owned()),
        (Method::GET, format!("/internal/actions/oauth_flow/{}", flow.id)),
    ] {
        world.rate.refuse(Duration::from_secs(9));
        let answer = alice.send(method, &path, &super::world::SAME_ORIGIN_JSON, None).await;
        assert_eq!((answer.code().as_str(), answer.header("retry-after")), ("rate_limited", "9"), "{path}");
        let (who, _) = world.rate.taken().pop().unwrap();
        assert_eq!(who, "user:u_alice");
    }
}

#[tokio::test]
async fn a_disabled_user_is_shut_out_at_once() {
    let world = World::new();
    world.connector("default", "drive", ".example").await;
    let mut alice = world.signed_in("alice").await;
    world.directory.set_user(&id_of("alice"), UserStatus::Disabled);
    assert_eq!(alice.get("/api/actions/connectors").await.code(), "not_found");
    let answer = alice.post("/internal/actions/connector/drive/_start_oauth_flow", &json!({})).await;
    assert_eq!(answer.code(), "not_found");
}

#[tokio::test]
async fn unknown_keys_and_odd_credentials_are_nobody() {
    let world = World::new();
    world.connector("default", "drive", ".example").await;
    let alice = world.signed_in("alice").await;
    for value in ["Bearer gak_unknown", "Bearer gak_", "bearer gak_RUNNER"] {
        // A presented key decides, whatever session comes along.
        assert_eq!(alice.also("authorization", value).get("/api/session").await.code(), "not_signed_in", "{value}");
    }
    // Credentials that are no key of ours are the host's business.
    assert_eq!(alice.also("authorization", "Basic YTpi").get("/api/session").await.status, StatusCode::OK);
    assert_eq!(world.browser().also("authorization", "bearer gak_runner").get("/api/session").await.code(), "forbidden");
    let mut forged = world.browser();
    forged.cookies.insert("grantry_session_8080".to_owned(), "A".repeat(43));
    assert_eq!(forged.get("/api/session").await.code(), "not_signed_in");
}

#[tokio::test]
async fn r22_the_log_in_page_leads_back_to_our_own_pages_only() {
    let world = World::new();
    let cases = [
        ("/login", format!("{BASE}/")),
        ("/login?next=%2Fs%2Fmarketing%2F", format!("{BASE}/s/marketing/")),
        ("/login?next=https%3A%2F%2Fevil.example%2F", format!("{BASE}/")),
        ("/login?next=%2F%2Fevil.example", format!("{BASE}/")),
        ("/login?next=%2Fa&next=%2Fb", format!("{BASE}/")),
        ("/login?next=javascript%3Aalert(1)", format!("{BASE}/")),
        ("/login?next=%2Fapi%2Factions%2Fconnector%2F_oauth_callback%3Fcode%3Dc%26state%3Ds", format!("{BASE}/")),
    ];
    for (path, expected) in cases {
        let answer = world.browser().get(path).await;
        assert_eq!(html::attribute(&answer.body, "data-next").unwrap(), expected, "{path}");
        let signed_in = world.signed_in("alice").await.get(path).await;
        assert_eq!((signed_in.status, signed_in.location()), (StatusCode::SEE_OTHER, expected.as_str()), "{path}");
    }
}

#[tokio::test]
async fn where_people_sign_in_elsewhere_there_is_no_log_in_here() {
    let world = World::with(Options { external_log_in: true, ..Options::default() });
    let mut browser = world.browser();
    assert_eq!(browser.get("/login").await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.post("/api/session", &json!({"username": "alice", "password": "alice"})).await.code(), "not_found");
    assert_eq!(browser.delete("/api/session").await.code(), "not_found");
    let home = browser.get("/").await;
    assert_eq!((home.status, home.location()), (StatusCode::UNAUTHORIZED, ""));
}

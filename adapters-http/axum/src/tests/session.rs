//! Log-in, log-out and authentication.

use std::time::Duration;

use grantry_domain::ports::{Clock, Operation, UserStatus};
use http::{Method, StatusCode};
use serde_json::json;

use super::html;
use super::test_app::{BASE, HOST, Options, TestApp, id_of};

#[tokio::test]
async fn a_session_from_log_in_to_log_out() {
    let app = TestApp::new();
    let mut alice = app.browser();
    let signed_out = alice.get("/api/session").await;
    assert_eq!((signed_out.code().as_str(), &signed_out.json()["identity_mode"]), ("not_signed_in", &json!("accounts")));
    let response = alice.post("/api/session", &json!({"username": "alice", "password": "alice"})).await;
    insta::assert_json_snapshot!("session", response.json());
    let cookie = &response.set_cookies[0];
    assert!(cookie.starts_with("grantry_session_8080="), "{cookie}");
    assert!(cookie.ends_with("; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax"), "{cookie}");
    let stale = alice.clone();
    assert_eq!(alice.get("/api/session").await.json(), response.json());
    assert_eq!(alice.delete("/api/session").await.status, StatusCode::NO_CONTENT);
    assert_eq!(alice.delete("/api/session").await.status, StatusCode::NO_CONTENT);
    assert_eq!(
        stale.clone().get("/api/session").await.code(),
        "not_signed_in",
        "the session is removed, not only its cookie"
    );
}

#[tokio::test]
async fn a_new_log_in_ends_the_session_before_it() {
    let app = TestApp::new();
    let mut browser = app.signed_in("alice").await;
    let before = browser.clone();
    browser.post("/api/session", &json!({"username": "bob", "password": "bob"})).await;
    assert_eq!(browser.get("/api/session").await.json()["user_id"], "u_bob");
    assert_eq!(before.clone().get("/api/session").await.code(), "not_signed_in");
}

#[tokio::test]
async fn sessions_end_by_idleness_and_by_age() {
    let app = TestApp::new();
    let mut alice = app.signed_in("alice").await;
    for _ in 0..3 {
        app.clock.advance(Duration::from_mins(7 * 60 + 59));
        let status = alice.get("/api/session").await.status;
        assert_eq!(status, StatusCode::OK, "used within eight hours");
    }
    app.clock.advance(Duration::from_mins(4));
    assert_eq!(alice.get("/api/session").await.code(), "not_signed_in", "expired after 24 hours");
    let mut bob = app.signed_in("bob").await;
    app.clock.advance(Duration::from_hours(8));
    assert_eq!(bob.get("/api/session").await.code(), "not_signed_in", "idle for eight hours");
}

#[tokio::test]
async fn sessions_of_the_future_have_expired() {
    for (ahead, expected) in [(Duration::from_mins(5), StatusCode::OK), (Duration::from_mins(6), StatusCode::UNAUTHORIZED)] {
        let app = TestApp::new();
        let start = app.clock.now();
        app.clock.advance(ahead);
        let mut alice = app.signed_in("alice").await;
        app.clock.step_wall(start);
        assert_eq!(alice.get("/api/session").await.status, expected, "after the clock was set back by {ahead:?}");
        app.clock.advance(ahead);
        assert_eq!(alice.get("/api/session").await.status, expected, "an expired session is removed");
    }
}

#[tokio::test]
async fn r59_log_in_is_limited_by_name_and_network() {
    let app = TestApp::new();
    let mut browser = app.browser();
    let body = json!({"username": "alice", "password": "wrong"});
    let response = browser.post("/api/session", &body).await;
    assert_eq!((response.status, response.code().as_str()), (StatusCode::UNAUTHORIZED, "not_signed_in"));
    assert_eq!(response.json()["detail"], "User name or password is wrong.");
    assert_eq!(
        response.json()["detail"],
        browser.post("/api/session", &json!({"username": "nobody", "password": "x"})).await.json()["detail"]
    );
    // A name without an account is counted like any other.
    let name = |name: &str| (format!("name:203.0.113.7 {name}"), Operation::LogIn);
    let network = ("network:203.0.113.7".to_owned(), Operation::LogInNetwork);
    assert_eq!(app.rate.taken(), [name("alice"), network.clone(), name("nobody"), network.clone()]);
    browser.post("/api/session", &json!({"username": "alice", "password": "alice"})).await;
    assert_eq!(app.rate.succeeded(), [name("alice"), network]);

    app.rate.allow_next();
    app.rate.refuse(Duration::from_secs(3));
    let response = browser.post("/api/session", &json!({"username": "bob", "password": "bob"})).await;
    assert_eq!((response.code().as_str(), response.header("retry-after")), ("rate_limited", "3"), "by network");

    app.rate.refuse(Duration::from_millis(61_500));
    let response = browser.post("/api/session", &json!({"username": "alice", "password": "alice"})).await;
    assert_eq!((response.code().as_str(), response.header("retry-after")), ("rate_limited", "62"));
    assert!(response.set_cookies.is_empty(), "the right password does not help");
}

#[tokio::test]
async fn r59_a_browser_in_which_the_user_logged_in_before_is_counted_by_itself() {
    let app = TestApp::new();
    let mut alice = app.signed_in("alice").await;
    alice.send(Method::DELETE, "/api/session", &super::test_app::SAME_ORIGIN_JSON, None).await;
    let log_in = json!({"username": "alice", "password": "wrong"});
    alice.post("/api/session", &log_in).await;
    let by_device = app.rate.taken().pop().unwrap();
    assert!(by_device.0.starts_with("device:"), "{by_device:?}");
    alice.post("/api/session", &json!({"username": "alice", "password": "alice"})).await;
    assert_eq!(app.rate.succeeded().last(), Some(&by_device));
    // The cookie is that of one user name, and no other browser has it.
    alice.post("/api/session", &json!({"username": "bob", "password": "wrong"})).await;
    let last_two =
        || app.rate.taken().split_off(app.rate.taken().len() - 2).into_iter().map(|(who, _)| who).collect::<Vec<_>>();
    assert_eq!(last_two(), ["name:203.0.113.7 bob", "network:203.0.113.7"]);
    app.browser().post("/api/session", &log_in).await;
    assert_eq!(last_two(), ["name:203.0.113.7 alice", "network:203.0.113.7"]);
    // A copy of the cookie has the same lifetime.
    app.clock.advance(Duration::from_hours(24 * 90));
    alice.post("/api/session", &log_in).await;
    assert_eq!(app.rate.taken().pop(), Some(by_device));
    app.clock.advance(Duration::from_hours(24));
    alice.post("/api/session", &log_in).await;
    assert_eq!(last_two(), ["name:203.0.113.7 alice", "network:203.0.113.7"]);
}

#[tokio::test]
async fn r59_start_status_and_disconnect_are_limited_by_user() {
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
    let flow = alice.start("drive").await;
    for (method, path) in [
        (Method::POST, "/internal/actions/connector/drive/_start_oauth_flow".to_owned()),
        (Method::POST, "/internal/actions/connectors/_me/auth_status".to_owned()),
        (Method::POST, "/internal/actions/connector/drive/_oauth_disconnect".to_owned()),
        (Method::GET, format!("/internal/actions/oauth_flow/{}", flow.id)),
    ] {
        app.rate.refuse(Duration::from_secs(9));
        let response = alice.send(method, &path, &super::test_app::SAME_ORIGIN_JSON, None).await;
        assert_eq!((response.code().as_str(), response.header("retry-after")), ("rate_limited", "9"), "{path}");
        let (who, _) = app.rate.taken().pop().unwrap();
        assert_eq!(who, "user:u_alice");
    }
}

#[tokio::test]
async fn a_disabled_user_loses_access_at_once() {
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
    app.directory.set_user(&id_of("alice"), UserStatus::Disabled);
    assert_eq!(alice.get("/api/actions/connectors").await.code(), "not_found");
    let response = alice.post("/internal/actions/connector/drive/_start_oauth_flow", &json!({})).await;
    assert_eq!(response.code(), "not_found");
}

#[tokio::test]
async fn unknown_keys_and_malformed_credentials_are_anonymous() {
    let app = TestApp::with_drive().await;
    let alice = app.signed_in("alice").await;
    for value in ["Bearer gak_unknown", "Bearer gak_", "bearer gak_RUNNER"] {
        // A presented key decides; the session beside it is ignored.
        assert_eq!(alice.also("authorization", value).get("/api/session").await.code(), "not_signed_in", "{value}");
    }
    // Credentials other than API keys are left to the authenticator of users.
    assert_eq!(alice.also("authorization", "Basic YTpi").get("/api/session").await.status, StatusCode::OK);
    assert_eq!(app.browser().also("authorization", "bearer gak_runner").get("/api/session").await.code(), "forbidden");
    let mut forged = app.browser();
    forged.cookies.insert("grantry_session_8080".to_owned(), "A".repeat(43));
    assert_eq!(forged.get("/api/session").await.code(), "not_signed_in");
}

#[tokio::test]
async fn r22_the_log_in_page_continues_only_to_this_origin() {
    let app = TestApp::new();
    let cases = [
        ("/login", format!("{BASE}/")),
        ("/login?next=%2Fs%2Fmarketing%2F", format!("{BASE}/s/marketing/")),
        ("/login?next=https%3A%2F%2Fevil.example%2F", format!("{BASE}/")),
        ("/login?next=%2F%2Fevil.example", format!("{BASE}/")),
        ("/login?next=%2Fa&next=%2Fb", format!("{BASE}/")),
        ("/login?next=javascript%3Aalert(1)", format!("{BASE}/")),
        ("/login?next=%2Fapi%2Factions%2Fconnector%2F_oauth_callback%3Fcode%3Dc%26state%3Ds", format!("{BASE}/")),
        ("/login?next=%2Fapi%2Factions%2Fconnector%2F_oauth_context%2FA%3Fcode%3Dc%26state%3Ds", format!("{BASE}/")),
        ("/login?next=%2Fs%2Fa%2Fapi%2Factions%2Fconnector%2F_oauth_context%2FA%3Fcode%3Dc", format!("{BASE}/")),
        (
            "/login?next=%2Fapi%2Factions%2Fconnector%2F_oauth_callback_result%2FA",
            format!("{BASE}/api/actions/connector/_oauth_callback_result/A"),
        ),
    ];
    for (path, expected) in cases {
        let response = app.browser().get(path).await;
        assert_eq!(html::attribute(&response.body, "data-next").unwrap(), expected, "{path}");
        let signed_in = app.signed_in("alice").await.get(path).await;
        assert_eq!((signed_in.status, signed_in.location()), (StatusCode::SEE_OTHER, expected.as_str()), "{path}");
    }
}

#[tokio::test]
async fn the_served_description_names_the_session_cookie_that_is_set() {
    for (public, host) in [(BASE, HOST), ("https://connect.example/oauth", "connect.example")] {
        let app = TestApp::with(Options { public, ..Options::default() });
        let mut browser = app.browser().also("host", host);
        let document = browser.get("/openapi.json").await.json();
        let described = document["components"]["securitySchemes"]["session"]["name"].as_str().unwrap().to_owned();
        let log_in = json!({"username": "alice", "password": "alice"});
        let set = browser.post("/api/session", &log_in).await.set_cookies;
        assert!(set.iter().any(|cookie| cookie.starts_with(&format!("{described}="))), "{described}: {set:?}");
    }
}

#[tokio::test]
async fn without_accounts_there_is_no_log_in() {
    let app = TestApp::with(Options { external_log_in: true, ..Options::default() });
    let mut browser = app.browser();
    assert_eq!(browser.get("/login").await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.post("/api/session", &json!({"username": "alice", "password": "alice"})).await.code(), "not_found");
    assert_eq!(browser.delete("/api/session").await.code(), "not_found");
    let home = browser.get("/").await;
    assert_eq!((home.status, home.location()), (StatusCode::UNAUTHORIZED, ""));
}

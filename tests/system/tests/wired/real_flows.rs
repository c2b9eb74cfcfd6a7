//! The main path with real authorization servers, which are independent of this project and of each other.

use std::time::Duration;

use futures_util::future::join_all;
use grantry_system_tests::authorization_server::{Consent, Kind};
use grantry_system_tests::browser::FetchSite;
use grantry_system_tests::test_app::{DRIVE, MARKETING_DRIVE, TestApp};
use serde_json::Value;

use crate::is_long;

/// Two users, with a different account in each of two spaces.
async fn two_users_two_spaces(kind: Kind) {
    let app = TestApp::with_real_server(kind).await;
    let accounts = [
        ("alice", DRIVE, "alice"),
        ("bob", DRIVE, "bob"),
        ("alice", MARKETING_DRIVE, "bob"),
        ("bob", MARKETING_DRIVE, "alice"),
    ];
    for (user, connector, account) in accounts {
        let mut browser = app.browser(user).await;
        assert_eq!(browser.status_name(connector).await, "not_connected");
        app.connect(&mut browser, connector, account).await;
        assert_eq!(browser.status_name(connector).await, "connected");
    }
    for (user, connector, account) in accounts {
        assert_eq!(app.account_of(&mut app.browser(user).await, connector).await, account);
    }
    // Only the token that is used is refreshed.
    app.expire_access_tokens().await;
    let mut alice = app.browser("alice").await;
    assert_eq!(app.account_of(&mut alice, DRIVE).await, "alice");
    assert_eq!(app.refresh_count().await, 1);
}

/// Refreshes with rotation, first with many concurrent callers.
async fn refresh(kind: Kind) {
    let app = TestApp::with_real_server(kind).await;
    let mut alice = app.browser("alice").await;
    app.connect(&mut alice, DRIVE, "alice").await;
    let mut before = app.access_token().await;

    app.expire_access_tokens().await;
    let callers = (0..24).map(|_| {
        let mut tab = alice.clone();
        let app = &app;
        async move { app.account_of(&mut tab, DRIVE).await }
    });
    assert!(join_all(callers).await.iter().all(|user| user == "alice"));
    assert_eq!(app.refresh_count().await, 1, "twenty-four callers, one refresh");

    // Both servers end a grant whose refresh token is used twice, so that success proves that none was.
    let rounds = match (is_long(), kind) {
        (false, Kind::OidcProvider) => 12,
        (false, Kind::Canaille) => 4,
        (true, Kind::OidcProvider) => 1000,
        (true, Kind::Canaille) => 20,
    };
    for round in 1..=rounds {
        app.expire_access_tokens().await;
        if round % 20 == 0 {
            alice.log_in("alice").await;
        }
        assert_eq!(app.account_of(&mut alice, DRIVE).await, "alice", "round {round}");
        let now = app.access_token().await;
        assert_ne!(now, before, "round {round}");
        before = now;
    }
    assert_eq!(app.refresh_count().await, rounds + 1);
    assert_eq!(alice.status_name(DRIVE).await, "connected");
}

/// After a disconnect, the server does not accept the token.
async fn revocation(kind: Kind) {
    let app = TestApp::with_real_server(kind).await;
    let mut alice = app.browser("alice").await;
    app.connect(&mut alice, DRIVE, "alice").await;
    let first = app.access_token().await;
    assert_eq!(app.accepts(&first).await, (true, true));
    app.expire_access_tokens().await;
    assert_eq!(app.account_of(&mut alice, DRIVE).await, "alice");
    let second = app.access_token().await;
    assert_eq!(alice.disconnect(DRIVE).await.status, 204);
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
    app.host.drain().await;
    app.host.connections.revoke_due().await.unwrap();
    assert_eq!(app.accepts(&second).await, (false, false));
    assert_eq!(alice.provider_note(DRIVE).await, Value::Null, "the server has confirmed the revocation");
    app.host.connections.deliver_events().await.unwrap();
    let events = app.host.sink.events();
    let revocation = events.iter().find(|event| event.kind.as_str() == "revocation_completed").unwrap();
    assert_eq!(revocation.outcome.as_str(), "revoked");

    // ID tokens of a new consent are checked against the clock. A session that was used in the future has ended.
    app.set_clock_back();
    alice.log_in("alice").await;
    app.connect(&mut alice, DRIVE, "alice").await;
    assert_eq!(app.account_of(&mut alice, DRIVE).await, "alice");
}

/// Another user, another browser, a replay, a denial, a forged issuer.
async fn refusals(kind: Kind) {
    let app = TestApp::with_real_server(kind).await;
    let mut alice = app.browser("alice").await;
    let (_, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    let mut bob = app.browser("bob").await;
    assert_eq!(bob.open_callback(&callback).await.page_code(), "user_mismatch");
    let mut other_browser = app.browser("alice").await;
    assert_eq!(other_browser.open_callback(&callback).await.page_code(), "browser_mismatch");
    let mut tab = alice.clone();
    alice.open_callback(&callback).await;
    assert_eq!(alice.status_name(DRIVE).await, "connected", "the flow was not consumed before");
    assert_eq!(tab.open_callback(&callback).await.page_code(), "flow_already_used");
    assert_eq!(app.account_of(&mut alice, DRIVE).await, "alice", "a replay does not reach the server and changes nothing");

    let flow = bob.start(DRIVE).await;
    let denied = app.provider.login(&flow.authorization_url, "bob", Consent::Deny).await.unwrap();
    bob.open_callback(&denied).await;
    assert_eq!(bob.flow_result(DRIVE, &flow.id).await, ("failed".to_owned(), "access_denied".to_owned()));
    assert_eq!(bob.status_name(DRIVE).await, "not_connected");

    let (flow, callback) = app.consent(&mut bob, DRIVE, "bob").await;
    let forged = callback.replacen("iss=", "iss=https%3A%2F%2Fevil.example%2F", 1);
    assert_ne!(forged, callback);
    bob.open_callback(&forged).await;
    assert_eq!(bob.flow_result(DRIVE, &flow.id).await, ("failed".to_owned(), "issuer_mismatch".to_owned()));
    let page = alice.open(&format!("{callback}&x=1"), FetchSite::CrossSite).await;
    assert!(!page.full_text().contains("code="), "{}", page.full_text());
}

/// Restarts of the node, then of the server.
async fn restarts(kind: Kind) {
    let mut app = TestApp::with_real_server(kind).await;
    let mut alice = app.browser("alice").await;
    app.connect(&mut alice, DRIVE, "alice").await;
    let mut bob = app.browser("bob").await;
    let (flow, callback) = app.consent(&mut bob, DRIVE, "bob").await;

    app.host.stop().await;
    app.host = app.deployment.host().await.unwrap();
    alice.move_to(app.host.address);
    bob.move_to(app.host.address);
    assert_eq!(app.account_of(&mut alice, DRIVE).await, "alice");
    bob.open_callback(&callback).await;
    assert_eq!(bob.flow_result(DRIVE, &flow.id).await.0, "authorized", "a flow survives a restart");

    // While the server is down, the status stays `connected`.
    app.provider.end().await;
    app.expire_access_tokens().await;
    assert_eq!(alice.execute(DRIVE, &app.userinfo_path()).await.outcome(), (503, "provider_unavailable".to_owned()));
    assert_eq!(alice.status_name(DRIVE).await, "connected");
    app.provider.restart().await.unwrap();
    app.deployment.clock().advance(Duration::from_mins(2)).unwrap();
    match kind {
        Kind::Canaille => assert_eq!(app.account_of(&mut alice, DRIVE).await, "alice", "it keeps its tokens"),
        Kind::OidcProvider => {
            let response = alice.execute(DRIVE, &app.userinfo_path()).await;
            assert_eq!(response.json()["reason"], "refresh_rejected", "it has lost its tokens: {}", response.text());
            assert_eq!(alice.status_name(DRIVE).await, "needs_reauthorization");
        }
    }
}

#[tokio::test]
async fn two_users_use_their_own_accounts_in_two_spaces_at_oidc_provider() {
    two_users_two_spaces(Kind::OidcProvider).await;
}

#[tokio::test]
async fn two_users_use_their_own_accounts_in_two_spaces_at_canaille() {
    two_users_two_spaces(Kind::Canaille).await;
}

#[tokio::test]
async fn r36_r38_lesson_10_twenty_four_callers_cause_one_refresh_at_oidc_provider() {
    refresh(Kind::OidcProvider).await;
}

#[tokio::test]
async fn r36_r38_lesson_10_twenty_four_callers_cause_one_refresh_at_canaille() {
    refresh(Kind::Canaille).await;
}

#[tokio::test]
async fn r49_r50_lesson_19_a_disconnect_revokes_the_tokens_at_oidc_provider() {
    revocation(Kind::OidcProvider).await;
}

#[tokio::test]
async fn r49_r50_lesson_19_a_disconnect_revokes_the_tokens_at_canaille() {
    revocation(Kind::Canaille).await;
}

#[tokio::test]
async fn r03_r10_r20_lesson_02_other_users_denials_and_replays_at_oidc_provider() {
    refusals(Kind::OidcProvider).await;
}

#[tokio::test]
async fn r03_r10_r20_lesson_02_other_users_denials_and_replays_at_canaille() {
    refusals(Kind::Canaille).await;
}

#[tokio::test]
async fn r40_a_restart_keeps_everything_that_was_stored_at_oidc_provider() {
    restarts(Kind::OidcProvider).await;
}

#[tokio::test]
async fn r40_a_restart_keeps_everything_that_was_stored_at_canaille() {
    restarts(Kind::Canaille).await;
}

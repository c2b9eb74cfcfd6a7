//! Refreshing on one node: once per expiry, without losing tokens, with doubts reported as such.

use std::time::Duration;

use futures_util::future::join_all;
use grantry_system_tests::browser::Browser;
use grantry_system_tests::test_app::{ACCESS_TTL, DRIVE, TestApp, account_of};
use grantry_testkit::provider::{Endpoint, Fault, Gate, GrantEnd, MockProvider, MockProviderBuilder, Rotation};
use rusqlite::Connection;
use serde_json::Value;

use crate::assert_all_revoked;

/// Longer than the pause between two attempts, and than a lease with its quarantine.
const LATER: Duration = Duration::from_mins(2);

/// Executes `count` times concurrently, and checks that each execution uses alice's account.
async fn assert_all_succeed(browser: &Browser, count: usize) {
    let executions = (0..count).map(|_| {
        let mut tab = browser.clone();
        async move { account_of(&tab.execute(DRIVE, "/me").await) }
    });
    for user in join_all(executions).await {
        assert_eq!(user, "alice@example.test");
    }
}

fn strict() -> MockProviderBuilder {
    MockProvider::builder()
}

fn with_grace() -> MockProviderBuilder {
    MockProvider::builder().rotation(Rotation::Grace(Duration::from_mins(10)))
}

#[tokio::test]
async fn r36_fifty_callers_with_an_expired_token_cause_one_refresh() {
    let app = TestApp::new().await;
    let alice = app.connected("alice", DRIVE).await;
    for round in 1..=3 {
        app.expire_access_tokens();
        assert_all_succeed(&alice, 50).await;
        assert_eq!(app.provider.ledger().refreshes().len(), round);
    }
    assert_eq!(app.provider.grants()[0].ended, None);
}

#[tokio::test]
async fn lesson_11_fifty_concurrent_401_responses_cause_one_refresh() {
    let app = TestApp::new().await;
    let alice = app.connected("alice", DRIVE).await;
    assert_all_succeed(&alice, 1).await;
    // The token has expired only by the provider's clock.
    app.provider.expire_access_tokens();
    assert_all_succeed(&alice, 50).await;
    assert_eq!(app.provider.ledger().refreshes().len(), 1);
}

#[tokio::test]
async fn r47_lesson_15_a_retry_has_the_new_token_and_a_second_401_is_final() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    app.provider.faults().once(Endpoint::Api, Fault::status(401));
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    let ledger = app.provider.ledger();
    let tokens: Vec<_> = ledger.api_calls().iter().map(|call| call.bearer_token().unwrap().to_owned()).collect();
    assert_eq!(tokens.len(), 2);
    assert_ne!(tokens[0], tokens[1]);
    assert_eq!(ledger.refreshes().len(), 1);

    app.provider.faults().always(Endpoint::Api, Fault::status(401));
    for _ in 0..5 {
        let refused = alice.execute(DRIVE, "/me").await;
        assert_eq!(refused.outcome(), (409, "authorization_required".to_owned()));
        assert_eq!(refused.json()["reason"], "token_rejected");
    }
    let ledger = app.provider.ledger();
    let mut tokens: Vec<_> = ledger.api_calls().iter().map(|call| call.bearer_token().unwrap().to_owned()).collect();
    tokens.sort();
    tokens.dedup();
    assert!(ledger.refreshes().len() <= tokens.len(), "at most one forced refresh per token value");
    app.provider.faults().clear(Endpoint::Api);
    assert_eq!(alice.status_name(DRIVE).await, "connected", "a 401 of the API does not end the grant");
    assert_all_succeed(&alice, 1).await;
}

#[tokio::test]
async fn r39_lesson_14_a_rejected_refresh_token_ends_the_grant_with_its_reason() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    app.provider.withdraw("alice");
    app.expire_access_tokens();
    let refused = alice.execute(DRIVE, "/me").await;
    assert_eq!(refused.outcome(), (409, "authorization_required".to_owned()));
    assert_eq!(refused.json()["reason"], "refresh_rejected");
    let rejected = ("needs_reauthorization".to_owned(), "refresh_rejected".to_owned());
    assert_eq!(alice.status_and_reason(DRIVE).await, rejected);
    for _ in 0..5 {
        alice.execute(DRIVE, "/me").await;
    }
    app.advance(LATER);
    alice.execute(DRIVE, "/me").await;
    assert_eq!(app.provider.ledger().refreshes().len(), 1, "an ended grant is not refreshed again");
    app.connect(&mut alice, DRIVE, "alice").await;
    assert_all_succeed(&alice, 1).await;
}

#[tokio::test]
async fn r39_an_unavailable_provider_does_not_change_the_status() {
    let faults = [
        (Fault::status(500), "provider_unavailable"),
        (Fault::status(502), "provider_unavailable"),
        (Fault::unavailable(20), "provider_unavailable"),
        (Fault::throttled(20), "provider_unavailable"),
        (Fault::DropRequest, "provider_unavailable"),
        (Fault::redirect("http://127.0.0.1:1/"), "provider_unavailable"),
        (Fault::oauth_error("temporarily_unavailable"), "provider_unavailable"),
        (Fault::oauth_error("server_error"), "provider_unavailable"),
    ];
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    for (fault, code) in faults {
        let name = format!("{fault:?}");
        app.expire_access_tokens();
        let before = app.provider.ledger().refreshes().len();
        app.provider.faults().once(Endpoint::Token, fault);
        let refused = alice.execute(DRIVE, "/me").await;
        assert_eq!(refused.code(), code, "{name}: {}", refused.text());
        assert_eq!(app.provider.ledger().refreshes().len(), before + 1, "{name}: the refresh is not repeated at once");
        alice.execute(DRIVE, "/me").await;
        assert_eq!(app.provider.ledger().refreshes().len(), before + 1, "{name}: the next attempt has to wait");
        let connection = alice.connection(DRIVE).await;
        assert_eq!(alice.status_name(DRIVE).await, "connected", "{name}");
        assert_eq!(connection["provider_note"], "provider_unreachable", "{name}");
        assert!(connection["provider_note_since"].is_string(), "{name}: {connection}");
        app.advance(LATER);
        assert_all_succeed(&alice, 10).await;
        assert_eq!(app.provider.ledger().refreshes().len(), before + 2, "{name}");
        assert_eq!(alice.provider_note(DRIVE).await, Value::Null, "{name}");
    }
}

#[tokio::test]
async fn r46_a_token_is_refreshed_shortly_before_it_expires_and_used_until_then() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    app.advance(ACCESS_TTL / 2);
    assert_all_succeed(&alice, 1).await;
    assert_eq!(app.provider.ledger().refreshes().len(), 0);

    // Within the margin of 24 to 30 seconds the old token is still used if the provider is unavailable.
    app.advance(ACCESS_TTL.saturating_sub(ACCESS_TTL / 2 + Duration::from_secs(15)));
    app.provider.faults().once(Endpoint::Token, Fault::status(500));
    assert_all_succeed(&alice, 5).await;
    assert_eq!(app.provider.ledger().refreshes().len(), 1);
    assert_eq!(alice.status_name(DRIVE).await, "connected");

    app.advance(Duration::from_secs(20));
    assert_eq!(alice.execute(DRIVE, "/me").await.code(), "provider_unavailable", "an expired token is not issued");
    app.advance(LATER);
    assert_all_succeed(&alice, 1).await;
}

#[tokio::test]
async fn grants_in_use_are_refreshed_ahead_of_their_expiry() {
    let app = TestApp::new().await;
    let alice = app.connected("alice", DRIVE).await;
    assert_all_succeed(&alice, 1).await;
    app.host.connections.flush_audit().await.unwrap();
    app.advance(ACCESS_TTL.saturating_sub(Duration::from_secs(10)));
    assert_eq!(app.host.connections.refresh_ahead().await.unwrap(), 1);
    assert_eq!(app.provider.ledger().refreshes().len(), 1);
    assert_all_succeed(&alice, 10).await;
    assert_eq!(app.provider.ledger().refreshes().len(), 1);
}

#[tokio::test]
async fn r37_r40_a_response_lost_after_rotation_ends_the_grant_at_a_strict_provider() {
    let app = TestApp::with(strict(), |_| {}).await;
    let mut alice = app.connected("alice", DRIVE).await;
    app.expire_access_tokens();
    app.provider.faults().once(Endpoint::Token, Fault::DropResponse);
    assert_eq!(alice.execute(DRIVE, "/me").await.code(), "provider_unavailable");
    assert_eq!(alice.status_name(DRIVE).await, "connected", "the refresh is in doubt");
    for _ in 0..5 {
        alice.execute(DRIVE, "/me").await;
    }
    assert_eq!(app.provider.ledger().refreshes().len(), 1, "there is no attempt during the quarantine");
    app.advance(LATER);
    let refused = alice.execute(DRIVE, "/me").await;
    assert_eq!(refused.json()["reason"], "refresh_rejected", "{}", refused.text());
    assert_eq!(app.provider.ledger().refreshes().len(), 2, "one attempt in doubt");
    assert_eq!(app.provider.grants()[0].ended, Some(GrantEnd::RefreshTokenReused));
    assert_eq!(alice.status_and_reason(DRIVE).await.1, "refresh_rejected");
}

#[tokio::test]
async fn r40_a_response_lost_after_rotation_is_recovered_at_a_provider_with_a_grace_period() {
    let app = TestApp::with(with_grace(), |_| {}).await;
    let mut alice = app.connected("alice", DRIVE).await;
    for lost in
        [Fault::DropResponse, Fault::CutBody(20), Fault::not_json(), Fault::empty_body(), Fault::huge_body(3_000_000)]
    {
        let name = format!("{lost:.40?}");
        app.expire_access_tokens();
        let before = app.provider.ledger().refreshes().len();
        app.provider.faults().once(Endpoint::Token, lost);
        assert_eq!(alice.execute(DRIVE, "/me").await.code(), "provider_unavailable", "{name}");
        app.advance(LATER);
        assert_all_succeed(&alice, 24).await;
        assert_eq!(app.provider.ledger().refreshes().len(), before + 2, "{name}");
    }
}

#[tokio::test]
async fn r41_r49_a_refresh_that_ends_after_a_disconnect_leaves_no_valid_token() {
    for rotation in [Rotation::Strict, Rotation::Grace(Duration::from_mins(10)), Rotation::None] {
        let builder = MockProvider::builder().rotation(rotation);
        let app = TestApp::with(builder, |settings| settings.disconnect_wait = Duration::from_millis(200)).await;
        let mut alice = app.connected("alice", DRIVE).await;
        app.expire_access_tokens();
        // The provider has issued new tokens and holds its response while alice disconnects.
        let gate = Gate::closed();
        app.provider.faults().once(Endpoint::Token, Fault::HoldResponse(gate.clone()));
        let mut tab = alice.clone();
        let running = tokio::spawn(async move { tab.execute(DRIVE, "/me").await });
        gate.arrived(1).await;
        assert_eq!(alice.disconnect(DRIVE).await.status, 204);
        assert_eq!(alice.status_name(DRIVE).await, "not_connected");
        gate.open();
        assert_eq!(running.await.unwrap().code(), "authorization_required", "{rotation:?}");
        assert_eq!(alice.status_name(DRIVE).await, "not_connected", "{rotation:?}: the grant stays ended");
        app.host.drain().await;
        app.advance(LATER);
        assert_all_revoked(&app).await;
    }
}

#[tokio::test]
async fn r49_a_disconnect_waits_for_a_running_refresh() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    app.expire_access_tokens();
    let gate = Gate::closed();
    app.provider.faults().once(Endpoint::Token, Fault::HoldResponse(gate.clone()));
    let mut tab = alice.clone();
    let running = tokio::spawn(async move { tab.execute(DRIVE, "/me").await });
    gate.arrived(1).await;
    let disconnecting = tokio::spawn(async move { alice.disconnect(DRIVE).await.status });
    gate.open();
    assert_eq!(disconnecting.await.unwrap(), 204);
    running.await.unwrap();
    assert_all_revoked(&app).await;
    let ledger = app.provider.ledger();
    assert_eq!(ledger.refreshes().len(), 1, "the refresh was not in doubt and is not repeated before the revocation");
}

#[tokio::test]
async fn r49_a_disconnect_in_doubt_refreshes_once_and_then_revokes() {
    for rotation in [Rotation::Strict, Rotation::Grace(Duration::from_mins(10))] {
        let app = TestApp::with(MockProvider::builder().rotation(rotation), |_| {}).await;
        let mut alice = app.connected("alice", DRIVE).await;
        app.expire_access_tokens();
        app.provider.faults().once(Endpoint::Token, Fault::DropResponse);
        assert_eq!(alice.execute(DRIVE, "/me").await.code(), "provider_unavailable");
        assert_eq!(alice.disconnect(DRIVE).await.status, 204);
        assert_eq!(alice.execute(DRIVE, "/me").await.code(), "authorization_required");
        app.host.drain().await;
        app.advance(LATER);
        assert_all_revoked(&app).await;
        let ledger = app.provider.ledger();
        assert_eq!(ledger.refreshes().len(), 2, "{rotation:?}: one more refresh ends the doubt");
        if rotation != Rotation::Strict {
            let used = ledger.refreshes()[0].param("refresh_token");
            let revoked = ledger.revocations()[0].param("token");
            assert_ne!(revoked, used, "the new token is revoked, not the used one");
        }
        assert_eq!(alice.provider_note(DRIVE).await, Value::Null, "{rotation:?}: the revocation is completed");
    }
}

#[tokio::test]
async fn r38_lesson_12_refreshed_tokens_that_cannot_be_stored_are_kept_and_stored_later() {
    let app = TestApp::with(strict(), |settings| settings.busy_timeout = Duration::from_millis(50)).await;
    let mut alice = app.connected("alice", DRIVE).await;
    app.expire_access_tokens();
    let gate = Gate::closed();
    app.provider.faults().once(Endpoint::Token, Fault::HoldResponse(gate.clone()));
    let mut tab = alice.clone();
    let running = tokio::spawn(async move { tab.execute(DRIVE, "/me").await });
    gate.arrived(1).await;
    // The provider has rotated. Now another process locks the database for longer than a write waits.
    let lock = Connection::open(app.deployment.database()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    gate.open();
    let response = running.await.unwrap();
    assert_eq!(response.code(), "provider_unavailable", "a token that is not committed is not issued: {}", response.text());
    assert_eq!(app.host.connections.pending_commits(), 1);
    assert_eq!(alice.execute(DRIVE, "/me").await.status, 503);

    lock.execute_batch("ROLLBACK").unwrap();
    assert_all_succeed(&alice, 10).await;
    assert_eq!(app.host.connections.pending_commits(), 0);
    assert_eq!(app.provider.ledger().refreshes().len(), 1, "the tokens of that refresh were used");
    assert_eq!(app.provider.grants()[0].ended, None);
}

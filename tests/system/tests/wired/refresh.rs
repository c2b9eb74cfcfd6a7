//! RefreshState on one node: once, never lost, and honest about what it does not know.

use std::time::Duration;

use futures_util::future::join_all;
use grantry_system_tests::browser::Browser;
use grantry_system_tests::world::{ACCESS_TTL, DRIVE, World, whose};
use grantry_testkit::provider::{Endpoint, Fault, Gate, GrantEnd, MockProvider, Rotation};
use rusqlite::Connection;

use crate::assert_nothing_lives;

/// Longer than any pause between two attempts of these tests, and than a lease with its quarantine.
const LATER: Duration = Duration::from_mins(2);

/// `count` runs at once in as many tabs; every one gets alice's account.
async fn all_run(browser: &Browser, count: usize) {
    let runs = (0..count).map(|_| {
        let mut tab = browser.clone();
        async move { whose(&tab.execute(DRIVE, "/me").await) }
    });
    for user in join_all(runs).await {
        assert_eq!(user, "alice@example.test");
    }
}

fn strict() -> grantry_testkit::provider::MockProviderBuilder {
    MockProvider::builder()
}

fn lenient() -> grantry_testkit::provider::MockProviderBuilder {
    MockProvider::builder().rotation(Rotation::Grace(Duration::from_mins(10)))
}

#[tokio::test]
async fn r36_fifty_callers_on_a_lapsed_token_cause_one_refresh() {
    let world = World::new().await;
    let alice = world.connected("alice", DRIVE).await;
    for round in 1..=3 {
        world.expire_access_tokens();
        all_run(&alice, 50).await;
        assert_eq!(world.provider.ledger().refreshes().len(), round);
    }
    assert_eq!(world.provider.grants()[0].ended, None);
}

#[tokio::test]
async fn lesson_11_fifty_401_answers_at_once_cause_one_refresh() {
    let world = World::new().await;
    let alice = world.connected("alice", DRIVE).await;
    all_run(&alice, 1).await;
    // Only the provider's clock moves: here the token still looks fresh.
    world.provider.expire_access_tokens();
    all_run(&alice, 50).await;
    assert_eq!(world.provider.ledger().refreshes().len(), 1);
}

#[tokio::test]
async fn r47_lesson_15_a_retry_carries_the_new_token_and_a_second_401_is_final() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    world.provider.faults().once(Endpoint::Api, Fault::status(401));
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    let ledger = world.provider.ledger();
    let tokens: Vec<_> = ledger.api_calls().iter().map(|call| call.bearer_token().unwrap().to_owned()).collect();
    assert_eq!(tokens.len(), 2);
    assert_ne!(tokens[0], tokens[1]);
    assert_eq!(ledger.refreshes().len(), 1);

    world.provider.faults().always(Endpoint::Api, Fault::status(401));
    for _ in 0..5 {
        let refused = alice.execute(DRIVE, "/me").await;
        assert_eq!(refused.outcome(), (409, "authorization_required".to_owned()));
        assert_eq!(refused.json()["reason"], "token_rejected");
    }
    let ledger = world.provider.ledger();
    let mut tokens: Vec<_> = ledger.api_calls().iter().map(|call| call.bearer_token().unwrap().to_owned()).collect();
    tokens.sort();
    tokens.dedup();
    assert!(ledger.refreshes().len() <= tokens.len(), "at most one forced refresh per token value");
    world.provider.faults().clear(Endpoint::Api);
    assert_eq!(alice.status_name(DRIVE).await, "connected", "the API's opinion is not the provider's");
    all_run(&alice, 1).await;
}

#[tokio::test]
async fn r39_lesson_14_a_rejected_refresh_token_ends_the_grant_with_its_reason() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    world.provider.withdraw("alice");
    world.expire_access_tokens();
    let refused = alice.execute(DRIVE, "/me").await;
    assert_eq!(refused.outcome(), (409, "authorization_required".to_owned()));
    assert_eq!(refused.json()["reason"], "refresh_rejected");
    let status = alice.status(DRIVE).await;
    assert_eq!(
        (&status["user_auth_status"], &status["reason"]),
        (&"needs_reauthorization".into(), &"refresh_rejected".into())
    );
    for _ in 0..5 {
        alice.execute(DRIVE, "/me").await;
    }
    world.advance(LATER);
    alice.execute(DRIVE, "/me").await;
    assert_eq!(world.provider.ledger().refreshes().len(), 1, "a dead grant is not tried again");
    world.connect(&mut alice, DRIVE, "alice").await;
    all_run(&alice, 1).await;
}

#[tokio::test]
async fn r39_an_outage_is_not_the_users_fault() {
    let faults = [
        (Fault::status(500), "provider_unavailable"),
        (Fault::status(502), "provider_unavailable"),
        (Fault::unavailable(20), "provider_unavailable"),
        (Fault::throttled(20), "provider_unavailable"),
        (Fault::DropRequest, "provider_unavailable"),
        (Fault::redirect("http://127.0.0.1:1/"), "provider_unavailable"),
        (Fault::oauth_error("temporarily_unavailable"), "provider_unavailable"),
        (Fault::oauth_error("invalid_scope"), "provider_unavailable"),
        (Fault::oauth_error("invalid_client"), "provider_misconfigured"),
        (Fault::oauth_error("unauthorized_client"), "provider_misconfigured"),
    ];
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    for (fault, code) in faults {
        let name = format!("{fault:?}");
        world.expire_access_tokens();
        let before = world.provider.ledger().refreshes().len();
        world.provider.faults().once(Endpoint::Token, fault);
        let refused = alice.execute(DRIVE, "/me").await;
        assert_eq!(refused.code(), code, "{name}: {}", refused.text());
        assert_eq!(world.provider.ledger().refreshes().len(), before + 1, "{name}: not tried again by itself (R40)");
        alice.execute(DRIVE, "/me").await;
        assert_eq!(world.provider.ledger().refreshes().len(), before + 1, "{name}: there is a pause");
        let status = alice.status(DRIVE).await;
        assert_eq!(status["user_auth_status"], "connected", "{name}");
        assert_eq!(status["provider_note"], "provider_unreachable", "{name}");
        world.advance(LATER);
        all_run(&alice, 10).await;
        assert_eq!(world.provider.ledger().refreshes().len(), before + 2, "{name}");
        assert_eq!(alice.status(DRIVE).await.get("provider_note"), None, "{name}");
    }
}

#[tokio::test]
async fn r46_a_token_is_renewed_shortly_before_it_lapses_and_an_old_one_bridges_an_outage() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    world.advance(ACCESS_TTL / 2);
    all_run(&alice, 1).await;
    assert_eq!(world.provider.ledger().refreshes().len(), 0);

    // Within the margin of 24 to 30 seconds, but alive: an outage is not even noticed.
    world.advance(ACCESS_TTL.saturating_sub(ACCESS_TTL / 2 + Duration::from_secs(15)));
    world.provider.faults().once(Endpoint::Token, Fault::status(500));
    all_run(&alice, 5).await;
    assert_eq!(world.provider.ledger().refreshes().len(), 1);
    assert_eq!(alice.status_name(DRIVE).await, "connected");

    world.advance(Duration::from_secs(20));
    assert_eq!(alice.execute(DRIVE, "/me").await.code(), "provider_unavailable", "nothing is handed out past its end");
    world.advance(LATER);
    all_run(&alice, 1).await;
}

#[tokio::test]
async fn grants_in_use_are_renewed_before_anybody_waits() {
    let world = World::new().await;
    let alice = world.connected("alice", DRIVE).await;
    all_run(&alice, 1).await;
    world.host.connections.write_notes().await.unwrap();
    world.advance(ACCESS_TTL.saturating_sub(Duration::from_secs(10)));
    assert_eq!(world.host.connections.refresh_ahead().await.unwrap(), 1);
    assert_eq!(world.provider.ledger().refreshes().len(), 1);
    all_run(&alice, 10).await;
    assert_eq!(world.provider.ledger().refreshes().len(), 1);
}

#[tokio::test]
async fn r37_r40_an_answer_lost_after_rotation_ends_the_grant_at_a_strict_provider() {
    let world = World::with(strict(), |_| {}).await;
    let mut alice = world.connected("alice", DRIVE).await;
    world.expire_access_tokens();
    world.provider.faults().once(Endpoint::Token, Fault::DropAnswer);
    assert_eq!(alice.execute(DRIVE, "/me").await.code(), "provider_unavailable");
    assert_eq!(alice.status_name(DRIVE).await, "connected", "nobody knows yet");
    for _ in 0..5 {
        alice.execute(DRIVE, "/me").await;
    }
    assert_eq!(world.provider.ledger().refreshes().len(), 1, "in quarantine nobody asks again");
    world.advance(LATER);
    let refused = alice.execute(DRIVE, "/me").await;
    assert_eq!(refused.json()["reason"], "refresh_rejected", "{}", refused.text());
    assert_eq!(world.provider.ledger().refreshes().len(), 2, "one attempt in doubt");
    assert_eq!(world.provider.grants()[0].ended, Some(GrantEnd::RefreshTokenReused));
    assert_eq!(alice.status(DRIVE).await["reason"], "refresh_rejected");
}

#[tokio::test]
async fn r40_an_answer_lost_after_rotation_is_recovered_at_a_provider_with_grace() {
    let world = World::with(lenient(), |_| {}).await;
    let mut alice = world.connected("alice", DRIVE).await;
    for lost in [Fault::DropAnswer, Fault::CutBody(20), Fault::not_json(), Fault::empty_body(), Fault::huge_body(70_000)] {
        let name = format!("{lost:?}");
        world.expire_access_tokens();
        let before = world.provider.ledger().refreshes().len();
        world.provider.faults().once(Endpoint::Token, lost);
        assert_eq!(alice.execute(DRIVE, "/me").await.code(), "provider_unavailable", "{name}");
        world.advance(LATER);
        all_run(&alice, 24).await;
        assert_eq!(world.provider.ledger().refreshes().len(), before + 2, "{name}");
    }
}

#[tokio::test]
async fn r41_r49_a_refresh_that_overtakes_a_disconnect_leaves_nothing_alive() {
    for rotation in [Rotation::Strict, Rotation::Grace(Duration::from_mins(10)), Rotation::None] {
        let builder = MockProvider::builder().rotation(rotation);
        let world = World::with(builder, |settings| settings.disconnect_wait = Duration::from_millis(200)).await;
        let mut alice = world.connected("alice", DRIVE).await;
        world.expire_access_tokens();
        // The provider has issued new tokens; their answer is on its way when alice disconnects.
        let gate = Gate::closed();
        world.provider.faults().once(Endpoint::Token, Fault::HoldAnswer(gate.clone()));
        let mut tab = alice.clone();
        let running = tokio::spawn(async move { tab.execute(DRIVE, "/me").await });
        gate.arrived(1).await;
        assert_eq!(alice.disconnect(DRIVE).await.status, 204);
        assert_eq!(alice.status_name(DRIVE).await, "not_connected");
        gate.open();
        assert_eq!(running.await.unwrap().code(), "authorization_required", "{rotation:?}");
        assert_eq!(alice.status_name(DRIVE).await, "not_connected", "{rotation:?}: nothing is resurrected");
        world.host.settle().await;
        world.advance(LATER);
        assert_nothing_lives(&world).await;
    }
}

#[tokio::test]
async fn r49_disconnect_waits_a_moment_for_a_refresh_under_way() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    world.expire_access_tokens();
    let gate = Gate::closed();
    world.provider.faults().once(Endpoint::Token, Fault::HoldAnswer(gate.clone()));
    let mut tab = alice.clone();
    let running = tokio::spawn(async move { tab.execute(DRIVE, "/me").await });
    gate.arrived(1).await;
    let disconnecting = tokio::spawn(async move { alice.disconnect(DRIVE).await.status });
    gate.open();
    assert_eq!(disconnecting.await.unwrap(), 204);
    running.await.unwrap();
    assert_nothing_lives(&world).await;
    let ledger = world.provider.ledger();
    assert_eq!(ledger.refreshes().len(), 1, "there was no doubt, so no refresh before the revocation");
}

#[tokio::test]
async fn r49_a_disconnect_in_doubt_refreshes_once_and_then_revokes() {
    for rotation in [Rotation::Strict, Rotation::Grace(Duration::from_mins(10))] {
        let world = World::with(MockProvider::builder().rotation(rotation), |_| {}).await;
        let mut alice = world.connected("alice", DRIVE).await;
        world.expire_access_tokens();
        world.provider.faults().once(Endpoint::Token, Fault::DropAnswer);
        assert_eq!(alice.execute(DRIVE, "/me").await.code(), "provider_unavailable");
        assert_eq!(alice.disconnect(DRIVE).await.status, 204);
        assert_eq!(alice.execute(DRIVE, "/me").await.code(), "authorization_required");
        world.host.settle().await;
        world.advance(LATER);
        assert_nothing_lives(&world).await;
        let ledger = world.provider.ledger();
        assert_eq!(ledger.refreshes().len(), 2, "{rotation:?}: once more, to end the doubt");
        if rotation != Rotation::Strict {
            let spent = ledger.refreshes()[0].param("refresh_token");
            let revoked = ledger.revocations()[0].param("token");
            assert_ne!(revoked, spent, "what is revoked is the live token, not the spent one");
        }
        assert_eq!(alice.status(DRIVE).await.get("provider_note"), None, "{rotation:?}: the revocation is settled");
    }
}

#[tokio::test]
async fn r38_lesson_12_renewed_tokens_that_cannot_be_stored_are_kept_and_stored_later() {
    let world = World::with(strict(), |settings| settings.busy_timeout = Duration::from_millis(50)).await;
    let mut alice = world.connected("alice", DRIVE).await;
    world.expire_access_tokens();
    let gate = Gate::closed();
    world.provider.faults().once(Endpoint::Token, Fault::HoldAnswer(gate.clone()));
    let mut tab = alice.clone();
    let running = tokio::spawn(async move { tab.execute(DRIVE, "/me").await });
    gate.arrived(1).await;
    // The provider has rotated. Now another process holds the database for longer than anybody waits.
    let lock = Connection::open(world.deployment.database()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    gate.open();
    let answer = running.await.unwrap();
    assert_eq!(answer.code(), "provider_unavailable", "nobody gets a token that is not committed: {}", answer.text());
    assert_eq!(world.host.connections.pending_commits(), 1);
    assert_eq!(alice.execute(DRIVE, "/me").await.status, 503);

    lock.execute_batch("ROLLBACK").unwrap();
    all_run(&alice, 10).await;
    assert_eq!(world.host.connections.pending_commits(), 0);
    assert_eq!(world.provider.ledger().refreshes().len(), 1, "the tokens of that one refresh were used");
    assert_eq!(world.provider.grants()[0].ended, None);
}

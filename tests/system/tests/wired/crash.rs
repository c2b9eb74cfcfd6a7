//! Nodes that are killed (SIGKILL) at the worst moment, so that they neither respond nor store anything.

use std::time::Duration;

use grantry_system_tests::browser::{Browser, FetchSite};
use grantry_system_tests::process::NodeProcess;
use grantry_system_tests::test_app::{DRIVE, TestApp, account_of};
use grantry_testkit::provider::{Endpoint, Fault, Gate, GrantEnd, MockProvider, Rotation};
use reqwest::Method;

use crate::{TEST_NODE, until};

/// Longer than every lease, claim and quarantine.
const LATER: Duration = Duration::from_mins(3);

async fn node(app: &TestApp) -> NodeProcess {
    app.deployment.process(TEST_NODE).await.unwrap()
}

/// Sends a request in the background. The task returns whether it got no response.
fn in_flight(browser: &Browser, request: reqwest::RequestBuilder) -> tokio::task::JoinHandle<bool> {
    let mut tab = browser.clone();
    tokio::spawn(async move { tab.try_send(request).await.is_err() })
}

#[tokio::test]
async fn a_restart_keeps_sessions_grants_and_pending_flows() {
    let app = TestApp::new().await;
    let first = node(&app).await;
    let mut alice = app.connected("alice", DRIVE).await;
    alice.move_to(first.address);
    account_of(&alice.execute(DRIVE, "/me").await);
    let mut bob = app.browser("bob").await.at(first.address);
    let (flow, callback) = app.consent(&mut bob, DRIVE, "bob").await;
    first.kill().await.unwrap();

    let second = node(&app).await;
    alice.move_to(second.address);
    bob.move_to(second.address);
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    bob.open_callback(&callback).await;
    assert_eq!(bob.flow_result(DRIVE, &flow.id).await.0, "authorized");
    assert_eq!(account_of(&bob.execute(DRIVE, "/me").await), "bob@example.test");
}

#[tokio::test]
async fn r20_lesson_08_a_node_that_is_killed_during_the_exchange_leaves_the_old_grant_and_no_open_flow() {
    // Before the provider processes the code, and after it has issued tokens.
    for before in [true, false] {
        let app = TestApp::new().await;
        let first = node(&app).await;
        let mut alice = app.connected("alice", DRIVE).await;
        alice.move_to(first.address);
        let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
        let gate = Gate::closed();
        let hold = if before { Fault::HoldRequest(gate.clone()) } else { Fault::HoldResponse(gate.clone()) };
        app.provider.faults().once(Endpoint::Token, hold);
        let returning = in_flight(&alice, alice.navigation(Method::GET, &callback, FetchSite::CrossSite));
        gate.arrived(1).await;
        first.kill().await.unwrap();
        assert!(returning.await.unwrap(), "there is no response");
        gate.open();

        let second = node(&app).await;
        alice.move_to(second.address);
        assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test", "the old grant is kept");
        assert_eq!(alice.clone().open_callback(&callback).await.page_code(), "flow_already_used");
        assert_eq!(app.provider.ledger().exchanges().len(), 2, "the code is not used again");
        app.advance(LATER);
        until("the sweeper ends the flow", async || alice.flow_result(DRIVE, &flow.id).await.0 == "failed").await;
        let connection = alice.connection(DRIVE).await;
        assert_eq!((connection.get("reconnecting"), connection.get("pending_flow")), (None, None), "{connection}");
        assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
        app.connect(&mut alice, DRIVE, "alice").await;
        assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    }
}

#[tokio::test]
async fn r37_r40_a_node_that_is_killed_before_it_stores_refreshed_tokens_leaves_the_refresh_in_doubt() {
    for (rotation, recovers) in [(Rotation::Strict, false), (Rotation::Grace(Duration::from_hours(1)), true)] {
        let app = TestApp::with(MockProvider::builder().rotation(rotation), |_| {}).await;
        let first = node(&app).await;
        let mut alice = app.connected("alice", DRIVE).await;
        alice.move_to(first.address);
        app.expire_access_tokens();
        let gate = Gate::closed();
        app.provider.faults().once(Endpoint::Token, Fault::HoldResponse(gate.clone()));
        let body = serde_json::json!({ "params": { "method": "GET", "path": "/me" } });
        let running = in_flight(&alice, alice.fetch(Method::POST, &DRIVE.public("/_execute")).json(&body));
        gate.arrived(1).await;
        first.kill().await.unwrap();
        assert!(running.await.unwrap());
        gate.open();

        let second = node(&app).await;
        alice.move_to(second.address);
        assert_eq!(
            alice.execute(DRIVE, "/me").await.code(),
            "provider_unavailable",
            "the lease of the killed node is still valid"
        );
        assert_eq!(app.provider.ledger().refreshes().len(), 1);
        assert_eq!(alice.status_name(DRIVE).await, "connected");
        app.advance(LATER);
        let response = alice.execute(DRIVE, "/me").await;
        assert_eq!(app.provider.ledger().refreshes().len(), 2, "one attempt in doubt");
        if recovers {
            assert_eq!(account_of(&response), "alice@example.test");
        } else {
            assert_eq!(response.json()["reason"], "refresh_rejected");
            assert_eq!(alice.status_name(DRIVE).await, "needs_reauthorization");
            assert_eq!(app.provider.grants()[0].ended, Some(GrantEnd::RefreshTokenReused));
        }
    }
}

#[tokio::test]
async fn r49_r50_a_node_that_is_killed_during_a_revocation_leaves_it_to_the_next() {
    for lost in [false, true] {
        let app = TestApp::new().await;
        let first = node(&app).await;
        let mut alice = app.connected("alice", DRIVE).await;
        alice.move_to(first.address);
        let gate = Gate::closed();
        let hold = if lost { Fault::HoldResponse(gate.clone()) } else { Fault::HoldRequest(gate.clone()) };
        app.provider.faults().once(Endpoint::Revocation, Fault::Several(vec![hold, Fault::DropResponse]));
        assert_eq!(alice.disconnect(DRIVE).await.status, 204);
        gate.arrived(1).await;
        first.kill().await.unwrap();
        gate.open();

        let second = node(&app).await;
        alice.move_to(second.address);
        assert_eq!(alice.status_name(DRIVE).await, "not_connected");
        assert_eq!(alice.execute(DRIVE, "/me").await.code(), "authorization_required");
        app.advance(LATER);
        until("the revocation is completed", async || alice.provider_note(DRIVE).await.is_null()).await;
        assert!(app.provider.grants().iter().all(|grant| grant.ended.is_some()));
    }
}

/// Kills nodes under load, and uses the grant after each of them.
#[tokio::test]
async fn r37_r38_a_grant_survives_nodes_that_are_killed_at_any_moment() {
    let rounds = if crate::is_long() { 200 } else { 8 };
    let app = TestApp::with(MockProvider::builder().rotation(Rotation::Grace(Duration::from_hours(24))), |_| {}).await;
    let mut alice = app.connected("alice", DRIVE).await;
    for round in 0..rounds {
        let process = node(&app).await;
        let other_node = alice.at(process.address);
        app.expire_access_tokens();
        let calls = app.provider.ledger().refreshes().len();
        let requests: Vec<_> = (0..4)
            .map(|_| {
                let body = serde_json::json!({ "params": { "method": "GET", "path": "/me" } });
                in_flight(&other_node, other_node.fetch(Method::POST, &DRIVE.public("/_execute")).json(&body))
            })
            .collect();
        // In turn: before, during and after the refresh.
        match round % 4 {
            0 => {}
            1 => drop(app.provider.until(|ledger| ledger.refreshes().len() > calls).await),
            2 => {
                drop(app.provider.until(|ledger| ledger.refreshes().last().is_some_and(|call| call.status.is_some())).await);
            }
            _ => drop(app.provider.until(|ledger| !ledger.api_calls().is_empty()).await),
        }
        process.kill().await.unwrap();
        for request in requests {
            request.await.unwrap();
        }
        app.advance(LATER);
        alice.log_in("alice").await;
        let response = alice.execute(DRIVE, "/me").await;
        assert_eq!(account_of(&response), "alice@example.test", "round {round}");
        app.provider.clear_ledger();
    }
    alice.disconnect(DRIVE).await;
    app.advance(LATER);
    crate::assert_all_revoked(&app).await;
}

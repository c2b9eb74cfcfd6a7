//! Nodes that die at the worst moment. SIGKILL, not a clean end: nothing is answered, nothing is written down.

use std::time::Duration;

use grantry_system_tests::browser::Browser;
use grantry_system_tests::process::NodeProcess;
use grantry_system_tests::world::{DRIVE, World, whose};
use grantry_testkit::provider::{Endpoint, Fault, Gate, GrantEnd, MockProvider, Rotation};
use reqwest::Method;

use crate::{TEST_NODE, until};

/// Past every lease, claim and quarantine.
const LATER: Duration = Duration::from_mins(3);

async fn node(world: &World) -> NodeProcess {
    world.deployment.process(TEST_NODE).await.unwrap()
}

/// A request that dies with its node.
fn in_flight(browser: &Browser, request: reqwest::RequestBuilder) -> tokio::task::JoinHandle<bool> {
    let mut tab = browser.clone();
    tokio::spawn(async move { tab.try_send(request).await.is_err() })
}

#[tokio::test]
async fn a_restart_keeps_sessions_grants_and_flows_that_are_under_way() {
    let world = World::new().await;
    let first = node(&world).await;
    let mut alice = world.connected("alice", DRIVE).await;
    alice.move_to(first.address);
    whose(&alice.execute(DRIVE, "/me").await);
    let mut bob = world.browser("bob").await.at(first.address);
    let (flow, callback) = world.consent(&mut bob, DRIVE, "bob").await;
    first.kill().await.unwrap();

    let second = node(&world).await;
    alice.move_to(second.address);
    bob.move_to(second.address);
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    bob.come_back(&callback).await;
    assert_eq!(bob.flow_end(DRIVE, &flow.id).await.0, "authorized");
    assert_eq!(whose(&bob.execute(DRIVE, "/me").await), "bob@example.test");
}

#[tokio::test]
async fn r20_lesson_08_a_node_that_dies_in_the_exchange_leaves_the_old_grant_and_no_open_flow() {
    // Before the provider has seen the code, and after it has issued tokens.
    for before in [true, false] {
        let world = World::new().await;
        let first = node(&world).await;
        let mut alice = world.connected("alice", DRIVE).await;
        alice.move_to(first.address);
        let (flow, callback) = world.consent(&mut alice, DRIVE, "alice").await;
        let gate = Gate::closed();
        let hold = if before { Fault::HoldRequest(gate.clone()) } else { Fault::HoldAnswer(gate.clone()) };
        world.provider.faults().once(Endpoint::Token, hold);
        let returning =
            in_flight(&alice, alice.navigation(Method::GET, &callback, grantry_system_tests::browser::From::AnotherSite));
        gate.arrived(1).await;
        first.kill().await.unwrap();
        assert!(returning.await.unwrap(), "no answer came");
        gate.open();

        let second = node(&world).await;
        alice.move_to(second.address);
        assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test", "old or new, never none");
        assert_eq!(alice.clone().come_back(&callback).await.page_code(), "flow_already_used");
        assert_eq!(world.provider.ledger().exchanges().len(), 2, "the code is not used again");
        world.advance(LATER);
        until("the sweeper ends the flow", async || alice.flow_end(DRIVE, &flow.id).await.0 == "failed").await;
        assert_eq!(alice.status(DRIVE).await["pending"], serde_json::Value::Null);
        assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
        world.connect(&mut alice, DRIVE, "alice").await;
        assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    }
}

#[tokio::test]
async fn r37_r40_a_node_that_dies_before_it_stores_renewed_tokens_leaves_a_doubt_and_no_lie() {
    for (rotation, recovers) in [(Rotation::Strict, false), (Rotation::Grace(Duration::from_hours(1)), true)] {
        let world = World::with(MockProvider::builder().rotation(rotation), |_| {}).await;
        let first = node(&world).await;
        let mut alice = world.connected("alice", DRIVE).await;
        alice.move_to(first.address);
        world.expire_access_tokens();
        let gate = Gate::closed();
        world.provider.faults().once(Endpoint::Token, Fault::HoldAnswer(gate.clone()));
        let body = serde_json::json!({ "params": { "method": "GET", "path": "/me" } });
        let running = in_flight(&alice, alice.fetch(Method::POST, &DRIVE.public("/_execute")).json(&body));
        gate.arrived(1).await;
        first.kill().await.unwrap();
        assert!(running.await.unwrap());
        gate.open();

        let second = node(&world).await;
        alice.move_to(second.address);
        assert_eq!(alice.execute(DRIVE, "/me").await.code(), "provider_unavailable", "the lease of the dead still holds");
        assert_eq!(world.provider.ledger().refreshes().len(), 1);
        assert_eq!(alice.status_name(DRIVE).await, "connected");
        world.advance(LATER);
        let answer = alice.execute(DRIVE, "/me").await;
        assert_eq!(world.provider.ledger().refreshes().len(), 2, "one attempt in doubt");
        if recovers {
            assert_eq!(whose(&answer), "alice@example.test");
        } else {
            assert_eq!(answer.json()["reason"], "refresh_rejected");
            assert_eq!(alice.status_name(DRIVE).await, "needs_reauthorization");
            assert_eq!(world.provider.grants()[0].ended, Some(GrantEnd::RefreshTokenReused));
        }
    }
}

#[tokio::test]
async fn r49_r50_a_node_that_dies_while_it_revokes_leaves_the_job_to_the_next() {
    for lost in [false, true] {
        let world = World::new().await;
        let first = node(&world).await;
        let mut alice = world.connected("alice", DRIVE).await;
        alice.move_to(first.address);
        let gate = Gate::closed();
        let hold = if lost { Fault::HoldAnswer(gate.clone()) } else { Fault::HoldRequest(gate.clone()) };
        world.provider.faults().once(Endpoint::Revocation, Fault::Several(vec![hold, Fault::DropAnswer]));
        assert_eq!(alice.disconnect(DRIVE).await.status, 204);
        gate.arrived(1).await;
        first.kill().await.unwrap();
        gate.open();

        let second = node(&world).await;
        alice.move_to(second.address);
        assert_eq!(alice.status_name(DRIVE).await, "not_connected");
        assert_eq!(alice.execute(DRIVE, "/me").await.code(), "authorization_required");
        world.advance(LATER);
        until("the revocation is settled", async || alice.status(DRIVE).await.get("provider_note").is_none()).await;
        assert!(world.provider.grants().iter().all(|grant| grant.ended.is_some()));
    }
}

/// Kills a node again and again under traffic, and looks at the whole each time.
#[tokio::test]
async fn r37_r38_nodes_that_die_at_any_moment_never_strand_a_grant() {
    let rounds = if crate::is_long() { 200 } else { 8 };
    let world = World::with(MockProvider::builder().rotation(Rotation::Grace(Duration::from_hours(24))), |_| {}).await;
    let mut alice = world.connected("alice", DRIVE).await;
    for round in 0..rounds {
        let process = node(&world).await;
        let there = alice.at(process.address);
        world.expire_access_tokens();
        let calls = world.provider.ledger().refreshes().len();
        let traffic: Vec<_> = (0..4)
            .map(|_| {
                let body = serde_json::json!({ "params": { "method": "GET", "path": "/me" } });
                in_flight(&there, there.fetch(Method::POST, &DRIVE.public("/_execute")).json(&body))
            })
            .collect();
        // The moment differs from round to round: before, during and after the refresh.
        match round % 4 {
            0 => {}
            1 => drop(world.provider.until(|ledger| ledger.refreshes().len() > calls).await),
            2 => drop(
                world.provider.until(|ledger| ledger.refreshes().last().is_some_and(|call| call.status.is_some())).await,
            ),
            _ => drop(world.provider.until(|ledger| !ledger.api_calls().is_empty()).await),
        }
        process.kill().await.unwrap();
        for request in traffic {
            request.await.unwrap();
        }
        world.advance(LATER);
        alice.log_in("alice").await;
        let answer = alice.execute(DRIVE, "/me").await;
        assert_eq!(whose(&answer), "alice@example.test", "round {round}");
        world.provider.clear_ledger();
    }
    alice.disconnect(DRIVE).await;
    world.advance(LATER);
    crate::assert_nothing_lives(&world).await;
}

//! Several nodes on one database, in this process and in others.

use std::time::Duration;

use futures_util::future::join_all;
use grantry_system_tests::browser::{Answer, Browser};
use grantry_system_tests::world::{DRIVE, World, whose};
use grantry_testkit::provider::{Endpoint, Fault, Gate, MockProvider, Rotation};

use crate::{TEST_NODE, is_long};

/// Past any lease with its quarantine.
const LATER: Duration = Duration::from_mins(2);

/// Runs at once, spread over browsers that are at different nodes.
async fn runs(browsers: &[Browser], count: usize) -> Vec<Answer> {
    let runs = browsers.iter().cycle().take(count).cloned().map(|mut tab| async move { tab.execute(DRIVE, "/me").await });
    join_all(runs).await
}

async fn all_run(browsers: &[Browser], count: usize) {
    for answer in runs(browsers, count).await {
        assert_eq!(whose(&answer), "alice@example.test");
    }
}

#[tokio::test]
async fn r20_lesson_01_sixty_four_callbacks_on_three_nodes_cause_one_exchange() {
    let world = World::new().await;
    let (second, third) = (world.deployment.host().await.unwrap(), world.deployment.host().await.unwrap());
    let mut alice = world.browser("alice").await;
    let (flow, callback) = world.consent(&mut alice, DRIVE, "alice").await;
    let nodes = [world.host.address, second.address, third.address];
    let returning = nodes.into_iter().cycle().take(64).map(|node| {
        let (mut tab, callback) = (alice.at(node), callback.clone());
        async move { tab.come_back(&callback).await }
    });
    let answers = join_all(returning).await;
    let finished = answers.iter().filter(|answer| answer.page_code().is_empty()).count();
    let used = answers.iter().filter(|answer| answer.page_code() == "flow_already_used").count();
    assert_eq!((finished, used), (1, 63));
    assert_eq!(world.provider.ledger().exchanges().len(), 1);
    assert_eq!(alice.flow_end(DRIVE, &flow.id).await.0, "authorized");
    assert_eq!(alice.status_name(DRIVE).await, "connected");
}

#[tokio::test]
async fn r36_r38_lesson_10_fifty_callers_on_two_nodes_cause_one_refresh() {
    let world = World::new().await;
    let second = world.deployment.host().await.unwrap();
    let alice = world.connected("alice", DRIVE).await;
    let tabs = [alice.clone(), alice.at(second.address)];
    for count in [24, 50] {
        let before = world.provider.ledger().refreshes().len();
        world.expire_access_tokens();
        all_run(&tabs, count).await;
        assert_eq!(world.provider.ledger().refreshes().len(), before + 1);
    }
    assert_eq!(world.provider.grants()[0].ended, None);
}

#[tokio::test]
async fn r36_lesson_10_fifty_callers_on_two_processes_cause_one_refresh() {
    let world = World::new().await;
    let processes = [world.deployment.process(TEST_NODE).await.unwrap(), world.deployment.process(TEST_NODE).await.unwrap()];
    let alice = world.connected("alice", DRIVE).await;
    let tabs = processes.each_ref().map(|process| alice.at(process.address));
    for count in [24, 50] {
        let before = world.provider.ledger().refreshes().len();
        world.expire_access_tokens();
        all_run(&tabs, count).await;
        assert_eq!(world.provider.ledger().refreshes().len(), before + 1);
    }
    assert_eq!(world.provider.grants()[0].ended, None);
}

#[tokio::test]
async fn lesson_11_a_storm_of_401_answers_on_two_nodes_causes_one_refresh() {
    let world = World::new().await;
    let second = world.deployment.host().await.unwrap();
    let alice = world.connected("alice", DRIVE).await;
    let tabs = [alice.clone(), alice.at(second.address)];
    all_run(&tabs, 2).await;
    world.provider.expire_access_tokens();
    all_run(&tabs, 50).await;
    assert_eq!(world.provider.ledger().refreshes().len(), 1);
}

/// Threat 67. In the nightly run ten thousand times: `LONG_TESTS=1`.
#[tokio::test]
async fn r36_r38_many_expiries_on_three_nodes_never_reuse_a_refresh_token() {
    let world = World::new().await;
    let second = world.deployment.host().await.unwrap();
    let process = world.deployment.process(TEST_NODE).await.unwrap();
    let alice = world.connected("alice", DRIVE).await;
    let tabs = [alice.clone(), alice.at(second.address), alice.at(process.address)];
    let expiries = if is_long() { 10_000 } else { 40 };
    for expiry in 1..=expiries {
        world.expire_access_tokens();
        if expiry % 50 == 0 {
            // Sessions end after a day, and the clock runs fast here.
            world.provider.clear_ledger();
        }
        let mut tabs = tabs.clone();
        if expiry % 40 == 0 {
            for tab in &mut tabs {
                tab.log_in("alice").await;
            }
        }
        let before = world.provider.ledger().refreshes().len();
        all_run(&tabs, 6).await;
        assert_eq!(world.provider.ledger().refreshes().len(), before + 1, "expiry {expiry}");
    }
    assert_eq!(world.provider.grants()[0].ended, None);
}

/// Threat 68: a node that stood still past its lease comes back with an answer nobody needs any more.
#[tokio::test]
async fn r38_r39_lesson_13_a_paused_lease_owner_does_not_harm_the_winner() {
    let late = [
        ("invalid_grant", vec![Fault::oauth_error("invalid_grant")]),
        ("a late 500", vec![Fault::status(500)]),
        ("late tokens", vec![]),
    ];
    for (name, answer) in late {
        // With grace, a provider answers the late request with tokens, too.
        let builder = MockProvider::builder().rotation(Rotation::Grace(Duration::from_hours(1)));
        // A node that writes at the very moment when it is stopped would hold the database, and nobody could go on.
        let world = World::with(builder, |settings| settings.rounds = None).await;
        let process = world.deployment.process(TEST_NODE).await.unwrap();
        let mut alice = world.connected("alice", DRIVE).await;
        world.expire_access_tokens();

        let gate = Gate::closed();
        let faults = [vec![Fault::HoldRequest(gate.clone())], answer].concat();
        world.provider.faults().once(Endpoint::Token, Fault::Several(faults));
        let mut there = alice.at(process.address);
        let running = tokio::spawn(async move { there.execute(DRIVE, "/me").await });
        gate.arrived(1).await;
        process.pause().await.unwrap();
        world.advance(LATER);

        let winner = alice.execute(DRIVE, "/me").await;
        assert_eq!(whose(&winner), "alice@example.test", "{name}");
        gate.open();
        world.provider.until(|ledger| ledger.refreshes().iter().all(|call| call.status.is_some())).await;
        process.resume().await.unwrap();
        assert_eq!(whose(&running.await.unwrap()), "alice@example.test", "{name}: the loser uses the winner's token");
        assert_eq!(alice.status_name(DRIVE).await, "connected", "{name}");
        assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test", "{name}");
        assert_eq!(world.provider.ledger().refreshes().len(), 2, "{name}");
    }
}

/// A refresh on one node, a disconnect on another.
#[tokio::test]
async fn r41_r49_a_refresh_on_one_node_does_not_survive_a_disconnect_on_another() {
    let world = World::with(MockProvider::builder(), |settings| settings.disconnect_wait = Duration::from_millis(200)).await;
    let second = world.deployment.host().await.unwrap();
    let mut alice = world.connected("alice", DRIVE).await;
    world.expire_access_tokens();
    let gate = Gate::closed();
    world.provider.faults().once(Endpoint::Token, Fault::HoldAnswer(gate.clone()));
    let mut there = alice.at(second.address);
    let running = tokio::spawn(async move { there.execute(DRIVE, "/me").await });
    gate.arrived(1).await;
    assert_eq!(alice.disconnect(DRIVE).await.status, 204);
    gate.open();
    assert_eq!(running.await.unwrap().code(), "authorization_required");
    second.settle().await;
    world.advance(LATER);
    crate::assert_nothing_lives(&world).await;
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
}

/// Two nodes work off the same revocations: each is done once.
#[tokio::test]
async fn r50_revocations_are_claimed_so_that_two_workers_share_them() {
    let world = World::new().await;
    let second = world.deployment.host().await.unwrap();
    world.provider.faults().times(4, Endpoint::Revocation, &Fault::unavailable(1));
    let mut browsers = Vec::new();
    for name in ["alice", "bob"] {
        for place in [DRIVE, DRIVE.in_other_space("marketing")] {
            let mut browser = world.connected(name, place).await;
            browser.disconnect(place).await;
            browsers.push(browser);
        }
    }
    world.host.settle().await;
    world.provider.clear_ledger();
    world.advance(LATER);
    let (here, there) = tokio::join!(world.host.connections.revoke_due(), second.connections.revoke_due());
    assert_eq!(here.unwrap().settled + there.unwrap().settled, 4);
    assert_eq!(world.provider.ledger().revocations().len(), 8, "two tokens each, once");
    crate::assert_nothing_lives(&world).await;
}

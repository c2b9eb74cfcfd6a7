//! Several nodes with one database, in this process and in others.

use std::time::Duration;

use futures_util::future::join_all;
use grantry_system_tests::browser::{Browser, Response};
use grantry_system_tests::test_app::{DRIVE, TestApp, account_of};
use grantry_testkit::provider::{Endpoint, Fault, Gate, MockProvider, Rotation};

use crate::{TEST_NODE, is_long};

/// Longer than a lease with its quarantine.
const LATER: Duration = Duration::from_mins(2);

/// Executes concurrently, in turn with each of the browsers, which are at different nodes.
async fn execute_all(browsers: &[Browser], count: usize) -> Vec<Response> {
    let executions =
        browsers.iter().cycle().take(count).cloned().map(|mut tab| async move { tab.execute(DRIVE, "/me").await });
    join_all(executions).await
}

async fn assert_all_succeed(browsers: &[Browser], count: usize) {
    for response in execute_all(browsers, count).await {
        assert_eq!(account_of(&response), "alice@example.test");
    }
}

#[tokio::test]
async fn r20_lesson_01_sixty_four_callbacks_on_three_nodes_cause_one_exchange() {
    let app = TestApp::new().await;
    let (second, third) = (app.deployment.host().await.unwrap(), app.deployment.host().await.unwrap());
    let mut alice = app.browser("alice").await;
    let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    let nodes = [app.host.address, second.address, third.address];
    let returning = nodes.into_iter().cycle().take(64).map(|node| {
        let (mut tab, callback) = (alice.at(node), callback.clone());
        async move { tab.open_callback(&callback).await }
    });
    let responses = join_all(returning).await;
    let completed = responses.iter().filter(|response| response.page_code().is_empty()).count();
    let used = responses.iter().filter(|response| response.page_code() == "flow_already_used").count();
    assert_eq!((completed, used), (1, 63));
    assert_eq!(app.provider.ledger().exchanges().len(), 1);
    assert_eq!(alice.flow_result(DRIVE, &flow.id).await.0, "authorized");
    assert_eq!(alice.status_name(DRIVE).await, "connected");
}

#[tokio::test]
async fn r36_r38_lesson_10_fifty_callers_on_two_nodes_cause_one_refresh() {
    let app = TestApp::new().await;
    let second = app.deployment.host().await.unwrap();
    let alice = app.connected("alice", DRIVE).await;
    let tabs = [alice.clone(), alice.at(second.address)];
    for count in [24, 50] {
        let before = app.provider.ledger().refreshes().len();
        app.expire_access_tokens();
        assert_all_succeed(&tabs, count).await;
        assert_eq!(app.provider.ledger().refreshes().len(), before + 1);
    }
    assert_eq!(app.provider.grants()[0].ended, None);
}

#[tokio::test]
async fn r36_lesson_10_fifty_callers_on_two_processes_cause_one_refresh() {
    let app = TestApp::new().await;
    let processes = [app.deployment.process(TEST_NODE).await.unwrap(), app.deployment.process(TEST_NODE).await.unwrap()];
    let alice = app.connected("alice", DRIVE).await;
    let tabs = processes.each_ref().map(|process| alice.at(process.address));
    for count in [24, 50] {
        let before = app.provider.ledger().refreshes().len();
        app.expire_access_tokens();
        assert_all_succeed(&tabs, count).await;
        assert_eq!(app.provider.ledger().refreshes().len(), before + 1);
    }
    assert_eq!(app.provider.grants()[0].ended, None);
}

#[tokio::test]
async fn lesson_11_many_401_responses_on_two_nodes_cause_one_refresh() {
    let app = TestApp::new().await;
    let second = app.deployment.host().await.unwrap();
    let alice = app.connected("alice", DRIVE).await;
    let tabs = [alice.clone(), alice.at(second.address)];
    assert_all_succeed(&tabs, 2).await;
    app.provider.expire_access_tokens();
    assert_all_succeed(&tabs, 50).await;
    assert_eq!(app.provider.ledger().refreshes().len(), 1);
}

/// The nightly run (`LONG_TESTS=1`) has ten thousand expiries.
#[tokio::test]
async fn r36_r38_many_expiries_on_three_nodes_never_reuse_a_refresh_token() {
    let app = TestApp::new().await;
    let second = app.deployment.host().await.unwrap();
    let process = app.deployment.process(TEST_NODE).await.unwrap();
    let alice = app.connected("alice", DRIVE).await;
    let mut tabs = [alice.clone(), alice.at(second.address), alice.at(process.address)];
    let expiries = if is_long() { 10_000 } else { 40 };
    for expiry in 1..=expiries {
        app.expire_access_tokens();
        if expiry % 50 == 0 {
            app.provider.clear_ledger();
        }
        // Sessions end after a day of the moved clock.
        if expiry % 40 == 0 {
            for tab in &mut tabs {
                tab.log_in("alice").await;
            }
        }
        let before = app.provider.ledger().refreshes().len();
        assert_all_succeed(&tabs, 6).await;
        assert_eq!(app.provider.ledger().refreshes().len(), before + 1, "expiry {expiry}");
    }
    assert_eq!(app.provider.grants()[0].ended, None);
}

/// A node is paused until its lease has ended, then receives its response.
#[tokio::test]
async fn r38_r39_lesson_13_a_paused_lease_owner_does_not_harm_the_winner() {
    let late = [
        ("invalid_grant", vec![Fault::oauth_error("invalid_grant")]),
        ("a late 500", vec![Fault::status(500)]),
        ("late tokens", vec![]),
    ];
    for (name, response) in late {
        // A provider with a grace period issues tokens for the late request too.
        let builder = MockProvider::builder().rotation(Rotation::Grace(Duration::from_hours(1)));
        // A node that is paused during a write would keep the database locked, so that it must not run jobs.
        let app = TestApp::with(builder, |settings| settings.job_interval = None).await;
        let process = app.deployment.process(TEST_NODE).await.unwrap();
        let mut alice = app.connected("alice", DRIVE).await;
        app.expire_access_tokens();

        let gate = Gate::closed();
        let faults = [vec![Fault::HoldRequest(gate.clone())], response].concat();
        app.provider.faults().once(Endpoint::Token, Fault::Several(faults));
        let mut other_node = alice.at(process.address);
        let running = tokio::spawn(async move { other_node.execute(DRIVE, "/me").await });
        gate.arrived(1).await;
        process.pause().await.unwrap();
        app.advance(LATER);

        let response = alice.execute(DRIVE, "/me").await;
        assert_eq!(account_of(&response), "alice@example.test", "{name}");
        gate.open();
        app.provider.until(|ledger| ledger.refreshes().iter().all(|call| call.status.is_some())).await;
        process.resume().await.unwrap();
        assert_eq!(
            account_of(&running.await.unwrap()),
            "alice@example.test",
            "{name}: the paused node uses the token of the other one"
        );
        assert_eq!(alice.status_name(DRIVE).await, "connected", "{name}");
        assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test", "{name}");
        assert_eq!(app.provider.ledger().refreshes().len(), 2, "{name}");
    }
}

#[tokio::test]
async fn r41_r49_a_refresh_on_one_node_does_not_survive_a_disconnect_on_another() {
    let app = TestApp::with(MockProvider::builder(), |settings| settings.disconnect_wait = Duration::from_millis(200)).await;
    let second = app.deployment.host().await.unwrap();
    let mut alice = app.connected("alice", DRIVE).await;
    app.expire_access_tokens();
    let gate = Gate::closed();
    app.provider.faults().once(Endpoint::Token, Fault::HoldResponse(gate.clone()));
    let mut other_node = alice.at(second.address);
    let running = tokio::spawn(async move { other_node.execute(DRIVE, "/me").await });
    gate.arrived(1).await;
    assert_eq!(alice.disconnect(DRIVE).await.status, 204);
    gate.open();
    assert_eq!(running.await.unwrap().code(), "authorization_required");
    second.drain().await;
    app.advance(LATER);
    crate::assert_all_revoked(&app).await;
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
}

/// Each revocation is processed once.
#[tokio::test]
async fn r50_revocations_are_claimed_so_that_two_workers_share_them() {
    let app = TestApp::new().await;
    let second = app.deployment.host().await.unwrap();
    app.provider.faults().times(8, Endpoint::Revocation, &Fault::unavailable(60));
    let mut browsers = Vec::new();
    for name in ["alice", "bob"] {
        for connector in [DRIVE, DRIVE.in_other_space("marketing")] {
            let mut browser = app.connected(name, connector).await;
            browser.disconnect(connector).await;
            browsers.push(browser);
        }
    }
    app.host.drain().await;
    app.provider.clear_ledger();
    app.advance(LATER);
    let (first_round, second_round) = tokio::join!(app.host.connections.revoke_due(), second.connections.revoke_due());
    assert_eq!(first_round.unwrap().completed + second_round.unwrap().completed, 4);
    assert_eq!(app.provider.ledger().revocations().len(), 8, "two tokens each, once");
    crate::assert_all_revoked(&app).await;
}

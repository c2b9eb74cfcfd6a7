//! Two processes with one database file. The wall clock of one of them, or of both, is set past the lease of a refresh that is
//! under way: the other process sends no second request, and no grant is lost.

use std::time::Duration;

use futures_util::future::join_all;
use grantry_system_tests::browser::Response;
use grantry_system_tests::deployment::Settings;
use grantry_system_tests::process::NodeProcess;
use grantry_system_tests::test_app::{ACCESS_TTL, DRIVE, TestApp, account_of};
use grantry_testkit::provider::{Endpoint, Fault, Gate};
use rusqlite::Connection;

use crate::TEST_NODE;

/// Longer than a lease with its quarantine, and shorter than the lifetime of an access token.
const STEP: Duration = Duration::from_mins(2);
/// How long a second request is waited for that must not arrive.
const QUIET: Duration = Duration::from_secs(1);

/// The clocks of the processes: the first has the lease.
const CLOCKS: [&str; 2] = ["owner", "other"];

async fn node(app: &TestApp, clock: &str) -> NodeProcess {
    let settings = Settings { clock: clock.to_owned(), job_interval: None, ..app.deployment.settings.clone() };
    NodeProcess::start(TEST_NODE, &settings).await.unwrap()
}

/// Lets time pass on all clocks.
fn expire_access_tokens(app: &TestApp) {
    app.expire_access_tokens();
    for clock in CLOCKS {
        app.deployment.clock_named(clock).advance(ACCESS_TTL + Duration::from_secs(1)).unwrap();
    }
}

/// Sets the clocks of these processes while the first one waits for the response to its refresh.
async fn set_during_a_refresh(clocks: &[&str], is_forward: bool, before: bool) {
    let what = format!("{clocks:?} forward {is_forward}, before the request is processed {before}");
    let app = TestApp::new().await;
    let (owner, other) = (node(&app, CLOCKS[0]).await, node(&app, CLOCKS[1]).await);
    let alice = app.connected("alice", DRIVE).await;
    let [mut at_owner, mut at_other] = [&owner, &other].map(|process| alice.at(process.address));
    // A node notices a step only between two readings of its clocks.
    expire_access_tokens(&app);
    account_of(&at_other.execute(DRIVE, "/me").await);
    expire_access_tokens(&app);

    let (first, second) = (Gate::closed(), Gate::closed());
    let hold = |gate: &Gate| if before { Fault::HoldRequest(gate.clone()) } else { Fault::HoldResponse(gate.clone()) };
    app.provider.faults().once(Endpoint::Token, hold(&first));
    app.provider.faults().once(Endpoint::Token, hold(&second));
    let mut tab = at_owner.clone();
    let owning = tokio::spawn(async move { tab.execute(DRIVE, "/me").await });
    first.arrived(1).await;
    for clock in clocks {
        let clock = app.deployment.clock_named(clock);
        if is_forward { clock.set_forward(STEP) } else { clock.set_back(STEP) }.unwrap();
    }
    let mut tab = at_other.clone();
    let waiting = tokio::spawn(async move { tab.execute(DRIVE, "/me").await });
    let again = tokio::time::timeout(QUIET, second.arrived(1)).await;
    assert!(again.is_err(), "{what}: a second request while the first one is under way");
    first.open();
    second.open();
    for response in [owning.await.unwrap(), waiting.await.unwrap()] {
        assert_not_terminal(&response, &what);
    }

    assert_eq!(app.provider.ledger().refreshes().len(), 2, "{what}");
    assert_eq!(app.provider.grants()[0].ended, None, "{what}");
    for browser in [&mut at_owner, &mut at_other] {
        assert_eq!(account_of(&browser.execute(DRIVE, "/me").await), "alice@example.test", "{what}");
        assert_eq!(browser.status_name(DRIVE).await, "connected", "{what}");
    }
    let database = Connection::open(app.deployment.database()).unwrap();
    let retried = "SELECT count(*) FROM events WHERE kind = 'refresh_retried'";
    assert_eq!(database.query_row(retried, [], |row| row.get::<_, i64>(0)), Ok(0), "{what}: no refresh is in doubt");
}

#[track_caller]
fn assert_not_terminal(response: &Response, what: &str) {
    match response.status {
        200 => assert_eq!(account_of(response), "alice@example.test", "{what}"),
        status => assert_eq!((status, response.code().as_str()), (503, "provider_unavailable"), "{what}"),
    }
}

#[tokio::test]
async fn r36_r46_a_clock_that_is_set_forward_on_one_process_or_both_leaves_a_running_refresh_alone() {
    for clocks in [&CLOCKS[..1], &CLOCKS[1..], &CLOCKS[..]] {
        join_all([true, false].map(|before| set_during_a_refresh(clocks, true, before))).await;
    }
}

#[tokio::test]
async fn r36_r46_a_clock_that_is_set_back_on_one_process_or_both_leaves_a_running_refresh_alone() {
    for clocks in [&CLOCKS[..1], &CLOCKS[1..], &CLOCKS[..]] {
        join_all([true, false].map(|before| set_during_a_refresh(clocks, false, before))).await;
    }
}

//! Wired flows: real sockets, the real store, the real vault, the real transport and router, against the mock provider or
//! real authorization servers. One binary, so that the whole stack is linked once.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod bad_input;
mod binding;
mod cascades;
mod crash;
mod main_path;
mod mid_flow;
mod mix_up;
mod races;
mod real_flows;
mod refresh;
mod store_faults;
mod tampering;
mod token_responses;

use std::time::Duration;

use grantry_system_tests::browser::{Answer, Browser, Flow};
use grantry_system_tests::place::Place;
use grantry_system_tests::world::World;
use grantry_testkit::provider::Ledger;

/// The program that is one node in a process of its own.
const TEST_NODE: &str = env!("CARGO_BIN_EXE_grantry-test-node");
/// `grantry` itself.
const GRANTRY: &str = env!("CARGO_BIN_EXE_grantry-under-test");

/// Long variants run where this is set; see the README of `xtask`.
fn is_long() -> bool {
    std::env::var_os("LONG_TESTS").is_some_and(|value| value == "1")
}

/// Polls until a condition holds; another process brings it about.
async fn until<F: AsyncFnMut() -> bool>(what: &str, mut holds: F) {
    for _ in 0..600 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}

/// Calls that a callback can cause: token requests, revocations, userinfo. Discovery belongs to the start.
fn caused(ledger: &Ledger) -> usize {
    use grantry_testkit::provider::Endpoint::{Api, Revocation, Token, Userinfo};
    [Token, Revocation, Userinfo, Api].into_iter().map(|endpoint| ledger.at(endpoint).len()).sum()
}

/// A callback that finished nothing, and says so by this code.
#[track_caller]
fn assert_refused(answer: &Answer, code: &str) {
    assert_eq!(answer.page_code(), code, "{}", answer.everything());
}

/// Finishes a flow that is still good.
async fn assert_usable(browser: &mut Browser, place: Place, callback: &str) {
    let answer = browser.come_back(callback).await;
    assert_eq!(answer.status, 303, "the flow is still good: {}", answer.everything());
    assert_eq!(browser.status_name(place).await, "connected");
}

/// A flow ended without a grant, for this reason.
async fn assert_failed(browser: &mut Browser, place: Place, flow: &Flow, code: &str) {
    assert_eq!(browser.flow_end(place, &flow.id).await, ("failed".to_owned(), code.to_owned()));
}

/// Nothing at the provider is alive any more, once the revocations that are owed have been worked off.
async fn assert_nothing_lives(world: &World) {
    world.host.settle().await;
    world.host.connections.revoke_due().await.unwrap();
    assert_eq!(world.alive(), Vec::new());
}

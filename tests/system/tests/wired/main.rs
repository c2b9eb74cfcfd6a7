//! Wired flows: real sockets, store, vault, transport and router, with the mock provider or real authorization servers. They
//! are one binary, so that the stack is linked once.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod administration;
mod bad_input;
mod binding;
mod cascades;
mod clock_jumps;
mod column_tampering;
mod connections;
mod crash;
mod diagnostics;
mod existing_front_ends;
mod hosts;
mod http2;
mod id_tokens;
mod late_callbacks;
mod long_urls;
mod main_path;
mod mid_flow;
mod mix_up;
mod provider_oddities;
mod races;
mod real_flows;
mod refresh;
mod refused_refreshes;
mod relay;
mod relay_process;
mod revocation_kinds;
mod runs;
mod scopes;
mod stateless_denials;
mod store_faults;
mod tampering;
mod token_responses;

use std::time::Duration;

use grantry_system_tests::browser::{Browser, Flow, Response};
use grantry_system_tests::paths::ConnectorPath;
use grantry_system_tests::test_app::TestApp;
use grantry_testkit::provider::Ledger;

/// The binary that is one node.
const TEST_NODE: &str = env!("CARGO_BIN_EXE_grantry-test-node");
/// The binary of `grantry`.
const GRANTRY: &str = env!("CARGO_BIN_EXE_grantry-under-test");

/// Whether the long variants of the tests run: `cargo xtask nightly` sets this variable.
fn is_long() -> bool {
    std::env::var_os("LONG_TESTS").is_some_and(|value| value == "1")
}

/// Polls until a condition holds that another process or task brings about.
async fn until<F: AsyncFnMut() -> bool>(what: &str, mut holds: F) {
    for _ in 0..600 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}

/// The number of requests that a callback can cause: to the token, revocation and userinfo endpoints, and to the API. A start
/// causes only requests for metadata.
fn callback_calls(ledger: &Ledger) -> usize {
    use grantry_testkit::provider::Endpoint::{Api, Revocation, Token, Userinfo};
    [Token, Revocation, Userinfo, Api].into_iter().map(|endpoint| ledger.at(endpoint).len()).sum()
}

/// Checks that a callback completed no flow and returned this code.
#[track_caller]
fn assert_refused(response: &Response, code: &str) {
    assert_eq!(response.page_code(), code, "{}", response.full_text());
}

/// Completes a flow that was not consumed before.
async fn assert_usable(browser: &mut Browser, connector: ConnectorPath, callback: &str) {
    let response = browser.open_callback(callback).await;
    assert_eq!(response.status, 303, "the flow can be completed: {}", response.full_text());
    assert_eq!(browser.status_name(connector).await, "connected");
}

/// Checks that a flow failed with this code.
async fn assert_failed(browser: &mut Browser, connector: ConnectorPath, flow: &Flow, code: &str) {
    assert_eq!(browser.flow_result(connector, &flow.id).await, ("failed".to_owned(), code.to_owned()));
}

/// Completes the pending revocations, and checks that no grant is left at the provider.
async fn assert_all_revoked(app: &TestApp) {
    app.host.drain().await;
    app.host.connections.revoke_due().await.unwrap();
    assert_eq!(app.live_grants(), Vec::new());
}

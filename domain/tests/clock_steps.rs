//! A wall clock that is set while a refresh is under way: the result is never terminal unless the grant has ended in the store.

use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::{AuthorizationId, Reason, StateKind};
use grantry_domain::encoding::sha256;
use grantry_domain::ports::{Clock as _, LeaseRequest, Lifetime, ProviderErrorKind, SweepReport, TokenResponse};
use grantry_domain::time::Timestamp;
use grantry_domain::usecase::{Connections, TokenError};
use grantry_testkit::doubles::{Call, Fault, Method, Operation, TestClock, tokens};
use tokio::task::JoinHandle;

use crate::common::{HOUR, TestApp, authorization_required, quiet, text, token_from, token_request};

fn spawn_token(node: &Arc<Connections>, who: &str) -> JoinHandle<Result<String, TokenError>> {
    let (node, token_request) = (node.clone(), token_request(who));
    tokio::spawn(async move { token_from(&node, &token_request).await })
}

/// How far the wall clock is set during a refresh: from a second to years, in both directions.
const STEPS: [i64; 16] =
    [1, 20, 29, 31, 60, 300, 1_800, 3_599, 3_600, 3_601, 7_200, 36_000, 86_400, 30 * 86_400, 90 * 86_400, 4_000 * 86_400];

/// Every step, forwards and backwards, in milliseconds.
fn steps() -> impl Iterator<Item = i64> {
    STEPS.into_iter().flat_map(|seconds| [seconds * 1000, -seconds * 1000])
}

fn set_by(clock: &TestClock, millis: i64) {
    let now = clock.now().as_millis();
    clock.step_wall(Timestamp::from_millis(now + millis));
}

/// Runs `call` and sets the wall clock by `millis` while the request to the provider is under way.
async fn with_step<T: Send + 'static>(
    app: &TestApp,
    operation: Operation,
    millis: i64,
    call: impl Future<Output = T> + Send + 'static,
) -> T {
    let gate = app.provider.hold(operation);
    let running = tokio::spawn(call);
    gate.arrived(1).await;
    set_by(&app.clock, millis);
    gate.open();
    app.drive(running).await.unwrap()
}

/// A terminal result without an end of the grant in the store is wrong.
async fn assert_not_terminal(app: &TestApp, id: AuthorizationId, result: &Result<String, TokenError>, what: &str) {
    let state = app.record(id).await.state;
    assert_eq!(state, StateKind::Authorized, "{what}: {result:?}");
    match result {
        Ok(_) | Err(TokenError::Unavailable { .. }) => {}
        Err(other) => panic!("{what}: {other:?}"),
    }
}

/// Tokens whose refresh token expires as well.
fn expiring_tokens(access: &str, refresh: &str) -> TokenResponse {
    TokenResponse { refresh_lifetime: Lifetime::For(HOUR * 24), ..tokens(access, Some(refresh)) }
}

#[tokio::test(start_paused = true)]
async fn r46_a_clock_that_is_set_during_a_refresh_is_no_reason_for_a_new_consent() {
    for millis in steps() {
        for has_final_expiry in [false, true] {
            let what = format!("{millis} ms, final expiry {has_final_expiry}");
            let app = TestApp::new().await;
            if has_final_expiry {
                app.provider.respond_to_exchange(Ok(expiring_tokens("access-x", "refresh-x")));
                app.provider.respond_to_refresh(Ok(expiring_tokens("access-y", "refresh-y")));
            }
            let id = app.connect("alice").await;
            app.clock.advance(HOUR);
            let node = app.node.clone();
            let call = async move { token_from(&node, &token_request("alice")).await };
            let result = with_step(&app, Operation::Refresh, millis, call).await;
            assert_not_terminal(&app, id, &result, &what).await;
            assert_eq!(app.refreshes(), 1, "{what}");
            // The clock is set right, and the run is retried.
            set_by(&app.clock, -millis);
            let expected = if has_final_expiry { "access-y" } else { "access-2" };
            assert_eq!(app.token("alice").await.as_deref(), Ok(expected), "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r47_a_clock_that_is_set_during_a_forced_refresh_is_no_reason_for_a_new_consent() {
    for millis in steps() {
        let what = format!("{millis} ms");
        let app = TestApp::new().await;
        let id = app.connect("alice").await;
        let rejected = app.node.access_token(&token_request("alice")).await.unwrap().sha256();
        let node = app.node.clone();
        let call = async move {
            let issued = node.report_unauthorized(&token_request("alice"), rejected).await;
            issued.map(|issued| text(&issued.token))
        };
        let result = with_step(&app, Operation::Refresh, millis, call).await;
        assert_not_terminal(&app, id, &result, &what).await;
        // Later the API rejects the new token too, as the clock of the API shows that it has expired.
        app.clock.advance(Duration::from_mins(1));
        let node = app.node.clone();
        let next = app.drive(async { token_from(&node, &token_request("alice")).await }).await;
        assert_not_terminal(&app, id, &next, &what).await;
        let rejected = sha256(next.unwrap().as_bytes());
        let again = app.drive(app.node.report_unauthorized(&token_request("alice"), rejected)).await;
        assert_not_terminal(&app, id, &again.map(|issued| text(&issued.token)), &what).await;
    }
}

#[tokio::test(start_paused = true)]
async fn r47_a_clock_that_is_set_back_after_a_forced_refresh_does_not_prolong_its_pause() {
    for millis in steps() {
        let app = TestApp::new().await;
        let id = app.connect("alice").await;
        let report = async |rejected| {
            let issued = app.node.report_unauthorized(&token_request("alice"), rejected).await;
            issued.map(|issued| text(&issued.token))
        };
        let first = app.drive(report(sha256(b"access-1"))).await;
        assert_eq!(first.as_deref(), Ok("access-2"));
        set_by(&app.clock, millis);
        app.clock.advance(Duration::from_secs(31));
        let second = app.drive(report(sha256(b"access-2"))).await;
        assert_not_terminal(&app, id, &second, &format!("{millis} ms")).await;
        assert_eq!(second.as_deref(), Ok("access-3"), "{millis} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn r36_a_clock_that_is_set_forwards_does_not_start_a_second_refresh_beside_the_first() {
    for millis in steps() {
        let app = TestApp::new().await;
        app.connect("alice").await;
        app.clock.advance(HOUR);
        let gate = app.provider.hold(Operation::Refresh);
        let first = spawn_token(&app.node, "alice");
        gate.arrived(1).await;
        set_by(&app.clock, millis);
        let node = app.node.clone();
        let forced = tokio::spawn(async move {
            let issued = node.report_unauthorized(&token_request("alice"), sha256(b"access-1")).await;
            issued.map(|issued| text(&issued.token))
        });
        quiet().await;
        assert_eq!(app.refreshes(), 1, "{millis} ms: the lease is left to the first");
        gate.open();
        let _ = app.drive(first).await.unwrap();
        let _ = app.drive(forced).await.unwrap();
        assert_presented_once(&app, 0, &format!("{millis} ms"));
    }
}

/// No refresh token is presented twice, apart from the first `skipped` requests.
fn assert_presented_once(app: &TestApp, skipped: usize, what: &str) {
    let presented = app.provider.calls().into_iter().filter_map(|call| match call {
        Call::Refresh { refresh_token, .. } => Some(refresh_token),
        Call::Resolve { .. }
        | Call::AuthorizationUrl { .. }
        | Call::Exchange { .. }
        | Call::Revoke { .. }
        | Call::ClientCredentials { .. }
        | Call::Identify { .. } => None,
    });
    let mut presented: Vec<_> = presented.skip(skipped).collect();
    presented.dedup();
    assert_eq!(presented.len(), app.refreshes() - skipped, "{what}: a refresh token is presented once");
}

#[tokio::test(start_paused = true)]
async fn r36_a_clock_that_is_set_on_all_nodes_leaves_the_lease_to_the_node_that_has_it() {
    for millis in steps() {
        let app = TestApp::new().await;
        let id = app.connect("alice").await;
        let other = app.another_node();
        app.clock.advance(HOUR);
        app.provider.respond_to_refresh(Err(ProviderErrorKind::Throttled { retry_after: None, unprocessed: true }));
        let _ = app.drive(token_from(&other, &token_request("alice"))).await;
        app.clock.advance(Duration::from_mins(1));
        let before = app.refreshes();
        let gate = app.provider.hold(Operation::Refresh);
        let first = spawn_token(&app.node, "alice");
        gate.arrived(1).await;
        set_by(&app.clock, millis);
        let second = spawn_token(&other, "alice");
        quiet().await;
        assert_eq!(app.refreshes(), before + 1, "{millis} ms: the other node sends no request");
        gate.open();
        let first = app.drive(first).await.unwrap();
        assert_not_terminal(&app, id, &first, &format!("{millis} ms, the owner")).await;
        let second = app.drive(second).await.unwrap();
        assert_not_terminal(&app, id, &second, &format!("{millis} ms, the other node")).await;
        // The new token can have expired by the clock that was set, and is then refreshed as well.
        assert_presented_once(&app, before, &format!("{millis} ms"));
    }
}

#[tokio::test(start_paused = true)]
async fn r36_r40_after_the_clock_was_set_the_lease_of_a_node_that_ended_is_waited_for_by_the_monotonic_clock() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.clock.advance(HOUR);
    app.node.refresh_ahead().await.unwrap();
    app.clock.advance(HOUR);
    let (revision, length) = (app.record(id).await.revision, app.node.policy().lease_length());
    let request = LeaseRequest { id, revision, holder: [7; 16], length, longest: 2 * HOUR };
    app.stored.leases.take_lease(request).await.unwrap();
    let before = app.refreshes();
    set_by(&app.clock, 3_600_000);
    let refused = app.drive(app.token("alice")).await;
    assert!(matches!(refused, Err(TokenError::Unavailable { .. })), "{refused:?}");
    assert_eq!(app.refreshes(), before);
    app.clock.advance(length);
    assert!(app.token("alice").await.is_ok());
    assert_eq!(app.refreshes(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn r39_a_clock_that_is_set_during_a_refusal_does_not_shorten_the_window() {
    for millis in steps() {
        let app = TestApp::new().await;
        let id = app.connect("alice").await;
        app.clock.advance(HOUR);
        for refusal in 0..4 {
            app.provider.respond_to_refresh(Err(ProviderErrorKind::Refused));
            let node = app.node.clone();
            let call = async move { token_from(&node, &token_request("alice")).await };
            let result =
                if refusal == 3 { with_step(&app, Operation::Refresh, millis, call).await } else { app.drive(call).await };
            // After a step back the present token has not expired.
            let is_refused = matches!(result, Err(TokenError::RefreshRefused { .. }));
            assert!(is_refused || (millis < 0 && result.is_ok()), "{millis} ms: {result:?}");
            assert_eq!(app.record(id).await.state, StateKind::Authorized, "{millis} ms");
            // Past the pause after a failure.
            app.clock.advance(Duration::from_secs(40));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r46_an_expiry_is_stored_before_a_new_consent_is_requested() {
    let app = TestApp::new().await;
    app.provider.respond_to_exchange(Ok(expiring_tokens("access-x", "refresh-x")));
    let id = app.connect("alice").await;
    app.clock.advance(HOUR * 24);
    app.store.fail_next(Method::Replace, Fault::UNAVAILABLE);
    assert_eq!(app.token("alice").await.unwrap_err().code(), "store_unavailable");
    assert_eq!(app.record(id).await.state, StateKind::Authorized);
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::RefreshTokenExpired)));
    assert_eq!(app.record(id).await.state, StateKind::Expired);
}

/// For how long after a step nothing ends because time has passed.
const UNSETTLED: Duration = Duration::from_mins(10);

#[tokio::test(start_paused = true)]
async fn r46_a_clock_that_is_set_before_a_run_ends_no_grant() {
    for millis in steps() {
        let what = format!("{millis} ms");
        let app = TestApp::new().await;
        app.provider.respond_to_exchange(Ok(expiring_tokens("access-x", "refresh-x")));
        let id = app.connect("alice").await;
        set_by(&app.clock, millis);
        let result = app.token("alice").await;
        assert_not_terminal(&app, id, &result, &what).await;
        // The clock is set right.
        set_by(&app.clock, -millis);
        assert!(app.token("alice").await.is_ok(), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn r46_a_clock_that_remains_ahead_ends_grants_after_some_minutes() {
    let app = TestApp::new().await;
    app.provider.respond_to_exchange(Ok(expiring_tokens("access-x", "refresh-x")));
    let id = app.connect("alice").await;
    set_by(&app.clock, 2 * 86_400_000);
    for _ in 0..10 {
        assert_not_terminal(&app, id, &app.token("alice").await, "unsettled").await;
        app.clock.advance(UNSETTLED / 10);
    }
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::RefreshTokenExpired)));
    assert_eq!(app.record(id).await.state, StateKind::Expired);
}

#[tokio::test(start_paused = true)]
async fn r55_a_clock_that_is_set_before_or_during_a_sweep_ends_and_removes_nothing() {
    for is_during in [false, true] {
        let app = TestApp::new().await;
        app.provider.respond_to_exchange(Ok(expiring_tokens("access-x", "refresh-x")));
        let ids = [app.connect("alice").await, app.connect("bob").await];
        let step = || set_by(&app.clock, 91 * 86_400_000);
        if is_during {
            let gate = app.store.hold(Method::Sweep);
            let node = app.node.clone();
            let sweep = tokio::spawn(async move { node.sweep(|_| {}).await });
            gate.arrived(1).await;
            step();
            gate.open();
            assert_eq!(sweep.await.unwrap(), Ok(SweepReport::default()));
        } else {
            step();
        }
        assert_eq!(app.node.sweep(|_| {}).await, Ok(SweepReport::default()), "during: {is_during}");
        for id in ids {
            assert_eq!(app.record(id).await.state, StateKind::Authorized, "during: {is_during}");
        }
        app.clock.advance(UNSETTLED);
        let swept = app.node.sweep(|_| {}).await.unwrap();
        assert_eq!((swept.expired, swept.unused), (1, 1), "the clock is believed after some minutes");
    }
}

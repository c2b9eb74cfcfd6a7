//! Refreshing: one request at a time, no lost tokens, and the effect of every failure.

use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::{
    AuthorizationRecord, ProviderNote, Reason, RefreshState, Revision, StateKind, StatusKind,
};
use grantry_domain::identity::{Actor, Role};
use grantry_domain::ports::{
    AuditKind, ExpectedVersion, KeyId, LeaseRequest, Lifetime, ProviderErrorKind, TokenResponse, VaultError, WriteOutcome,
};
use grantry_domain::provider::{ClientAuthentication, Endpoints, Scopes};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{Connections, ConnectorDraft, TokenError};
use grantry_testkit::doubles::fixtures::{authorization, space, user};
use grantry_testkit::doubles::{
    Call, Fault, Method, Operation, PlainVault, ProviderFault, Reuse, ScriptedAuthorizationServer, TestClock, tokens,
};
use grantry_testkit::provider::Gate;
use tokio::task::JoinHandle;

use crate::common::{
    HOUR, PROVIDER_ERRORS, SECOND, TestApp, advancing, authorization_required, callback_of, draft, draft_without_secret,
    drive, elsewhere, person, quiet, text, token_from, token_request, tokens_for,
};

/// The time to wait in a refusal.
fn unavailable(result: &Result<String, TokenError>) -> Duration {
    match result {
        Err(TokenError::Unavailable { retry_after }) => *retry_after,
        other => panic!("expected a time to wait, got {other:?}"),
    }
}

fn spawn_token(node: &Arc<Connections>, who: &str) -> JoinHandle<Result<String, TokenError>> {
    let (node, token_request) = (node.clone(), token_request(who));
    tokio::spawn(async move { token_from(&node, &token_request).await })
}

#[tokio::test]
async fn r46_a_token_is_refreshed_within_a_margin_before_its_expiry_and_not_earlier() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    let margin = Duration::from_mins(5);
    app.clock.advance(HOUR - margin - SECOND);
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"));
    assert_eq!(app.refreshes(), 0);
    app.clock.advance(margin / 5 + 2 * SECOND);
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-2"), "the jitter is at most a fifth");
    let row = app.record(id).await;
    assert_eq!((row.revision, row.expires_at), (Revision::FIRST.next(), Some(app.now().plus(HOUR))));
    assert_eq!(row.refresh, RefreshState::default(), "lease and in-doubt mark are removed");
    assert_eq!(app.outcomes(AuditKind::Refreshed).await, ["ok"]);
}

#[tokio::test(start_paused = true)]
async fn r36_lesson_10_many_callers_on_two_nodes_cause_one_refresh() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.clock.advance(HOUR);
    let nodes = [app.node.clone(), app.another_node()];
    let gate = app.provider.hold(Operation::Refresh);
    let callers: Vec<_> = (0..50).map(|n: usize| spawn_token(&nodes[n % 2], "alice")).collect();
    gate.arrived(1).await;
    quiet().await;
    gate.open();
    let all = async {
        for caller in callers {
            assert_eq!(caller.await.unwrap().as_deref(), Ok("access-2"));
        }
    };
    app.drive(all).await;
    assert_eq!(app.refreshes(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r36_lesson_10_callers_on_parallel_threads_cause_one_refresh() {
    for _ in 0..20 {
        let app = TestApp::new().await;
        app.connect("alice").await;
        app.clock.advance(HOUR);
        let callers: Vec<_> = (0..50).map(|_| spawn_token(&app.node, "alice")).collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap().as_deref(), Ok("access-2"));
        }
        assert_eq!(app.refreshes(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn r36_r47_lesson_11_many_reports_of_a_401_cause_one_refresh() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    let nodes = [app.node.clone(), app.another_node()];
    let refused = app.node.access_token(&token_request("alice")).await.unwrap().sha256();
    let reports = (0..50).map(|n: usize| {
        let node = nodes[n % 2].clone();
        tokio::spawn(async move {
            let issued = node.report_unauthorized(&token_request("alice"), refused).await;
            issued.map(|issued| text(&issued.token))
        })
    });
    let reports: Vec<_> = reports.collect();
    let all = async {
        for report in reports {
            assert_eq!(report.await.unwrap().as_deref(), Ok("access-2"));
        }
    };
    app.drive(all).await;
    assert_eq!(app.refreshes(), 1);
    // A late report of the old token changes nothing.
    let late = app.node.report_unauthorized(&token_request("alice"), refused).await.unwrap();
    assert_eq!(text(&late.token), "access-2");
    assert_eq!(app.refreshes(), 1);
}

#[tokio::test]
async fn r47_an_api_that_rejects_every_token_causes_few_refreshes() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    let mut forced = Vec::new();
    for _ in 0..100 {
        let issued = app.node.access_token(&token_request("alice")).await.unwrap();
        let again = app.node.report_unauthorized(&token_request("alice"), issued.sha256()).await;
        forced.push(again.is_ok());
        app.clock.advance(SECOND);
    }
    let refreshes = app.refreshes();
    assert!((1..=5).contains(&refreshes), "{refreshes} refreshes in 100 seconds");
    assert_eq!(forced.iter().filter(|forced| **forced).count(), refreshes);
    let issued = app.node.access_token(&token_request("alice")).await.unwrap();
    let refused = app.node.report_unauthorized(&token_request("alice"), issued.sha256()).await.map(drop).unwrap_err();
    assert_eq!(refused, authorization_required(Reason::TokenRejected));
    assert_eq!(app.kind("alice").await, StatusKind::Connected, "only the caller gets this reason");
}

#[tokio::test]
async fn r47_a_provider_that_issues_the_same_token_again_gets_one_request_for_it() {
    let app = TestApp::new().await;
    app.provider.respond_to_exchange(Ok(tokens("same", Some("r"))));
    app.connect("alice").await;
    for _ in 0..10 {
        app.provider.respond_to_refresh(Ok(tokens("same", Some("r"))));
        let issued = app.node.access_token(&token_request("alice")).await.unwrap();
        let again = app.node.report_unauthorized(&token_request("alice"), issued.sha256()).await.map(drop);
        assert_eq!(again, Err(authorization_required(Reason::TokenRejected)));
        app.clock.advance(Duration::from_mins(1));
    }
    assert_eq!(app.refreshes(), 1);
}

#[tokio::test]
async fn a_rejected_token_without_a_refresh_token_ends_the_grant() {
    let app = TestApp::new().await;
    let never = TokenResponse { lifetime: Lifetime::Never, ..tokens("a", None) };
    app.provider.respond_to_exchange(Ok(never));
    let id = app.connect("alice").await;
    app.clock.advance(1000 * HOUR);
    let issued = app.node.access_token(&token_request("alice")).await.unwrap();
    assert_eq!(issued.expires_at, None);
    let refused = app.node.report_unauthorized(&token_request("alice"), issued.sha256()).await.map(drop);
    assert_eq!(refused, Err(authorization_required(Reason::AccessTokenExpired)));
    assert_eq!(app.record(id).await.state, StateKind::Expired);
    assert_eq!(app.outcomes(AuditKind::GrantExpired).await, ["access_token_expired"]);
}

#[tokio::test(start_paused = true)]
async fn r38_no_caller_gets_a_token_before_it_is_committed() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.clock.advance(HOUR);
    let gate = app.store.hold(Method::Replace);
    let caller = spawn_token(&app.node, "alice");
    gate.arrived(1).await;
    quiet().await;
    assert_eq!(app.refreshes(), 1);
    assert!(!caller.is_finished());
    gate.open();
    assert_eq!(caller.await.unwrap().as_deref(), Ok("access-2"));
}

#[tokio::test(start_paused = true)]
async fn lesson_12_one_failure_of_the_store_after_a_refresh_loses_nothing() {
    for fault in [Fault::UNAVAILABLE, Fault::OutcomeLost] {
        let app = TestApp::new().await;
        let id = app.connect("alice").await;
        app.clock.advance(HOUR);
        app.store.fail_next(Method::Replace, fault);
        let token = app.drive(app.token("alice")).await;
        assert_eq!(token.as_deref(), Ok("access-2"), "{fault:?}");
        assert_eq!((app.refreshes(), app.record(id).await.revision), (1, Revision(2)));
        assert_eq!(app.node.pending_commits(), 0);
        quiet().await;
        assert!(app.revoked().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn lesson_12_refreshed_tokens_are_kept_and_committed_when_the_store_is_available_again() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.clock.advance(HOUR);
    app.store.fail_always(Method::Replace, Fault::UNAVAILABLE);
    let refused = app.drive(app.token("alice")).await;
    unavailable(&refused);
    assert_eq!(app.node.pending_commits(), 1);
    // Until they are committed no caller gets them, and no other request is sent.
    for _ in 0..5 {
        let refused = app.drive(app.token("alice")).await;
        unavailable(&refused);
        app.pass(Duration::from_mins(1)).await;
    }
    assert_eq!((app.refreshes(), app.record(id).await.revision), (1, Revision::FIRST));
    app.store.clear_faults();
    app.drive(app.spawner.finished()).await;
    assert_eq!(app.node.pending_commits(), 0);
    assert_eq!(app.record(id).await.revision, Revision(2));
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-2"));
    assert_eq!(app.refreshes(), 1);
    assert_eq!(app.outcomes(AuditKind::CommitPending).await, ["store_unavailable"], "the alarm");
}

#[tokio::test(start_paused = true)]
async fn lesson_12_refreshed_tokens_that_cannot_be_sealed_are_kept_as_well() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.clock.advance(HOUR);
    let gate = app.provider.hold(Operation::Refresh);
    let caller = spawn_token(&app.node, "alice");
    gate.arrived(1).await;
    app.vault.fail(Some(VaultError::RandomUnavailable));
    gate.open();
    assert!(app.drive(caller).await.unwrap().is_err());
    assert_eq!(app.node.pending_commits(), 1);
    app.vault.fail(None);
    app.drive(app.spawner.finished()).await;
    assert_eq!((app.record(id).await.revision, app.node.pending_commits()), (Revision(2), 0));
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-2"));
    assert!(app.revoked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn lesson_12_the_next_caller_commits_pending_tokens_first() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.clock.advance(HOUR);
    app.store.fail_always(Method::Replace, Fault::UNAVAILABLE);
    unavailable(&app.drive(app.token("alice")).await);
    app.store.clear_faults();
    let token = app.token("alice").await;
    assert_eq!(token.as_deref(), Ok("access-2"), "without waiting for the next attempt in the background");
    assert_eq!((app.refreshes(), app.node.pending_commits()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn r26_a_refresh_continues_when_its_caller_is_dropped() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.clock.advance(HOUR);
    let gate = app.provider.hold(Operation::Refresh);
    let caller = spawn_token(&app.node, "alice");
    gate.arrived(1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    gate.open();
    app.spawner.finished().await;
    assert_eq!(app.record(id).await.revision, Revision(2));
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-2"));
    assert_eq!(app.refreshes(), 1);
}

#[tokio::test]
async fn r39_lesson_14_invalid_grant_ends_the_grant_with_its_reason() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.clock.advance(HOUR);
    app.provider.respond_to_refresh(Err(ProviderErrorKind::InvalidGrant));
    let refused = authorization_required(Reason::RefreshRejected);
    assert_eq!(app.token("alice").await, Err(refused.clone()));
    let status = app.status("alice").await;
    assert_eq!((status.kind, status.reason), (StatusKind::NeedsReauthorization, Some(Reason::RefreshRejected)));
    assert_eq!(app.record(id).await.state, StateKind::Expired);
    assert_eq!(app.token("alice").await, Err(refused));
    assert_eq!(app.refreshes(), 1, "an ended grant is not refreshed again");
    assert_eq!(app.outcomes(AuditKind::GrantExpired).await, ["refresh_rejected"]);
}

/// Errors by which a provider refuses a refresh without ending the grant.
const REFUSALS: [ProviderErrorKind; 4] = [
    ProviderErrorKind::ClientRefused,
    ProviderErrorKind::GrantTypeRefused,
    ProviderErrorKind::OtherOauthError,
    ProviderErrorKind::Refused,
];

#[tokio::test(start_paused = true)]
async fn r39_every_other_error_keeps_the_grant() {
    let others = PROVIDER_ERRORS.iter().copied().filter(|error| *error != ProviderErrorKind::InvalidGrant);
    for error in others {
        let app = TestApp::new().await;
        let id = app.connect("alice").await;
        app.clock.advance(HOUR);
        app.provider.respond_to_refresh(Err(error));
        let refused = app.token("alice").await.unwrap_err();
        let local = matches!(error, ProviderErrorKind::NotAllowed | ProviderErrorKind::BadMetadata);
        assert_eq!(refused == TokenError::Misconfigured, local, "{error:?}: {refused:?}");
        let is_refusal = REFUSALS.contains(&error);
        assert_eq!(refused.code() == "refresh_refused", is_refusal, "{error:?}: {refused:?}");
        let row = app.record(id).await;
        assert_eq!((row.state, row.revision), (StateKind::Authorized, Revision::FIRST));
        assert_eq!(row.refresh.in_doubt_since.is_some(), !error.outcome_is_known(), "{error:?}");
        let status = app.status("alice").await;
        assert_eq!((status.kind, status.reason), (StatusKind::Connected, None), "{error:?}");
        let note = if is_refusal { ProviderNote::RefreshRefusedSince } else { ProviderNote::UnreachableSince };
        assert_eq!(status.provider_note, Some(note(app.now())), "{error:?}");
        assert_eq!(app.outcomes(AuditKind::RefreshFailed).await, [error.as_str()]);
        // The next attempt succeeds.
        app.pass(Duration::from_mins(3)).await;
        assert_eq!(app.token("alice").await.as_deref(), Ok("access-2"), "{error:?}");
        assert_eq!(app.status("alice").await.provider_note, None);
    }
}

#[tokio::test(start_paused = true)]
async fn r37_r40_in_doubt_there_is_one_attempt_per_quarantine() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.clock.advance(HOUR);
    let since = app.now();
    for attempt in 1..=6 {
        app.provider.respond_to_refresh(Err(ProviderErrorKind::NoResponse));
        unavailable(&app.token("alice").await);
        assert_eq!(app.refreshes(), attempt);
        assert_eq!(app.record(id).await.refresh.in_doubt_since, Some(since), "stored, since the first attempt");
        let held_until = app.record(id).await.refresh.held_until.unwrap();
        assert!(held_until.since(app.now()) >= Duration::from_secs(30));
        app.clock.advance(Duration::from_secs(29));
        for node in [app.node.clone(), app.another_node()] {
            let wait = unavailable(&token_from(&node, &token_request("alice")).await);
            assert_eq!(wait, held_until.since(app.now()), "the time until the next attempt");
        }
        assert_eq!(app.refreshes(), attempt, "no request within the quarantine");
        app.clock.advance(held_until.since(app.now()));
    }
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-2"));
    assert_eq!(app.outcomes(AuditKind::RefreshRetried).await, ["in_doubt"; 6], "one event per attempt after the first");
    assert_eq!(app.record(id).await.refresh, RefreshState::default());
}

#[tokio::test]
async fn r37_an_error_of_a_later_request_does_not_clear_the_in_doubt_mark() {
    let known: [ProviderErrorKind; 4] = [
        ProviderErrorKind::NotSent,
        ProviderErrorKind::NotAllowed,
        ProviderErrorKind::ClientRefused,
        ProviderErrorKind::Throttled { retry_after: None, unprocessed: true },
    ];
    for error in known {
        let app = TestApp::new().await;
        let id = app.connect("alice").await;
        app.clock.advance(HOUR);
        app.provider.respond_to_refresh(Err(ProviderErrorKind::NoResponse));
        app.token("alice").await.unwrap_err();
        app.clock.advance(Duration::from_mins(3));
        app.provider.respond_to_refresh(Err(error));
        app.token("alice").await.unwrap_err();
        assert_eq!(app.refreshes(), 2);
        assert!(app.record(id).await.refresh.in_doubt_since.is_some(), "{error:?} is not the outcome of the first request");
    }
}

#[tokio::test]
async fn r40_in_doubt_a_token_that_is_still_valid_is_issued() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.clock.advance(HOUR - Duration::from_mins(1));
    app.provider.respond_to_refresh(Err(ProviderErrorKind::NoResponse));
    for _ in 0..3 {
        assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"));
    }
    assert_eq!(app.refreshes(), 1);
    app.clock.advance(Duration::from_mins(1) - Duration::from_millis(1));
    app.provider.respond_to_refresh(Err(ProviderErrorKind::NoResponse));
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"), "until its expiry");
    app.clock.advance(Duration::from_millis(1));
    unavailable(&app.token("alice").await);
}

#[tokio::test(start_paused = true)]
async fn r40_the_lease_holder_abandons_the_request_well_before_the_lease_ends() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.clock.advance(HOUR);
    let gate = app.provider.hold(Operation::Refresh);
    let started = app.now();
    let caller = spawn_token(&app.node, "alice");
    gate.arrived(1).await;
    let held_until = app.record(id).await.refresh.held_until.unwrap();
    assert!(held_until.since(started) >= Duration::from_secs(45), "request deadline and quarantine");
    unavailable(&app.drive(caller).await.unwrap());
    let abandoned = app.now().since(started);
    assert!((Duration::from_secs(15)..Duration::from_secs(16)).contains(&abandoned), "{abandoned:?}");
    let row = app.record(id).await;
    assert!(row.refresh.in_doubt_since.is_some());
    assert!(row.refresh.held_until.unwrap() >= app.now().plus(Duration::from_secs(30)), "the quarantine");
    assert_eq!(app.outcomes(AuditKind::RefreshFailed).await, ["no_response"]);
}

/// Alice's access token has expired, and another node was stopped as soon as it had the lease and sent its request.
async fn stopped_with_the_lease(app: &TestApp, provider: &Arc<ScriptedAuthorizationServer>) -> Stopped {
    app.connect("alice").await;
    app.clock.advance(HOUR);
    let (node, clock) = app.stopped_node(provider.clone());
    let gate = provider.hold(Operation::Refresh);
    let caller = spawn_token(&node, "alice");
    gate.arrived(1).await;
    Stopped { clock, gate, caller }
}

struct Stopped {
    clock: TestClock,
    gate: Gate,
    caller: JoinHandle<Result<String, TokenError>>,
}

#[tokio::test(start_paused = true)]
async fn r38_r41_a_response_after_the_end_of_the_lease_never_overwrites_newer_tokens() {
    let app = TestApp::new().await;
    let slow = Arc::new(ScriptedAuthorizationServer::default());
    slow.respond_to_refresh(Ok(tokens("stale-access", Some("stale-refresh"))));
    let stopped = stopped_with_the_lease(&app, &slow).await;
    app.clock.advance(Duration::from_mins(1));
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-2"), "the lease has ended");
    stopped.gate.open();
    assert_eq!(stopped.caller.await.unwrap().as_deref(), Ok("access-2"), "the stopped node returns the newer token");
    quiet().await;
    assert!(app.revoked().is_empty(), "it drops its tokens without a revocation, which could end the newer ones");
    assert_eq!(slow.count(Operation::Revoke), 0);
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-2"));
}

#[tokio::test(start_paused = true)]
async fn r39_lesson_13_a_late_invalid_grant_does_not_end_a_grant_that_was_refreshed() {
    let app = TestApp::new().await;
    let slow = Arc::new(ScriptedAuthorizationServer::default());
    slow.respond_to_refresh(Err(ProviderErrorKind::InvalidGrant));
    let stopped = stopped_with_the_lease(&app, &slow).await;
    app.clock.advance(Duration::from_mins(1));
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-2"));
    stopped.gate.open();
    stopped.clock.advance(SECOND);
    let token = app.drive(advancing(&stopped.clock, stopped.caller)).await.unwrap();
    assert_eq!(token.as_deref(), Ok("access-2"));
    assert_eq!(app.kind("alice").await, StatusKind::Connected);
}

#[tokio::test(start_paused = true)]
async fn r40_a_lease_holder_that_was_paused_before_its_request_sends_nothing() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.clock.advance(HOUR);
    let store = app.store.another_node();
    let slow = Arc::new(ScriptedAuthorizationServer::default());
    let node = app.node_on(&store, slow.clone());
    // It runs up to the lease; the next read of the store's clock is held.
    let lease = store.hold(Method::TakeLease);
    let caller = spawn_token(&node, "alice");
    lease.arrived(1).await;
    let clock_gate = store.hold(Method::Now);
    lease.open();
    clock_gate.arrived(1).await;
    assert!(app.record(id).await.refresh.holder.is_some());
    app.clock.advance(Duration::from_mins(1));
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-2"), "another node refreshes");
    clock_gate.open();
    assert_eq!(app.drive(caller).await.unwrap().as_deref(), Ok("access-2"));
    assert_eq!(slow.count(Operation::Refresh), 0, "a used token is not presented");
}

#[tokio::test(start_paused = true)]
async fn r36_the_lease_of_a_process_that_ended_is_waited_for_and_leaves_the_in_doubt_mark() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.clock.advance(HOUR);
    let row = app.record(id).await;
    let length = app.node.policy().lease_length();
    let request = LeaseRequest { id, revision: row.revision, holder: [7; 16], length, longest: 2 * HOUR };
    app.stored.leases.take_lease(request).await.unwrap();
    let started = app.now();
    let refused = app.drive(app.token("alice")).await;
    unavailable(&refused);
    assert!(app.now().since(started) < Duration::from_secs(30), "the wait is bounded");
    assert_eq!(app.refreshes(), 0);
    app.clock.advance(length);
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-2"));
    assert_eq!(app.refreshes(), 1);
}

#[tokio::test]
async fn r36_an_implausibly_long_lease_counts_as_in_doubt() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.clock.advance(HOUR);
    let row = app.record(id).await;
    let request = LeaseRequest { id, revision: row.revision, holder: [7; 16], length: 1000 * HOUR, longest: 2000 * HOUR };
    app.stored.leases.take_lease(request).await.unwrap();
    app.provider.respond_to_refresh(Err(ProviderErrorKind::NotSent));
    unavailable(&app.token("alice").await);
    assert!(app.record(id).await.refresh.in_doubt_since.is_some());
}

#[tokio::test(start_paused = true)]
async fn r41_a_refresh_that_is_overtaken_by_a_disconnect_revives_nothing() {
    for reuse in [Reuse::Strict, Reuse::Grace, Reuse::Undetected] {
        let (app, provider) = TestApp::with_rotation(reuse).await;
        let id = app.connect("alice").await;
        app.clock.advance(HOUR);
        let commit = app.store.hold(Method::Replace);
        let caller = spawn_token(&app.node, "alice");
        commit.arrived(1).await;
        assert_eq!(provider.count(Operation::Refresh), 1, "the provider has rotated");
        let other = app.node_on(&app.store.another_node(), provider.clone());
        let (actor, key) = (person("alice"), drive());
        app.drive(other.disconnect(&actor, &key, None)).await.unwrap();
        assert_eq!(app.record(id).await.state, StateKind::Revoked);
        commit.open();
        let refused = app.drive(caller).await.unwrap();
        assert_eq!(refused, Err(authorization_required(Reason::NotConnected)), "{reuse:?}");
        app.drive(app.spawner.finished()).await;
        app.node.revoke_due().await.unwrap();
        assert_eq!(provider.live_families(), Vec::<String>::new(), "{reuse:?}");
        assert_eq!(app.record(id).await.state, StateKind::Revoked);
        assert_eq!(app.kind("alice").await, StatusKind::NotConnected);
    }
}

#[tokio::test]
async fn a_response_without_refresh_token_or_scope_keeps_the_present_ones() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    for _ in 0..2 {
        app.provider.respond_to_refresh(Ok(tokens_for("again", None, HOUR)));
        app.clock.advance(HOUR);
        assert_eq!(app.token("alice").await.as_deref(), Ok("again"));
    }
    let sent: Vec<_> = app
        .provider
        .calls()
        .into_iter()
        .filter_map(|call| {
            if let Call::Refresh { refresh_token, granted, .. } = call { Some((refresh_token, granted)) } else { None }
        })
        .collect();
    let granted = Scopes::new(["read", "write"]);
    assert_eq!(sent, [("refresh-1".to_owned(), granted.clone()), ("refresh-1".to_owned(), granted.clone())]);
    assert_eq!(app.record(id).await.scopes, granted);
}

#[tokio::test]
async fn r13_a_narrower_scope_on_refresh_is_recorded_and_never_exceeded() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    let narrow = TokenResponse { scopes: Some(Scopes::new(["read"])), ..tokens("narrow", Some("r")) };
    app.provider.respond_to_refresh(Ok(narrow));
    app.clock.advance(HOUR);
    app.token("alice").await.unwrap();
    assert_eq!(app.record(id).await.scopes, Scopes::new(["read"]));
    app.clock.advance(HOUR);
    app.token("alice").await.unwrap();
    let Some(Call::Refresh { granted, refresh_token, .. }) = app.provider.calls().pop() else { panic!("a refresh") };
    assert_eq!((granted, refresh_token.as_str()), (Scopes::new(["read"]), "r"));
}

#[tokio::test]
async fn r46_the_lifetime_counts_from_before_the_refresh_and_no_expired_token_is_issued() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.clock.advance(HOUR);
    let sent_at = app.now();
    app.provider.respond_to_refresh(Ok(tokens_for("short", Some("r"), Duration::from_secs(8))));
    let gate = app.provider.hold(Operation::Refresh);
    let caller = spawn_token(&app.node, "alice");
    gate.arrived(1).await;
    app.clock.advance(Duration::from_secs(10));
    gate.open();
    unavailable(&caller.await.unwrap());
    assert_eq!(app.record(id).await.expires_at, Some(sent_at.plus(Duration::from_secs(8))));
    assert_eq!(app.kind("alice").await, StatusKind::Connected);
}

#[tokio::test]
async fn r46_an_unknown_lifetime_is_assumed_as_configured() {
    let app = TestApp::new().await;
    app.provider.respond_to_exchange(Ok(TokenResponse { lifetime: Lifetime::Unknown, ..tokens("a", Some("r")) }));
    let id = app.connect("alice").await;
    assert_eq!(app.record(id).await.expires_at, Some(app.now().plus(app.node.policy().assumed_lifetime)));
}

#[tokio::test]
async fn lesson_27_retry_after_is_respected() {
    for unprocessed in [true, false] {
        let app = TestApp::new().await;
        app.connect("alice").await;
        app.clock.advance(HOUR);
        let requested = Duration::from_mins(10);
        app.provider.respond_to_refresh(Err(ProviderErrorKind::Throttled { retry_after: Some(requested), unprocessed }));
        let wait = unavailable(&app.token("alice").await);
        assert!(wait >= requested, "{wait:?}");
        app.clock.advance(requested - SECOND);
        unavailable(&app.token("alice").await);
        assert_eq!(app.refreshes(), 1);
        app.clock.advance(wait);
        assert!(app.token("alice").await.is_ok());
    }
}

#[tokio::test]
async fn r47_a_refused_client_opens_the_circuit_until_the_connector_is_edited() {
    let app = TestApp::new().await;
    for who in ["alice", "bob"] {
        app.connect(who).await;
    }
    app.clock.advance(HOUR);
    for _ in 0..2 {
        app.provider.respond_to_refresh(Err(ProviderErrorKind::ClientRefused));
    }
    assert_eq!(app.token("alice").await.unwrap_err().code(), "refresh_refused", "one grant is no proof");
    for who in ["bob", "alice", "bob"] {
        assert_eq!(app.token(who).await.unwrap_err().code(), "provider_misconfigured");
        assert_eq!(app.kind(who).await, StatusKind::Connected, "no user's status changes");
    }
    assert_eq!(app.refreshes(), 2, "no request while the circuit is open");
    app.clock.advance(Duration::from_secs(59));
    assert_eq!(app.token("bob").await, Err(TokenError::Misconfigured));
    assert_eq!(app.refreshes(), 2);
    let repaired = ConnectorDraft { client_secret: Some(Secret::from_text("client-secret-2")), ..draft("{}") };
    assert_eq!(app.edit(repaired).await, 0);
    assert!(app.token("bob").await.is_ok());
    assert!(app.token("alice").await.is_ok());
    let Some(Call::Refresh { client_secret, .. }) = app.provider.calls().pop() else { panic!("a refresh") };
    assert_eq!(client_secret.as_deref(), Some("client-secret-2"));
}

#[tokio::test]
async fn r47_a_refused_client_is_shown_at_every_connection_until_a_request_succeeds() {
    let app = TestApp::new().await;
    for who in ["alice", "bob", "ed"] {
        app.connect(who).await;
    }
    app.clock.advance(HOUR);
    let since = app.now();
    for who in ["alice", "bob"] {
        app.provider.respond_to_refresh(Err(ProviderErrorKind::ClientRefused));
        app.token(who).await.unwrap_err();
        app.clock.advance(SECOND);
    }
    for who in ["alice", "bob", "ed"] {
        let status = app.status(who).await;
        assert_eq!(
            (status.kind, status.provider_note),
            (StatusKind::Connected, Some(ProviderNote::ClientRefusedSince(since)))
        );
    }
    // Another node, such as this one after a restart, shows it as well, and its success is known to all.
    let other = app.another_node();
    let seen = other.statuses(&person("ed"), &space("default")).await.unwrap();
    let shown = |(_, status): &(_, grantry_domain::authorization::ConnectorStatus)| status.shown().provider_note;
    assert!(seen.iter().any(|row| shown(row) == Some(ProviderNote::ClientRefusedSince(since))));
    assert!(token_from(&other, &token_request("ed")).await.is_ok());
    assert_eq!(app.status("ed").await.provider_note, None);
    // So is the exchange of a code.
    for who in ["alice", "bob"] {
        app.clock.advance(Duration::from_mins(3));
        app.provider.respond_to_refresh(Err(ProviderErrorKind::ClientRefused));
        app.token(who).await.unwrap_err();
    }
    assert!(matches!(app.status("ed").await.provider_note, Some(ProviderNote::ClientRefusedSince(_))));
    app.connect("bob").await;
    assert_eq!(app.status("ed").await.provider_note, None);
    let note = app.status("alice").await.provider_note;
    assert!(matches!(note, Some(ProviderNote::RefreshRefusedSince(_))), "her own last attempt: {note:?}");
}

#[tokio::test(start_paused = true)]
async fn r39_unclear_refusals_end_a_grant_after_three_of_them_over_ten_minutes() {
    for error in REFUSALS {
        let app = TestApp::new().await;
        let id = app.connect("alice").await;
        app.clock.advance(HOUR);
        let since = app.now();
        for minutes in [0, 4, 4] {
            app.pass(Duration::from_mins(minutes)).await;
            app.provider.respond_to_refresh(Err(error));
            let refused = app.token("alice").await.unwrap_err();
            assert_eq!(refused.code(), "refresh_refused", "{error:?}");
            // The pause after a refusal has the same error.
            assert_eq!(app.token("alice").await.unwrap_err().code(), "refresh_refused", "{error:?}");
            assert_eq!(app.status("alice").await.provider_note, Some(ProviderNote::RefreshRefusedSince(since)));
        }
        assert_eq!(app.refreshes(), 3, "{error:?}");
        app.pass(Duration::from_mins(3)).await;
        app.provider.respond_to_refresh(Err(error));
        if error == ProviderErrorKind::ClientRefused {
            assert_eq!(app.token("alice").await.unwrap_err().code(), "refresh_refused", "not the fault of the grant");
            continue;
        }
        assert_eq!(app.token("alice").await, Err(authorization_required(Reason::RefreshRejected)), "{error:?}");
        assert_eq!(app.status("alice").await.reason, Some(Reason::RefreshRejected));
        assert_eq!(app.outcomes(AuditKind::GrantExpired).await, ["refresh_rejected"]);
        // The refused token may still be valid, so it is revoked.
        app.node.revoke_due().await.unwrap();
        quiet().await;
        assert_eq!(app.record(id).await.sealed, None);
        assert!(app.provider.calls().iter().any(|call| matches!(call, Call::Revoke { .. })), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn r47_one_dead_token_stops_none_of_forty_users() {
    let app = TestApp::new().await;
    let users: Vec<String> = (1..40).map(|n| format!("user-{n}")).collect();
    let dead = app.connect("alice").await;
    for name in &users {
        app.directory.set_role(&user(name), &space("default"), Role::Viewer);
        app.connect(name).await;
    }
    app.clock.advance(HOUR);
    for name in &users {
        app.provider.respond_to_refresh(Err(ProviderErrorKind::GrantTypeRefused));
        let refused = app.token("alice").await.unwrap_err();
        assert_eq!(refused.code(), "refresh_refused");
        assert!(app.token(name).await.is_ok(), "{name}");
        // Longer than any pause of her grant, and shorter than the lifetime of the others' tokens.
        app.clock.advance(Duration::from_secs(80));
        if app.now().since(app.record(dead).await.refresh.refused_since.unwrap()) >= Duration::from_mins(9) {
            break;
        }
    }
    for name in &users {
        assert!(app.token(name).await.is_ok(), "{name}");
    }
    assert_eq!(app.refreshes(), 7 + users.len());
}

#[tokio::test(start_paused = true)]
async fn r39_a_success_resets_the_count_of_refusals() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.clock.advance(HOUR);
    for _ in 0..2 {
        app.provider.respond_to_refresh(Err(ProviderErrorKind::Refused));
        app.token("alice").await.unwrap_err();
        app.pass(Duration::from_mins(4)).await;
    }
    assert_eq!(app.record(id).await.refresh.refusals, 2);
    assert!(app.token("alice").await.is_ok());
    assert_eq!(app.record(id).await.refresh, RefreshState::default());
    app.clock.advance(HOUR);
    app.provider.respond_to_refresh(Err(ProviderErrorKind::Refused));
    assert_eq!(app.token("alice").await.unwrap_err().code(), "refresh_refused");
}

#[tokio::test(start_paused = true)]
async fn r39_refusals_keep_a_grant_whose_access_token_is_valid() {
    let app = TestApp::new().await;
    let mut long = tokens("access-long", Some("refresh-long"));
    long.lifetime = Lifetime::For(Duration::from_hours(24));
    app.provider.respond_to_exchange(Ok(long));
    let id = app.connect("alice").await;
    app.clock.advance(Duration::from_hours(24) - Duration::from_mins(4));
    for _ in 0..3 {
        app.provider.respond_to_refresh(Err(ProviderErrorKind::GrantTypeRefused));
        assert_eq!(app.token("alice").await.as_deref(), Ok("access-long"));
        app.pass(Duration::from_mins(1)).await;
    }
    assert_eq!(app.record(id).await.state, StateKind::Authorized);
}

#[tokio::test(start_paused = true)]
async fn r39_refusals_end_a_grant_whose_access_token_never_expires_and_is_rejected_by_the_api() {
    let app = TestApp::new().await;
    let eternal = || TokenResponse { lifetime: Lifetime::Never, ..tokens("eternal", Some("r")) };
    app.provider.respond_to_exchange(Ok(eternal()));
    let id = app.connect("alice").await;
    for minutes in [0, 4, 4, 3] {
        app.pass(Duration::from_mins(minutes)).await;
        let issued = app.node.access_token(&token_request("alice")).await.unwrap();
        app.provider.respond_to_refresh(Err(ProviderErrorKind::Refused));
        let refused = app.node.report_unauthorized(&token_request("alice"), issued.sha256()).await.err().unwrap();
        let expected = if minutes == 3 { "authorization_required" } else { "refresh_refused" };
        assert_eq!(refused.code(), expected, "{minutes}: {refused:?}");
    }
    assert_eq!(app.refreshes(), 4);
    assert_eq!(app.status("alice").await.reason, Some(Reason::RefreshRejected));
    assert_eq!(app.record(id).await.state, StateKind::Expired);
}

#[tokio::test]
async fn a_client_secret_that_cannot_be_read_takes_no_lease() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.clock.advance(HOUR);
    app.store.fail_next(Method::ClientSecret, Fault::UNAVAILABLE);
    unavailable(&app.token("alice").await);
    assert_eq!(app.refreshes(), 0);
    assert_eq!(app.store.count(Method::TakeLease), 0, "no lease is taken for a request that cannot be sent");
    assert!(app.token("alice").await.is_ok());
}

#[tokio::test]
async fn r74_without_randomness_nothing_is_sent() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.clock.advance(HOUR);
    app.random.set_failing(true);
    unavailable(&app.token("alice").await);
    assert_eq!((app.refreshes(), app.store.count(Method::TakeLease)), (0, 0));
}

#[tokio::test]
async fn a_failure_of_the_store_before_the_request_is_transient() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.clock.advance(HOUR);
    for method in [Method::Find, Method::GetConnector, Method::TakeLease] {
        app.store.fail_next(method, Fault::UNAVAILABLE);
        unavailable(&app.token("alice").await);
        assert_eq!(app.refreshes(), 0, "{method:?}");
    }
    assert!(app.token("alice").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn r42_the_sealed_endpoint_is_used_and_a_changed_connector_gets_no_request() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.clock.advance(HOUR);
    let gate = app.store.hold(Method::ClientSecret);
    let caller = spawn_token(&app.node, "alice");
    gate.arrived(1).await;
    // The edit is made after the refresh has read the connector.
    app.profiles.set("moved", |settings| {
        let endpoints = settings.endpoints.take().unwrap_or_default();
        let token = "https://evil.example/token".to_owned();
        settings.endpoints = Some(Endpoints { token, ..endpoints });
    });
    app.edit(draft("moved")).await;
    gate.open();
    let refused = authorization_required(Reason::ConnectorChanged);
    assert_eq!(app.drive(caller).await.unwrap(), Err(refused));
    assert_eq!(app.record(id).await.state, StateKind::Expired);
    let sent_elsewhere = app.provider.calls().into_iter().any(|call| match call {
        Call::Refresh { endpoint, .. } => endpoint != "https://as.example/token",
        Call::Resolve { .. }
        | Call::AuthorizationUrl { .. }
        | Call::Exchange { .. }
        | Call::Revoke { .. }
        | Call::ClientCredentials { .. }
        | Call::Identify { .. } => false,
    });
    assert!(!sent_elsewhere);
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_response_the_grant_recovers_with_a_grace_period_and_ends_without_one() {
    for (reuse, recovers) in [(Reuse::Grace, true), (Reuse::Undetected, true), (Reuse::Strict, false)] {
        let (app, provider) = TestApp::with_rotation(reuse).await;
        app.connect("alice").await;
        app.clock.advance(HOUR);
        provider.fail_next(Operation::Refresh, ProviderFault::ResponseLost);
        unavailable(&app.token("alice").await);
        app.clock.advance(Duration::from_mins(2));
        let token = app.token("alice").await;
        assert_eq!(token.is_ok(), recovers, "{reuse:?}");
        let reason = app.status("alice").await.reason;
        assert_eq!(reason, (!recovers).then_some(Reason::RefreshRejected));
    }
}

#[tokio::test(start_paused = true)]
async fn grants_are_refreshed_ahead_of_their_expiry() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.connect("bob").await;
    app.clock.advance(HOUR - Duration::from_mins(4));
    assert_eq!(app.node.refresh_ahead().await.unwrap(), 2);
    assert_eq!(app.refreshes(), 2);
    app.clock.advance(Duration::from_mins(4));
    assert_eq!(app.node.refresh_ahead().await.unwrap(), 0);
    assert!(app.token("alice").await.is_ok());
    assert_eq!(app.refreshes(), 2, "no refresh is left for the caller");
    app.clock.advance(Duration::from_hours(24 * 8));
    assert_eq!(app.node.refresh_ahead().await.unwrap(), 0, "grants that were not used for a week are left out");
    app.store.fail_next(Method::Now, Fault::UNAVAILABLE);
    assert!(app.node.refresh_ahead().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn grants_of_a_connector_without_a_secret_keep_no_others_from_being_refreshed_ahead() {
    let app = TestApp::new().await;
    let users: Vec<String> = (0..60).map(|n| format!("user-{n}")).collect();
    app.vault.rotate_to(KeyId(*b"key-0002"));
    // The edit keeps the client secret, which was sealed with the first key.
    app.edit(draft_without_secret("{}")).await;
    app.create_connector(&elsewhere(), draft("{}")).await;
    for name in &users {
        app.directory.set_role(&user(name), &space("default"), Role::Viewer);
        app.connect(name).await;
    }
    app.directory.set_role(&user("bob"), &space("marketing"), Role::Viewer);
    app.clock.advance(Duration::from_secs(1));
    app.connect_to("bob", &elsewhere()).await;
    app.vault.forget(PlainVault::FIRST_KEY);
    app.clock.advance(HOUR - Duration::from_mins(4));
    assert_eq!(app.node.refresh_ahead().await.unwrap(), 1, "the one that expires last");
    assert_eq!(app.failures.failures().len(), 1, "once for each connector and run");
    app.vault.restore(PlainVault::FIRST_KEY);
    assert_eq!(app.node.refresh_ahead().await.unwrap(), 50);
    assert_eq!(app.node.refresh_ahead().await.unwrap(), 10);
}

#[tokio::test]
async fn a_public_client_refreshes_without_a_secret() {
    let app = TestApp::without_connector();
    app.profiles.set("public", |settings| {
        settings.authentication = ClientAuthentication::None;
    });
    app.create_connector(&drive(), draft_without_secret("public")).await;
    let started = app.start("alice", &drive()).await;
    app.complete(callback_of(&started, "alice")).await;
    app.clock.advance(HOUR);
    app.token("alice").await.unwrap();
    assert_eq!(app.store.count(Method::ClientSecret), 0);
}

#[tokio::test]
async fn r41_tokens_received_for_a_grant_that_was_terminated_are_revoked() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.clock.advance(HOUR);
    let gate = app.provider.hold(Operation::Refresh);
    let caller = spawn_token(&app.node, "alice");
    gate.arrived(1).await;
    app.node.remove_user(Actor::System, &user("alice")).await.unwrap();
    assert_eq!(app.record(id).await.state, StateKind::Revoked);
    gate.open();
    assert!(caller.await.unwrap().is_err());
    app.spawner.finished().await;
    let revoked = app.revoked();
    for token in ["refresh-2", "access-2"] {
        assert!(revoked.iter().any(|revoked| revoked == token), "{token} in {revoked:?}");
    }
}

#[tokio::test]
async fn a_write_with_an_old_expected_version_is_stale() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    let old = app.record(id).await;
    app.clock.advance(HOUR);
    app.token("alice").await.unwrap();
    let late = AuthorizationRecord { last_used_day: Some(0), ..old.clone() };
    let expected = ExpectedVersion::of(&authorization(&old));
    let outcome = app.stored.authorizations.replace(authorization(&late), expected, Vec::new()).await.unwrap();
    assert!(matches!(outcome, WriteOutcome::Stale(_)));
}

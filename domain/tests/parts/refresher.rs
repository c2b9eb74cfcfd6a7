//! The refresher: one flight per grant, leases, commits, and the circuit breaker.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use grantry_domain::authorization::{Authorization, AuthorizationId, AuthorizationRecord, TerminationCause};
use grantry_domain::encoding::sha256;
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditKind, AuditOutbox, AuthorizationStore, FailedAttempt, Lease, LeaseRequest, MockAuthorizationServer,
    MockRefreshLeases, ProviderErrorKind, StoreError, TerminationRequest, TerminationScope, Versioned,
};
use grantry_domain::usecase::Policy;
use grantry_domain::usecase::parts::{RefreshGoal, RefreshOutcome, Refresher, RefresherPorts};
use grantry_testkit::doubles::fixtures::{authorization, authorization_id};
use grantry_testkit::doubles::{Fault, Method, Operation};

use super::TestParts;
use crate::common::{HOUR, SECOND, advancing, quiet};

/// Parts with a grant of alice whose access token has expired.
async fn expired() -> (TestParts, Authorization) {
    let parts = TestParts::new().await;
    let grant = parts.grant("alice").await;
    parts.clock.advance(HOUR);
    (parts, grant)
}

fn spawn(refresher: &Arc<Refresher>, id: AuthorizationId, goal: RefreshGoal) -> tokio::task::JoinHandle<RefreshOutcome> {
    let refresher = refresher.clone();
    tokio::spawn(async move { refresher.refresh(id, goal).await })
}

fn retry_after(outcome: RefreshOutcome) -> Duration {
    match outcome {
        RefreshOutcome::Unavailable { retry_after } => retry_after,
        RefreshOutcome::Current | RefreshOutcome::Ended | RefreshOutcome::Refused { .. } | RefreshOutcome::Misconfigured => {
            panic!("{outcome:?}")
        }
    }
}

fn refreshes(parts: &TestParts) -> usize {
    parts.provider.count(Operation::Refresh)
}

/// A grant as a lease returns it, with the lease of another attempt.
fn leased(grant: &Authorization) -> Box<Versioned<Authorization>> {
    let mut record = grant.to_record();
    record.refresh.holder = Some([9; 16]);
    Box::new(Versioned::stored(authorization(&record)))
}

fn taken(grant: &Authorization, was_in_doubt: bool) -> Lease {
    Lease::Taken { grant: Box::new(Versioned::stored(grant.clone())), was_in_doubt }
}

/// A port that returns these leases in this order, and no others.
fn leases(outcomes: Vec<Lease>) -> MockRefreshLeases {
    let mut leases = MockRefreshLeases::new();
    let (count, mut outcomes) = (outcomes.len(), outcomes.into_iter());
    leases.expect_take_lease().times(count).returning(move |_| Ok(outcomes.next().expect("an outcome")));
    leases
}

fn refresher_with(parts: &TestParts, leases: MockRefreshLeases) -> Arc<Refresher> {
    parts.refresher_with(RefresherPorts { leases: Arc::new(leases), ..parts.refresher_ports() })
}

#[tokio::test(start_paused = true)]
async fn r36_callers_with_one_goal_share_one_flight() {
    let (parts, grant) = expired().await;
    let refresher = parts.refresher();
    let gate = parts.provider.hold(Operation::Refresh);
    let callers: Vec<_> = (0..20).map(|_| spawn(&refresher, grant.id(), RefreshGoal::Fresh)).collect();
    gate.arrived(1).await;
    quiet().await;
    gate.open();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), RefreshOutcome::Current);
    }
    assert_eq!((refreshes(&parts), parts.store.count(Method::TakeLease)), (1, 1));
    assert_eq!(parts.access_token(grant.id()).await, "access-1");
}

#[tokio::test(start_paused = true)]
async fn r36_flights_with_different_goals_are_kept_apart_by_the_lease() {
    let (parts, grant) = expired().await;
    let refresher = parts.refresher();
    let gate = parts.provider.hold(Operation::Refresh);
    let goals = [RefreshGoal::Fresh, RefreshGoal::Replace(sha256(b"access-0"))];
    let callers = goals.map(|goal| spawn(&refresher, grant.id(), goal));
    gate.arrived(1).await;
    quiet().await;
    gate.open();
    for caller in callers {
        assert_eq!(advancing(&parts.clock, caller).await.unwrap(), RefreshOutcome::Current);
    }
    assert_eq!(refreshes(&parts), 1);
}

#[tokio::test]
async fn a_goal_that_the_stored_tokens_meet_takes_no_lease() {
    let parts = TestParts::new().await;
    let grant = parts.grant("alice").await;
    // No port but the store may be called.
    let provider = Arc::new(MockAuthorizationServer::new());
    let leases = Arc::new(MockRefreshLeases::new());
    let refresher = parts.refresher_with(RefresherPorts { leases, provider, ..parts.refresher_ports() });
    for goal in [RefreshGoal::Fresh, RefreshGoal::Replace(sha256(b"another token"))] {
        assert_eq!(refresher.refresh(grant.id(), goal).await, RefreshOutcome::Current);
    }
    assert_eq!(refresher.refresh(authorization_id(99), RefreshGoal::Fresh).await, RefreshOutcome::Ended);
}

#[tokio::test(start_paused = true)]
async fn r36_the_lease_is_requested_for_the_revision_that_was_read_and_outlasts_the_request() {
    let (parts, grant) = expired().await;
    let policy = Policy::default();
    let mut leases = MockRefreshLeases::new();
    let (expected, lease) = (grant.clone(), taken(&grant, false));
    let fits = move |request: &LeaseRequest| {
        request.id == expected.id()
            && request.revision == expected.as_grant().unwrap().tokens().revision
            && request.length == policy.request_deadline + policy.quarantine
            && request.longest > request.length
    };
    leases.expect_take_lease().withf(fits).times(1).return_once(move |_| Ok(lease));
    assert_eq!(refresher_with(&parts, leases).refresh(grant.id(), RefreshGoal::Fresh).await, RefreshOutcome::Current);
    assert_eq!((refreshes(&parts), parts.access_token(grant.id()).await.as_str()), (1, "access-1"));
}

#[tokio::test(start_paused = true)]
async fn r40_the_pause_after_a_failed_attempt_is_reported_at_once() {
    let (parts, grant) = expired().await;
    let until = parts.now().plus(Duration::from_secs(40));
    let paused = Lease::Held { until, grant: Box::new(Versioned::stored(grant.clone())) };
    let outcome = refresher_with(&parts, leases(vec![paused])).refresh(grant.id(), RefreshGoal::Fresh).await;
    assert_eq!((retry_after(outcome), refreshes(&parts)), (Duration::from_secs(40), 0));
}

#[tokio::test(start_paused = true)]
async fn r36_the_lease_of_another_attempt_is_waited_for() {
    let (parts, grant) = expired().await;
    let until = parts.now().plus(Duration::from_secs(40));
    let held = || Lease::Held { until, grant: leased(&grant) };
    let refresher = refresher_with(&parts, leases(vec![held(), held(), taken(&grant, false)]));
    let outcome = advancing(&parts.clock, refresher.refresh(grant.id(), RefreshGoal::Fresh)).await;
    assert_eq!((outcome, refreshes(&parts)), (RefreshOutcome::Current, 1));
}

#[tokio::test(start_paused = true)]
async fn r36_the_wait_for_a_lease_is_bounded() {
    let (parts, grant) = expired().await;
    let (started, until) = (parts.now(), parts.now().plus(HOUR));
    let mut leases = MockRefreshLeases::new();
    let held = leased(&grant);
    leases.expect_take_lease().returning(move |_| Ok(Lease::Held { until, grant: held.clone() }));
    let refresher = refresher_with(&parts, leases);
    let outcome = advancing(&parts.clock, refresher.refresh(grant.id(), RefreshGoal::Fresh)).await;
    assert!(retry_after(outcome) > Duration::from_mins(50));
    let waited = parts.now().since(started);
    assert!((Duration::from_secs(20)..Duration::from_secs(22)).contains(&waited), "{waited:?}");
    assert_eq!(refreshes(&parts), 0);
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_keeps_changing_is_not_waited_for_without_end() {
    let (parts, grant) = expired().await;
    let started = parts.now();
    let mut leases = MockRefreshLeases::new();
    let stored = Versioned::stored(grant.clone());
    leases.expect_take_lease().returning(move |_| Ok(Lease::Stale(Box::new(stored.clone()))));
    let refresher = refresher_with(&parts, leases);
    let outcome = advancing(&parts.clock, refresher.refresh(grant.id(), RefreshGoal::Fresh)).await;
    assert_eq!((retry_after(outcome), refreshes(&parts)), (SECOND, 0));
    assert!(parts.now().since(started) < Duration::from_secs(42));
}

#[tokio::test(start_paused = true)]
async fn a_stale_lease_request_is_repeated_on_the_stored_grant() {
    let (parts, grant) = expired().await;
    let stale = Lease::Stale(Box::new(Versioned::stored(grant.clone())));
    let refresher = refresher_with(&parts, leases(vec![stale, taken(&grant, false)]));
    let outcome = advancing(&parts.clock, refresher.refresh(grant.id(), RefreshGoal::Fresh)).await;
    assert_eq!((outcome, refreshes(&parts)), (RefreshOutcome::Current, 1));
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_was_removed_before_its_lease_has_ended() {
    let (parts, grant) = expired().await;
    let refresher = refresher_with(&parts, leases(vec![Lease::NotFound]));
    assert_eq!(refresher.refresh(grant.id(), RefreshGoal::Fresh).await, RefreshOutcome::Ended);
    assert_eq!(refreshes(&parts), 0);
}

#[tokio::test(start_paused = true)]
async fn r37_the_outcome_is_known_only_if_this_and_no_earlier_request_is_in_doubt() {
    let cases = [
        (ProviderErrorKind::NotSent, false, true),
        (ProviderErrorKind::NotSent, true, false),
        (ProviderErrorKind::NoResponse, false, false),
        (ProviderErrorKind::NoResponse, true, false),
        (ProviderErrorKind::Throttled { retry_after: None, unprocessed: true }, false, true),
        (ProviderErrorKind::Throttled { retry_after: None, unprocessed: false }, false, false),
    ];
    for (error, was_in_doubt, known) in cases {
        let (parts, grant) = expired().await;
        parts.provider.respond_to_refresh(Err(error));
        let mut leases = leases(vec![taken(&grant, was_in_doubt)]);
        let quarantined = parts.now().plus(Policy::default().quarantine);
        let fits =
            move |attempt: &FailedAttempt| attempt.outcome_known == known && (known || attempt.not_before >= quarantined);
        let failed: Arc<Mutex<Vec<_>>> = Arc::default();
        let events = failed.clone();
        leases.expect_fail_attempt().withf(move |_, _, attempt, _| fits(attempt)).times(1).returning(
            move |_, _, _, audit| {
                events.lock().unwrap().extend(audit.into_iter().map(|event| (event.kind, event.outcome.as_str())));
                Ok(())
            },
        );
        let outcome = refresher_with(&parts, leases).refresh(grant.id(), RefreshGoal::Fresh).await;
        assert!(retry_after(outcome) >= SECOND, "{error:?}");
        assert_eq!(*failed.lock().unwrap(), [(AuditKind::RefreshFailed, error.as_str())]);
        assert_eq!(parts.access_token(grant.id()).await, "access-0");
    }
}

#[tokio::test(start_paused = true)]
async fn r40_a_request_without_a_response_is_in_doubt_after_its_deadline() {
    let (parts, grant) = expired().await;
    let refresher = parts.refresher();
    let _gate = parts.provider.hold(Operation::Refresh);
    let started = parts.now();
    retry_after(advancing(&parts.clock, refresher.refresh(grant.id(), RefreshGoal::Fresh)).await);
    assert!(parts.now().since(started) < Duration::from_secs(16));
    let stored = AuthorizationStore::find(&parts.store, grant.id()).await.unwrap().unwrap();
    let refresh = stored.value.as_grant().unwrap().refresh().clone();
    assert!(refresh.in_doubt_since.is_some() && refresh.holder.is_none());
    assert!(refresh.held_until.unwrap() >= parts.now().plus(Policy::default().quarantine));
}

#[tokio::test(start_paused = true)]
async fn lesson_12_tokens_are_pending_until_the_store_is_available_again() {
    let (parts, grant) = expired().await;
    let refresher = parts.refresher();
    parts.store.fail_always(Method::Replace, Fault::UNAVAILABLE);
    let outcome = advancing(&parts.clock, refresher.refresh(grant.id(), RefreshGoal::Fresh)).await;
    assert_eq!((retry_after(outcome), refresher.pending_commits()), (SECOND, 1));
    for _ in 0..3 {
        retry_after(advancing(&parts.clock, refresher.refresh(grant.id(), RefreshGoal::Fresh)).await);
    }
    assert_eq!((refreshes(&parts), parts.access_token(grant.id()).await.as_str()), (1, "access-0"));
    parts.audit.flush().await.unwrap();
    let events = AuditOutbox::pending_events(&parts.store, 10).await.unwrap();
    assert_eq!(events.iter().filter(|recorded| recorded.event.kind == AuditKind::CommitPending).count(), 1);
    parts.store.clear_faults();
    advancing(&parts.clock, parts.spawner.finished()).await;
    assert_eq!((refresher.pending_commits(), parts.access_token(grant.id()).await.as_str()), (0, "access-1"));
    assert!(parts.revoked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn r41_tokens_of_a_grant_that_was_terminated_meanwhile_are_revoked() {
    let (parts, grant) = expired().await;
    let refresher = parts.refresher();
    let gate = parts.provider.hold(Operation::Refresh);
    let caller = spawn(&refresher, grant.id(), RefreshGoal::Fresh);
    gate.arrived(1).await;
    let request = TerminationRequest { cause: TerminationCause::Disconnected, actor: Actor::System };
    let ended = AuthorizationStore::terminate(&parts.store, TerminationScope::One(grant.id()), request).await;
    assert_eq!(ended.unwrap().grants, 1);
    gate.open();
    assert_eq!(advancing(&parts.clock, caller).await.unwrap(), RefreshOutcome::Ended);
    advancing(&parts.clock, parts.spawner.finished()).await;
    for token in ["refresh-1", "access-1"] {
        assert!(parts.revoked().iter().any(|revoked| revoked == token), "{token} in {:?}", parts.revoked());
    }
}

#[tokio::test(start_paused = true)]
async fn r47_a_refused_client_opens_the_circuit_after_two_grants_and_one_probe_closes_it() {
    let (parts, grant) = expired().await;
    let others = [parts.grant("bob").await, parts.grant("carol").await];
    parts.clock.advance(HOUR);
    let refresher = parts.refresher();
    for _ in 0..2 {
        parts.provider.respond_to_refresh(Err(ProviderErrorKind::ClientRefused));
    }
    let refused = refresher.refresh(grant.id(), RefreshGoal::Fresh).await;
    assert!(matches!(refused, RefreshOutcome::Refused { .. }), "one grant is no proof: {refused:?}");
    assert!(!parts.breaker.is_open(&parts.connector, parts.now()));
    for id in [others[0].id(), others[1].id(), grant.id()] {
        assert_eq!(refresher.refresh(id, RefreshGoal::Fresh).await, RefreshOutcome::Misconfigured);
    }
    assert_eq!(refreshes(&parts), 2, "no request while the circuit is open");
    // After the pause, one request probes while the others are refused.
    parts.clock.advance(Duration::from_mins(2));
    let gate = parts.provider.hold(Operation::Refresh);
    let probe = spawn(&refresher, others[1].id(), RefreshGoal::Fresh);
    gate.arrived(1).await;
    assert_eq!(refresher.refresh(grant.id(), RefreshGoal::Fresh).await, RefreshOutcome::Misconfigured);
    gate.open();
    assert_eq!(probe.await.unwrap(), RefreshOutcome::Current);
    assert_eq!(refresher.refresh(grant.id(), RefreshGoal::Fresh).await, RefreshOutcome::Current);
}

#[tokio::test(start_paused = true)]
async fn r47_refusals_of_one_grant_never_stop_the_others() {
    use ProviderErrorKind::{ClientRefused, GrantTypeRefused, OtherOauthError, Refused};
    for error in [GrantTypeRefused, OtherOauthError, Refused, ClientRefused] {
        let (parts, dead) = expired().await;
        let refresher = parts.refresher();
        for n in 0..10 {
            let other = parts.grant(&format!("user-{n}")).await;
            parts.clock.advance(HOUR);
            parts.provider.respond_to_refresh(Err(error));
            assert_ne!(refresher.refresh(dead.id(), RefreshGoal::Fresh).await, RefreshOutcome::Misconfigured);
            assert_eq!(refresher.refresh(other.id(), RefreshGoal::Fresh).await, RefreshOutcome::Current, "{error:?}");
            if error != ClientRefused && n == 2 {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r47_a_rejected_token_forces_one_refresh() {
    let parts = TestParts::new().await;
    let grant = parts.grant("alice").await;
    let refresher = parts.refresher();
    for n in 0..5 {
        let rejected = sha256(parts.access_token(grant.id()).await.as_bytes());
        assert_eq!(refresher.refresh(grant.id(), RefreshGoal::Replace(rejected)).await, RefreshOutcome::Current);
        assert_eq!(refreshes(&parts), 1, "attempt {n}: the next token is not replaced shortly after");
    }
    parts.clock.advance(Duration::from_secs(30));
    let rejected = sha256(parts.access_token(grant.id()).await.as_bytes());
    assert_eq!(refresher.refresh(grant.id(), RefreshGoal::Replace(rejected)).await, RefreshOutcome::Current);
    assert_eq!(refreshes(&parts), 2);
}

#[tokio::test(start_paused = true)]
async fn r39_invalid_grant_ends_the_grant_only_if_no_newer_tokens_are_stored() {
    let (parts, grant) = expired().await;
    let refresher = parts.refresher();
    let gate = parts.provider.hold(Operation::Refresh);
    parts.provider.respond_to_refresh(Err(ProviderErrorKind::InvalidGrant));
    let caller = spawn(&refresher, grant.id(), RefreshGoal::Fresh);
    gate.arrived(1).await;
    // Another node commits newer tokens in the meantime.
    let secrets = parts.secrets("alice").await;
    let newer = grantry_domain::authorization::GrantSecrets { revision: secrets.revision.next(), ..secrets };
    let tokens = parts.sealer.seal_grant(grant.owner(), grant.id(), &newer).unwrap();
    let record = AuthorizationRecord {
        sealed: Some(tokens.sealed),
        revision: tokens.revision,
        expires_at: tokens.expires_at,
        ..grant.to_record()
    };
    let expected = grantry_domain::ports::ExpectedVersion::of(&grant);
    AuthorizationStore::replace(&parts.store, authorization(&record), expected, Vec::new()).await.unwrap();
    gate.open();
    assert_eq!(advancing(&parts.clock, caller).await.unwrap(), RefreshOutcome::Current);
    let stored = AuthorizationStore::find(&parts.store, grant.id()).await.unwrap().unwrap();
    assert!(stored.value.as_grant().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_at_the_lease_is_transient() {
    let (parts, grant) = expired().await;
    let mut leases = MockRefreshLeases::new();
    leases.expect_take_lease().times(1).returning(|_| Err(StoreError::Unavailable));
    let outcome = refresher_with(&parts, leases).refresh(grant.id(), RefreshGoal::Fresh).await;
    assert_eq!((retry_after(outcome), refreshes(&parts)), (SECOND, 0));
}

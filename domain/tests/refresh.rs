//! RefreshState: exactly once, never lost, honest about failures.

use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::{AuthorizationRecord, ProviderNote, Reason, Revision, StateKind, StatusKind};
use grantry_domain::ports::{
    AuditKind, AuthorizationStore, ExpectedVersion, LeaseRequest, Lifetime, ProviderError, TokenResponse, VaultError,
};
use grantry_domain::provider::Scopes;
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{Connections, ConnectorDraft, TokenError};
use grantry_testkit::doubles::fixtures::user;
use grantry_testkit::doubles::{Call, Operation, ScriptedAuthorizationServer, tokens};

use crate::common::ledger::{Reuse, Trouble};
use crate::common::store::{DOWN, Fault, Method};
use crate::common::{
    HOUR, SECOND, World, came_back, demand, draft, draft_without_secret, drive, person, quiet, token_from, tokens_for,
};

fn unavailable(result: &Result<String, TokenError>) -> Duration {
    match result {
        Err(TokenError::Unavailable { retry_after }) => *retry_after,
        other => panic!("expected to be told to wait, got {other:?}"),
    }
}

fn spawn_token(node: &Arc<Connections>, who: &str) -> tokio::task::JoinHandle<Result<String, TokenError>> {
    let (node, demand) = (node.clone(), demand(who));
    tokio::spawn(async move { token_from(&node, &demand).await })
}

#[tokio::test]
async fn r46_a_token_is_renewed_within_a_margin_before_its_end_and_not_earlier() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    let margin = Duration::from_mins(5);
    world.clock.advance(HOUR - margin - SECOND);
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-1"));
    assert_eq!(world.refreshes(), 0);
    world.clock.advance(margin / 5 + 2 * SECOND);
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-2"), "the jitter is at most a fifth");
    let row = world.row(id).await;
    assert_eq!((row.revision, row.expires_at), (Revision::FIRST.next(), Some(world.now().plus(HOUR))));
    assert_eq!(row.refresh, grantry_domain::authorization::RefreshState::default(), "lease and doubt are gone");
    assert_eq!(world.outcomes(AuditKind::Refreshed).await, ["ok"]);
}

#[tokio::test(start_paused = true)]
async fn r36_lesson_10_many_callers_on_two_nodes_make_one_refresh() {
    let world = World::new().await;
    world.connect("alice").await;
    world.clock.advance(HOUR);
    let nodes = [world.node.clone(), world.another_node()];
    let gate = world.provider.hold(Operation::Refresh);
    let callers: Vec<_> = (0..50).map(|n: usize| spawn_token(&nodes[n % 2], "alice")).collect();
    gate.arrived(1).await;
    quiet().await;
    gate.open();
    let all = async {
        for caller in callers {
            assert_eq!(caller.await.unwrap().as_deref(), Ok("access-2"));
        }
    };
    world.drive(all).await;
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r36_lesson_10_callers_in_parallel_threads_make_one_refresh() {
    for _ in 0..20 {
        let world = World::new().await;
        world.connect("alice").await;
        world.clock.advance(HOUR);
        let callers: Vec<_> = (0..50).map(|_| spawn_token(&world.node, "alice")).collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap().as_deref(), Ok("access-2"));
        }
        assert_eq!(world.refreshes(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn r36_r47_lesson_11_many_unauthorized_answers_make_one_refresh() {
    let world = World::new().await;
    world.connect("alice").await;
    let nodes = [world.node.clone(), world.another_node()];
    let refused = world.node.access_token(&demand("alice")).await.unwrap().fingerprint;
    let reports = (0..50).map(|n: usize| {
        let node = nodes[n % 2].clone();
        tokio::spawn(async move {
            let given = node.report_unauthorized(&demand("alice"), refused).await;
            given.map(|given| crate::common::text(&given.token))
        })
    });
    let reports: Vec<_> = reports.collect();
    let all = async {
        for report in reports {
            assert_eq!(report.await.unwrap().as_deref(), Ok("access-2"));
        }
    };
    world.drive(all).await;
    assert_eq!(world.refreshes(), 1);
    // A late report of the old token changes nothing.
    let late = world.node.report_unauthorized(&demand("alice"), refused).await.unwrap();
    assert_eq!(crate::common::text(&late.token), "access-2");
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test]
async fn r47_an_api_that_refuses_every_token_makes_no_storm() {
    let world = World::new().await;
    world.connect("alice").await;
    let mut forced = Vec::new();
    for _ in 0..100 {
        let given = world.node.access_token(&demand("alice")).await.unwrap();
        let again = world.node.report_unauthorized(&demand("alice"), given.fingerprint).await;
        forced.push(again.is_ok());
        world.clock.advance(SECOND);
    }
    let refreshes = world.refreshes();
    assert!((1..=5).contains(&refreshes), "{refreshes} refreshes in 100 seconds");
    assert_eq!(forced.iter().filter(|forced| **forced).count(), refreshes);
    let given = world.node.access_token(&demand("alice")).await.unwrap();
    let refused = world.node.report_unauthorized(&demand("alice"), given.fingerprint).await.map(drop).unwrap_err();
    assert_eq!(refused, TokenError::AuthorizationRequired { reason: Reason::TokenRejected });
    assert_eq!(world.kind("alice").await, StatusKind::Connected, "only ever said to the caller");
}

#[tokio::test]
async fn r47_a_provider_that_returns_the_same_token_is_asked_once_for_it() {
    let world = World::new().await;
    world.provider.answer_exchange(Ok(tokens("same", Some("r"))));
    world.connect("alice").await;
    for _ in 0..10 {
        world.provider.answer_refresh(Ok(tokens("same", Some("r"))));
        let given = world.node.access_token(&demand("alice")).await.unwrap();
        let again = world.node.report_unauthorized(&demand("alice"), given.fingerprint).await.map(drop);
        assert_eq!(again, Err(TokenError::AuthorizationRequired { reason: Reason::TokenRejected }));
        world.clock.advance(Duration::from_mins(1));
    }
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test]
async fn a_refused_token_without_refresh_token_ends_the_grant() {
    let world = World::new().await;
    let never = TokenResponse { lifetime: Lifetime::Never, ..tokens("a", None) };
    world.provider.answer_exchange(Ok(never));
    let id = world.connect("alice").await;
    world.clock.advance(1000 * HOUR);
    let given = world.node.access_token(&demand("alice")).await.unwrap();
    assert_eq!(given.expires_at, None);
    let refused = world.node.report_unauthorized(&demand("alice"), given.fingerprint).await.map(drop);
    assert_eq!(refused, Err(TokenError::AuthorizationRequired { reason: Reason::AccessTokenExpired }));
    assert_eq!(world.row(id).await.state, StateKind::Expired);
    assert_eq!(world.outcomes(AuditKind::GrantExpired).await, ["access_token_expired"]);
}

#[tokio::test(start_paused = true)]
async fn r38_nobody_gets_a_token_before_it_is_committed() {
    let world = World::new().await;
    world.connect("alice").await;
    world.clock.advance(HOUR);
    let gate = world.store.hold(Method::Replace);
    let caller = spawn_token(&world.node, "alice");
    gate.arrived(1).await;
    quiet().await;
    assert_eq!(world.refreshes(), 1);
    assert!(!caller.is_finished());
    gate.open();
    assert_eq!(caller.await.unwrap().as_deref(), Ok("access-2"));
}

#[tokio::test(start_paused = true)]
async fn lesson_12_a_store_that_fails_once_after_a_refresh_costs_nothing() {
    for fault in [DOWN, Fault::AnswerLost] {
        let world = World::new().await;
        let id = world.connect("alice").await;
        world.clock.advance(HOUR);
        world.store.fail_next(Method::Replace, fault);
        let token = world.drive(world.token("alice")).await;
        assert_eq!(token.as_deref(), Ok("access-2"), "{fault:?}");
        assert_eq!((world.refreshes(), world.row(id).await.revision), (1, Revision(2)));
        assert_eq!(world.node.pending_commits(), 0);
        quiet().await;
        assert!(world.revoked().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn lesson_12_renewed_tokens_are_kept_and_saved_when_the_store_is_back() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    world.clock.advance(HOUR);
    world.store.fail_always(Method::Replace, DOWN);
    let refused = world.drive(world.token("alice")).await;
    unavailable(&refused);
    assert_eq!(world.node.pending_commits(), 1);
    // As long as they are not saved nobody gets them, and nobody asks the provider again.
    for _ in 0..5 {
        let refused = world.drive(world.token("alice")).await;
        unavailable(&refused);
        world.pass(Duration::from_mins(1)).await;
    }
    assert_eq!((world.refreshes(), world.row(id).await.revision), (1, Revision::FIRST));
    world.store.mend();
    world.drive(world.spawner.finished()).await;
    assert_eq!(world.node.pending_commits(), 0);
    assert_eq!(world.row(id).await.revision, Revision(2));
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-2"));
    assert_eq!(world.refreshes(), 1);
    assert_eq!(world.outcomes(AuditKind::CommitPending).await, ["store_unavailable"], "the alarm");
}

#[tokio::test(start_paused = true)]
async fn lesson_12_renewed_tokens_that_cannot_be_sealed_are_kept_as_well() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    world.clock.advance(HOUR);
    let gate = world.provider.hold(Operation::Refresh);
    let caller = spawn_token(&world.node, "alice");
    gate.arrived(1).await;
    world.vault.fail(Some(VaultError::NoEntropy));
    gate.open();
    assert!(world.drive(caller).await.unwrap().is_err());
    assert_eq!(world.node.pending_commits(), 1);
    world.vault.fail(None);
    world.drive(world.spawner.finished()).await;
    assert_eq!((world.row(id).await.revision, world.node.pending_commits()), (Revision(2), 0));
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-2"));
    assert!(world.revoked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn lesson_12_the_next_caller_saves_what_is_kept_before_anything_else() {
    let world = World::new().await;
    world.connect("alice").await;
    world.clock.advance(HOUR);
    world.store.fail_always(Method::Replace, DOWN);
    unavailable(&world.drive(world.token("alice")).await);
    world.store.mend();
    let token = world.token("alice").await;
    assert_eq!(token.as_deref(), Ok("access-2"), "without waiting for the next try in the background");
    assert_eq!((world.refreshes(), world.node.pending_commits()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn r26_a_renewal_goes_on_when_its_caller_hangs_up() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    world.clock.advance(HOUR);
    let gate = world.provider.hold(Operation::Refresh);
    let caller = spawn_token(&world.node, "alice");
    gate.arrived(1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    gate.open();
    world.spawner.finished().await;
    assert_eq!(world.row(id).await.revision, Revision(2));
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-2"));
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test]
async fn r39_lesson_14_invalid_grant_ends_the_grant_with_its_reason() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    world.clock.advance(HOUR);
    world.provider.answer_refresh(Err(ProviderError::InvalidGrant));
    let refused = TokenError::AuthorizationRequired { reason: Reason::RefreshRejected };
    assert_eq!(world.token("alice").await, Err(refused));
    let status = world.status("alice").await;
    assert_eq!((status.kind, status.reason), (StatusKind::NeedsReauthorization, Some(Reason::RefreshRejected)));
    assert_eq!(world.row(id).await.state, StateKind::Expired);
    assert_eq!(world.token("alice").await, Err(refused));
    assert_eq!(world.refreshes(), 1, "a dead grant is not tried again");
    assert_eq!(world.outcomes(AuditKind::GrantExpired).await, ["refresh_rejected"]);
}

#[tokio::test(start_paused = true)]
async fn r39_every_other_error_leaves_the_grant_alone() {
    let others = crate::common::PROVIDER_ERRORS.iter().copied().filter(|error| *error != ProviderError::InvalidGrant);
    for error in others {
        let world = World::new().await;
        let id = world.connect("alice").await;
        world.clock.advance(HOUR);
        world.provider.answer_refresh(Err(error));
        let refused = world.token("alice").await.unwrap_err();
        let misconfigured = error.is_misconfiguration();
        assert_eq!(refused == TokenError::Misconfigured, misconfigured, "{error:?}: {refused:?}");
        let row = world.row(id).await;
        assert_eq!((row.state, row.revision), (StateKind::Authorized, Revision::FIRST));
        assert_eq!(row.refresh.in_doubt_since.is_some(), !error.outcome_is_known(), "R37 {error:?}");
        let status = world.status("alice").await;
        assert_eq!((status.kind, status.reason), (StatusKind::Connected, None), "{error:?}");
        assert!(matches!(status.provider_note, Some(ProviderNote::UnreachableSince(since)) if since == world.now()));
        assert_eq!(world.outcomes(AuditKind::RefreshFailed).await, [error.as_str()]);
        // And it recovers.
        world.pass(Duration::from_mins(3)).await;
        assert_eq!(world.token("alice").await.as_deref(), Ok("access-2"), "{error:?}");
        assert_eq!(world.status("alice").await.provider_note, None);
    }
}

#[tokio::test(start_paused = true)]
async fn r37_r40_in_doubt_there_is_one_attempt_per_quarantine() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    world.clock.advance(HOUR);
    let since = world.now();
    for attempt in 1..=6 {
        world.provider.answer_refresh(Err(ProviderError::NoResponse));
        unavailable(&world.token("alice").await);
        assert_eq!(world.refreshes(), attempt);
        assert_eq!(world.row(id).await.refresh.in_doubt_since, Some(since), "durably, since the first");
        let held_until = world.row(id).await.refresh.held_until.unwrap();
        assert!(held_until.since(world.now()) >= Duration::from_secs(30));
        world.clock.advance(Duration::from_secs(29));
        for node in [world.node.clone(), world.another_node()] {
            let wait = unavailable(&token_from(&node, &demand("alice")).await);
            assert_eq!(wait, held_until.since(world.now()), "told when it is worth it");
        }
        assert_eq!(world.refreshes(), attempt, "nobody asks within the quarantine");
        world.clock.advance(held_until.since(world.now()));
    }
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-2"));
    assert_eq!(world.row(id).await.refresh, grantry_domain::authorization::RefreshState::default());
}

#[tokio::test]
async fn r37_only_a_known_outcome_of_the_doubtful_request_ends_the_doubt() {
    let clear: [ProviderError; 4] = [
        ProviderError::NotSent,
        ProviderError::NotAllowed,
        ProviderError::ClientRefused,
        ProviderError::Throttled { retry_after: None, unprocessed: true },
    ];
    for error in clear {
        let world = World::new().await;
        let id = world.connect("alice").await;
        world.clock.advance(HOUR);
        world.provider.answer_refresh(Err(ProviderError::NoResponse));
        world.token("alice").await.unwrap_err();
        world.clock.advance(Duration::from_mins(3));
        world.provider.answer_refresh(Err(error));
        world.token("alice").await.unwrap_err();
        assert_eq!(world.refreshes(), 2);
        assert!(world.row(id).await.refresh.in_doubt_since.is_some(), "{error:?} says nothing about the first request");
    }
}

#[tokio::test]
async fn r40_in_doubt_a_token_that_still_lives_is_handed_out() {
    let world = World::new().await;
    world.connect("alice").await;
    world.clock.advance(HOUR - Duration::from_mins(1));
    world.provider.answer_refresh(Err(ProviderError::NoResponse));
    for _ in 0..3 {
        assert_eq!(world.token("alice").await.as_deref(), Ok("access-1"));
    }
    assert_eq!(world.refreshes(), 1);
    world.clock.advance(Duration::from_mins(1) - Duration::from_millis(1));
    world.provider.answer_refresh(Err(ProviderError::NoResponse));
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-1"), "up to its last moment");
    world.clock.advance(Duration::from_millis(1));
    unavailable(&world.token("alice").await);
}

#[tokio::test(start_paused = true)]
async fn r40_the_owner_gives_up_well_before_its_lease_ends() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    world.clock.advance(HOUR);
    let gate = world.provider.hold(Operation::Refresh);
    let started = world.now();
    let caller = spawn_token(&world.node, "alice");
    gate.arrived(1).await;
    let held_until = world.row(id).await.refresh.held_until.unwrap();
    assert!(held_until.since(started) >= Duration::from_secs(45), "request deadline and quarantine");
    unavailable(&world.drive(caller).await.unwrap());
    let abandoned = world.now().since(started);
    assert!((Duration::from_secs(15)..Duration::from_secs(16)).contains(&abandoned), "{abandoned:?}");
    let row = world.row(id).await;
    assert!(row.refresh.in_doubt_since.is_some());
    assert!(row.refresh.held_until.unwrap() >= world.now().plus(Duration::from_secs(30)), "the quarantine");
    assert_eq!(world.outcomes(AuditKind::RefreshFailed).await, ["no_response"]);
}

/// A world with alice's grant expired, and a node whose process stands still as soon as it has the lease.
async fn stopped_with_the_lease(world: &World, provider: &Arc<ScriptedAuthorizationServer>) -> Stopped {
    world.connect("alice").await;
    world.clock.advance(HOUR);
    let (node, clock) = world.stopped_node(provider.clone());
    let gate = provider.hold(Operation::Refresh);
    let caller = spawn_token(&node, "alice");
    gate.arrived(1).await;
    Stopped { clock, gate, caller }
}

struct Stopped {
    clock: grantry_testkit::doubles::TestClock,
    gate: grantry_testkit::provider::Gate,
    caller: tokio::task::JoinHandle<Result<String, TokenError>>,
}

#[tokio::test(start_paused = true)]
async fn r38_r41_an_answer_that_comes_after_the_lease_never_overwrites_the_winners_tokens() {
    let world = World::new().await;
    let slow = Arc::new(ScriptedAuthorizationServer::default());
    slow.answer_refresh(Ok(tokens("stale-access", Some("stale-refresh"))));
    let stopped = stopped_with_the_lease(&world, &slow).await;
    world.clock.advance(Duration::from_mins(1));
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-2"), "the lease has ended");
    stopped.gate.open();
    assert_eq!(stopped.caller.await.unwrap().as_deref(), Ok("access-2"), "the loser uses the winner's");
    quiet().await;
    assert!(world.revoked().is_empty(), "and drops its own without revoking: that could kill the winner's");
    assert_eq!(slow.count(Operation::Revoke), 0);
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-2"));
}

#[tokio::test(start_paused = true)]
async fn r39_lesson_13_the_losers_invalid_grant_does_not_end_the_winners_grant() {
    let world = World::new().await;
    let slow = Arc::new(ScriptedAuthorizationServer::default());
    slow.answer_refresh(Err(ProviderError::InvalidGrant));
    let stopped = stopped_with_the_lease(&world, &slow).await;
    world.clock.advance(Duration::from_mins(1));
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-2"));
    stopped.gate.open();
    stopped.clock.advance(SECOND);
    assert_eq!(world.drive(ticking(&stopped.clock, stopped.caller)).await.as_deref(), Ok("access-2"));
    assert_eq!(world.kind("alice").await, StatusKind::Connected);
}

/// Awaits a caller whose own clock has to be moved as well.
async fn ticking(
    clock: &grantry_testkit::doubles::TestClock,
    mut caller: tokio::task::JoinHandle<Result<String, TokenError>>,
) -> Result<String, TokenError> {
    loop {
        tokio::select! {
            biased;
            done = &mut caller => return done.unwrap(),
            () = quiet() => clock.advance(Duration::from_millis(50)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r40_an_owner_that_was_paused_between_lease_and_request_sends_nothing() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    world.clock.advance(HOUR);
    let store = Arc::new(world.store.another_way());
    let slow = Arc::new(ScriptedAuthorizationServer::default());
    let node = world.node_on(&store, slow.clone());
    // Everything up to the lease, then nothing more: the next read of the store's clock hangs.
    let lease = store.hold(Method::TakeLease);
    let caller = spawn_token(&node, "alice");
    lease.arrived(1).await;
    let clock_gate = store.hold(Method::Now);
    lease.open();
    clock_gate.arrived(1).await;
    assert!(world.row(id).await.refresh.owner.is_some());
    world.clock.advance(Duration::from_mins(1));
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-2"), "another node takes over");
    clock_gate.open();
    assert_eq!(world.drive(caller).await.unwrap().as_deref(), Ok("access-2"));
    assert_eq!(slow.count(Operation::Refresh), 0, "a spent token is not presented");
}

#[tokio::test(start_paused = true)]
async fn r36_a_lease_of_a_dead_process_is_waited_out_and_leaves_doubt() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    world.clock.advance(HOUR);
    let row = world.row(id).await;
    let length = world.node.policy().lease_length();
    let request = LeaseRequest { id, revision: row.revision, owner: [7; 16], length, longest: 2 * HOUR };
    world.store.inner().take_lease(request).await.unwrap();
    let started = world.now();
    let refused = world.drive(world.token("alice")).await;
    unavailable(&refused);
    assert!(world.now().since(started) < Duration::from_secs(30), "nobody waits for ever");
    assert_eq!(world.refreshes(), 0);
    world.clock.advance(length);
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-2"));
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test]
async fn r36_an_implausibly_long_lease_counts_as_in_doubt() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    world.clock.advance(HOUR);
    let row = world.row(id).await;
    let request = LeaseRequest { id, revision: row.revision, owner: [7; 16], length: 1000 * HOUR, longest: 2000 * HOUR };
    world.store.inner().take_lease(request).await.unwrap();
    world.provider.answer_refresh(Err(ProviderError::NotSent));
    unavailable(&world.token("alice").await);
    assert!(world.row(id).await.refresh.in_doubt_since.is_some());
}

#[tokio::test(start_paused = true)]
async fn r41_a_refresh_that_overtakes_a_disconnect_revives_nothing() {
    for reuse in [Reuse::Strict, Reuse::Grace, Reuse::Undetected] {
        let (world, ledger) = World::on_ledger(reuse).await;
        let id = world.connect("alice").await;
        world.clock.advance(HOUR);
        let commit = world.store.hold(Method::Replace);
        let caller = spawn_token(&world.node, "alice");
        commit.arrived(1).await;
        assert_eq!(ledger.count(Operation::Refresh), 1, "the provider has rotated");
        let other = world.node_on(&Arc::new(world.store.another_way()), ledger.clone());
        let (actor, key) = (person("alice"), drive());
        world.drive(other.disconnect(&actor, &key)).await.unwrap();
        assert_eq!(world.row(id).await.state, StateKind::Revoked);
        commit.open();
        let refused = world.drive(caller).await.unwrap();
        assert_eq!(refused, Err(TokenError::AuthorizationRequired { reason: Reason::NotConnected }), "{reuse:?}");
        world.drive(world.spawner.finished()).await;
        world.node.revoke_due().await.unwrap();
        assert_eq!(ledger.live_families(), Vec::<String>::new(), "{reuse:?}");
        assert_eq!(world.row(id).await.state, StateKind::Revoked);
        assert_eq!(world.kind("alice").await, StatusKind::NotConnected);
    }
}

#[tokio::test]
async fn a_response_without_refresh_token_or_scope_keeps_the_old_ones() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    for _ in 0..2 {
        world.provider.answer_refresh(Ok(tokens_for("again", None, HOUR)));
        world.clock.advance(HOUR);
        assert_eq!(world.token("alice").await.as_deref(), Ok("again"));
    }
    let sent: Vec<_> = world
        .provider
        .calls()
        .into_iter()
        .filter_map(|call| {
            if let Call::Refresh { refresh_token, granted, .. } = call { Some((refresh_token, granted)) } else { None }
        })
        .collect();
    let granted = Scopes::new(["read", "write"]);
    assert_eq!(sent, [("refresh-1".to_owned(), granted.clone()), ("refresh-1".to_owned(), granted.clone())]);
    assert_eq!(world.row(id).await.scopes, granted);
}

#[tokio::test]
async fn r13_a_narrower_scope_on_refresh_is_recorded_and_never_exceeded() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    let narrow = TokenResponse { scopes: Some(Scopes::new(["read"])), ..tokens("narrow", Some("r")) };
    world.provider.answer_refresh(Ok(narrow));
    world.clock.advance(HOUR);
    world.token("alice").await.unwrap();
    assert_eq!(world.row(id).await.scopes, Scopes::new(["read"]));
    world.clock.advance(HOUR);
    world.token("alice").await.unwrap();
    let Some(Call::Refresh { granted, refresh_token, .. }) = world.provider.calls().pop() else { panic!("a refresh") };
    assert_eq!((granted, refresh_token.as_str()), (Scopes::new(["read"]), "r"));
}

#[tokio::test]
async fn r46_life_counts_from_before_the_refresh_and_nothing_is_given_after_it() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    world.clock.advance(HOUR);
    let sent_at = world.now();
    world.provider.answer_refresh(Ok(tokens_for("short", Some("r"), Duration::from_secs(8))));
    let gate = world.provider.hold(Operation::Refresh);
    let caller = spawn_token(&world.node, "alice");
    gate.arrived(1).await;
    world.clock.advance(Duration::from_secs(10));
    gate.open();
    unavailable(&caller.await.unwrap());
    assert_eq!(world.row(id).await.expires_at, Some(sent_at.plus(Duration::from_secs(8))));
    assert_eq!(world.kind("alice").await, StatusKind::Connected);
}

#[tokio::test]
async fn r46_an_unknown_life_is_the_configured_maximum() {
    let world = World::new().await;
    world.provider.answer_exchange(Ok(TokenResponse { lifetime: Lifetime::Unknown, ..tokens("a", Some("r")) }));
    let id = world.connect("alice").await;
    assert_eq!(world.row(id).await.expires_at, Some(world.now().plus(world.node.policy().assumed_lifetime)));
}

#[tokio::test]
async fn lesson_27_retry_after_is_obeyed() {
    for unprocessed in [true, false] {
        let world = World::new().await;
        world.connect("alice").await;
        world.clock.advance(HOUR);
        let asked = Duration::from_mins(10);
        world.provider.answer_refresh(Err(ProviderError::Throttled { retry_after: Some(asked), unprocessed }));
        let wait = unavailable(&world.token("alice").await);
        assert!(wait >= asked, "{wait:?}");
        world.clock.advance(asked - SECOND);
        unavailable(&world.token("alice").await);
        assert_eq!(world.refreshes(), 1);
        world.clock.advance(wait);
        assert!(world.token("alice").await.is_ok());
    }
}

#[tokio::test]
async fn a_refused_client_opens_the_breaker_until_somebody_repairs_the_connector() {
    let world = World::new().await;
    world.connect("alice").await;
    world.connect("bob").await;
    world.clock.advance(HOUR);
    world.provider.answer_refresh(Err(ProviderError::ClientRefused));
    for who in ["alice", "bob", "alice"] {
        let refused = world.token(who).await;
        assert_eq!(refused, Err(TokenError::Misconfigured));
        assert_eq!(refused.unwrap_err().code(), "provider_misconfigured");
        assert_eq!(world.kind(who).await, StatusKind::Connected, "no user's status changes");
    }
    assert_eq!(world.refreshes(), 1, "one request for the whole connector");
    world.clock.advance(Duration::from_secs(59));
    assert_eq!(world.token("bob").await, Err(TokenError::Misconfigured));
    assert_eq!(world.refreshes(), 1);
    let repaired = ConnectorDraft { client_secret: Some(Secret::from_text("client-secret-2")), ..draft("{}") };
    assert_eq!(world.edit(repaired).await, 0);
    assert!(world.token("bob").await.is_ok());
    assert!(world.token("alice").await.is_ok());
    let Some(Call::Refresh { client_secret, .. }) = world.provider.calls().pop() else { panic!("a refresh") };
    assert_eq!(client_secret.as_deref(), Some("client-secret-2"));
}

#[tokio::test]
async fn a_connector_whose_secret_is_gone_is_the_operators_fault() {
    let world = World::new().await;
    world.connect("alice").await;
    world.clock.advance(HOUR);
    world.store.fail_next(Method::ClientSecret, DOWN);
    unavailable(&world.token("alice").await);
    assert_eq!(world.refreshes(), 0);
    assert_eq!(world.store.count(Method::TakeLease), 0, "no lease is taken for what cannot be sent");
    assert!(world.token("alice").await.is_ok());
}

#[tokio::test]
async fn r74_without_randomness_nothing_is_sent() {
    let world = World::new().await;
    world.connect("alice").await;
    world.clock.advance(HOUR);
    world.random.break_down(true);
    unavailable(&world.token("alice").await);
    assert_eq!((world.refreshes(), world.store.count(Method::TakeLease)), (0, 0));
}

#[tokio::test]
async fn a_store_that_fails_before_the_request_is_a_passing_failure() {
    let world = World::new().await;
    world.connect("alice").await;
    world.clock.advance(HOUR);
    for method in [Method::Find, Method::GetConnector, Method::TakeLease] {
        world.store.fail_next(method, DOWN);
        unavailable(&world.token("alice").await);
        assert_eq!(world.refreshes(), 0, "{method:?}");
    }
    assert!(world.token("alice").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn r42_the_sealed_endpoint_is_used_and_a_changed_connector_gets_no_request() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    world.clock.advance(HOUR);
    let gate = world.store.hold(Method::ClientSecret);
    let caller = spawn_token(&world.node, "alice");
    gate.arrived(1).await;
    // The edit comes when the renewal has looked at the connector already.
    world.profiles.set("moved", |settings| {
        let endpoints = settings.endpoints.take().unwrap_or_default();
        let token = "https://evil.example/token".to_owned();
        settings.endpoints = Some(grantry_domain::provider::Endpoints { token, ..endpoints });
    });
    world.edit(draft("moved")).await;
    gate.open();
    let refused = TokenError::AuthorizationRequired { reason: Reason::ConnectorChanged };
    assert_eq!(world.drive(caller).await.unwrap(), Err(refused));
    assert_eq!(world.row(id).await.state, StateKind::Expired);
    let asked_elsewhere = world.provider.calls().into_iter().any(|call| match call {
        Call::Refresh { endpoint, .. } => endpoint != "https://as.example/token",
        Call::Resolve { .. }
        | Call::AuthorizationUrl { .. }
        | Call::Exchange { .. }
        | Call::Revoke { .. }
        | Call::ClientCredentials { .. }
        | Call::Identify { .. } => false,
    });
    assert!(!asked_elsewhere);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_recovers_with_grace_and_asks_for_consent_without() {
    for (reuse, recovers) in [(Reuse::Grace, true), (Reuse::Undetected, true), (Reuse::Strict, false)] {
        let (world, ledger) = World::on_ledger(reuse).await;
        world.connect("alice").await;
        world.clock.advance(HOUR);
        ledger.trouble(Operation::Refresh, Trouble::AnswerLost);
        unavailable(&world.token("alice").await);
        world.clock.advance(Duration::from_mins(2));
        let token = world.token("alice").await;
        assert_eq!(token.is_ok(), recovers, "{reuse:?}");
        let reason = world.status("alice").await.reason;
        assert_eq!(reason, (!recovers).then_some(Reason::RefreshRejected));
    }
}

#[tokio::test(start_paused = true)]
async fn proactive_renewal_spares_the_user_the_wait() {
    let world = World::new().await;
    world.connect("alice").await;
    world.connect("bob").await;
    world.clock.advance(HOUR - Duration::from_mins(4));
    assert_eq!(world.node.refresh_ahead().await.unwrap(), 2);
    assert_eq!(world.refreshes(), 2);
    world.clock.advance(Duration::from_mins(4));
    assert_eq!(world.node.refresh_ahead().await.unwrap(), 0);
    assert!(world.token("alice").await.is_ok());
    assert_eq!(world.refreshes(), 2, "nothing left to do at the hand-out");
    world.clock.advance(Duration::from_hours(24 * 8));
    assert_eq!(world.node.refresh_ahead().await.unwrap(), 0, "not for those that nobody has used for a week");
    world.store.fail_next(Method::Now, DOWN);
    assert!(world.node.refresh_ahead().await.is_err());
}

#[tokio::test]
async fn a_public_client_refreshes_without_a_secret() {
    let world = World::without_connector();
    world.profiles.set("public", |settings| {
        settings.authentication = grantry_domain::provider::ClientAuthentication::None;
    });
    world.create_connector(&drive(), draft_without_secret("public")).await;
    let started = world.start("alice", &drive()).await;
    world.complete(came_back(&started, "alice")).await;
    world.clock.advance(HOUR);
    world.token("alice").await.unwrap();
    assert_eq!(world.store.count(Method::ClientSecret), 0);
}

#[tokio::test]
async fn r41_a_record_that_is_gone_revokes_what_was_received() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    world.clock.advance(HOUR);
    let gate = world.provider.hold(Operation::Refresh);
    let caller = spawn_token(&world.node, "alice");
    gate.arrived(1).await;
    world.node.remove_user(grantry_domain::identity::Actor::System, &user("alice")).await.unwrap();
    assert_eq!(world.row(id).await.state, StateKind::Revoked);
    gate.open();
    assert!(caller.await.unwrap().is_err());
    world.spawner.finished().await;
    let revoked = world.revoked();
    for token in ["refresh-2", "access-2"] {
        assert!(revoked.iter().any(|revoked| revoked == token), "{token} in {revoked:?}");
    }
}

#[tokio::test]
async fn a_fenced_write_never_meets_another_revision() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    let old = world.row(id).await;
    world.clock.advance(HOUR);
    world.token("alice").await.unwrap();
    let late = AuthorizationRecord { last_used_day: Some(0), ..old.clone() };
    let answer = world.store.inner().replace(late, ExpectedVersion::of(&old), Vec::new()).await.unwrap();
    assert!(matches!(answer, grantry_domain::ports::WriteOutcome::Stale(_)));
}

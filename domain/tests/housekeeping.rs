//! What the background does: sweeping, reconciling with the host, delivering events.

use std::time::Duration;

use grantry_domain::authorization::{RevokedCause, StateKind, StatusKind, TerminationCause};
use grantry_domain::identity::{Actor, Role};
use grantry_domain::ports::{
    AuditKind, AuthorizationStore, Lifetime, ProviderError, SinkError, StoreError, SweepPolicy, TokenResponse, UserStatus,
};
use grantry_domain::usecase::{CancelKey, HousekeepingError, Policy, Progress};
use grantry_testkit::doubles::fixtures::{connector_key, space, user};
use grantry_testkit::doubles::{Operation, tokens};

use crate::common::store::{DOWN, Method};
use crate::common::{HOUR, World, came_back, draft, drive, elsewhere, person, policy, quiet, tokens_for};

const DAY: Duration = Duration::from_hours(24);

fn ended(cause: TerminationCause) -> String {
    RevokedCause::Terminated(cause).to_record()
}

#[tokio::test]
async fn the_sweeper_writes_down_what_time_has_done_and_says_how_far_it_is() {
    let small = Policy { sweep: SweepPolicy { batch: 3, ..policy().sweep }, ..policy() };
    let world = World::with(small);
    let keys: Vec<_> = (0..4).map(|n| connector_key("default", &format!("c{n}"))).collect();
    for key in &keys {
        world.create_connector(key, draft("{}")).await;
        world.start("alice", key).await;
        world.provider.answer_exchange(Ok(tokens_for("a", None, HOUR)));
        world.connect_to("bob", key).await;
    }
    world.clock.advance(HOUR);
    let mut reports: Vec<Progress> = Vec::new();
    let swept = world.node.sweep(|progress| reports.push(progress)).await.unwrap();
    assert_eq!((swept.timed_out, swept.expired, swept.more), (4, 4, false));
    assert!(reports.len() >= 3, "no more than three a step");
    assert!(reports.iter().zip(1..).all(|(progress, step)| progress.steps == step));
    assert!(reports.windows(2).all(|pair| pair[0].swept.timed_out <= pair[1].swept.timed_out));
    assert_eq!(world.outcomes(AuditKind::FlowEnded).await, ["flow_timed_out"; 4]);
    assert_eq!(world.outcomes(AuditKind::GrantExpired).await, ["access_token_expired"; 4]);
    assert_eq!(world.node.sweep(|_| {}).await.unwrap().timed_out, 0);
}

#[tokio::test]
async fn a_consumed_flow_whose_process_died_is_interrupted_after_two_minutes() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    let gate = world.provider.hold(Operation::Exchange);
    let node = world.node.clone();
    let callback = came_back(&started, "alice");
    let running = tokio::spawn(async move { node.complete(callback).await.map(drop) });
    gate.arrived(1).await;
    world.clock.advance(Duration::from_secs(119));
    assert_eq!(world.node.sweep(|_| {}).await.unwrap().interrupted, 0);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.node.sweep(|_| {}).await.unwrap().interrupted, 1);
    assert_eq!(world.kind("alice").await, StatusKind::NotConnected);
    // If it was only slow: too late, and what it brings is revoked.
    gate.open();
    running.await.unwrap().unwrap();
    assert_eq!(world.row(started.flow_id).await.state, StateKind::Revoked);
    world.spawner.finished().await;
    assert_eq!(world.revoked(), ["refresh-1", "access-1"]);
}

#[tokio::test(start_paused = true)]
async fn r55_lesson_30_grants_in_daily_use_stay_and_unused_ones_are_revoked_and_removed() {
    let world = World::new().await;
    let never = || TokenResponse { lifetime: Lifetime::Never, ..tokens("eternal", Some("r")) };
    world.provider.answer_exchange(Ok(never()));
    let used = world.connect("alice").await;
    world.provider.answer_exchange(Ok(never()));
    let unused = world.connect("bob").await;
    for _ in 0..90 {
        world.clock.advance(DAY);
        world.token("alice").await.unwrap();
        world.node.write_notes().await.unwrap();
        assert_eq!(world.node.sweep(|_| {}).await.unwrap().unused, 0);
    }
    world.clock.advance(DAY);
    assert_eq!(world.node.sweep(|_| {}).await.unwrap().unused, 1);
    assert_eq!(world.row(used).await.state, StateKind::Authorized);
    let row = world.row(unused).await;
    assert_eq!((row.state, row.cause), (StateKind::Revoked, Some(ended(TerminationCause::Unused))));
    assert_eq!(world.kind("bob").await, StatusKind::NotConnected);
    quiet().await;
    assert_eq!(world.revoked(), ["r", "eternal"]);
    world.clock.advance(30 * DAY);
    world.token("alice").await.unwrap();
    world.node.write_notes().await.unwrap();
    assert_eq!(world.node.sweep(|_| {}).await.unwrap().removed, 1, "the former grant, and none in use");
    assert!(world.store.inner().find(unused).await.unwrap().is_none());
    assert!(world.store.inner().find(used).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn former_grants_are_kept_as_long_as_a_revocation_is_owed() {
    let world = World::with(Policy { sweep: SweepPolicy { ended_grants: HOUR, ..policy().sweep }, ..policy() });
    world.create_connector(&drive(), draft("{}")).await;
    let id = world.connect("alice").await;
    world.provider.answer_revoke(Err(ProviderError::NotSent));
    world.node.disconnect(&person("alice"), &drive()).await.unwrap();
    quiet().await;
    world.clock.advance(2 * HOUR);
    assert_eq!(world.node.sweep(|_| {}).await.unwrap().removed, 0);
    world.node.revoke_due().await.unwrap();
    assert_eq!(world.node.sweep(|_| {}).await.unwrap().removed, 1);
    assert!(world.store.inner().find(id).await.unwrap().is_none());
}

#[tokio::test]
async fn ended_flows_are_kept_for_a_day() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    world.node.cancel(&person("alice"), &drive(), CancelKey::Flow(started.flow_id)).await.unwrap();
    world.clock.advance(DAY - Duration::from_secs(1));
    assert_eq!(world.node.sweep(|_| {}).await.unwrap().removed, 0);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.node.sweep(|_| {}).await.unwrap().removed, 1);
    let refused = world.node.complete(came_back(&started, "alice")).await.unwrap_err();
    assert_eq!(refused, grantry_domain::usecase::CallbackRefused::NotFound);
}

#[tokio::test]
async fn a_sweep_that_meets_a_failing_store_is_told() {
    let world = World::new().await;
    world.store.fail_next(Method::Sweep, DOWN);
    let failed = world.node.sweep(|_| {}).await.unwrap_err();
    assert_eq!(failed, HousekeepingError::Store(StoreError::Unavailable));
}

/// What happened at the host without a word to us.
type Happening = fn(&World);

#[tokio::test(start_paused = true)]
async fn r53_reconciling_ends_what_the_host_forgot_to_tell() {
    let cases: [(Happening, TerminationCause); 5] = [
        (|world| world.directory.set_user(&user("alice"), UserStatus::Unknown), TerminationCause::UserRemoved),
        (|world| world.directory.set_user(&user("alice"), UserStatus::Disabled), TerminationCause::UserDisabled),
        (|world| world.directory.expel(&user("alice"), &space("default")), TerminationCause::PermissionLost),
        (|world| world.directory.remove_space(&space("default")), TerminationCause::SpaceRemoved),
        (|_| {}, TerminationCause::Unused),
    ];
    for (happened, cause) in cases {
        let world = World::new().await;
        world.create_connector(&elsewhere(), draft("{}")).await;
        let here = world.connect("alice").await;
        let there = world.connect_to("alice", &elsewhere()).await;
        let bobs = world.connect_to("bob", &elsewhere()).await;
        let pending = world.start("alice", &drive()).await;
        happened(&world);
        let found = world.node.reconcile().await.unwrap();
        assert_eq!((found.checked, found.unanswered), (3, 0), "{cause}");
        let everywhere = matches!(cause, TerminationCause::UserRemoved | TerminationCause::UserDisabled);
        let (nothing, row) = (cause == TerminationCause::Unused, world.row(here).await);
        assert_eq!(found.ended, if nothing { 0 } else { 1 + u64::from(everywhere) }, "{cause}");
        if !nothing {
            assert_eq!((row.state, row.cause), (StateKind::Revoked, Some(ended(cause))));
            assert_eq!(world.row(pending.flow_id).await.state, StateKind::Revoked, "{cause}: the attempt as well");
            assert!(world.outcomes(AuditKind::GrantEnded).await.iter().all(|outcome| outcome == cause.as_str()));
        }
        assert_eq!(world.row(there).await.state == StateKind::Revoked, everywhere, "{cause}");
        assert_eq!(world.row(bobs).await.state, StateKind::Authorized, "{cause}");
        quiet().await;
        assert_eq!(world.revoked().len() as u64, 2 * found.ended, "{cause}");
        let again = world.node.reconcile().await.unwrap();
        assert_eq!(again.ended, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn r53_a_disabled_user_may_come_back_a_removed_one_never_does() {
    let world = World::new().await;
    world.connect("alice").await;
    world.directory.set_user(&user("alice"), UserStatus::Disabled);
    world.node.reconcile().await.unwrap();
    world.directory.set_user(&user("alice"), UserStatus::Active);
    world.connect("alice").await;
    assert_eq!(world.kind("alice").await, StatusKind::Connected);
    world.directory.set_user(&user("alice"), UserStatus::Unknown);
    world.node.reconcile().await.unwrap();
    // Ids are never used again (R54); if a host does so all the same, nothing is committed for it.
    world.directory.set_user(&user("alice"), UserStatus::Active);
    let started = world.start("alice", &drive()).await;
    let completed = world.complete(came_back(&started, "alice")).await;
    assert!(matches!(completed.outcome, grantry_domain::usecase::Outcome::Failed(_)));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_answer_ends_nothing() {
    let world = World::with(Policy { sweep: SweepPolicy { batch: 1, ..policy().sweep }, ..policy() });
    world.create_connector(&drive(), draft("{}")).await;
    world.connect("alice").await;
    world.connect("bob").await;
    world.directory.go_down(true);
    let found = world.node.reconcile().await.unwrap();
    assert_eq!((found.checked, found.ended, found.unanswered), (2, 0, 2));
    world.directory.go_down(false);
    assert!(world.token("alice").await.is_ok());
    world.directory.expel(&user("alice"), &space("default"));
    world.directory.expel(&user("bob"), &space("default"));
    world.store.fail_next(Method::End, DOWN);
    assert!(world.node.reconcile().await.is_err());
    assert_eq!(world.node.reconcile().await.unwrap().ended, 2, "the next round does the rest, page by page");
}

#[tokio::test]
async fn events_are_delivered_in_order_until_the_outbox_is_empty_and_again_after_a_failure() {
    let world = World::with(Policy { sweep: SweepPolicy { batch: 2, ..policy().sweep }, ..policy() });
    world.create_connector(&drive(), draft("{}")).await;
    world.connect("alice").await;
    world.sink.go_down(true);
    assert_eq!(world.node.deliver_events().await, Err(HousekeepingError::Sink(SinkError)));
    assert!(world.sink.events().is_empty());
    world.sink.go_down(false);
    let written = world.events().await;
    assert_eq!(world.node.deliver_events().await, Ok(written.len() as u64));
    assert_eq!(world.sink.events(), written);
    assert!(world.sink.sequences().windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(world.node.deliver_events().await, Ok(0));
    assert!(world.events().await.is_empty());
    world.store.fail_next(Method::Other, DOWN);
    assert_eq!(world.node.deliver_events().await, Err(HousekeepingError::Store(StoreError::Unavailable)));
}

#[tokio::test(start_paused = true)]
async fn r53_the_hosts_own_word_ends_everything_of_a_user_everywhere() {
    let world = World::new().await;
    world.create_connector(&elsewhere(), draft("{}")).await;
    world.connect("alice").await;
    world.connect_to("alice", &elsewhere()).await;
    let pending = world.start("alice", &drive()).await;
    world.connect("bob").await;
    let gone = world.node.remove_user(Actor::System, &user("alice")).await.unwrap();
    assert_eq!((gone.revoked, gone.queued), (2, 2));
    assert_eq!(world.row(pending.flow_id).await.state, StateKind::Revoked);
    assert!(world.token("alice").await.is_err());
    assert!(world.token("bob").await.is_ok());
    quiet().await;
    assert_eq!(world.revoked().len(), 4);
    world.directory.authorize(&user("alice"), &space("default"), Role::Viewer);
    assert_eq!(world.kind("alice").await, StatusKind::NotConnected);
}

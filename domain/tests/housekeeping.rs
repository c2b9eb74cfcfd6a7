//! Background jobs: sweeping, reconciliation with the host, audit delivery.

use std::time::Duration;

use grantry_domain::authorization::{StateKind, StatusKind, TerminationCause};
use grantry_domain::identity::{Actor, Role};
use grantry_domain::ports::{
    AuditKind, Lifetime, ProviderErrorKind, SinkError, StoreError, SweepPolicy, TokenResponse, UserStatus,
};
use grantry_domain::usecase::{CallbackRefused, CancelKey, HousekeepingError, Policy, Progress, StartError};
use grantry_testkit::doubles::fixtures::{connector_key, space, user};
use grantry_testkit::doubles::{Fault, Method, Operation, tokens};

use crate::common::{HOUR, TestApp, callback_of, draft, drive, elsewhere, person, quiet, request, terminated, tokens_for};

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn a_sweep_records_passed_deadlines_and_reports_its_progress() {
    let small = Policy { sweep: SweepPolicy { batch: 3, ..Policy::default().sweep }, ..Policy::default() };
    let app = TestApp::with(small);
    let keys: Vec<_> = (0..4).map(|n| connector_key("default", &format!("c{n}"))).collect();
    for key in &keys {
        app.create_connector(key, draft("{}")).await;
        app.start("alice", key).await;
        app.provider.respond_to_exchange(Ok(tokens_for("a", None, HOUR)));
        app.connect_to("bob", key).await;
    }
    app.clock.advance(HOUR);
    let mut reports: Vec<Progress> = Vec::new();
    let swept = app.node.sweep(|progress| reports.push(progress)).await.unwrap();
    assert_eq!((swept.timed_out, swept.expired, swept.more), (4, 4, false));
    assert!(reports.len() >= 3, "at most three per step");
    assert!(reports.iter().zip(1..).all(|(progress, step)| progress.steps == step));
    assert!(reports.windows(2).all(|pair| pair[0].swept.timed_out <= pair[1].swept.timed_out));
    assert_eq!(app.outcomes(AuditKind::FlowEnded).await, ["flow_timed_out"; 4]);
    assert_eq!(app.outcomes(AuditKind::GrantExpired).await, ["access_token_expired"; 4]);
    assert_eq!(app.node.sweep(|_| {}).await.unwrap().timed_out, 0);
}

#[tokio::test]
async fn a_consumed_flow_whose_process_ended_is_interrupted_after_two_minutes() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let gate = app.provider.hold(Operation::Exchange);
    let node = app.node.clone();
    let callback = callback_of(&started, "alice");
    let running = tokio::spawn(async move { node.complete(callback).await.map(drop) });
    gate.arrived(1).await;
    app.clock.advance(Duration::from_secs(119));
    assert_eq!(app.node.sweep(|_| {}).await.unwrap().interrupted, 0);
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(app.node.sweep(|_| {}).await.unwrap().interrupted, 1);
    assert_eq!(app.kind("alice").await, StatusKind::NotConnected);
    // A process that was only slow is too late, and the tokens it receives are revoked.
    gate.open();
    running.await.unwrap().unwrap();
    assert_eq!(app.record(started.flow_id).await.state, StateKind::Revoked);
    app.spawner.finished().await;
    assert_eq!(app.revoked(), ["refresh-1", "access-1"]);
}

#[tokio::test(start_paused = true)]
async fn r55_lesson_30_grants_in_daily_use_stay_and_unused_ones_are_revoked_and_removed() {
    let app = TestApp::new().await;
    let never = || TokenResponse { lifetime: Lifetime::Never, ..tokens("eternal", Some("r")) };
    app.provider.respond_to_exchange(Ok(never()));
    let used = app.connect("alice").await;
    app.provider.respond_to_exchange(Ok(never()));
    let unused = app.connect("bob").await;
    for _ in 0..90 {
        app.clock.advance(DAY);
        app.token("alice").await.unwrap();
        app.node.flush_audit().await.unwrap();
        assert_eq!(app.node.sweep(|_| {}).await.unwrap().unused, 0);
    }
    app.clock.advance(DAY);
    assert_eq!(app.node.sweep(|_| {}).await.unwrap().unused, 1);
    assert_eq!(app.record(used).await.state, StateKind::Authorized);
    let row = app.record(unused).await;
    assert_eq!((row.state, row.cause), (StateKind::Revoked, Some(terminated(TerminationCause::Unused))));
    assert_eq!(app.kind("bob").await, StatusKind::NotConnected);
    quiet().await;
    assert_eq!(app.revoked(), ["r", "eternal"]);
    app.clock.advance(30 * DAY);
    app.token("alice").await.unwrap();
    app.node.flush_audit().await.unwrap();
    assert_eq!(app.node.sweep(|_| {}).await.unwrap().removed, 1, "only the former grant");
    assert!(app.find(unused).await.is_none());
    assert!(app.find(used).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn former_grants_are_kept_while_a_revocation_is_pending() {
    let app =
        TestApp::with(Policy { sweep: SweepPolicy { ended_grants: HOUR, ..Policy::default().sweep }, ..Policy::default() });
    app.create_connector(&drive(), draft("{}")).await;
    let id = app.connect("alice").await;
    app.provider.respond_to_revoke(Err(ProviderErrorKind::NotSent));
    app.node.disconnect(&person("alice"), &drive(), None).await.unwrap();
    quiet().await;
    app.clock.advance(2 * HOUR);
    assert_eq!(app.node.sweep(|_| {}).await.unwrap().removed, 0);
    app.node.revoke_due().await.unwrap();
    assert_eq!(app.node.sweep(|_| {}).await.unwrap().removed, 1);
    assert!(app.find(id).await.is_none());
}

#[tokio::test]
async fn ended_flows_are_kept_for_a_day() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    app.node.cancel(&person("alice"), &drive(), CancelKey::Flow(started.flow_id)).await.unwrap();
    app.clock.advance(DAY - Duration::from_secs(1));
    assert_eq!(app.node.sweep(|_| {}).await.unwrap().removed, 0);
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(app.node.sweep(|_| {}).await.unwrap().removed, 1);
    let refused = app.node.complete(callback_of(&started, "alice")).await.unwrap_err();
    assert_eq!(refused, CallbackRefused::NotFound);
}

#[tokio::test]
async fn a_failure_of_the_store_during_a_sweep_is_reported() {
    let app = TestApp::new().await;
    app.store.fail_next(Method::Sweep, Fault::UNAVAILABLE);
    let failed = app.node.sweep(|_| {}).await.unwrap_err();
    assert_eq!(failed, HousekeepingError::Store(StoreError::Unavailable));
}

/// A change at the host that was not reported.
type Change = fn(&TestApp);

#[tokio::test(start_paused = true)]
async fn r53_reconciliation_ends_grants_that_have_no_basis_at_the_host_any_more() {
    let cases: [(Change, TerminationCause); 5] = [
        (|app| app.directory.set_user(&user("alice"), UserStatus::Unknown), TerminationCause::UserRemoved),
        (|app| app.directory.set_user(&user("alice"), UserStatus::Disabled), TerminationCause::UserDisabled),
        (|app| app.directory.remove_role(&user("alice"), &space("default")), TerminationCause::PermissionLost),
        (|app| app.directory.remove_space(&space("default")), TerminationCause::SpaceRemoved),
        (|_| {}, TerminationCause::Unused),
    ];
    for (change, cause) in cases {
        let app = TestApp::new().await;
        app.create_connector(&elsewhere(), draft("{}")).await;
        let here = app.connect("alice").await;
        let there = app.connect_to("alice", &elsewhere()).await;
        let bobs = app.connect_to("bob", &elsewhere()).await;
        let pending = app.start("alice", &drive()).await;
        change(&app);
        let found = app.node.reconcile().await.unwrap();
        assert_eq!((found.checked, found.unanswered), (3, 0), "{cause}");
        let everywhere = matches!(cause, TerminationCause::UserRemoved | TerminationCause::UserDisabled);
        let (unchanged, row) = (cause == TerminationCause::Unused, app.record(here).await);
        assert_eq!(found.ended, if unchanged { 0 } else { 1 + u64::from(everywhere) }, "{cause}");
        if !unchanged {
            assert_eq!((row.state, row.cause), (StateKind::Revoked, Some(terminated(cause))));
            assert_eq!(app.record(pending.flow_id).await.state, StateKind::Revoked, "{cause}: the pending flow as well");
            assert!(app.outcomes(AuditKind::GrantTerminated).await.iter().all(|outcome| *outcome == cause.as_str()));
        }
        assert_eq!(app.record(there).await.state == StateKind::Revoked, everywhere, "{cause}");
        assert_eq!(app.record(bobs).await.state, StateKind::Authorized, "{cause}");
        quiet().await;
        assert_eq!(app.revoked().len() as u64, 2 * found.ended, "{cause}");
        let again = app.node.reconcile().await.unwrap();
        assert_eq!(again.ended, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn r53_a_disabled_user_may_connect_again_and_a_removed_one_may_not() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.directory.set_user(&user("alice"), UserStatus::Disabled);
    app.node.reconcile().await.unwrap();
    app.directory.set_user(&user("alice"), UserStatus::Active);
    app.connect("alice").await;
    assert_eq!(app.kind("alice").await, StatusKind::Connected);
    app.directory.set_user(&user("alice"), UserStatus::Unknown);
    app.node.reconcile().await.unwrap();
    // A host must not use ids again; if it does, the user is refused.
    app.directory.set_user(&user("alice"), UserStatus::Active);
    assert_eq!(app.try_start(request("alice", &drive())).await.map(drop), Err(StartError::UserDeprovisioned));
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_host_ends_nothing() {
    let app = TestApp::with(Policy { sweep: SweepPolicy { batch: 1, ..Policy::default().sweep }, ..Policy::default() });
    app.create_connector(&drive(), draft("{}")).await;
    app.connect("alice").await;
    app.connect("bob").await;
    app.directory.set_unavailable(true);
    let found = app.node.reconcile().await.unwrap();
    assert_eq!((found.checked, found.ended, found.unanswered), (2, 0, 2));
    app.directory.set_unavailable(false);
    assert!(app.token("alice").await.is_ok());
    app.directory.remove_role(&user("alice"), &space("default"));
    app.directory.remove_role(&user("bob"), &space("default"));
    app.store.fail_next(Method::Terminate, Fault::UNAVAILABLE);
    assert!(app.node.reconcile().await.is_err());
    assert_eq!(app.node.reconcile().await.unwrap().ended, 2, "the next round ends the rest, page by page");
}

#[tokio::test]
async fn events_are_delivered_in_order_until_the_outbox_is_empty_and_again_after_a_failure() {
    let app = TestApp::with(Policy { sweep: SweepPolicy { batch: 2, ..Policy::default().sweep }, ..Policy::default() });
    app.create_connector(&drive(), draft("{}")).await;
    app.connect("alice").await;
    app.sink.set_unavailable(true);
    assert_eq!(app.node.deliver_events().await, Err(HousekeepingError::Sink(SinkError)));
    assert!(app.sink.events().is_empty());
    app.sink.set_unavailable(false);
    let written = app.events().await;
    assert_eq!(app.node.deliver_events().await, Ok(written.len() as u64));
    assert_eq!(app.sink.events(), written);
    assert!(app.sink.sequences().windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(app.node.deliver_events().await, Ok(0));
    assert!(app.events().await.is_empty());
    app.store.fail_next(Method::PendingEvents, Fault::UNAVAILABLE);
    assert_eq!(app.node.deliver_events().await, Err(HousekeepingError::Store(StoreError::Unavailable)));
}

#[tokio::test(start_paused = true)]
async fn r53_removing_a_user_ends_all_authorizations_of_the_user_in_every_space() {
    let app = TestApp::new().await;
    app.create_connector(&elsewhere(), draft("{}")).await;
    app.connect("alice").await;
    app.connect_to("alice", &elsewhere()).await;
    let pending = app.start("alice", &drive()).await;
    app.connect("bob").await;
    let gone = app.node.remove_user(Actor::System, &user("alice")).await.unwrap();
    assert_eq!((gone.revoked, gone.queued), (2, 2));
    assert_eq!(app.record(pending.flow_id).await.state, StateKind::Revoked);
    assert!(app.token("alice").await.is_err());
    assert!(app.token("bob").await.is_ok());
    quiet().await;
    assert_eq!(app.revoked().len(), 4);
    app.directory.set_role(&user("alice"), &space("default"), Role::Viewer);
    assert_eq!(app.kind("alice").await, StatusKind::NotConnected);
}

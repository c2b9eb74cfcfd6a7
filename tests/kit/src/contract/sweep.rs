//! Rules of the sweeper.

use std::time::Duration;

use grantry_domain::authorization::{
    AuthorizationRecord, INTERRUPTED_AFTER, RevocationOutcome, StateKind, TerminationCause,
};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{AuditEvent, RevocationUpdate, SweepPolicy, SweepReport, TerminationScope};

use super::Backend;
use super::world::{SWEEP, Succeeds, World, owed, state_of};
use crate::doubles::fixtures::{self, ACCESS_TTL, FLOW_TTL, ownership_of};

const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_hours(24);

/// Flows past their deadline expire, not a moment earlier; consumed ones do not.
pub async fn r18_the_sweeper_ends_flows_past_their_deadline(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let initiated = world.initiate(&ownership_of(&drive, "alice")).await;
    let waiting = world.start(&ownership_of(&drive, "bob")).await;
    world.pass(FLOW_TTL.saturating_sub(MILLISECOND));
    let consumed = world.exchange(&ownership_of(&drive, "carol")).await;
    assert_eq!(world.sweep().await, SweepReport::default());
    world.news().await;
    world.pass(MILLISECOND);
    assert_eq!(world.sweep().await, SweepReport { timed_out: 2, ..SweepReport::default() });
    let mut expected = Vec::new();
    for flow in [&initiated, &waiting] {
        let now = world.get(flow.id).await;
        assert_eq!((state_of(&now), &now.sealed), ((StateKind::Expired, Some("flow_timed_out")), &None));
        expected.push(AuditEvent::ending(&now, Actor::System, world.now()));
    }
    let mut events = world.news().await;
    events.sort_by_key(|event| event.grant);
    assert_eq!(events, expected);
    assert_eq!(world.get(consumed.id).await, consumed);
}

/// A flow whose process died in mid-exchange ends as interrupted after two minutes.
pub async fn r20_the_sweeper_ends_consumed_flows_of_dead_processes(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let flow = world.exchange(&ownership_of(&drive, "alice")).await;
    world.pass(INTERRUPTED_AFTER.saturating_sub(MILLISECOND));
    assert_eq!(world.sweep().await, SweepReport::default());
    world.pass(MILLISECOND);
    assert_eq!(world.sweep().await, SweepReport { interrupted: 1, ..SweepReport::default() });
    assert_eq!(state_of(&world.get(flow.id).await), (StateKind::Revoked, Some("failed(interrupted)")));
}

/// A grant lapses when nothing can bring its access token back.
pub async fn the_sweeper_ends_grants_that_lapsed(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let start = world.now();
    let granted = async |user: &str, refreshable: bool, refresh: Option<Duration>| {
        let grant = world.connect(&ownership_of(&drive, user)).await;
        let refresh_expires_at = refresh.map(|span| start.plus(span));
        let next = AuthorizationRecord { refreshable, refresh_expires_at, ..fixtures::renewed(&grant, start) };
        world.replaced(next, &grant).await
    };
    let plain = granted("plain", false, None).await;
    let capped = granted("capped", true, Some(ACCESS_TTL * 2)).await;
    let lasting = granted("lasting", true, None).await;
    world.pass(ACCESS_TTL.saturating_sub(MILLISECOND));
    assert_eq!(world.sweep().await, SweepReport::default());
    world.pass(MILLISECOND);
    assert_eq!(world.sweep().await, SweepReport { expired: 1, ..SweepReport::default() });
    let ended = world.get(plain.id).await;
    assert_eq!(state_of(&ended), (StateKind::Expired, Some("access_token_expired")));
    assert_eq!((owed(&ended), ended.sealed), (None, None), "dead tokens are not kept");
    world.pass(ACCESS_TTL);
    assert_eq!(world.sweep().await, SweepReport { expired: 1, ..SweepReport::default() });
    assert_eq!(state_of(&world.get(capped.id).await), (StateKind::Expired, Some("refresh_token_expired")));
    assert_eq!(world.get(lasting.id).await, lasting);
}

/// Grants that nobody used for the set time are revoked; one day of use saves them.
pub async fn r55_unused_grants_are_revoked(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let unused = world.connect(&ownership_of(&drive, "alice")).await;
    let used = world.connect(&ownership_of(&drive, "bob")).await;
    world.pass(DAY);
    world.store.authorizations.record_use(vec![(used.id, world.now().day())]).await.unwrap_or_fail();
    world.pass(SWEEP.unused_grants.saturating_sub(DAY));
    assert_eq!(world.sweep().await, SweepReport::default(), "ninety days ago it was used");
    world.news().await;
    world.pass(DAY);
    assert_eq!(world.sweep().await, SweepReport { unused: 1, ..SweepReport::default() });
    let ended = world.get(unused.id).await;
    assert_eq!((state_of(&ended), owed(&ended)), ((StateKind::Revoked, Some("unused")), Some(false)));
    assert_eq!(world.news().await, [AuditEvent::ending(&ended, Actor::System, world.now())]);
    assert_eq!(world.get(used.id).await.state, StateKind::Authorized);
}

/// Ended rows are removed at their age; a former grant never before its revocation is settled.
pub async fn r55_ended_rows_are_removed_at_their_age(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let flow = world.start(&ownership_of(&drive, "alice")).await;
    world.end(TerminationScope::One(flow.id), TerminationCause::Cancelled).await;
    let grant = world.connect(&ownership_of(&drive, "bob")).await;
    let dead = world.refuse(&grant).await;
    let grant = world.connect(&ownership_of(&drive, "carol")).await;
    let owing = world.disconnect(&grant).await;
    let living = world.connect(&ownership_of(&drive, "dave")).await;

    world.pass(SWEEP.ended_flows.saturating_sub(MILLISECOND));
    assert_eq!(world.sweep().await, SweepReport::default());
    world.pass(MILLISECOND);
    assert_eq!(world.sweep().await, SweepReport { removed: 1, ..SweepReport::default() });
    assert_eq!(world.find(flow.id).await, None);
    let replayed = world.consume(&flow).await;
    assert_eq!(replayed, grantry_domain::ports::ConsumeOutcome::NotFound);

    world.pass(SWEEP.ended_grants.saturating_sub(SWEEP.ended_flows));
    assert_eq!(world.sweep().await, SweepReport { removed: 1, ..SweepReport::default() });
    assert_eq!(world.find(dead.id).await, None);
    assert_eq!(world.find(owing.id).await, Some(owing.clone()), "its tokens are not revoked yet");
    world.claim().await.expect("a job");
    world.end_job(owing.id, RevocationUpdate::Completed(RevocationOutcome::Abandoned)).await;
    assert_eq!(world.sweep().await, SweepReport { removed: 1, ..SweepReport::default() });
    assert_eq!(world.find(owing.id).await, None);
    assert_eq!(world.get(living.id).await, living);
}

/// A step touches no more rows than it may and says that there is more; repeated steps come to an end.
pub async fn r18_sweeping_goes_in_bounded_steps(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    for number in 0..7 {
        world.start(&ownership_of(&drive, &format!("flow-{number}"))).await;
    }
    for number in 0..4 {
        let grant = world.connect(&ownership_of(&drive, &format!("grant-{number}"))).await;
        world.replaced(AuthorizationRecord { refreshable: false, ..fixtures::renewed(&grant, world.now()) }, &grant).await;
    }
    world.pass(ACCESS_TTL);
    let policy = SweepPolicy { batch: 3, ..SWEEP };
    let mut total = SweepReport::default();
    for step in 0..20 {
        let swept = world.store.authorizations.sweep(policy).await.unwrap_or_fail();
        let touched =
            swept.timed_out + swept.interrupted + swept.expired + swept.unused + swept.removed + swept.secrets_destroyed;
        assert!(touched <= 3, "{swept:?}");
        assert!(touched > 0 || !swept.more, "a step does something if there is something to do");
        total.timed_out += swept.timed_out;
        total.expired += swept.expired;
        if !swept.more {
            assert!(step >= 3);
            break;
        }
    }
    assert_eq!(total, SweepReport { timed_out: 7, expired: 4, ..SweepReport::default() });
    assert_eq!(world.store.authorizations.sweep(policy).await.unwrap_or_fail(), SweepReport::default());
}

//! Rules of the sweeper.

use std::time::Duration;

use grantry_domain::authorization::{
    AuthorizationRecord, ExpiredCause, FailureCode, INTERRUPTED_AFTER, RevocationOutcome, StateKind, TerminationCause,
};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{ConsumeOutcome, RevocationUpdate, SweepPolicy, SweepReport, TerminationScope};

use super::Backend;
use super::test_store::{
    SWEEP, Succeeds, TestStore, expired, failed, pending_in_doubt, state_of, terminated, terminated_event,
};
use crate::doubles::fixtures::{self, ACCESS_TTL, FLOW_TTL, authorization_key_of};

const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_hours(24);

/// A flow expires at its deadline, unless it was consumed.
pub async fn r18_the_sweeper_ends_flows_past_their_deadline(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let initiated = store.insert(&authorization_key_of(&drive, "alice")).await;
    let waiting = store.start(&authorization_key_of(&drive, "bob")).await;
    store.advance(FLOW_TTL.saturating_sub(MILLISECOND));
    let consumed = store.exchange(&authorization_key_of(&drive, "carol")).await;
    assert_eq!(store.sweep().await, SweepReport::default());
    store.new_events().await;
    store.advance(MILLISECOND);
    assert_eq!(store.sweep().await, SweepReport { timed_out: 2, ..SweepReport::default() });
    let mut expected = Vec::new();
    for flow in [&initiated, &waiting] {
        let now = store.get(flow.id).await;
        assert_eq!((state_of(&now), &now.sealed), (expired(ExpiredCause::FlowTimedOut), &None));
        expected.push(terminated_event(&now, Actor::System, store.now()));
    }
    let mut events = store.new_events().await;
    events.sort_by_key(|event| event.authorization);
    assert_eq!(events, expected);
    assert_eq!(store.get(consumed.id).await, consumed);
}

/// A flow that was consumed two minutes ago and not committed ends as interrupted.
pub async fn r20_the_sweeper_ends_interrupted_flows(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let flow = store.exchange(&authorization_key_of(&drive, "alice")).await;
    store.advance(INTERRUPTED_AFTER.saturating_sub(MILLISECOND));
    assert_eq!(store.sweep().await, SweepReport::default());
    store.advance(MILLISECOND);
    assert_eq!(store.sweep().await, SweepReport { interrupted: 1, ..SweepReport::default() });
    assert_eq!(state_of(&store.get(flow.id).await), failed(FailureCode::Interrupted));
}

/// A grant expires when neither its access token nor its refresh token is valid.
pub async fn the_sweeper_ends_grants_that_expired(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let start = store.now();
    let granted = async |user: &str, refreshable: bool, refresh: Option<Duration>| {
        let grant = store.connect(&authorization_key_of(&drive, user)).await;
        let refresh_expires_at = refresh.map(|span| start.plus(span));
        let next = AuthorizationRecord { refreshable, refresh_expires_at, ..fixtures::refreshed(&grant, start) };
        store.replaced(next, &grant).await
    };
    let plain = granted("plain", false, None).await;
    let capped = granted("capped", true, Some(ACCESS_TTL * 2)).await;
    let lasting = granted("lasting", true, None).await;
    store.advance(ACCESS_TTL.saturating_sub(MILLISECOND));
    assert_eq!(store.sweep().await, SweepReport::default());
    store.advance(MILLISECOND);
    assert_eq!(store.sweep().await, SweepReport { expired: 1, ..SweepReport::default() });
    let ended = store.get(plain.id).await;
    assert_eq!(state_of(&ended), expired(ExpiredCause::AccessTokenExpired));
    assert_eq!((pending_in_doubt(&ended), ended.sealed), (None, None), "invalid tokens are destroyed");
    store.advance(ACCESS_TTL);
    assert_eq!(store.sweep().await, SweepReport { expired: 1, ..SweepReport::default() });
    assert_eq!(state_of(&store.get(capped.id).await), expired(ExpiredCause::RefreshTokenExpired));
    assert_eq!(store.get(lasting.id).await, lasting);
}

/// A grant that was not used for the configured time is terminated.
pub async fn r55_unused_grants_are_revoked(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let unused = store.connect(&authorization_key_of(&drive, "alice")).await;
    let used = store.connect(&authorization_key_of(&drive, "bob")).await;
    store.advance(DAY);
    store.node.outbox.record_use(vec![(used.id, store.now().day())]).await.unwrap_or_fail();
    store.advance(SWEEP.unused_grants.saturating_sub(DAY));
    assert_eq!(store.sweep().await, SweepReport::default(), "it was used ninety days ago");
    store.new_events().await;
    store.advance(DAY);
    assert_eq!(store.sweep().await, SweepReport { unused: 1, ..SweepReport::default() });
    let ended = store.get(unused.id).await;
    assert_eq!((state_of(&ended), pending_in_doubt(&ended)), (terminated(TerminationCause::Unused), Some(false)));
    assert_eq!(store.new_events().await, [terminated_event(&ended, Actor::System, store.now())]);
    assert_eq!(store.get(used.id).await.state, StateKind::Authorized);
}

/// Ended rows are removed after their retention; a former grant never before its revocation has completed.
pub async fn r55_ended_rows_are_removed_after_their_retention(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let flow = store.start(&authorization_key_of(&drive, "alice")).await;
    store.terminate(TerminationScope::One(flow.id), TerminationCause::Cancelled).await;
    let grant = store.connect(&authorization_key_of(&drive, "bob")).await;
    let invalid = store.reject_refresh(&grant).await;
    let grant = store.connect(&authorization_key_of(&drive, "carol")).await;
    let pending = store.disconnect(&grant).await;
    let grant = store.connect(&authorization_key_of(&drive, "dave")).await;

    store.advance(SWEEP.ended_flows.saturating_sub(MILLISECOND));
    assert_eq!(store.sweep().await, SweepReport::default());
    store.advance(MILLISECOND);
    assert_eq!(store.sweep().await, SweepReport { removed: 1, ..SweepReport::default() });
    assert_eq!(store.find(flow.id).await, None);
    let replayed = store.consume(&flow).await;
    assert_eq!(replayed, ConsumeOutcome::NotFound);

    store.advance(SWEEP.ended_grants.saturating_sub(SWEEP.ended_flows));
    assert_eq!(store.sweep().await, SweepReport { removed: 1, ..SweepReport::default() });
    assert_eq!(store.find(invalid.id).await, None);
    assert_eq!(store.find(pending.id).await, Some(pending.clone()), "its revocation is pending");
    store.claim().await.expect("a job");
    store.update_job(pending.id, RevocationUpdate::Completed(RevocationOutcome::Abandoned)).await;
    assert_eq!(store.sweep().await, SweepReport { removed: 1, ..SweepReport::default() });
    assert_eq!(store.find(pending.id).await, None);
    assert_eq!(store.get(grant.id).await, grant);
}

/// A sweep changes at most one batch of rows and reports whether there is more; repeated sweeps come to an end.
pub async fn r18_a_sweep_changes_at_most_one_batch(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    for number in 0..7 {
        store.start(&authorization_key_of(&drive, &format!("flow-{number}"))).await;
    }
    for number in 0..4 {
        let grant = store.connect(&authorization_key_of(&drive, &format!("grant-{number}"))).await;
        store.replaced(AuthorizationRecord { refreshable: false, ..fixtures::refreshed(&grant, store.now()) }, &grant).await;
    }
    store.advance(ACCESS_TTL);
    let policy = SweepPolicy { batch: 3, ..SWEEP };
    let mut total = SweepReport::default();
    for step in 0..20 {
        let swept = store.node.housekeeping.sweep(policy, store.now()).await.unwrap_or_fail();
        let touched =
            swept.timed_out + swept.interrupted + swept.expired + swept.unused + swept.removed + swept.secrets_destroyed;
        assert!(touched <= 3, "{swept:?}");
        assert!(touched > 0 || !swept.more, "it changes rows if there is more to do");
        total.timed_out += swept.timed_out;
        total.expired += swept.expired;
        if !swept.more {
            assert!(step >= 3);
            break;
        }
    }
    assert_eq!(total, SweepReport { timed_out: 7, expired: 4, ..SweepReport::default() });
    assert_eq!(store.node.housekeeping.sweep(policy, store.now()).await.unwrap_or_fail(), SweepReport::default());
}

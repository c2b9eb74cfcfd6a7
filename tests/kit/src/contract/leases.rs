//! Rules of versions, leases, in-doubt marks and days of use.

use std::time::Duration;

use grantry_domain::authorization::{
    Authorization, AuthorizationId, AuthorizationRecord, ExpiredCause, Input, RefreshState, Revision, RevocationOutcome,
    StateKind,
};
use grantry_domain::ports::{
    AuditDetail, AuditEvent, AuditKind, AuditOutcome, ExpectedVersion, FailedAttempt, Lease, LeaseRequest, Refusal,
    RevocationUpdate, WriteOutcome,
};
use tokio::task::JoinSet;

use super::Backend;
use super::test_store::{Succeeds, TestStore, expired, lease_of, record_of, state_of, stored, version_of};
use crate::doubles::fixtures::{self, authorization_key_of};

const CALLERS: usize = 64;
const MINUTE: Duration = Duration::from_mins(1);

async fn granted(backend: Backend) -> (TestStore, AuthorizationRecord) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let grant = store.connect(&authorization_key_of(&drive, "alice")).await;
    store.new_events().await;
    (store, grant)
}

fn taken(lease: Lease) -> (AuthorizationRecord, bool) {
    match lease {
        Lease::Taken { grant, was_in_doubt } => (record_of(&grant), was_in_doubt),
        refused @ (Lease::Held { .. } | Lease::Stale(_) | Lease::NotFound) => panic!("no lease: {refused:?}"),
    }
}

/// A write that expects the stored version replaces the whole authorization, with its audit event.
pub async fn r38_new_tokens_are_written_if_the_version_is_expected(backend: Backend) {
    let (store, grant) = granted(backend).await;
    store.lease(&grant, 1).await;
    let next = fixtures::refreshed(&grant, store.now());
    assert_eq!(store.replace(next.clone(), &grant).await, WriteOutcome::Written);
    assert_eq!(store.other.authorizations.find(grant.id).await.unwrap_or_fail().as_ref().map(record_of), Some(next.clone()));
    assert_eq!(store.get(grant.id).await.refresh, RefreshState::default(), "the refresh ends lease and in-doubt mark");
    assert_eq!(store.new_events().await, [store.event(AuditKind::Refreshed, &next)]);
}

/// A write that expects another revision or state changes nothing and returns the stored authorization.
pub async fn r38_a_stale_write_changes_nothing(backend: Backend) {
    let (store, grant) = granted(backend).await;
    let newer = store.replaced(fixtures::refreshed(&grant, store.now()), &grant).await;
    let snapshot = store.snapshot().await;
    let stale =
        AuthorizationRecord { sealed: Some(fixtures::envelope("stale")), ..fixtures::refreshed(&grant, store.now()) };
    assert_eq!(store.replace(stale, &grant).await, WriteOutcome::Stale(stored(&newer)));
    let rejected = fixtures::refresh_rejected(&grant, store.now());
    assert_eq!(
        store.replace(rejected, &grant).await,
        WriteOutcome::Stale(stored(&newer)),
        "a stale rejection does not end the grant"
    );
    assert_eq!(store.snapshot().await, snapshot);

    let ended = store.disconnect(&newer).await;
    let snapshot = store.snapshot().await;
    let late = fixtures::refreshed(&newer, store.now());
    assert_eq!(
        store.replace(late, &newer).await,
        WriteOutcome::Stale(stored(&ended)),
        "a refresh does not restore an ended grant"
    );
    let unknown = fixtures::authorized(fixtures::authorization_id(999), grant.owner.clone(), store.now());
    assert_eq!(store.replace(unknown.clone(), &unknown).await, WriteOutcome::NotFound);
    assert_eq!(store.snapshot().await, snapshot);
}

/// The version of an authorization is its state and its token revision. Lease, in-doubt mark, failed attempts and day of last
/// use do not change it.
pub async fn r38_a_version_is_state_and_token_revision(backend: Backend) {
    let (store, grant) = granted(backend).await;
    let version = async || {
        let found = store.node.authorizations.find(grant.id).await.unwrap_or_fail().expect("the grant is stored");
        found.version
    };
    let first = ExpectedVersion { state: StateKind::Authorized, revision: Revision::FIRST };
    assert_eq!(version().await, first);
    taken(store.lease(&grant, 1).await);
    let failed = FailedAttempt { outcome_known: false, not_before: store.now(), refusal: None };
    store.node.leases.fail_attempt(grant.id, [1; 16], failed, Vec::new()).await.unwrap_or_fail();
    store.node.outbox.record_use(vec![(grant.id, store.now().day() + 1)]).await.unwrap_or_fail();
    assert_eq!(version().await, first);
    let refreshed = store.replaced(fixtures::refreshed(&grant, store.now()), &grant).await;
    let second = ExpectedVersion { revision: first.revision.next(), ..first };
    assert_eq!(version().await, second);

    // Neither another revision of the same state nor another state of the same revision is the stored version.
    let next = fixtures::authorization(&fixtures::refreshed(&refreshed, store.now()));
    for stale in [first, ExpectedVersion { state: StateKind::AwaitingCallback, ..second }] {
        let outcome = store.node.authorizations.replace(next.clone(), stale, Vec::new()).await.unwrap_or_fail();
        assert_eq!(outcome, WriteOutcome::Stale(stored(&refreshed)));
    }
    assert_eq!(store.node.authorizations.replace(next, second, Vec::new()).await.unwrap_or_fail(), WriteOutcome::Written);
    let former = store.disconnect(&store.get(grant.id).await).await;
    let pending = ExpectedVersion { state: StateKind::Revoked, revision: second.revision.next() };
    assert_eq!(version().await, pending, "the tokens are stored until they are revoked");
    store.claim().await.expect("a job");
    store.update_job(former.id, RevocationUpdate::Completed(RevocationOutcome::Revoked)).await;
    assert_eq!(version().await, ExpectedVersion { revision: Revision::NONE, ..pending });
}

/// Of many writers that read the same revision, exactly one writes.
pub async fn r38_of_concurrent_writers_one_writes(backend: Backend) {
    let (store, grant) = granted(backend).await;
    let mut writers = JoinSet::new();
    for writer in 0..CALLERS {
        let node = if writer % 2 == 0 { &store.node } else { &store.other };
        let (grants, expected) = (node.authorizations.clone(), version_of(&grant));
        let sealed = Some(fixtures::envelope(&format!("of-writer-{writer}")));
        let next = AuthorizationRecord { sealed, ..fixtures::refreshed(&grant, store.now()) };
        writers.spawn(async move {
            let write = grants.replace(fixtures::authorization(&next), expected, Vec::new());
            (write.await.unwrap_or_fail(), next)
        });
    }
    let done = writers.join_all().await;
    let written: Vec<_> =
        done.iter().filter(|(outcome, _)| *outcome == WriteOutcome::Written).map(|(_, next)| next).collect();
    assert_eq!(written.len(), 1);
    assert_eq!(store.get(grant.id).await, *written[0]);
    for (outcome, _) in done.iter().filter(|(outcome, _)| *outcome != WriteOutcome::Written) {
        assert_eq!(*outcome, WriteOutcome::Stale(stored(written[0])));
    }
}

/// A rejected refresh token ends the grant, if the version is expected.
pub async fn r39_a_rejected_refresh_token_ends_the_grant(backend: Backend) {
    let (store, grant) = granted(backend).await;
    let former = store.reject_refresh(&grant).await;
    assert_eq!(state_of(&former), expired(ExpiredCause::RefreshRejected));
    assert_eq!(former.sealed, None, "invalid tokens are destroyed");
}

/// Of many callers on two nodes, exactly one takes the lease; the others get the instant until which it is held.
pub async fn r36_of_concurrent_callers_one_gets_the_lease(backend: Backend) {
    let (store, grant) = granted(backend).await;
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let node = if caller % 2 == 0 { &store.node } else { &store.other };
        let mark = u8::try_from(caller).expect("few callers");
        let (leases, request) = (node.leases.clone(), lease_of(&grant, mark));
        callers.spawn(async move { leases.take_lease(request).await.unwrap_or_fail() });
    }
    let mut taken = 0;
    for outcome in callers.join_all().await {
        match outcome {
            Lease::Taken { was_in_doubt, .. } => {
                assert!(!was_in_doubt);
                taken += 1;
            }
            Lease::Held { until, grant } => {
                assert_eq!((until, record_of(&grant).refresh.held_until), (store.now().plus(MINUTE), Some(until)));
            }
            other @ (Lease::Stale(_) | Lease::NotFound) => panic!("{other:?}"),
        }
    }
    assert_eq!(taken, 1);
}

/// A lease is for one revision of a grant.
pub async fn r36_a_lease_is_for_the_revision_that_was_read(backend: Backend) {
    let (store, grant) = granted(backend).await;
    let newer = store.replaced(fixtures::refreshed(&grant, store.now()), &grant).await;
    assert_eq!(store.lease(&grant, 1).await, Lease::Stale(stored(&newer)));
    assert_eq!(store.get(grant.id).await, newer);
    let ended = store.disconnect(&newer).await;
    assert_eq!(store.lease(&newer, 1).await, Lease::Stale(stored(&ended)));
    let unknown = LeaseRequest { id: fixtures::authorization_id(999), ..lease_of(&grant, 1) };
    assert_eq!(store.node.leases.take_lease(unknown).await.unwrap_or_fail(), Lease::NotFound);
}

/// Taking the lease sets the in-doubt mark; if the process ends, the next holder gets `was_in_doubt`.
pub async fn r37_taking_the_lease_sets_the_in_doubt_mark(backend: Backend) {
    let (store, grant) = granted(backend).await;
    let since = store.now();
    let (record, was_in_doubt) = taken(store.lease(&grant, 1).await);
    let refresh = RefreshState {
        held_until: Some(since.plus(MINUTE)),
        holder: Some([1; 16]),
        in_doubt_since: Some(since),
        ..RefreshState::default()
    };
    assert!(!was_in_doubt);
    assert_eq!(record, AuthorizationRecord { refresh: refresh.clone(), ..grant.clone() });
    assert_eq!(
        store.other.authorizations.find(grant.id).await.unwrap_or_fail().as_ref().map(record_of),
        Some(record.clone())
    );

    store.advance(Duration::from_millis(59_999));
    assert_eq!(store.lease(&grant, 2).await, Lease::Held { until: since.plus(MINUTE), grant: stored(&record) });
    store.advance(Duration::from_millis(1));
    let (record, was_in_doubt) = taken(store.lease(&grant, 2).await);
    assert!(was_in_doubt, "the outcome of the first attempt is unknown");
    assert_eq!(
        record.refresh,
        RefreshState { held_until: Some(store.now().plus(MINUTE)), holder: Some([2; 16]), ..refresh }
    );
}

/// A lease that is taken in doubt leaves an audit event, which is durable before the request is sent; another lease leaves none.
pub async fn r37_r80_a_lease_in_doubt_leaves_an_audit_event(backend: Backend) {
    let (store, grant) = granted(backend).await;
    let since = store.now();
    let (record, _) = taken(store.lease(&grant, 1).await);
    assert!(matches!(store.lease(&grant, 2).await, Lease::Held { .. }));
    assert_eq!(store.new_events().await, []);
    store.advance(MINUTE);
    taken(store.lease(&grant, 2).await);
    let event = AuditEvent::of_retry(&fixtures::authorization(&record), store.now());
    let details: Vec<_> = event.details.iter().map(AuditDetail::as_str).collect();
    assert_eq!(details, [format!("in_doubt_since={}", since.as_millis())]);
    assert_eq!((event.kind, event.outcome), (AuditKind::RefreshRetried, AuditOutcome::InDoubt));
    assert_eq!(store.new_events().await, [event]);

    // A known outcome ends the doubt, and an implausible end of a pause begins one whose start is unknown.
    let refreshed = store.replaced(fixtures::refreshed(&grant, store.now()), &grant).await;
    store.new_events().await;
    taken(store.lease(&refreshed, 3).await);
    let failed = FailedAttempt { outcome_known: true, not_before: store.now().plus(MINUTE * 60), refusal: None };
    store.node.leases.fail_attempt(grant.id, [3; 16], failed, Vec::new()).await.unwrap_or_fail();
    assert_eq!(store.new_events().await, []);
    taken(store.lease(&refreshed, 4).await);
    let [event] = &store.new_events().await[..] else { panic!("one event") };
    assert_eq!((event.kind, event.authorization, event.details.len()), (AuditKind::RefreshRetried, Some(grant.id), 0));
}

/// A lease that ends later than any lease can, after the clock was set back, can be taken and counts as in doubt.
pub async fn r36_an_implausible_lease_can_be_taken(backend: Backend) {
    let (store, grant) = granted(backend).await;
    let start = store.now();
    taken(store.lease(&grant, 1).await);
    let shifted = |back: u64| start.minus(Duration::from_secs(back));
    // The lease is one minute long; up to two minutes are plausible.
    store.clock.step_wall(shifted(60));
    assert!(matches!(store.lease(&grant, 2).await, Lease::Held { .. }));
    store.clock.step_wall(shifted(61));
    let (record, was_in_doubt) = taken(store.lease(&grant, 2).await);
    assert!(was_in_doubt);
    assert_eq!(record.refresh.holder, Some([2; 16]));

    let failed = FailedAttempt { outcome_known: true, not_before: start.plus(MINUTE * 60), refusal: None };
    store.node.leases.fail_attempt(grant.id, [2; 16], failed, Vec::new()).await.unwrap_or_fail();
    let (_, was_in_doubt) = taken(store.lease(&grant, 3).await);
    assert!(was_in_doubt, "an implausible pause counts as in doubt");
}

/// A failed attempt of unknown outcome keeps the in-doubt mark, is counted, postpones the next attempt, and keeps the time of
/// the first failure.
pub async fn r37_an_unknown_outcome_keeps_the_in_doubt_mark(backend: Backend) {
    let (store, grant) = granted(backend).await;
    let first = store.now();
    for (attempt, holder) in [(1, 1), (2, 2)] {
        let (record, was_in_doubt) = taken(store.lease(&grant, holder).await);
        assert_eq!((was_in_doubt, record.refresh.failed_attempts), (attempt == 2, attempt - 1));
        let not_before = store.now().plus(MINUTE);
        let failed = FailedAttempt { outcome_known: false, not_before, refusal: None };
        let event = store.event(AuditKind::RefreshFailed, &grant);
        store.node.leases.fail_attempt(grant.id, [holder; 16], failed, vec![event.clone()]).await.unwrap_or_fail();
        let expected = RefreshState {
            held_until: Some(not_before),
            holder: None,
            in_doubt_since: Some(first),
            failed_attempts: attempt,
            failing_since: Some(first),
            ..RefreshState::default()
        };
        assert_eq!(store.get(grant.id).await, AuthorizationRecord { refresh: expected, ..grant.clone() });
        let mut events = store.new_events().await;
        assert_eq!(events.pop(), Some(event));
        let retries: Vec<_> = events.iter().map(|event| event.kind).collect();
        assert_eq!(retries, vec![AuditKind::RefreshRetried; usize::from(attempt == 2)]);
        assert!(matches!(store.lease(&grant, 9).await, Lease::Held { until, .. } if until == not_before));
        store.advance(MINUTE);
    }
}

/// A known outcome clears the in-doubt mark; the failure is counted.
pub async fn r37_a_known_outcome_clears_the_in_doubt_mark(backend: Backend) {
    let (store, grant) = granted(backend).await;
    taken(store.lease(&grant, 1).await);
    let failed = FailedAttempt { outcome_known: true, not_before: store.now().plus(MINUTE), refusal: None };
    store.node.leases.fail_attempt(grant.id, [1; 16], failed, Vec::new()).await.unwrap_or_fail();
    let refresh = store.get(grant.id).await.refresh;
    assert_eq!((refresh.in_doubt_since, refresh.failed_attempts), (None, 1));
    store.advance(MINUTE);
    let (_, was_in_doubt) = taken(store.lease(&grant, 2).await);
    assert!(!was_in_doubt);
}

/// Refusals are counted from the first one that counts; the last failure is remembered as a refusal or not.
pub async fn r39_refusals_are_counted_until_a_refresh_succeeds(backend: Backend) {
    let (store, grant) = granted(backend).await;
    let refused = |http_status, counts| Some(Refusal { http_status, counts });
    let mut refused_since = None;
    for (holder, refusal, refusals) in
        [(1, refused(401, false), 0), (2, refused(400, true), 1), (3, None, 1), (4, refused(0, true), 2)]
    {
        if refusals == 1 {
            refused_since.get_or_insert(store.now());
        }
        taken(store.lease(&grant, holder).await);
        let failed = FailedAttempt { outcome_known: true, not_before: store.now().plus(MINUTE), refusal };
        store.node.leases.fail_attempt(grant.id, [holder; 16], failed, Vec::new()).await.unwrap_or_fail();
        let refresh = store.get(grant.id).await.refresh;
        let last_refusal = refusal.map(|refusal| refusal.http_status);
        assert_eq!((refresh.refusals, refresh.refused_since, refresh.last_refusal), (refusals, refused_since, last_refusal));
        store.advance(MINUTE);
    }
    taken(store.lease(&grant, 5).await);
    let refreshed = store.replaced(fixtures::refreshed(&grant, store.now()), &grant).await;
    assert_eq!(refreshed.refresh, RefreshState::default());
}

/// A failed attempt is recorded only for the holder of the lease.
pub async fn r36_only_the_holder_of_the_lease_reports_a_failure(backend: Backend) {
    let (store, grant) = granted(backend).await;
    let failed = FailedAttempt { outcome_known: true, not_before: store.now(), refusal: None };
    let report = async |holder: u8, id: AuthorizationId| {
        let event = store.event(AuditKind::RefreshFailed, &grant);
        store.node.leases.fail_attempt(id, [holder; 16], failed, vec![event]).await.unwrap_or_fail();
    };
    taken(store.lease(&grant, 1).await);
    let snapshot = store.snapshot().await;
    report(2, grant.id).await;
    report(1, fixtures::authorization_id(999)).await;
    assert_eq!(store.snapshot().await, snapshot);
    store.advance(MINUTE);
    taken(store.lease(&grant, 2).await);
    let snapshot = store.snapshot().await;
    report(1, grant.id).await;
    assert_eq!(store.snapshot().await, snapshot, "another attempt holds the lease");
    store.disconnect(&grant).await;
    let snapshot = store.snapshot().await;
    report(2, grant.id).await;
    assert_eq!(store.snapshot().await, snapshot, "the grant has ended");
}

/// The day of last use never decreases, exists only for grants, and is not part of the version.
pub async fn r55_the_day_of_last_use_never_decreases(backend: Backend) {
    let (store, grant) = granted(backend).await;
    let drive = store.node.connectors.get(&grant.owner.connector_key()).await.unwrap_or_fail().expect("it is there");
    let bob = store.connect(&authorization_key_of(&drive, "bob")).await;
    let flow = store.start(&authorization_key_of(&drive, "carol")).await;
    let today = store.now().day();
    let record = async |uses: Vec<(AuthorizationId, i64)>| store.node.outbox.record_use(uses).await.unwrap_or_fail();
    record(vec![
        (grant.id, today + 5),
        (bob.id, today + 1),
        (flow.id, today + 9),
        (fixtures::authorization_id(999), today),
        (grant.id, today + 3),
    ])
    .await;
    let used = AuthorizationRecord { last_used_day: Some(today + 5), ..grant.clone() };
    assert_eq!(store.get(grant.id).await, used);
    assert_eq!(store.get(bob.id).await, AuthorizationRecord { last_used_day: Some(today + 1), ..bob.clone() });
    assert_eq!(store.get(flow.id).await, flow);
    // A refresh that read the grant earlier keeps the day.
    let refreshed = store.replaced(fixtures::refreshed(&grant, store.now()), &grant).await;
    assert_eq!((refreshed.last_used_day, refreshed.revision), (Some(today + 5), Revision::FIRST.next()));
    // A former grant keeps its day of last use.
    let ended = store.disconnect(&bob).await;
    assert_eq!(ended.last_used_day, Some(today + 1));
    record(vec![(bob.id, today + 7)]).await;
    assert_eq!(store.get(bob.id).await, ended);
}

/// Grants in use whose access token expires soon are found, ordered by expiry.
pub async fn grants_due_for_refresh_are_found(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let today = store.now().day();
    let start = store.now();
    let at = |minutes: u32| start.plus(MINUTE * minutes);
    let mut ids = Vec::new();
    // Minutes until the access token expires, and whether there is a refresh token.
    for (minutes, refreshable) in [(50, true), (20, true), (60, true), (30, true), (30, false), (40, true)] {
        let grant = store.connect(&authorization_key_of(&drive, &format!("user-{}", ids.len()))).await;
        let expires_at = Some(at(minutes));
        store.replaced(AuthorizationRecord { expires_at, refreshable, ..fixtures::refreshed(&grant, start) }, &grant).await;
        ids.push(grant.id);
    }
    let endless = store.connect(&authorization_key_of(&drive, "endless")).await;
    store.replaced(AuthorizationRecord { expires_at: None, ..fixtures::refreshed(&endless, store.now()) }, &endless).await;
    let lost = store.connect(&authorization_key_of(&drive, "lost")).await;
    store.replaced(fixtures::after(&lost, Input::RefreshRejected, store.now()), &lost).await;
    let due = async |since: i64, limit: u32| -> Vec<AuthorizationId> {
        let found = store.node.housekeeping.due_for_refresh(since, at(60), limit).await.unwrap_or_fail();
        found.iter().map(Authorization::id).collect()
    };
    assert_eq!(due(today, 10).await, [ids[1], ids[3], ids[5], ids[0]]);
    assert_eq!(due(today, 2).await, [ids[1], ids[3]]);
    store.node.outbox.record_use(vec![(ids[0], today + 1), (ids[5], today + 2)]).await.unwrap_or_fail();
    assert_eq!(due(today + 1, 10).await, [ids[5], ids[0]]);
}

//! Rules of the fence, the lease, the in-doubt mark and the day of use.

use std::time::Duration;

use grantry_domain::authorization::{AuthorizationId, AuthorizationRecord, Input, RefreshState, Revision, StateKind};
use grantry_domain::ports::{AuditKind, ExpectedVersion, FailedAttempt, Lease, LeaseRequest, WriteOutcome};
use tokio::task::JoinSet;

use super::Backend;
use super::world::{Succeeds, World, lease_of, state_of};
use crate::doubles::fixtures::{self, ownership_of};

const CALLERS: usize = 64;
const MINUTE: Duration = Duration::from_mins(1);

async fn granted(backend: Backend) -> (World, AuthorizationRecord) {
    let (world, drive) = World::with_drive(backend).await;
    let grant = world.connect(&ownership_of(&drive, "alice")).await;
    world.news().await;
    (world, grant)
}

fn taken(lease: Lease) -> (AuthorizationRecord, bool) {
    match lease {
        Lease::Taken { record, was_in_doubt } => (*record, was_in_doubt),
        refused @ (Lease::Held { .. } | Lease::Stale(_) | Lease::NotFound) => panic!("no lease: {refused:?}"),
    }
}

/// New tokens are written whole, with their event.
pub async fn r38_new_tokens_are_written_under_their_fence(backend: Backend) {
    let (world, grant) = granted(backend).await;
    world.lease(&grant, 1).await;
    let next = fixtures::renewed(&grant, world.now());
    assert_eq!(world.replace(next.clone(), &grant).await, WriteOutcome::Written);
    assert_eq!(world.other.authorizations.find(grant.id).await.unwrap_or_fail(), Some(next.clone()));
    assert_eq!(world.get(grant.id).await.refresh, RefreshState::default(), "lease and doubt end with the renewal");
    assert_eq!(world.news().await, [world.event(AuditKind::Refreshed, &next)]);
}

/// Whoever read an older revision or another state writes nothing, and learns what is there now.
pub async fn r38_a_write_behind_the_fence_changes_nothing(backend: Backend) {
    let (world, grant) = granted(backend).await;
    let newer = world.replaced(fixtures::renewed(&grant, world.now()), &grant).await;
    let image = world.image().await;
    let stale = AuthorizationRecord { sealed: Some(fixtures::envelope("stale")), ..fixtures::renewed(&grant, world.now()) };
    assert_eq!(world.replace(stale, &grant).await, WriteOutcome::Stale(Box::new(newer.clone())));
    let dead = fixtures::refused(&grant, world.now());
    assert_eq!(
        world.replace(dead, &grant).await,
        WriteOutcome::Stale(Box::new(newer.clone())),
        "R39: a loser marks nothing"
    );
    assert_eq!(world.image().await, image);

    let ended = world.disconnect(&newer).await;
    let image = world.image().await;
    let late = fixtures::renewed(&newer, world.now());
    assert_eq!(world.replace(late, &newer).await, WriteOutcome::Stale(Box::new(ended)), "a renewal revives nothing");
    let unknown = fixtures::authorized(fixtures::grant_id(999), grant.owner.clone(), world.now());
    assert_eq!(world.replace(unknown.clone(), &unknown).await, WriteOutcome::NotFound);
    assert_eq!(world.image().await, image);
}

/// Of many writers that read the same revision, one writes.
pub async fn r38_of_concurrent_writers_one_writes(backend: Backend) {
    let (world, grant) = granted(backend).await;
    let mut writers = JoinSet::new();
    for writer in 0..CALLERS {
        let node = if writer % 2 == 0 { &world.store } else { &world.other };
        let (grants, fence) = (node.authorizations.clone(), ExpectedVersion::of(&grant));
        let sealed = Some(fixtures::envelope(&format!("of-writer-{writer}")));
        let next = AuthorizationRecord { sealed, ..fixtures::renewed(&grant, world.now()) };
        writers.spawn(async move { (grants.replace(next.clone(), fence, Vec::new()).await.unwrap_or_fail(), next) });
    }
    let done: Vec<_> = writers.join_all().await.into_iter().filter(|(answer, _)| *answer == WriteOutcome::Written).collect();
    assert_eq!(done.len(), 1);
    assert_eq!(world.get(grant.id).await, done[0].1);
}

/// A refused refresh token ends the grant under the same fence.
pub async fn r39_a_refused_refresh_token_ends_the_grant(backend: Backend) {
    let (world, grant) = granted(backend).await;
    let former = world.refuse(&grant).await;
    assert_eq!(state_of(&former), (StateKind::Expired, Some("refresh_rejected")));
    assert_eq!(former.sealed, None, "dead tokens are not kept");
}

/// Of many callers on two nodes, one gets the lease; the others learn until when it is held.
pub async fn r36_of_concurrent_callers_one_gets_the_lease(backend: Backend) {
    let (world, grant) = granted(backend).await;
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let node = if caller % 2 == 0 { &world.store } else { &world.other };
        let mark = u8::try_from(caller).expect("few callers");
        let (grants, request) = (node.authorizations.clone(), lease_of(&grant, mark));
        callers.spawn(async move { grants.take_lease(request).await.unwrap_or_fail() });
    }
    let mut leases = 0;
    for answer in callers.join_all().await {
        match answer {
            Lease::Taken { was_in_doubt, .. } => {
                assert!(!was_in_doubt);
                leases += 1;
            }
            Lease::Held { until, record } => {
                assert_eq!((until, record.refresh.held_until), (world.now().plus(MINUTE), Some(until)));
            }
            other @ (Lease::Stale(_) | Lease::NotFound) => panic!("{other:?}"),
        }
    }
    assert_eq!(leases, 1);
}

/// A lease is for one revision of a grant, and for nothing else.
pub async fn r36_a_lease_is_for_the_revision_that_was_read(backend: Backend) {
    let (world, grant) = granted(backend).await;
    let newer = world.replaced(fixtures::renewed(&grant, world.now()), &grant).await;
    assert_eq!(world.lease(&grant, 1).await, Lease::Stale(Box::new(newer.clone())));
    assert_eq!(world.get(grant.id).await, newer);
    let ended = world.disconnect(&newer).await;
    assert_eq!(world.lease(&newer, 1).await, Lease::Stale(Box::new(ended)));
    let unknown = LeaseRequest { id: fixtures::grant_id(999), ..lease_of(&grant, 1) };
    assert_eq!(world.store.authorizations.take_lease(unknown).await.unwrap_or_fail(), Lease::NotFound);
}

/// Taking the lease sets the in-doubt mark with it; a process that dies leaves it behind, and the next one is told.
pub async fn r37_taking_the_lease_sets_the_doubt_durably(backend: Backend) {
    let (world, grant) = granted(backend).await;
    let since = world.now();
    let (record, was_in_doubt) = taken(world.lease(&grant, 1).await);
    let renewal = RefreshState {
        held_until: Some(since.plus(MINUTE)),
        owner: Some([1; 16]),
        in_doubt_since: Some(since),
        ..RefreshState::default()
    };
    assert!(!was_in_doubt);
    assert_eq!(record, AuthorizationRecord { refresh: renewal.clone(), ..grant.clone() });
    assert_eq!(world.other.authorizations.find(grant.id).await.unwrap_or_fail(), Some(record.clone()));

    world.pass(Duration::from_millis(59_999));
    assert_eq!(world.lease(&grant, 2).await, Lease::Held { until: since.plus(MINUTE), record: Box::new(record) });
    world.pass(Duration::from_millis(1));
    let (record, was_in_doubt) = taken(world.lease(&grant, 2).await);
    assert!(was_in_doubt, "the first attempt never told its outcome");
    assert_eq!(record.refresh, RefreshState { held_until: Some(world.now().plus(MINUTE)), owner: Some([2; 16]), ..renewal });
}

/// A lease that ends farther ahead than leases can is an accident of clocks: in doubt, and free to take.
pub async fn r36_an_implausible_lease_is_free_to_take(backend: Backend) {
    let (world, grant) = granted(backend).await;
    let start = world.now();
    taken(world.lease(&grant, 1).await);
    let shifted = |back: u64| start.minus(Duration::from_secs(back));
    // One minute of lease, and at most two are plausible.
    world.clock.step_wall(shifted(60));
    assert!(matches!(world.lease(&grant, 2).await, Lease::Held { .. }));
    world.clock.step_wall(shifted(61));
    let (record, was_in_doubt) = taken(world.lease(&grant, 2).await);
    assert!(was_in_doubt);
    assert_eq!(record.refresh.owner, Some([2; 16]));

    let failed = FailedAttempt { outcome_known: true, not_before: start.plus(MINUTE * 60) };
    world.store.authorizations.fail_attempt(grant.id, [2; 16], failed, Vec::new()).await.unwrap_or_fail();
    let (_, was_in_doubt) = taken(world.lease(&grant, 3).await);
    assert!(was_in_doubt, "nobody knows what happened in a time that clocks cannot tell");
}

/// A failed attempt of unknown outcome keeps the doubt, counts, and holds the next one off; the first failure is remembered.
pub async fn r37_an_unknown_outcome_keeps_the_doubt(backend: Backend) {
    let (world, grant) = granted(backend).await;
    let first = world.now();
    for (attempt, owner) in [(1, 1), (2, 2)] {
        let (record, was_in_doubt) = taken(world.lease(&grant, owner).await);
        assert_eq!((was_in_doubt, record.refresh.failed_attempts), (attempt == 2, attempt - 1));
        let not_before = world.now().plus(MINUTE);
        let failed = FailedAttempt { outcome_known: false, not_before };
        let event = world.event(AuditKind::RefreshFailed, &grant);
        world.store.authorizations.fail_attempt(grant.id, [owner; 16], failed, vec![event.clone()]).await.unwrap_or_fail();
        let expected = RefreshState {
            held_until: Some(not_before),
            owner: None,
            in_doubt_since: Some(first),
            failed_attempts: attempt,
            failing_since: Some(first),
        };
        assert_eq!(world.get(grant.id).await, AuthorizationRecord { refresh: expected, ..grant.clone() });
        assert_eq!(world.news().await, [event]);
        assert!(matches!(world.lease(&grant, 9).await, Lease::Held { until, .. } if until == not_before));
        world.pass(MINUTE);
    }
}

/// A known outcome clears the doubt; the failure is counted all the same.
pub async fn r37_a_known_outcome_clears_the_doubt(backend: Backend) {
    let (world, grant) = granted(backend).await;
    taken(world.lease(&grant, 1).await);
    let failed = FailedAttempt { outcome_known: true, not_before: world.now().plus(MINUTE) };
    world.store.authorizations.fail_attempt(grant.id, [1; 16], failed, Vec::new()).await.unwrap_or_fail();
    let renewal = world.get(grant.id).await.refresh;
    assert_eq!((renewal.in_doubt_since, renewal.failed_attempts), (None, 1));
    world.pass(MINUTE);
    let (_, was_in_doubt) = taken(world.lease(&grant, 2).await);
    assert!(!was_in_doubt);
}

/// Who does not hold the lease reports nothing.
pub async fn r36_only_the_holder_of_the_lease_reports_a_failure(backend: Backend) {
    let (world, grant) = granted(backend).await;
    let failed = FailedAttempt { outcome_known: true, not_before: world.now() };
    let report = async |owner: u8, id: AuthorizationId| {
        let event = world.event(AuditKind::RefreshFailed, &grant);
        world.store.authorizations.fail_attempt(id, [owner; 16], failed, vec![event]).await.unwrap_or_fail();
    };
    taken(world.lease(&grant, 1).await);
    let image = world.image().await;
    report(2, grant.id).await;
    report(1, fixtures::grant_id(999)).await;
    assert_eq!(world.image().await, image);
    world.pass(MINUTE);
    taken(world.lease(&grant, 2).await);
    let image = world.image().await;
    report(1, grant.id).await;
    assert_eq!(world.image().await, image, "the lease was lost");
    world.disconnect(&grant).await;
    let image = world.image().await;
    report(2, grant.id).await;
    assert_eq!(world.image().await, image, "the grant has ended");
}

/// Days of use only rise, belong to grants, and stand outside the fence.
pub async fn r55_the_day_of_last_use_only_rises(backend: Backend) {
    let (world, grant) = granted(backend).await;
    let drive = world.store.connectors.get(&grant.owner.connector_key()).await.unwrap_or_fail().expect("it is there");
    let bob = world.connect(&ownership_of(&drive, "bob")).await;
    let flow = world.start(&ownership_of(&drive, "carol")).await;
    let today = world.now().day();
    let note = async |uses: Vec<(AuthorizationId, i64)>| world.store.authorizations.record_use(uses).await.unwrap_or_fail();
    note(vec![
        (grant.id, today + 5),
        (bob.id, today + 1),
        (flow.id, today + 9),
        (fixtures::grant_id(999), today),
        (grant.id, today + 3),
    ])
    .await;
    let used = AuthorizationRecord { last_used_day: Some(today + 5), ..grant.clone() };
    assert_eq!(world.get(grant.id).await, used);
    assert_eq!(world.get(bob.id).await, AuthorizationRecord { last_used_day: Some(today + 1), ..bob.clone() });
    assert_eq!(world.get(flow.id).await, flow);
    // A renewal that read the grant before the note does not take it back.
    let renewed = world.replaced(fixtures::renewed(&grant, world.now()), &grant).await;
    assert_eq!((renewed.last_used_day, renewed.revision), (Some(today + 5), Revision::FIRST.next()));
    // A former grant has no day.
    let ended = world.disconnect(&bob).await;
    note(vec![(bob.id, today + 7)]).await;
    assert_eq!(world.get(bob.id).await, ended);
}

/// Proactive renewal finds grants in use whose access token lapses soon, the most urgent first.
pub async fn grants_due_for_refresh_are_found(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let today = world.now().day();
    let start = world.now();
    let at = |minutes: u32| start.plus(MINUTE * minutes);
    let mut ids = Vec::new();
    // Minutes until the access token lapses, and whether there is a refresh token.
    for (minutes, refreshable) in [(50, true), (20, true), (60, true), (30, true), (30, false), (40, true)] {
        let grant = world.connect(&ownership_of(&drive, &format!("user-{}", ids.len()))).await;
        let expires_at = Some(at(minutes));
        world.replaced(AuthorizationRecord { expires_at, refreshable, ..fixtures::renewed(&grant, start) }, &grant).await;
        ids.push(grant.id);
    }
    let ever = world.connect(&ownership_of(&drive, "ever")).await;
    world.replaced(AuthorizationRecord { expires_at: None, ..fixtures::renewed(&ever, world.now()) }, &ever).await;
    let lost = world.connect(&ownership_of(&drive, "lost")).await;
    world.replaced(fixtures::after(&lost, Input::RefreshRejected, world.now()), &lost).await;
    let due = async |since: i64, limit: u32| -> Vec<AuthorizationId> {
        let found = world.store.authorizations.due_for_refresh(since, at(60), limit).await.unwrap_or_fail();
        found.into_iter().map(|record| record.id).collect()
    };
    assert_eq!(due(today, 10).await, [ids[1], ids[3], ids[5], ids[0]]);
    assert_eq!(due(today, 2).await, [ids[1], ids[3]]);
    world.store.authorizations.record_use(vec![(ids[0], today + 1), (ids[5], today + 2)]).await.unwrap_or_fail();
    assert_eq!(due(today + 1, 10).await, [ids[5], ids[0]]);
}

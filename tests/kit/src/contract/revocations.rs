//! Rules of the revocation queue.

use std::collections::BTreeSet;
use std::time::Duration;

use grantry_domain::authorization::{
    Authorization, AuthorizationId, AuthorizationKey, AuthorizationRecord, Envelope, Revision, RevocationOutcome,
    RevocationRecord, TerminationCause,
};
use grantry_domain::ports::{AuditKind, LeftOut, RevocationJob, RevocationUpdate, TerminationScope, UnclaimedTokens};
use grantry_domain::provider::BindingDigest;
use tokio::task::JoinSet;

use super::Backend;
use super::test_store::{CLAIM, PAUSE, Succeeds, TestStore, completed_event, pending_in_doubt};
use crate::doubles::fixtures::{self, authorization_key_of};

pub(super) fn id_of(job: &RevocationJob) -> AuthorizationId {
    match job {
        RevocationJob::FormerGrant(former) => former.id(),
        RevocationJob::Unclaimed(tokens) => tokens.id,
    }
}

async fn disconnected(store: &TestStore, owner: &AuthorizationKey) -> AuthorizationRecord {
    let grant = store.connect(owner).await;
    store.disconnect(&grant).await
}

async fn queued(store: &TestStore, owner: &AuthorizationKey) -> UnclaimedTokens {
    let unclaimed = fixtures::unclaimed_tokens(store.new_id(), owner.clone(), store.now());
    store.node.revocations.queue_unclaimed(unclaimed.clone(), Vec::new()).await.unwrap_or_fail();
    unclaimed
}

fn sealed_of(former: &Authorization) -> Option<Envelope> {
    Some(former.termination()?.pending_revocation()?.sealed.clone())
}

async fn claimed_former(store: &TestStore) -> AuthorizationRecord {
    match store.claim().await {
        Some(RevocationJob::FormerGrant(former)) => former.to_record(),
        other @ (Some(RevocationJob::Unclaimed(_)) | None) => panic!("no former grant was due: {other:?}"),
    }
}

fn attempts(record: &AuthorizationRecord) -> Option<u32> {
    match record.revocation {
        Some(RevocationRecord::Pending { attempts, .. }) => Some(attempts),
        Some(RevocationRecord::Completed(_)) | None => None,
    }
}

/// Each due revocation is claimed by one of many workers, with its tokens.
pub async fn r50_each_due_revocation_goes_to_one_worker(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let mut expected = BTreeSet::new();
    for user in ["a", "b", "c", "d", "e"] {
        expected.insert(disconnected(&store, &authorization_key_of(&drive, user)).await.id);
    }
    for user in ["f", "g"] {
        expected.insert(queued(&store, &authorization_key_of(&drive, user)).await.id);
    }
    store.connect(&authorization_key_of(&drive, "still-connected")).await;
    let mut workers = JoinSet::new();
    for worker in 0..64_u8 {
        let queue = if worker % 2 == 0 { &store.node } else { &store.other }.revocations.clone();
        workers.spawn(async move {
            queue.claim_revocation([worker; 16], CLAIM, PAUSE, LeftOut::default()).await.unwrap_or_fail()
        });
    }
    let claimed: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    for job in &claimed {
        let sealed = match job {
            RevocationJob::FormerGrant(former) => sealed_of(former),
            RevocationJob::Unclaimed(tokens) => Some(tokens.sealed.clone()),
        };
        assert!(sealed.is_some_and(|sealed| !sealed.0.is_empty()));
    }
    assert_eq!(claimed.len(), expected.len());
    assert_eq!(claimed.iter().map(id_of).collect::<BTreeSet<_>>(), expected);
}

/// A revocation can be claimed again when the claim has expired.
pub async fn r50_a_claim_expires(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let former = disconnected(&store, &authorization_key_of(&drive, "alice")).await;
    let unclaimed = fixtures::unclaimed_tokens(store.new_id(), authorization_key_of(&drive, "bob"), store.now());
    store.node.revocations.queue_unclaimed(unclaimed.clone(), Vec::new()).await.unwrap_or_fail();
    let expected = BTreeSet::from([former.id, unclaimed.id]);
    for _ in 0..2 {
        let claimed = [store.claim().await, store.claim().await];
        assert_eq!(claimed.iter().flatten().map(id_of).collect::<BTreeSet<_>>(), expected);
        assert_eq!(store.claim().await, None);
        store.advance(CLAIM.saturating_sub(Duration::from_millis(1)));
        assert_eq!(store.claim().await, None, "both are still claimed");
        store.advance(Duration::from_millis(1));
    }
}

/// A worker that was stopped past the end of its claim changes nothing that another worker has claimed since, and one whose
/// claim only ended still stores its result.
pub async fn r50_a_worker_does_not_overwrite_what_another_one_has_claimed(backend: Backend) {
    const OTHER: [u8; 16] = [8; 16];
    let (store, drive) = TestStore::with_drive(backend).await;
    let former = disconnected(&store, &authorization_key_of(&drive, "alice")).await;
    let unclaimed = fixtures::unclaimed_tokens(store.new_id(), authorization_key_of(&drive, "bob"), store.now());
    store.node.revocations.queue_unclaimed(unclaimed.clone(), Vec::new()).await.unwrap_or_fail();
    let both = [former.id, unclaimed.id];
    for _ in both {
        store.claim().await.expect("a job");
    }
    store.advance(CLAIM);
    for _ in both {
        store.claim_as(OTHER).await.expect("the claims have ended");
    }
    store.new_events().await;
    let updates = || {
        [
            RevocationUpdate::Completed(RevocationOutcome::Abandoned),
            RevocationUpdate::Retry { at: store.now() },
            RevocationUpdate::Deferred { at: store.now() },
            RevocationUpdate::Refreshed { sealed: fixtures::envelope("late"), revision: Revision(9) },
        ]
    };
    let snapshot = store.snapshot().await;
    for job in both {
        for update in updates() {
            assert!(!store.update_job(job, update.clone()).await, "{update:?}");
        }
    }
    assert_eq!(store.snapshot().await, snapshot);
    assert_eq!(store.claim().await, None, "the claims of the other worker remain");
    assert_eq!(store.new_events().await, []);
    store.advance(CLAIM);
    for job in both {
        assert!(store.update_job_as(OTHER, job, RevocationUpdate::Completed(RevocationOutcome::Revoked)).await);
        assert!(!store.update_job_as(OTHER, job, RevocationUpdate::Retry { at: store.now() }).await, "it is completed");
    }
    assert_eq!(store.claim().await, None);
}

/// A claim that ends later than any claim can, after the clock was set back, can be taken.
pub async fn r50_an_implausible_claim_can_be_taken(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    store.advance(Duration::from_hours(1));
    let start = store.now();
    store.clock.step_wall(start.minus(Duration::from_mins(30)));
    let former = disconnected(&store, &authorization_key_of(&drive, "alice")).await;
    store.clock.step_wall(start);
    assert_eq!(store.claim().await.as_ref().map(id_of), Some(former.id));
    store.clock.step_wall(start.minus(Duration::from_millis(1)));
    assert_eq!(store.claim().await.as_ref().map(id_of), Some(former.id));
    assert_eq!(store.claim().await, None);
}

/// A completed revocation destroys the tokens, stores the outcome, and is never claimed again.
pub async fn r50_a_completed_revocation_destroys_the_tokens(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    for outcome in RevocationOutcome::ALL {
        let former = disconnected(&store, &authorization_key_of(&drive, outcome.as_str())).await;
        store.claim().await.expect("a job");
        store.new_events().await;
        store.update_job(former.id, RevocationUpdate::Completed(*outcome)).await;
        let now = store.get(former.id).await;
        let revocation = Some(RevocationRecord::Completed(*outcome));
        assert_eq!(now, AuthorizationRecord { revocation, sealed: None, revision: Revision::NONE, ..former.clone() });
        assert_eq!(store.new_events().await, [completed_event(former.id, store.now())]);
        // A late update changes nothing.
        let snapshot = store.snapshot().await;
        store.update_job(former.id, RevocationUpdate::Retry { at: store.now() }).await;
        store.update_job(former.id, RevocationUpdate::Completed(RevocationOutcome::Abandoned)).await;
        assert_eq!(store.snapshot().await, snapshot);
    }
    store.advance(CLAIM);
    assert_eq!(store.claim().await, None);
}

/// A postponed revocation is due again at its time, with one more failed attempt.
pub async fn r50_a_postponed_revocation_is_due_again(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let former = disconnected(&store, &authorization_key_of(&drive, "alice")).await;
    assert_eq!(attempts(&former), Some(0));
    store.claim().await.expect("a job");
    // Before the claim expires: a retry releases it.
    let soon = Duration::from_secs(10);
    store.update_job(former.id, RevocationUpdate::Retry { at: store.now().plus(soon) }).await;
    assert_eq!(attempts(&store.get(former.id).await), Some(1));
    assert_eq!(store.claim().await, None);
    store.advance(soon);
    let claimed = claimed_former(&store).await;
    assert_eq!((attempts(&claimed), &claimed.sealed), (Some(1), &former.sealed));
    // After the claim expires.
    let late = Duration::from_hours(1);
    store.update_job(former.id, RevocationUpdate::Retry { at: store.now().plus(late) }).await;
    store.advance(CLAIM);
    assert_eq!(store.claim().await, None);
    store.advance(late);
    assert_eq!(attempts(&claimed_former(&store).await), Some(2));
}

/// A deferred revocation is due again at its time, without another failed attempt.
pub async fn r50_a_deferred_revocation_counts_no_attempt(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let former = disconnected(&store, &authorization_key_of(&drive, "alice")).await;
    let unclaimed = queued(&store, &authorization_key_of(&drive, "bob")).await;
    let later = store.now().plus(CLAIM / 2);
    for job in [former.id, unclaimed.id] {
        store.claim().await.expect("a job");
        store.update_job(job, RevocationUpdate::Deferred { at: later }).await;
    }
    assert_eq!(store.claim().await, None);
    store.advance(CLAIM / 2);
    let mut claimed = Vec::new();
    while let Some(job) = store.claim().await {
        claimed.push(match job {
            RevocationJob::FormerGrant(former) => attempts(&former.to_record()),
            RevocationJob::Unclaimed(tokens) => Some(tokens.attempts),
        });
    }
    assert_eq!(claimed, [Some(0), Some(0)]);
}

/// A revocation that is due later than any pause lasts was postponed before the clock was set back.
pub async fn r50_an_implausible_due_time_is_ignored(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    store.advance(4 * PAUSE);
    let start = store.now();
    let former = disconnected(&store, &authorization_key_of(&drive, "alice")).await;
    let unclaimed = queued(&store, &authorization_key_of(&drive, "bob")).await;
    for _ in 0..2 {
        let job = id_of(&store.claim().await.expect("a job"));
        store.update_job(job, RevocationUpdate::Retry { at: start.plus(PAUSE) }).await;
    }
    store.clock.step_wall(start);
    assert_eq!(store.claim().await, None, "the pause is plausible");
    store.clock.step_wall(start.minus(Duration::from_millis(1)));
    let mut claimed = [id_of(&store.claim().await.expect("a job")), id_of(&store.claim().await.expect("a job"))];
    claimed.sort();
    let mut due = [former.id, unclaimed.id];
    due.sort();
    assert_eq!(claimed, due);
    assert_eq!(store.claim().await, None, "each is claimed once");
}

/// A worker leaves out the revocations of some settings and of some users, in both tables, until they are to be abandoned.
pub async fn r50_a_revocation_is_left_out_until_it_is_to_be_abandoned(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let owner = authorization_key_of(&drive, "alice");
    let former = disconnected(&store, &owner).await;
    let unclaimed = queued(&store, &owner).await;
    let digests = LeftOut { digests: BTreeSet::from([owner.digest]), users: BTreeSet::new() };
    let users = LeftOut { digests: BTreeSet::new(), users: BTreeSet::from([owner.user.clone()]) };
    let others = LeftOut {
        digests: BTreeSet::from([BindingDigest([9; 32])]),
        users: BTreeSet::from([authorization_key_of(&drive, "bob").user]),
    };
    assert_eq!(store.claim_except(digests.clone()).await, None);
    assert_eq!(store.claim_except(users.clone()).await, None);
    let bob = queued(&store, &authorization_key_of(&drive, "bob")).await;
    assert_eq!(store.claim_except(users.clone()).await.as_ref().map(id_of), Some(bob.id), "the others are claimed");
    let mut due = [former.id, unclaimed.id];
    due.sort();
    for left_out in [others, digests, users] {
        let mut claimed = [store.claim_except(left_out.clone()).await, store.claim_except(left_out).await];
        claimed.sort_by_key(|job| job.as_ref().map(id_of));
        assert_eq!(claimed.each_ref().map(|job| job.as_ref().map(id_of)), due.map(Some));
        // Then the jobs are to be abandoned.
        store.update_job(bob.id, RevocationUpdate::Completed(RevocationOutcome::Revoked)).await;
        store.advance(PAUSE.max(CLAIM));
    }
}

/// The tokens of a refresh in doubt replace the old ones and clear the in-doubt mark; the claim is kept.
pub async fn r49_a_refresh_before_the_revocation_stores_the_new_tokens(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let grant = store.connect(&authorization_key_of(&drive, "alice")).await;
    store.lease(&grant, 1).await;
    let former = store.disconnect(&grant).await;
    assert_eq!(pending_in_doubt(&former), Some(true));
    store.claim().await.expect("a job");
    let (sealed, revision) = (fixtures::envelope("received"), grant.revision.next());
    store.update_job(former.id, RevocationUpdate::Refreshed { sealed: sealed.clone(), revision }).await;
    let now = store.get(former.id).await;
    assert_eq!((pending_in_doubt(&now), now.sealed, now.revision), (Some(false), Some(sealed.clone()), revision));
    assert_eq!(store.claim().await, None, "it is still claimed");
    store.advance(CLAIM);
    let claimed = claimed_former(&store).await;
    assert_eq!((pending_in_doubt(&claimed), claimed.sealed), (Some(false), Some(sealed)));
}

/// Unclaimed tokens are revoked like others and then destroyed.
pub async fn r26_unclaimed_tokens_are_revoked(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let flow = store.exchange(&authorization_key_of(&drive, "alice")).await;
    let unclaimed = fixtures::unclaimed_tokens(store.new_id(), flow.owner.clone(), store.now());
    let event = store.event(AuditKind::UnclaimedTokensQueued, &flow);
    store.new_events().await;
    store.node.revocations.queue_unclaimed(unclaimed.clone(), vec![event.clone()]).await.unwrap_or_fail();
    assert_eq!(store.new_events().await, [event]);
    assert_eq!(store.claim().await, Some(RevocationJob::Unclaimed(Box::new(unclaimed.clone()))));
    store.update_job(unclaimed.id, RevocationUpdate::Retry { at: store.now() }).await;
    let retried = UnclaimedTokens { attempts: 1, ..unclaimed.clone() };
    assert_eq!(store.claim().await, Some(RevocationJob::Unclaimed(Box::new(retried))));
    store.update_job(unclaimed.id, RevocationUpdate::Completed(RevocationOutcome::Revoked)).await;
    store.advance(CLAIM);
    assert_eq!(store.claim().await, None);
    let usage = store.node.housekeeping.key_usage().await.unwrap_or_fail();
    assert_eq!(usage.iter().map(|(_, count)| count).sum::<u64>(), 2, "only the client secret and the connector are left");
    let snapshot = store.snapshot().await;
    store.update_job(unclaimed.id, RevocationUpdate::Completed(RevocationOutcome::Revoked)).await;
    assert_eq!(store.snapshot().await, snapshot);
}

/// Flows, and grants whose tokens are not valid any more, need no revocation.
pub async fn flows_and_invalid_tokens_need_no_revocation(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let flow = store.exchange(&authorization_key_of(&drive, "alice")).await;
    store.terminate(TerminationScope::One(flow.id), TerminationCause::Cancelled).await;
    let grant = store.connect(&authorization_key_of(&drive, "bob")).await;
    let invalid = store.reject_refresh(&grant).await;
    assert_eq!(invalid.revocation, Some(RevocationRecord::Completed(RevocationOutcome::NotNeeded)));
    assert_eq!(store.claim().await, None);
}

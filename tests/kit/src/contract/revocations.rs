//! Rules of the durable revocation jobs (R49, R50).

use std::collections::BTreeSet;
use std::time::Duration;

use grantry_domain::authorization::{
    AuthorizationId, AuthorizationRecord, Revision, RevocationOutcome, RevocationRecord, TerminationCause,
};
use grantry_domain::ports::{AuditKind, RevocationJob, RevocationUpdate, TerminationScope, UnclaimedTokens};
use tokio::task::JoinSet;

use super::Backend;
use super::world::{CLAIM, Succeeds, World, owed, settled};
use crate::doubles::fixtures::{self, ownership_of};

/// What a job is about.
pub(super) fn id_of(job: &RevocationJob) -> AuthorizationId {
    match job {
        RevocationJob::Former(record) => record.id,
        RevocationJob::Unclaimed(orphan) => orphan.id,
    }
}

async fn disconnected(world: &World, owner: &grantry_domain::authorization::AuthorizationKey) -> AuthorizationRecord {
    let grant = world.connect(owner).await;
    world.disconnect(&grant).await
}

fn attempts(record: &AuthorizationRecord) -> Option<u32> {
    match record.revocation {
        Some(RevocationRecord::Pending { attempts, .. }) => Some(attempts),
        Some(RevocationRecord::Completed(_)) | None => None,
    }
}

/// Each due revocation goes to one of many workers, with its tokens.
pub async fn r50_each_due_revocation_goes_to_one_worker(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let mut expected = BTreeSet::new();
    for user in ["a", "b", "c", "d", "e"] {
        expected.insert(disconnected(&world, &ownership_of(&drive, user)).await.id);
    }
    for user in ["f", "g"] {
        let orphan = fixtures::orphan(world.new_id(), ownership_of(&drive, user), world.now());
        world.store.authorizations.queue_unclaimed(orphan.clone(), Vec::new()).await.unwrap_or_fail();
        expected.insert(orphan.id);
    }
    world.connect(&ownership_of(&drive, "still-connected")).await;
    let mut workers = JoinSet::new();
    for worker in 0..64_u8 {
        let grants = if worker % 2 == 0 { &world.store } else { &world.other }.authorizations.clone();
        workers.spawn(async move { grants.claim_revocation([worker; 16], CLAIM).await.unwrap_or_fail() });
    }
    let claimed: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    for job in &claimed {
        let sealed = match job {
            RevocationJob::Former(record) => record.sealed.as_ref(),
            RevocationJob::Unclaimed(orphan) => Some(&orphan.sealed),
        };
        assert!(sealed.is_some_and(|sealed| !sealed.0.is_empty()));
    }
    assert_eq!(claimed.len(), expected.len());
    assert_eq!(claimed.iter().map(id_of).collect::<BTreeSet<_>>(), expected);
}

/// A worker that dies gives its job back when the claim has run out.
pub async fn r50_a_claim_runs_out(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let former = disconnected(&world, &ownership_of(&drive, "alice")).await;
    let orphan = fixtures::orphan(world.new_id(), ownership_of(&drive, "bob"), world.now());
    world.store.authorizations.queue_unclaimed(orphan.clone(), Vec::new()).await.unwrap_or_fail();
    let expected = BTreeSet::from([former.id, orphan.id]);
    for _ in 0..2 {
        let claimed = [world.claim().await, world.claim().await];
        assert_eq!(claimed.iter().flatten().map(id_of).collect::<BTreeSet<_>>(), expected);
        assert_eq!(world.claim().await, None);
        world.pass(CLAIM.saturating_sub(Duration::from_millis(1)));
        assert_eq!(world.claim().await, None, "both are still claimed");
        world.pass(Duration::from_millis(1));
    }
}

/// A claim that ends farther ahead than claims can is an accident of clocks, and holds nobody off.
pub async fn r50_an_implausible_claim_is_free_to_take(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    world.pass(Duration::from_hours(1));
    let start = world.now();
    world.clock.step_wall(start.minus(Duration::from_mins(30)));
    let former = disconnected(&world, &ownership_of(&drive, "alice")).await;
    world.clock.step_wall(start);
    assert_eq!(world.claim().await.as_ref().map(id_of), Some(former.id));
    world.clock.step_wall(start.minus(Duration::from_millis(1)));
    assert_eq!(world.claim().await.as_ref().map(id_of), Some(former.id));
    assert_eq!(world.claim().await, None);
}

/// A settled revocation destroys the tokens, keeps the outcome, and is never claimed again.
pub async fn r50_a_settled_revocation_destroys_the_tokens(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    for outcome in RevocationOutcome::ALL {
        let former = disconnected(&world, &ownership_of(&drive, outcome.as_str())).await;
        world.claim().await.expect("a job");
        world.news().await;
        world.end_job(former.id, RevocationUpdate::Completed(*outcome)).await;
        let now = world.get(former.id).await;
        let revocation = Some(RevocationRecord::Completed(*outcome));
        assert_eq!(now, AuthorizationRecord { revocation, sealed: None, revision: Revision::NONE, ..former.clone() });
        assert_eq!(world.news().await, [settled(former.id, world.now())]);
        // Whoever is late has nothing to say.
        let image = world.image().await;
        world.end_job(former.id, RevocationUpdate::Retry { at: world.now() }).await;
        world.end_job(former.id, RevocationUpdate::Completed(RevocationOutcome::Abandoned)).await;
        assert_eq!(world.image().await, image);
    }
    world.pass(CLAIM);
    assert_eq!(world.claim().await, None);
}

/// A postponed revocation is due again at its time, with one more failed try.
pub async fn r50_a_postponed_revocation_is_due_again(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let former = disconnected(&world, &ownership_of(&drive, "alice")).await;
    assert_eq!(attempts(&former), Some(0));
    world.claim().await.expect("a job");
    // Sooner than the claim runs out: a retry gives it back.
    let soon = Duration::from_secs(10);
    world.end_job(former.id, RevocationUpdate::Retry { at: world.now().plus(soon) }).await;
    assert_eq!(attempts(&world.get(former.id).await), Some(1));
    assert_eq!(world.claim().await, None);
    world.pass(soon);
    let Some(RevocationJob::Former(record)) = world.claim().await else { panic!("it is due") };
    assert_eq!((attempts(&record), &record.sealed), (Some(1), &former.sealed));
    // Later than the claim runs out.
    let late = Duration::from_hours(1);
    world.end_job(former.id, RevocationUpdate::Retry { at: world.now().plus(late) }).await;
    world.pass(CLAIM);
    assert_eq!(world.claim().await, None);
    world.pass(late);
    let Some(RevocationJob::Former(record)) = world.claim().await else { panic!("it is due") };
    assert_eq!(attempts(&record), Some(2));
}

/// The answer of a doubtful refresh takes the place of the old tokens and clears the doubt; the claim goes on.
pub async fn r49_a_renewed_revocation_keeps_the_new_tokens(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let grant = world.connect(&ownership_of(&drive, "alice")).await;
    world.lease(&grant, 1).await;
    let former = world.disconnect(&grant).await;
    assert_eq!(owed(&former), Some(true));
    world.claim().await.expect("a job");
    let (sealed, revision) = (fixtures::envelope("received"), grant.revision.next());
    world.end_job(former.id, RevocationUpdate::Refreshed { sealed: sealed.clone(), revision }).await;
    let now = world.get(former.id).await;
    assert_eq!((owed(&now), now.sealed, now.revision), (Some(false), Some(sealed.clone()), revision));
    assert_eq!(world.claim().await, None, "its worker goes on");
    world.pass(CLAIM);
    let Some(RevocationJob::Former(record)) = world.claim().await else { panic!("it is due") };
    assert_eq!((owed(&record), record.sealed), (Some(false), Some(sealed)));
}

/// Tokens that never became a grant are revoked like others, and leave nothing behind.
pub async fn r26_tokens_that_never_became_a_grant_are_revoked(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let flow = world.exchange(&ownership_of(&drive, "alice")).await;
    let orphan = fixtures::orphan(world.new_id(), flow.owner.clone(), world.now());
    let event = world.event(AuditKind::UnclaimedTokensQueued, &flow);
    world.news().await;
    world.store.authorizations.queue_unclaimed(orphan.clone(), vec![event.clone()]).await.unwrap_or_fail();
    assert_eq!(world.news().await, [event]);
    assert_eq!(world.claim().await, Some(RevocationJob::Unclaimed(Box::new(orphan.clone()))));
    world.end_job(orphan.id, RevocationUpdate::Retry { at: world.now() }).await;
    let tried = UnclaimedTokens { attempts: 1, ..orphan.clone() };
    assert_eq!(world.claim().await, Some(RevocationJob::Unclaimed(Box::new(tried))));
    world.end_job(orphan.id, RevocationUpdate::Completed(RevocationOutcome::Revoked)).await;
    world.pass(CLAIM);
    assert_eq!(world.claim().await, None);
    let usage = world.store.authorizations.key_usage().await.unwrap_or_fail();
    assert_eq!(usage.iter().map(|(_, count)| count).sum::<u64>(), 1, "only the client secret is left");
    let image = world.image().await;
    world.end_job(orphan.id, RevocationUpdate::Completed(RevocationOutcome::Revoked)).await;
    assert_eq!(world.image().await, image);
}

/// Nothing is owed for flows, nor for grants whose tokens were dead.
pub async fn nothing_is_owed_for_flows_and_dead_tokens(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let flow = world.exchange(&ownership_of(&drive, "alice")).await;
    world.end(TerminationScope::One(flow.id), TerminationCause::Cancelled).await;
    let grant = world.connect(&ownership_of(&drive, "bob")).await;
    let dead = world.refuse(&grant).await;
    assert_eq!(dead.revocation, Some(RevocationRecord::Completed(RevocationOutcome::NotNeeded)));
    assert_eq!(world.claim().await, None);
}

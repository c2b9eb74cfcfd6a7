//! Results in a defined order, for comparison where the contract leaves the order open.

use grantry_domain::ports::{LeftOut, RevocationJob, SweepPolicy, SweepReport};
use grantry_domain::time::Timestamp;

use crate::contract::Node;
use crate::contract::revocations::id_of;
use crate::contract::test_store::{CLAIM, PAUSE, Succeeds, WORKER};

/// Claims every due revocation; returns them ordered by id.
pub(super) async fn claimed(node: &Node) -> Vec<RevocationJob> {
    let mut jobs = Vec::new();
    while let Some(job) = node.revocations.claim_revocation(WORKER, CLAIM, PAUSE, LeftOut::default()).await.unwrap_or_fail()
    {
        jobs.push(job);
    }
    jobs.sort_by_key(id_of);
    jobs
}

/// Sweeps until there is nothing more to do; returns the total.
pub(super) async fn swept(node: &Node, policy: SweepPolicy, now: Timestamp) -> SweepReport {
    let mut total = SweepReport::default();
    for _ in 0..1000 {
        let step = node.housekeeping.sweep(policy, now).await.unwrap_or_fail();
        total.timed_out += step.timed_out;
        total.interrupted += step.interrupted;
        total.expired += step.expired;
        total.unused += step.unused;
        total.removed += step.removed;
        total.secrets_destroyed += step.secrets_destroyed;
        if !step.more {
            return total;
        }
    }
    panic!("sweeping does not come to an end");
}

/// The audit events since the last call, sorted.
pub(super) async fn new_events(node: &Node) -> Vec<String> {
    let recorded = node.outbox.pending_events(10_000).await.unwrap_or_fail();
    assert!(recorded.is_sorted_by(|left, right| left.sequence < right.sequence), "sequence numbers rise");
    if let Some(last) = recorded.last() {
        node.outbox.forget_events(last.sequence).await.unwrap_or_fail();
    }
    let mut events: Vec<_> = recorded.iter().map(|recorded| format!("{:?}", recorded.event)).collect();
    events.sort_unstable();
    events
}

//! Draining what comes in no settled order, so that it can be compared.

use grantry_domain::ports::{RevocationJob, SweepPolicy, SweepReport};

use crate::contract::Node;
use crate::contract::revocation::id_of;
use crate::contract::world::{CLAIM, Succeeds};

/// Every due revocation, in the order of ids: which one is claimed first is open.
pub(super) async fn claimed(node: &Node) -> Vec<RevocationJob> {
    let mut jobs = Vec::new();
    while let Some(job) = node.authorizations.claim_revocation([7; 16], CLAIM).await.unwrap_or_fail() {
        jobs.push(job);
    }
    jobs.sort_by_key(id_of);
    jobs
}

/// What sweeping did until there was nothing more to do: how a batch is shared out is open.
pub(super) async fn swept(node: &Node, policy: SweepPolicy) -> SweepReport {
    let mut total = SweepReport::default();
    for _ in 0..1000 {
        let step = node.authorizations.sweep(policy).await.unwrap_or_fail();
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

/// The events since the last look. Within one step their order is open.
pub(super) async fn told(node: &Node) -> Vec<String> {
    let recorded = node.authorizations.pending_events(10_000).await.unwrap_or_fail();
    assert!(recorded.is_sorted_by(|left, right| left.sequence < right.sequence), "events are numbered in order");
    if let Some(last) = recorded.last() {
        node.authorizations.forget_events(last.sequence).await.unwrap_or_fail();
    }
    let mut events: Vec<_> = recorded.iter().map(|recorded| format!("{:?}", recorded.event)).collect();
    events.sort_unstable();
    events
}

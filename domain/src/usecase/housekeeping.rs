//! Background jobs: sweeping, refreshing ahead, reconciliation with the host, audit delivery.
//!
//! Every job is bounded per call and coordinated through the store, so that any number of processes may run them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::authorization::TerminationCause;
use crate::identity::{Actor, SpaceId, UserId};
use crate::ports::{
    AuditOutbox, AuthorizationStore, Directory, EventSink, Housekeeping, Membership, SinkError, StoreClock, StoreError,
    SweepReport, TerminationScope, UserStatus,
};
use crate::usecase::disconnect::Terminations;
use crate::usecase::policy::Policy;
use crate::usecase::refresh::{RefreshGoal, RefreshOutcome, Refresher};
use crate::usecase::revocation::RevocationWorker;
use crate::usecase::settled_clock::SettledClock;

/// The progress of a sweep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Everything swept so far.
    pub swept: SweepReport,
    /// Batches so far.
    pub steps: u64,
}

/// The result of a reconciliation with the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Pairs of user and space that were checked.
    pub checked: u64,
    /// Grants terminated because the user, the space or the role is gone.
    pub ended: u64,
    /// Pairs for which the directory did not respond; their grants are unchanged.
    pub unanswered: u64,
}

/// A background job stopped early; the next run does the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HousekeepingError {
    /// The store is unavailable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit sink did not accept events.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// How many grants one run refreshes ahead.
const REFRESHES_PER_RUN: usize = 50;
/// How many grants one run reads. More than it refreshes, so that those of a connector that cannot be used do not keep the
/// others from being refreshed.
const DUE_PER_RUN: u32 = 1000;
/// Grants that were used within this many days are refreshed ahead.
const RECENTLY_USED_DAYS: i64 = 7;
/// How long before its expiry an access token is refreshed ahead.
const HORIZON: Duration = Duration::from_mins(5);

/// Runs background jobs.
pub(crate) struct Maintenance {
    pub(super) store_clock: Arc<dyn StoreClock>,
    pub(super) settled: Arc<SettledClock>,
    pub(super) authorizations: Arc<dyn AuthorizationStore>,
    pub(super) housekeeping: Arc<dyn Housekeeping>,
    pub(super) outbox: Arc<dyn AuditOutbox>,
    pub(super) directory: Arc<dyn Directory>,
    pub(super) sink: Arc<dyn EventSink>,
    pub(super) policy: Policy,
    pub(super) refresher: Arc<Refresher>,
    pub(super) revocations: Arc<RevocationWorker>,
    pub(super) terminations: Arc<Terminations>,
}

impl Maintenance {
    /// Reads the clock of the store.
    pub(super) async fn observe_clock(&self) -> Result<(), StoreError> {
        self.settled.now().await.map(drop)
    }

    /// Sweeps until nothing is left to do now, and reports the progress after each batch. Shortly after the clock was set,
    /// nothing is swept.
    pub(super) async fn sweep(&self, mut report: impl FnMut(Progress) + Send) -> Result<SweepReport, HousekeepingError> {
        let mut progress = Progress::default();
        loop {
            let Some(now) = self.settled.now().await? else { break };
            let step = self.housekeeping.sweep(self.policy.sweep, now).await?;
            progress.steps += 1;
            let total = &mut progress.swept;
            total.timed_out += step.timed_out;
            total.interrupted += step.interrupted;
            total.expired += step.expired;
            total.unused += step.unused;
            total.removed += step.removed;
            total.secrets_destroyed += step.secrets_destroyed;
            total.more = step.more;
            report(progress);
            if !step.more {
                break;
            }
        }
        if progress.swept.unused > 0 {
            self.revocations.wake();
        }
        Ok(progress.swept)
    }

    /// Refreshes recently used grants ahead of their expiry. Returns how many were refreshed. After the first grant whose
    /// connector the operator has to repair, the others of this connector are left to the next run.
    pub(super) async fn refresh_ahead(&self) -> Result<u64, HousekeepingError> {
        let now = self.store_clock.now().await?;
        self.settled.note(now);
        let since = now.day() - RECENTLY_USED_DAYS;
        let due = self.housekeeping.due_for_refresh(since, now.plus(HORIZON), DUE_PER_RUN).await?;
        let (mut attempts, mut refreshed, mut misconfigured) = (0, 0, BTreeSet::new());
        for grant in due {
            let connector = grant.owner().incarnation;
            if misconfigured.contains(&connector) {
                continue;
            }
            if attempts == REFRESHES_PER_RUN {
                break;
            }
            attempts += 1;
            match self.refresher.refresh(grant.id(), RefreshGoal::Fresh).await {
                RefreshOutcome::Current => {}
                RefreshOutcome::Misconfigured => {
                    misconfigured.insert(connector);
                    continue;
                }
                RefreshOutcome::Ended | RefreshOutcome::Unavailable { .. } | RefreshOutcome::Refused { .. } => continue,
            }
            // `Current` also means that no refresh was due yet.
            let revision =
                |grant: &crate::authorization::Authorization| grant.as_grant().map(|grant| grant.tokens().revision);
            let stored = self.authorizations.find(grant.id()).await?;
            refreshed += u64::from(stored.is_some_and(|stored| revision(&stored.value) > revision(&grant)));
        }
        Ok(refreshed)
    }

    /// Compares all users who have grants with the host's directory, and terminates the grants of users without access.
    pub(super) async fn reconcile(&self) -> Result<Reconciled, HousekeepingError> {
        let mut found = Reconciled::default();
        let mut after: Option<(UserId, SpaceId)> = None;
        loop {
            let page = self.housekeeping.grant_holders(after.take(), self.policy.sweep.batch).await?;
            let Some(last) = page.last().cloned() else {
                return Ok(found);
            };
            for (user, space) in page {
                found.checked += 1;
                match self.directory.membership(&user, &space).await {
                    Ok(membership) => {
                        let Some((scope, cause)) = overdue(membership, user, space) else {
                            continue;
                        };
                        found.ended += self.terminations.terminate(scope, cause, Actor::System).await?.grants;
                    }
                    Err(_) => found.unanswered += 1,
                }
            }
            after = Some(last);
        }
    }

    /// Delivers the audit outbox, oldest first. Returns how many events were delivered. Stops if a delivered event is still in
    /// the outbox.
    pub(super) async fn deliver_events(&self) -> Result<u64, HousekeepingError> {
        let (mut delivered, mut removed_through) = (0, None);
        loop {
            let events = self.outbox.pending_events(self.policy.sweep.batch).await?;
            let (Some(first), Some(last)) = (events.first(), events.last()) else {
                return Ok(delivered);
            };
            if removed_through.is_some_and(|through| first.sequence <= through) {
                let row = i64::try_from(first.sequence).unwrap_or(i64::MAX);
                let rule = "a removed event is not in the outbox";
                return Err(StoreError::Inconsistent { table: "events", row, rule }.into());
            }
            self.sink.deliver(&events).await?;
            self.outbox.forget_events(last.sequence).await?;
            removed_through = Some(last.sequence);
            delivered += u64::try_from(events.len()).unwrap_or(u64::MAX);
        }
    }
}

/// The termination that follows from a user's membership of a space, if any.
fn overdue(membership: Membership, user: UserId, space: SpaceId) -> Option<(TerminationScope, TerminationCause)> {
    if !membership.space_exists {
        return Some((TerminationScope::Space(space), TerminationCause::SpaceRemoved));
    }
    match (membership.user, membership.role) {
        (UserStatus::Unknown, _) => Some((TerminationScope::User(user), TerminationCause::UserRemoved)),
        // Disabled users may be enabled again, so there is no tombstone.
        (UserStatus::Disabled, _) => Some((TerminationScope::UserSpace { user, space }, TerminationCause::UserDisabled)),
        (UserStatus::Active, None) => Some((TerminationScope::UserSpace { user, space }, TerminationCause::PermissionLost)),
        (UserStatus::Active, Some(_)) => None,
    }
}

//! What the background does: sweeping, proactive renewal, reconciliation with the host, audit delivery.
//!
//! Every job is bounded per call and claimed in the store, so that any number of processes may run them.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::authorization::TerminationCause;
use crate::identity::{Actor, SpaceId, UserId};
use crate::ports::{SinkError, StoreError, SweepReport, TerminationRequest, TerminationScope, UserStatus};
use crate::usecase::Connections;
use crate::usecase::refresh::{RefreshGoal, RefreshOutcome};

/// Where a long job stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Everything swept so far.
    pub swept: SweepReport,
    /// Steps taken so far.
    pub steps: u64,
}

/// What a reconciliation with the host found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Pairs of user and space looked at.
    pub checked: u64,
    /// Grants ended because the host knows better.
    pub ended: u64,
    /// Pairs the host did not answer for; they are left alone.
    pub unanswered: u64,
}

/// A background job stopped early; the rest is done by the next round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HousekeepingError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit sink does not take events.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// How many grants one round renews before they are asked for.
const RENEWALS_A_ROUND: u32 = 50;
/// Grants used within so many days are renewed before they are asked for.
const RECENTLY_USED_DAYS: i64 = 7;

impl Connections {
    /// Sweeps until nothing is left to do now, telling after each step how far it is.
    pub async fn sweep(self: &Arc<Self>, mut report: impl FnMut(Progress) + Send) -> Result<SweepReport, HousekeepingError> {
        let mut progress = Progress::default();
        loop {
            let step = self.ports.authorizations.sweep(self.policy.sweep).await?;
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
            self.revoke_soon();
        }
        Ok(progress.swept)
    }

    /// Renews grants in recent use before somebody has to wait for it. Answers how many were renewed.
    pub async fn refresh_ahead(self: &Arc<Self>) -> Result<u64, HousekeepingError> {
        let now = self.ports.authorizations.now().await?;
        let horizon = now.plus(Duration::from_mins(5));
        let due =
            self.ports.authorizations.due_for_refresh(now.day() - RECENTLY_USED_DAYS, horizon, RENEWALS_A_ROUND).await?;
        let mut renewed = 0;
        for record in due {
            if self.renewed(record.id, RefreshGoal::Fresh).await != RefreshOutcome::Current {
                continue;
            }
            // A token whose margin has not begun yet was left as it is.
            let now = self.ports.authorizations.find(record.id).await?;
            renewed += u64::from(now.is_some_and(|now| now.revision > record.revision));
        }
        Ok(renewed)
    }

    /// Compares everybody who has a grant with what the host says of them, and ends what should have been ended (R53).
    pub async fn reconcile(self: &Arc<Self>) -> Result<Reconciled, HousekeepingError> {
        let mut found = Reconciled::default();
        let mut after: Option<(UserId, SpaceId)> = None;
        loop {
            let page = self.ports.authorizations.grant_holders(after.take(), self.policy.sweep.batch).await?;
            let Some(last) = page.last().cloned() else {
                return Ok(found);
            };
            for (user, space) in page {
                found.checked += 1;
                match self.ports.directory.membership(&user, &space).await {
                    Ok(standing) => {
                        let Some((scope, cause)) = overdue(standing, user, space) else {
                            continue;
                        };
                        found.ended +=
                            self.end_and_revoke(scope, TerminationRequest { cause, actor: Actor::System }).await?.grants;
                    }
                    Err(_) => found.unanswered += 1,
                }
            }
            after = Some(last);
        }
    }

    /// Writes down buffered notes of hand-outs and days of last use.
    pub async fn write_notes(&self) -> Result<(), HousekeepingError> {
        Ok(self.trail.flush(&*self.ports.authorizations).await?)
    }

    /// Delivers the audit outbox, oldest first. Answers how many events went out.
    pub async fn deliver_events(&self) -> Result<u64, HousekeepingError> {
        let mut delivered = 0;
        loop {
            let events = self.ports.authorizations.pending_events(self.policy.sweep.batch).await?;
            let Some(last) = events.last() else {
                return Ok(delivered);
            };
            self.ports.sink.deliver(&events).await?;
            self.ports.authorizations.forget_events(last.sequence).await?;
            delivered += u64::try_from(events.len()).unwrap_or(u64::MAX);
        }
    }
}

/// What the host's word means for a user's authorizations in a space; `None` if nothing.
fn overdue(
    standing: crate::ports::Membership,
    user: UserId,
    space: SpaceId,
) -> Option<(TerminationScope, TerminationCause)> {
    if !standing.space_exists {
        return Some((TerminationScope::Space(space), TerminationCause::SpaceRemoved));
    }
    match (standing.user, standing.role) {
        (UserStatus::Unknown, _) => Some((TerminationScope::User(user), TerminationCause::UserRemoved)),
        // Disabled people may come back, so no tombstone is left.
        (UserStatus::Disabled, _) => Some((TerminationScope::UserSpace { user, space }, TerminationCause::UserDisabled)),
        (UserStatus::Active, None) => Some((TerminationScope::UserSpace { user, space }, TerminationCause::PermissionLost)),
        (UserStatus::Active, Some(_)) => None,
    }
}

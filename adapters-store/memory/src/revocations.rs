//! The durable queue of token revocations (RFC 7009).

use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::authorization::{Authorization, AuthorizationId, AuthorizationKey, Input, RevocationRecord};
use grantry_domain::ports::{
    AuditEvent, LeftOut, RevocationJob, RevocationQueue, RevocationUpdate, StoreError, UnclaimedTokens,
};
use grantry_domain::time::Timestamp;

use crate::MemoryStore;
use crate::data::{Claim, Data, Row, Unclaimed};

impl Data {
    fn queue_unclaimed(&mut self, tokens: UnclaimedTokens, audit: Vec<AuditEvent>, now: Timestamp) {
        self.unclaimed.insert(tokens.id, Unclaimed { tokens, due_at: now, claim: None });
        self.outbox.add(audit);
    }

    /// Claims the revocation that has been due longest. A claim that ends later than a new one would is implausible, the
    /// result of a clock that was set back, and does not block.
    fn claim_revocation(
        &mut self,
        worker: [u8; 16],
        length: Duration,
        longest_pause: Duration,
        left_out: &LeftOut,
        now: Timestamp,
    ) -> Option<RevocationJob> {
        let (until, latest) = (now.plus(length), now.plus(longest_pause));
        let is_due = |at: Timestamp| at <= now || at > latest;
        let free = |claim: Option<Claim>| claim.is_none_or(|(_, held)| held <= now || held > until);
        let ends = |since: Timestamp| since <= now.minus(longest_pause);
        let accepts =
            |owner: &AuthorizationKey| !left_out.digests.contains(&owner.digest) && !left_out.users.contains(&owner.user);
        let former = self.rows.values_mut().filter(|row| {
            let has_ended = row.authorization.termination().is_some_and(|end| ends(end.since));
            free(row.claim) && (has_ended || accepts(row.owner()))
        });
        let former = former.filter_map(|row| Some((due_at(&row.authorization)?, row))).filter(|(due, _)| is_due(*due));
        let former = former.min_by_key(|(due, row)| (*due, row.authorization.id()));
        let unclaimed = self.unclaimed.values_mut().filter(|queued| {
            let is_accepted = ends(queued.tokens.queued_at) || accepts(&queued.tokens.owner);
            free(queued.claim) && is_due(queued.due_at) && is_accepted
        });
        let unclaimed = unclaimed.min_by_key(|queued| (queued.due_at, queued.tokens.id));
        match (former, unclaimed) {
            (Some((due, row)), unclaimed) if unclaimed.as_ref().is_none_or(|queued| due <= queued.due_at) => {
                row.claim = Some((worker, until));
                Some(RevocationJob::FormerGrant(Box::new(row.authorization.clone())))
            }
            (_, Some(queued)) => {
                queued.claim = Some((worker, until));
                Some(RevocationJob::Unclaimed(Box::new(queued.tokens.clone())))
            }
            (_, None) => None,
        }
    }

    fn update_revocation(
        &mut self,
        job: AuthorizationId,
        worker: [u8; 16],
        update: RevocationUpdate,
        audit: Vec<AuditEvent>,
        now: Timestamp,
    ) -> bool {
        let is_own = |claim: Option<Claim>| claim.is_some_and(|(holder, _)| holder == worker);
        let applied = match self.unclaimed.get(&job) {
            Some(queued) => is_own(queued.claim) && self.update_unclaimed(job, update),
            None => self.row(job).filter(|row| is_own(row.claim)).is_some_and(|row| update_former(row, update, now)),
        };
        if applied {
            self.outbox.add(audit);
            self.destroy_unneeded_secrets(now);
        }
        applied
    }

    fn update_unclaimed(&mut self, job: AuthorizationId, update: RevocationUpdate) -> bool {
        let Some(queued) = self.unclaimed.get_mut(&job) else { return false };
        match update {
            RevocationUpdate::Completed(_) => {
                self.unclaimed.remove(&job);
            }
            RevocationUpdate::Retry { at } => {
                queued.due_at = at;
                queued.claim = None;
                queued.tokens.attempts = queued.tokens.attempts.saturating_add(1);
            }
            RevocationUpdate::Deferred { at } => {
                queued.due_at = at;
                queued.claim = None;
            }
            RevocationUpdate::Refreshed { sealed, .. } => queued.tokens.sealed = sealed,
        }
        true
    }
}

/// Updates the revocation of a former grant; returns false if none is pending.
fn update_former(row: &mut Row, update: RevocationUpdate, now: Timestamp) -> bool {
    if due_at(&row.authorization).is_none() {
        return false;
    }
    match update {
        RevocationUpdate::Completed(outcome) => return row.apply(Input::RevocationCompleted(outcome), now),
        RevocationUpdate::Retry { at } => {
            row.claim = None;
            row.amend(|record| {
                if let Some(RevocationRecord::Pending { due_at, attempts, .. }) = &mut record.revocation {
                    *due_at = at;
                    *attempts = attempts.saturating_add(1);
                }
            });
        }
        RevocationUpdate::Deferred { at } => {
            row.claim = None;
            row.amend(|record| {
                if let Some(RevocationRecord::Pending { due_at, .. }) = &mut record.revocation {
                    *due_at = at;
                }
            });
        }
        RevocationUpdate::Refreshed { sealed, revision } => row.amend(|record| {
            record.sealed = Some(sealed);
            record.revision = revision;
            if let Some(RevocationRecord::Pending { in_doubt, .. }) = &mut record.revocation {
                *in_doubt = false;
            }
        }),
    }
    true
}

fn due_at(former: &Authorization) -> Option<Timestamp> {
    Some(former.termination()?.pending_revocation()?.due_at)
}

#[async_trait]
impl RevocationQueue for MemoryStore {
    async fn queue_unclaimed(&self, tokens: UnclaimedTokens, audit: Vec<AuditEvent>) -> Result<(), StoreError> {
        self.transact(|data, now| data.queue_unclaimed(tokens, audit, now));
        Ok(())
    }

    async fn claim_revocation(
        &self,
        worker: [u8; 16],
        length: Duration,
        longest_pause: Duration,
        left_out: LeftOut,
    ) -> Result<Option<RevocationJob>, StoreError> {
        Ok(self.transact(|data, now| data.claim_revocation(worker, length, longest_pause, &left_out, now)))
    }

    async fn update_revocation(
        &self,
        job: AuthorizationId,
        worker: [u8; 16],
        update: RevocationUpdate,
        audit: Vec<AuditEvent>,
    ) -> Result<bool, StoreError> {
        Ok(self.transact(|data, now| data.update_revocation(job, worker, update, audit, now)))
    }
}

//! The durable queue of token revocations (RFC 7009).

use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::authorization::{AuthorizationId, Input, RevocationRecord};
use grantry_domain::ports::{
    AuditEvent, LeftOut, RevocationJob, RevocationQueue, RevocationUpdate, StoreError, UnclaimedTokens,
};

use crate::transaction::Transaction;
use crate::{
    AuthorizationRow, AuthorizationSelection, Claim, ClaimableRevocations, Database, TableStore, UnclaimedRow,
    UnclaimedSelection,
};

impl Transaction<'_> {
    fn queue_unclaimed(&mut self, tokens: UnclaimedTokens, audit: Vec<AuditEvent>) -> Result<(), StoreError> {
        self.put(UnclaimedRow { tokens, due_at: self.now, claim: None })?;
        self.log(audit)
    }

    /// Claims the revocation that has been due longest.
    fn claim_revocation(
        &mut self,
        worker: [u8; 16],
        claimable: ClaimableRevocations,
    ) -> Result<Option<RevocationJob>, StoreError> {
        let claim = Some(Claim { worker, until: claimable.until });
        let claimable = Box::new(claimable);
        let former = self.first::<AuthorizationRow>(&AuthorizationSelection::Claimable(claimable.clone()))?;
        let unclaimed = self.first::<UnclaimedRow>(&UnclaimedSelection::Claimable(claimable))?;
        match (former, unclaimed) {
            (Some(mut row), unclaimed)
                if unclaimed.as_ref().is_none_or(|queued| row.revocation_due_at() <= Some(queued.due_at)) =>
            {
                row.claim = claim;
                let job = RevocationJob::FormerGrant(Box::new(row.authorization.clone()));
                self.put(row)?;
                Ok(Some(job))
            }
            (_, Some(mut queued)) => {
                queued.claim = claim;
                let job = RevocationJob::Unclaimed(Box::new(queued.tokens.clone()));
                self.put(queued)?;
                Ok(Some(job))
            }
            (_, None) => Ok(None),
        }
    }

    fn update_revocation(
        &mut self,
        job: AuthorizationId,
        worker: [u8; 16],
        update: RevocationUpdate,
        audit: Vec<AuditEvent>,
    ) -> Result<bool, StoreError> {
        let is_own = |claim: Option<Claim>| claim.is_some_and(|claim| claim.worker == worker);
        let applied = match self.get::<UnclaimedRow>(&job)? {
            Some(queued) if is_own(queued.claim) => {
                self.update_unclaimed(queued, update)?;
                true
            }
            Some(_) => false,
            None => match self.get::<AuthorizationRow>(&job)? {
                Some(row) if is_own(row.claim) => self.update_former(row, update)?,
                Some(_) | None => false,
            },
        };
        if applied {
            self.log(audit)?;
            self.destroy_unneeded_secrets()?;
        }
        Ok(applied)
    }

    fn update_unclaimed(&mut self, mut queued: UnclaimedRow, update: RevocationUpdate) -> Result<(), StoreError> {
        match update {
            RevocationUpdate::Completed(_) => return self.remove::<UnclaimedRow>(&queued.tokens.id),
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
        self.put(queued)
    }

    /// Updates the revocation of a former grant; returns false if none is pending.
    fn update_former(&mut self, mut row: AuthorizationRow, update: RevocationUpdate) -> Result<bool, StoreError> {
        if row.revocation_due_at().is_none() {
            return Ok(false);
        }
        match update {
            RevocationUpdate::Completed(outcome) => {
                if !row.apply(Input::RevocationCompleted(outcome), self.now) {
                    return Ok(false);
                }
            }
            RevocationUpdate::Retry { at } => {
                row.claim = None;
                row.amend(|record| {
                    if let Some(RevocationRecord::Pending { due_at, attempts, .. }) = &mut record.revocation {
                        *due_at = at;
                        *attempts = attempts.saturating_add(1);
                    }
                })?;
            }
            RevocationUpdate::Deferred { at } => {
                row.claim = None;
                row.amend(|record| {
                    if let Some(RevocationRecord::Pending { due_at, .. }) = &mut record.revocation {
                        *due_at = at;
                    }
                })?;
            }
            RevocationUpdate::Refreshed { sealed, revision } => row.amend(|record| {
                record.sealed = Some(sealed);
                record.revision = revision;
                if let Some(RevocationRecord::Pending { in_doubt, .. }) = &mut record.revocation {
                    *in_doubt = false;
                }
            })?,
        }
        self.put(row)?;
        Ok(true)
    }
}

#[async_trait]
impl<D: Database> RevocationQueue for TableStore<D> {
    async fn queue_unclaimed(&self, tokens: UnclaimedTokens, audit: Vec<AuditEvent>) -> Result<(), StoreError> {
        self.write(move |rules| rules.queue_unclaimed(tokens, audit)).await
    }

    async fn claim_revocation(
        &self,
        worker: [u8; 16],
        length: Duration,
        longest_pause: Duration,
        left_out: LeftOut,
    ) -> Result<Option<RevocationJob>, StoreError> {
        self.write(move |rules| {
            let now = rules.now;
            rules.claim_revocation(worker, ClaimableRevocations { now, until: now.plus(length), longest_pause, left_out })
        })
        .await
    }

    async fn update_revocation(
        &self,
        job: AuthorizationId,
        worker: [u8; 16],
        update: RevocationUpdate,
        audit: Vec<AuditEvent>,
    ) -> Result<bool, StoreError> {
        self.write(move |rules| rules.update_revocation(job, worker, update, audit)).await
    }
}

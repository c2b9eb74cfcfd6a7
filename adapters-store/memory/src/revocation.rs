//! Revocations owed: former grants, and tokens that never became one.

use std::time::Duration;

use grantry_domain::authorization::{AuthorizationId, AuthorizationRecord, Input, RevocationRecord};
use grantry_domain::ports::{AuditEvent, RevocationJob, RevocationUpdate, StoreError, UnclaimedTokens};
use grantry_domain::time::Timestamp;

use crate::data::{Data, Orphan, Row};

impl Data {
    pub(crate) fn queue_unclaimed(&mut self, tokens: UnclaimedTokens, audit: Vec<AuditEvent>, now: Timestamp) {
        self.orphans.insert(tokens.id, Orphan { tokens, due_at: now, claimed_until: None });
        self.outbox.add(audit);
    }

    /// Claims the one that has been due longest. A claim that ends farther ahead than this one would is an accident of
    /// clocks and holds nobody off.
    pub(crate) fn claim_revocation(&mut self, length: Duration, now: Timestamp) -> Option<RevocationJob> {
        let until = now.plus(length);
        let free = |claim: Option<Timestamp>| claim.is_none_or(|held| held <= now || held > until);
        let former = self.rows.values_mut().filter(|row| free(row.claimed_until));
        let former = former.filter_map(|row| Some((due_at(&row.to_record())?, row))).filter(|(due, _)| *due <= now);
        let former = former.min_by_key(|(due, row)| (*due, row.grant.id()));
        let orphans = self.orphans.values_mut().filter(|orphan| free(orphan.claimed_until) && orphan.due_at <= now);
        let orphan = orphans.min_by_key(|orphan| (orphan.due_at, orphan.tokens.id));
        match (former, orphan) {
            (Some((due, row)), orphan) if orphan.as_ref().is_none_or(|orphan| due <= orphan.due_at) => {
                row.claimed_until = Some(until);
                Some(RevocationJob::Former(Box::new(row.to_record())))
            }
            (_, Some(orphan)) => {
                orphan.claimed_until = Some(until);
                Some(RevocationJob::Unclaimed(Box::new(orphan.tokens.clone())))
            }
            (_, None) => None,
        }
    }

    pub(crate) fn update_revocation(
        &mut self,
        job: AuthorizationId,
        end: RevocationUpdate,
        audit: Vec<AuditEvent>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let applied = if self.orphans.contains_key(&job) {
            self.end_orphan(job, end)
        } else {
            self.row(job).map_or(Ok(false), |row| end_former(row, end, now))?
        };
        if applied {
            self.outbox.add(audit);
            self.destroy_unneeded_secrets(now);
        }
        Ok(())
    }

    fn end_orphan(&mut self, job: AuthorizationId, end: RevocationUpdate) -> bool {
        let Some(orphan) = self.orphans.get_mut(&job) else { return false };
        match end {
            RevocationUpdate::Completed(_) => {
                self.orphans.remove(&job);
            }
            RevocationUpdate::Retry { at } => {
                orphan.due_at = at;
                orphan.claimed_until = None;
                orphan.tokens.attempts = orphan.tokens.attempts.saturating_add(1);
            }
            RevocationUpdate::Refreshed { sealed, .. } => orphan.tokens.sealed = sealed,
        }
        true
    }
}

fn end_former(row: &mut Row, end: RevocationUpdate, now: Timestamp) -> Result<bool, StoreError> {
    if due_at(&row.to_record()).is_none() {
        return Ok(false);
    }
    match end {
        RevocationUpdate::Completed(outcome) => {
            row.apply(Input::RevocationCompleted(outcome), now);
        }
        RevocationUpdate::Retry { at } => {
            row.claimed_until = None;
            row.amend(|record| {
                if let Some(RevocationRecord::Pending { due_at, attempts, .. }) = &mut record.revocation {
                    *due_at = at;
                    *attempts = attempts.saturating_add(1);
                }
            })?;
        }
        RevocationUpdate::Refreshed { sealed, revision } => {
            row.amend(|record| {
                record.sealed = Some(sealed);
                record.revision = revision;
                if let Some(RevocationRecord::Pending { in_doubt, .. }) = &mut record.revocation {
                    *in_doubt = false;
                }
            })?;
        }
    }
    Ok(true)
}

fn due_at(record: &AuthorizationRecord) -> Option<Timestamp> {
    match record.revocation {
        Some(RevocationRecord::Pending { due_at, .. }) => Some(due_at),
        Some(RevocationRecord::Completed(_)) | None => None,
    }
}

//! Revocations owed: former grants, and tokens that never became one.

use std::time::Duration;

use grantry_domain::grant::{GrantId, Input, RevocationRecord, Snapshot};
use grantry_domain::ports::{AuditEvent, JobEnd, OrphanTokens, RevocationJob, StoreError};
use grantry_domain::time::Timestamp;

use crate::data::{Data, Orphan, Row};

impl Data {
    pub(crate) fn queue_orphan(&mut self, tokens: OrphanTokens, audit: Vec<AuditEvent>, now: Timestamp) {
        self.orphans.insert(tokens.id, Orphan { tokens, due_at: now });
        self.outbox.add(audit);
    }

    /// Claims the longest due one by moving its instant to the end of the claim.
    pub(crate) fn claim_revocation(
        &mut self,
        length: Duration,
        now: Timestamp,
    ) -> Result<Option<RevocationJob>, StoreError> {
        let until = now.plus(length);
        let former = self.rows.values_mut().filter_map(|row| Some((due_at(&row.snapshot())?, row)));
        let former = former.filter(|(due, _)| *due <= now).min_by_key(|(due, row)| (*due, row.grant.id()));
        let orphan = self.orphans.values_mut().filter(|orphan| orphan.due_at <= now);
        let orphan = orphan.min_by_key(|orphan| (orphan.due_at, orphan.tokens.id));
        match (former, orphan) {
            (Some((due, row)), orphan) if orphan.as_ref().is_none_or(|orphan| due <= orphan.due_at) => {
                let record = row.amend(|record| postpone(record, until, 0))?;
                Ok(Some(RevocationJob::Former(Box::new(record))))
            }
            (_, Some(orphan)) => {
                orphan.due_at = until;
                Ok(Some(RevocationJob::Orphan(Box::new(orphan.tokens.clone()))))
            }
            (_, None) => Ok(None),
        }
    }

    pub(crate) fn end_revocation(
        &mut self,
        job: GrantId,
        end: JobEnd,
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

    fn end_orphan(&mut self, job: GrantId, end: JobEnd) -> bool {
        let Some(orphan) = self.orphans.get_mut(&job) else { return false };
        match end {
            JobEnd::Settled(_) => {
                self.orphans.remove(&job);
            }
            JobEnd::Retry { at } => {
                orphan.due_at = at;
                orphan.tokens.attempts = orphan.tokens.attempts.saturating_add(1);
            }
            JobEnd::Renewed { sealed, .. } => orphan.tokens.sealed = sealed,
        }
        true
    }
}

fn end_former(row: &mut Row, end: JobEnd, now: Timestamp) -> Result<bool, StoreError> {
    if due_at(&row.snapshot()).is_none() {
        return Ok(false);
    }
    match end {
        JobEnd::Settled(outcome) => return Ok(row.apply(Input::RevocationSettled(outcome), now).is_some()),
        JobEnd::Retry { at } => row.amend(|record| postpone(record, at, 1))?,
        JobEnd::Renewed { sealed, revision } => row.amend(|record| {
            record.sealed = Some(sealed);
            record.revision = revision;
            if let Some(RevocationRecord::Due { in_doubt, .. }) = &mut record.revocation {
                *in_doubt = false;
            }
        })?,
    };
    Ok(true)
}

fn due_at(record: &Snapshot) -> Option<Timestamp> {
    match record.revocation {
        Some(RevocationRecord::Due { due_at, .. }) => Some(due_at),
        Some(RevocationRecord::Settled(_)) | None => None,
    }
}

fn postpone(record: &mut Snapshot, until: Timestamp, failed: u32) {
    if let Some(RevocationRecord::Due { due_at, attempts, .. }) = &mut record.revocation {
        *due_at = until;
        *attempts = attempts.saturating_add(failed);
    }
}

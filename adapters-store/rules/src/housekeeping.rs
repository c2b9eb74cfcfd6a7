//! Sweeping, and what background jobs read.

use async_trait::async_trait;
use grantry_domain::authorization::{Authorization, Input, TerminationCause};
use grantry_domain::identity::{Actor, SpaceId, UserId};
use grantry_domain::ports::{AuditEvent, Housekeeping, KeyId, StoreError, SweepPolicy, SweepReport};
use grantry_domain::time::Timestamp;

use crate::rows::SweepAction;
use crate::transaction::Transaction;
use crate::{AuthorizationRow, AuthorizationSelection, ClientSecret, Database, Record as _, TableStore};

impl Transaction<'_> {
    fn sweep(&mut self, policy: SweepPolicy) -> Result<SweepReport, StoreError> {
        let mut report = SweepReport::default();
        let due = AuthorizationSelection::Due { policy, at: self.now };
        let batch = policy.batch as usize;
        let rows = self.some::<AuthorizationRow>(&due, batch)?;
        let left = batch.saturating_sub(rows.len());
        for row in rows {
            self.sweep_row(row, policy, &mut report)?;
        }
        for key in self.unneeded_secrets()?.iter().take(left) {
            self.remove::<ClientSecret>(key)?;
            report.secrets_destroyed += 1;
        }
        let left_over = self.first::<AuthorizationRow>(&due)?;
        report.more = left_over.is_some() || !self.unneeded_secrets()?.is_empty();
        let SweepReport { timed_out, interrupted, expired, unused, removed, secrets_destroyed, .. } = report;
        let changed = timed_out + interrupted + expired + unused + removed + secrets_destroyed;
        match left_over {
            // Sweeps are repeated while there is more: they would not come to an end.
            Some(row) if changed == 0 && batch > 0 => Err(row.inconsistent("a sweep changes a record that is due")),
            Some(_) | None => Ok(report),
        }
    }

    fn sweep_row(
        &mut self,
        mut row: AuthorizationRow,
        policy: SweepPolicy,
        report: &mut SweepReport,
    ) -> Result<(), StoreError> {
        let Some(action) = SweepAction::of(&row, policy, self.now) else { return Ok(()) };
        let (input, count) = match action {
            SweepAction::TimeOut => (Input::DeadlinePassed, &mut report.timed_out),
            SweepAction::Interrupt => (Input::DeadlinePassed, &mut report.interrupted),
            SweepAction::Expire => (Input::DeadlinePassed, &mut report.expired),
            SweepAction::TerminateUnused => {
                (Input::Terminated { cause: TerminationCause::Unused, revoke: true }, &mut report.unused)
            }
            SweepAction::Remove => {
                report.removed += 1;
                return self.remove::<AuthorizationRow>(&row.key());
            }
        };
        if !row.apply(input, self.now) {
            return Ok(());
        }
        *count += 1;
        let event = AuditEvent::of_termination(&row.authorization, Actor::System, self.now);
        self.put(row)?;
        self.log([event])
    }

    fn grant_holders(
        &mut self,
        mut after: Option<(UserId, SpaceId)>,
        limit: u32,
    ) -> Result<Vec<(UserId, SpaceId)>, StoreError> {
        let mut pairs = Vec::new();
        while pairs.len() < limit as usize {
            let Some(row) = self.first::<AuthorizationRow>(&AuthorizationSelection::Holders { after })? else { break };
            let pair = (row.owner().user.clone(), row.owner().space.clone());
            pairs.push(pair.clone());
            after = Some(pair);
        }
        Ok(pairs)
    }

    fn due_for_refresh(
        &mut self,
        used_since_day: i64,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<Authorization>, StoreError> {
        let expiring = AuthorizationSelection::Expiring { used_since_day, before };
        let due = self.some::<AuthorizationRow>(&expiring, limit as usize)?;
        Ok(due.into_iter().map(|row| row.authorization).collect())
    }
}

#[async_trait]
impl<D: Database> Housekeeping for TableStore<D> {
    async fn sweep(&self, policy: SweepPolicy, now: Timestamp) -> Result<SweepReport, StoreError> {
        self.write(move |rules| {
            rules.now = now;
            rules.sweep(policy)
        })
        .await
    }

    async fn grant_holders(
        &self,
        after: Option<(UserId, SpaceId)>,
        limit: u32,
    ) -> Result<Vec<(UserId, SpaceId)>, StoreError> {
        self.read(move |rules| rules.grant_holders(after, limit)).await
    }

    async fn due_for_refresh(
        &self,
        used_since_day: i64,
        expiring_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<Authorization>, StoreError> {
        self.read(move |rules| rules.due_for_refresh(used_since_day, expiring_before, limit)).await
    }

    async fn key_usage(&self) -> Result<Vec<(KeyId, u64)>, StoreError> {
        self.read(|rules| Ok(rules.tables.key_usage()?.into_iter().collect())).await
    }

    async fn keys_in_use(&self) -> Result<Vec<KeyId>, StoreError> {
        self.read(|rules| rules.tables.keys_in_use()).await
    }
}

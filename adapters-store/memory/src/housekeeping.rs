//! Sweeping, and what background jobs read.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use grantry_domain::authorization::{
    Authorization, AuthorizationId, EndedKind, Envelope, Input, Revocation, State, Termination, TerminationCause,
};
use grantry_domain::identity::{Actor, SpaceId, UserId};
use grantry_domain::ports::{AuditEvent, Housekeeping, KeyId, StoreError, SweepPolicy, SweepReport};
use grantry_domain::time::Timestamp;

use crate::MemoryStore;
use crate::data::{Data, Row};

/// What a sweep does with a row.
#[derive(Clone, Copy)]
enum Action {
    TimeOut,
    Interrupt,
    Expire,
    TerminateUnused,
    Remove,
}

impl Data {
    fn sweep(&mut self, policy: SweepPolicy, now: Timestamp) -> SweepReport {
        let mut report = SweepReport::default();
        let batch = policy.batch as usize;
        let actions: Vec<_> = self.actions(policy, now).take(batch).collect();
        for (id, action) in &actions {
            let input = match action {
                Action::TimeOut | Action::Interrupt | Action::Expire => Input::DeadlinePassed,
                Action::TerminateUnused => Input::Terminated { cause: TerminationCause::Unused, revoke: true },
                Action::Remove => {
                    self.rows.remove(id);
                    report.removed += 1;
                    continue;
                }
            };
            let Some(row) = self.rows.get_mut(id) else { continue };
            if !row.apply(input, now) {
                continue;
            }
            self.outbox.add([AuditEvent::of_termination(&row.authorization, Actor::System, now)]);
            match action {
                Action::TimeOut => report.timed_out += 1,
                Action::Interrupt => report.interrupted += 1,
                Action::Expire => report.expired += 1,
                Action::TerminateUnused => report.unused += 1,
                Action::Remove => {}
            }
        }
        for key in self.unneeded_secrets(now).into_iter().take(batch - actions.len()) {
            self.secrets.remove(&key);
            report.secrets_destroyed += 1;
        }
        report.more = self.actions(policy, now).next().is_some() || !self.unneeded_secrets(now).is_empty();
        report
    }

    fn actions(&self, policy: SweepPolicy, now: Timestamp) -> impl Iterator<Item = (AuthorizationId, Action)> {
        self.rows.iter().filter_map(move |(id, row)| Some((*id, action(row, policy, now)?)))
    }

    fn grant_holders(&self, after: Option<&(UserId, SpaceId)>, limit: u32) -> Vec<(UserId, SpaceId)> {
        let grants = self.rows.values().filter(|row| row.is_authorized()).map(Row::owner);
        let pairs: BTreeSet<_> = grants.map(|owner| (owner.user.clone(), owner.space.clone())).collect();
        let rest = pairs.into_iter().filter(|pair| after.is_none_or(|after| pair > after));
        rest.take(limit as usize).collect()
    }

    fn due_for_refresh(&self, used_since_day: i64, expiring_before: Timestamp, limit: u32) -> Vec<Authorization> {
        let due = self.rows.values().filter_map(|row| {
            let grant = row.authorization.as_grant()?;
            let expiry = grant.tokens().expires_at.filter(|expiry| *expiry < expiring_before)?;
            let in_use = grant.idle_since_day() >= used_since_day;
            (grant.tokens().refreshable && in_use).then(|| (expiry, row.authorization.clone()))
        });
        let mut due: Vec<_> = due.collect();
        due.sort_by_key(|(expiry, authorization)| (*expiry, authorization.id()));
        due.into_iter().take(limit as usize).map(|(_, authorization)| authorization).collect()
    }

    fn key_usage(&self) -> Vec<(KeyId, u64)> {
        let authorizations = self.rows.values().filter_map(|row| row.authorization.to_record().sealed);
        let unclaimed = self.unclaimed.values().map(|queued| queued.tokens.sealed.clone());
        let secrets = self.secrets.values().map(|secret| secret.record.sealed.clone());
        let sealed = authorizations.chain(unclaimed).chain(secrets);
        let sealed = sealed.filter_map(|sealed: Envelope| sealed.key_id().map(KeyId));
        let tagged = self.connectors.values().map(|connector| KeyId(connector.tag.key_id()));
        let mut usage = BTreeMap::new();
        for key in sealed.chain(tagged) {
            *usage.entry(key).or_default() += 1;
        }
        usage.into_iter().collect()
    }
}

fn action(row: &Row, policy: SweepPolicy, now: Timestamp) -> Option<Action> {
    let over = !row.is_running_flow(now);
    match row.authorization.state() {
        State::AwaitingCallback(flow) if flow.is_consumed() => over.then_some(Action::Interrupt),
        State::Initiated(_) | State::AwaitingCallback(_) => over.then_some(Action::TimeOut),
        State::Authorized(grant) if grant.tokens().final_expiry().is_some_and(|expiry| now >= expiry) => {
            Some(Action::Expire)
        }
        State::Authorized(grant) => {
            (grant.idle_since_day() < now.minus(policy.unused_grants).day()).then_some(Action::TerminateUnused)
        }
        State::Expired(ended) => removal(ended.termination(), policy, now),
        State::Revoked(ended) => removal(ended.termination(), policy, now),
    }
}

fn removal(end: &Termination, policy: SweepPolicy, now: Timestamp) -> Option<Action> {
    let retention = match end.kind {
        EndedKind::Flow { .. } => policy.ended_flows,
        EndedKind::Grant { revocation: Revocation::Completed(_), .. } => policy.ended_grants,
        EndedKind::Grant { revocation: Revocation::Pending(_), .. } => return None,
    };
    (now >= end.since.plus(retention)).then_some(Action::Remove)
}

#[async_trait]
impl Housekeeping for MemoryStore {
    async fn sweep(&self, policy: SweepPolicy, now: Timestamp) -> Result<SweepReport, StoreError> {
        Ok(self.transact(|data, _| data.sweep(policy, now)))
    }

    async fn grant_holders(
        &self,
        after: Option<(UserId, SpaceId)>,
        limit: u32,
    ) -> Result<Vec<(UserId, SpaceId)>, StoreError> {
        Ok(self.transact(|data, _| data.grant_holders(after.as_ref(), limit)))
    }

    async fn due_for_refresh(
        &self,
        used_since_day: i64,
        expiring_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<Authorization>, StoreError> {
        Ok(self.transact(|data, _| data.due_for_refresh(used_since_day, expiring_before, limit)))
    }

    async fn key_usage(&self) -> Result<Vec<(KeyId, u64)>, StoreError> {
        Ok(self.transact(|data, _| data.key_usage()))
    }

    async fn keys_in_use(&self) -> Result<Vec<KeyId>, StoreError> {
        Ok(self.transact(|data, _| data.key_usage().into_iter().map(|(key, _)| key).collect()))
    }
}

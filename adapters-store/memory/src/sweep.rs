//! The sweeper's step.

use std::time::Duration;

use grantry_domain::authorization::{AuthorizationId, EndedKind, Input, Revocation, State, Termination, TerminationCause};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{AuditEvent, SweepPolicy, SweepReport};
use grantry_domain::time::Timestamp;

use crate::data::{Data, Row};

/// What the sweeper has to do with a row.
#[derive(Clone, Copy)]
enum Chore {
    TimeOut,
    Interrupt,
    Lapse,
    EndUnused,
    Remove,
}

impl Data {
    pub(crate) fn sweep(&mut self, policy: SweepPolicy, now: Timestamp) -> SweepReport {
        let mut swept = SweepReport::default();
        let batch = policy.batch as usize;
        let chores: Vec<_> = self.chores(policy, now).take(batch).collect();
        for (id, chore) in &chores {
            let input = match chore {
                Chore::TimeOut | Chore::Interrupt | Chore::Lapse => Input::DeadlinePassed,
                Chore::EndUnused => Input::Terminated { cause: TerminationCause::Unused, revoke: true },
                Chore::Remove => {
                    self.rows.remove(id);
                    swept.removed += 1;
                    continue;
                }
            };
            let Some(record) = self.row(*id).and_then(|row| row.apply(input, now)) else { continue };
            self.outbox.add([AuditEvent::ending(&record, Actor::System, now)]);
            match chore {
                Chore::TimeOut => swept.timed_out += 1,
                Chore::Interrupt => swept.interrupted += 1,
                Chore::Lapse => swept.expired += 1,
                Chore::EndUnused => swept.unused += 1,
                Chore::Remove => {}
            }
        }
        for key in self.unneeded_secrets(now).into_iter().take(batch - chores.len()) {
            self.secrets.remove(&key);
            swept.secrets_destroyed += 1;
        }
        swept.more = self.chores(policy, now).next().is_some() || !self.unneeded_secrets(now).is_empty();
        swept
    }

    fn chores(&self, policy: SweepPolicy, now: Timestamp) -> impl Iterator<Item = (AuthorizationId, Chore)> {
        self.rows.iter().filter_map(move |(id, row)| Some((*id, chore(row, policy, now)?)))
    }
}

fn chore(row: &Row, policy: SweepPolicy, now: Timestamp) -> Option<Chore> {
    let over = !row.is_running_flow(now);
    match row.grant.state() {
        State::AwaitingCallback(flow) if flow.is_consumed() => over.then_some(Chore::Interrupt),
        State::Initiated(_) | State::AwaitingCallback(_) => over.then_some(Chore::TimeOut),
        State::Authorized(grant) if grant.tokens().final_expiry().is_some_and(|lapse| now >= lapse) => Some(Chore::Lapse),
        State::Authorized(grant) => {
            (grant.last_used_day() < now.minus(policy.unused_grants).day()).then_some(Chore::EndUnused)
        }
        State::Expired(ended) => removal(ended.termination(), policy, now),
        State::Revoked(ended) => removal(ended.termination(), policy, now),
    }
}

fn removal(end: &Termination, policy: SweepPolicy, now: Timestamp) -> Option<Chore> {
    let kept: Duration = match end.kind {
        EndedKind::Flow => policy.ended_flows,
        EndedKind::Grant { revocation: Revocation::Completed(_), .. } => policy.ended_grants,
        EndedKind::Grant { revocation: Revocation::Pending(_), .. } => return None,
    };
    (now >= end.since.plus(kept)).then_some(Chore::Remove)
}

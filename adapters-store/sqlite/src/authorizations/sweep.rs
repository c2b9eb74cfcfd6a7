//! Sweeping (R18, R55): every step finds its rows by an index in the order of time, and touches a bounded number of them.

use grantry_domain::authorization::{ExpiredCause, FailureCode, RevokedCause, StateKind, TerminationCause};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{SweepPolicy, SweepReport};
use grantry_domain::time::Timestamp;
use rusqlite::Connection;

#[cfg(test)]
use super::end;
use super::end::{Scope, Tokens, Transition};
use super::interrupted_before;
use crate::fault::Fault;
use crate::{client_secrets, sql};

const TIMED_OUT: &str = "seq IN (SELECT seq FROM authorizations WHERE role = 'pending' AND deadline <= ?1 \
     ORDER BY deadline LIMIT ?2)";
const INTERRUPTED: &str = "seq IN (SELECT seq FROM authorizations WHERE role = 'running' AND consumed_at <= ?1 \
     ORDER BY consumed_at LIMIT ?2)";
const ACCESS_EXPIRED: &str = "refreshable = 0 AND seq IN (SELECT seq FROM authorizations \
     WHERE role = 'grant' AND final_expiry <= ?1 ORDER BY final_expiry LIMIT ?2)";
const REFRESH_EXPIRED: &str = "refreshable = 1 AND seq IN (SELECT seq FROM authorizations \
     WHERE role = 'grant' AND final_expiry <= ?1 ORDER BY final_expiry LIMIT ?2)";
const UNUSED: &str = "seq IN (SELECT seq FROM authorizations WHERE role = 'grant' AND last_used_day < ?1 \
     ORDER BY last_used_day LIMIT ?2)";
pub(super) const REMOVE_FLOWS: &str = "DELETE FROM authorizations WHERE seq IN (SELECT seq FROM authorizations \
     WHERE role = 'over' AND since <= ?1 ORDER BY since LIMIT ?2)";
pub(super) const REMOVE_GRANTS: &str = "DELETE FROM authorizations WHERE seq IN (SELECT seq FROM authorizations \
     WHERE role = 'former' AND since <= ?1 AND revocation <> 'pending' ORDER BY since LIMIT ?2)";

/// What is left of the rows that one call may touch.
struct Budget(u64);

impl Budget {
    fn limit(&self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    fn spend(&mut self, rows: u64) -> u64 {
        self.0 = self.0.saturating_sub(rows);
        rows
    }
}

/// One step of everything.
pub(super) fn sweep(connection: &Connection, now: Timestamp, policy: SweepPolicy) -> Result<SweepReport, Fault> {
    let mut budget = Budget(u64::from(policy.batch.max(1)));
    let interrupted = RevokedCause::Failed(FailureCode::Interrupted).to_record();
    let become_expired =
        |cause: ExpiredCause| Transition { actor: &Actor::System, now, state: StateKind::Expired, cause: cause.as_str() };
    let become_revoked = |cause| Transition { actor: &Actor::System, now, state: StateKind::Revoked, cause };
    let until = |instant: i64, condition, budget: &Budget| Scope::new(condition, instant.into(), budget.limit().into());

    let scope = until(now.as_millis(), TIMED_OUT, &budget);
    let timed_out = budget.spend(become_expired(ExpiredCause::FlowTimedOut).end_pending(connection, &scope)?);

    let scope = until(interrupted_before(now), INTERRUPTED, &budget);
    let interrupted = budget.spend(become_revoked(&interrupted).end_running(connection, &scope)?);

    let scope = until(now.as_millis(), ACCESS_EXPIRED, &budget);
    let access_token_expired =
        become_expired(ExpiredCause::AccessTokenExpired).end_grants(connection, &scope, Tokens::NotNeeded)?;
    let scope = until(now.as_millis(), REFRESH_EXPIRED, &budget);
    let refresh_token_expired =
        become_expired(ExpiredCause::RefreshTokenExpired).end_grants(connection, &scope, Tokens::NotNeeded)?;
    let expired = budget.spend(access_token_expired + refresh_token_expired);

    let scope = until(now.minus(policy.unused_grants).day(), UNUSED, &budget);
    let unused = become_revoked(TerminationCause::Unused.as_str()).end_grants(connection, &scope, Tokens::Owed)?;
    let unused = budget.spend(unused);

    let mut removed = 0;
    for (statement, kept) in [(REMOVE_FLOWS, policy.ended_flows), (REMOVE_GRANTS, policy.ended_grants)] {
        let rows = sql::execute(connection, statement, [now.minus(kept).as_millis(), budget.limit()])?;
        removed += budget.spend(rows);
    }
    let secrets_destroyed = client_secrets::destroy_unneeded(connection, now)?;
    Ok(SweepReport { timed_out, interrupted, expired, unused, removed, secrets_destroyed, more: budget.0 == 0 })
}

/// What a sweep runs, for the test of plans.
#[cfg(test)]
pub(super) fn statements() -> Vec<String> {
    let pending = end::statements_for(end::PENDING, TIMED_OUT);
    let running = end::statements_for(end::RUNNING, INTERRUPTED);
    let grants = [ACCESS_EXPIRED, REFRESH_EXPIRED, UNUSED].map(|condition| end::statements_for(end::GRANT, condition));
    grants.into_iter().chain([pending, running]).flatten().collect()
}

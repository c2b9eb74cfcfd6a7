//! Sweeping, and what background jobs read.
//!
//! Every step of a sweep finds its rows through an index ordered by time, and changes a bounded number of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use async_trait::async_trait;
use grantry_domain::authorization::{
    Authorization, ExpiredCause, FailureCode, RevokedCause, TerminalCause, TerminationCause,
};
use grantry_domain::identity::{Actor, SpaceId, UserId};
use grantry_domain::ports::{Housekeeping, KeyId, StoreError, SweepPolicy, SweepReport};
use grantry_domain::time::Timestamp;
use rusqlite::{Connection, params};

#[cfg(test)]
use crate::authorizations::terminate;
use crate::authorizations::terminate::{Scope, Tokens, Transition};
use crate::error::SqliteError;
use crate::records::{AUTHORIZATION_COLUMNS, Columns, authorization, interrupted_before};
use crate::store::SqliteStore;
use crate::{client_secrets, sql};

#[async_trait]
impl Housekeeping for SqliteStore {
    async fn sweep(&self, policy: SweepPolicy, now: Timestamp) -> Result<SweepReport, StoreError> {
        self.log().keep_short().await;
        let batch = self.sweep_slice().rows(policy.batch);
        let write = move |connection: &Connection, _| {
            let started = Instant::now();
            let report = sweep(connection, now, SweepPolicy { batch, ..policy })?;
            Ok((report, started.elapsed()))
        };
        let (report, took) = self.write(write).await?;
        self.sweep_slice().took(batch, took, report.more);
        if !report.more {
            self.log().empty().await;
        }
        Ok(report)
    }

    async fn grant_holders(
        &self,
        after: Option<(UserId, SpaceId)>,
        limit: u32,
    ) -> Result<Vec<(UserId, SpaceId)>, StoreError> {
        self.long_read(move |connection| grant_holders(connection, after.as_ref(), limit)).await
    }

    async fn due_for_refresh(
        &self,
        used_since_day: i64,
        expiring_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<Authorization>, StoreError> {
        let parameters = (expiring_before.as_millis(), used_since_day, limit);
        self.long_read(move |connection| {
            let rows = sql::all(connection, &due_query(), parameters, |row| Ok(authorization(row)))?;
            rows.into_iter().filter_map(readable).collect()
        })
        .await
    }

    async fn key_usage(&self) -> Result<Vec<(KeyId, u64)>, StoreError> {
        self.long_read(key_usage).await
    }

    async fn keys_in_use(&self) -> Result<Vec<KeyId>, StoreError> {
        self.long_read(keys_in_use).await
    }
}

/// Drops a row that cannot be restored, so that it does not keep the others from being refreshed. Its use reports it.
fn readable(restored: Result<Authorization, SqliteError>) -> Option<Result<Authorization, SqliteError>> {
    match restored {
        Err(SqliteError::Store(error @ StoreError::Inconsistent { .. })) => {
            tracing::error!(%error, "a grant cannot be read and is not refreshed ahead");
            None
        }
        restored => Some(restored),
    }
}

const TIMED_OUT: &str = "seq IN (SELECT seq FROM authorizations WHERE role = 'pending' AND deadline <= ?1 \
     ORDER BY deadline LIMIT ?2)";
const INTERRUPTED: &str = "seq IN (SELECT seq FROM authorizations WHERE role = 'running' AND consumed_at <= ?1 \
     ORDER BY consumed_at LIMIT ?2)";
const ACCESS_EXPIRED: &str = "refreshable = 0 AND seq IN (SELECT seq FROM authorizations \
     WHERE role = 'grant' AND final_expiry <= ?1 ORDER BY final_expiry LIMIT ?2)";
const REFRESH_EXPIRED: &str = "refreshable = 1 AND seq IN (SELECT seq FROM authorizations \
     WHERE role = 'grant' AND final_expiry <= ?1 ORDER BY final_expiry LIMIT ?2)";
// A grant that was not used has a day of last use before its consent.
const UNUSED: &str = "seq IN (SELECT seq FROM authorizations WHERE role = 'grant' AND last_used_day < ?1 \
     AND authorized_at < ?1 * 86400000 ORDER BY last_used_day LIMIT ?2)";
pub(crate) const REMOVE_FLOWS: &str = "DELETE FROM authorizations WHERE seq IN (SELECT seq FROM authorizations \
     WHERE role = 'ended_flow' AND since <= ?1 ORDER BY since LIMIT ?2)";
pub(crate) const REMOVE_GRANTS: &str = "DELETE FROM authorizations WHERE seq IN (SELECT seq FROM authorizations \
     WHERE role = 'former_grant' AND since <= ?1 AND revocation <> 'pending' ORDER BY since LIMIT ?2)";

/// The number of rows that this call may still change.
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

/// One batch of every step.
fn sweep(connection: &Connection, now: Timestamp, policy: SweepPolicy) -> Result<SweepReport, SqliteError> {
    let mut budget = Budget(u64::from(policy.batch.max(1)));
    let transition = |cause| Transition { actor: &Actor::System, now, cause };
    let expired = |cause| transition(TerminalCause::Expired(cause));
    let revoked = |cause| transition(TerminalCause::Revoked(cause));
    let until = |instant: i64, condition, budget: &Budget| {
        Scope::new(condition, [instant.into(), budget.limit().into(), rusqlite::types::Value::Null])
    };

    let scope = until(now.as_millis(), TIMED_OUT, &budget);
    let timed_out = budget.spend(expired(ExpiredCause::FlowTimedOut).terminate_pending(connection, &scope)?);

    let scope = until(interrupted_before(now), INTERRUPTED, &budget);
    let interrupted = RevokedCause::Failed(FailureCode::Interrupted);
    let interrupted = budget.spend(revoked(interrupted).terminate_running(connection, &scope)?);

    let scope = until(now.as_millis(), ACCESS_EXPIRED, &budget);
    let access_token = expired(ExpiredCause::AccessTokenExpired).terminate_grants(connection, &scope, Tokens::Discard)?;
    let scope = until(now.as_millis(), REFRESH_EXPIRED, &budget);
    let refresh_token = expired(ExpiredCause::RefreshTokenExpired).terminate_grants(connection, &scope, Tokens::Discard)?;
    let expired = budget.spend(access_token + refresh_token);

    let scope = until(now.minus(policy.unused_grants).day(), UNUSED, &budget);
    let unused = RevokedCause::Terminated(TerminationCause::Unused);
    let unused = budget.spend(revoked(unused).terminate_grants(connection, &scope, Tokens::Revoke)?);

    let mut removed = 0;
    for (statement, retention) in [(REMOVE_FLOWS, policy.ended_flows), (REMOVE_GRANTS, policy.ended_grants)] {
        let rows = sql::execute(connection, statement, [now.minus(retention).as_millis(), budget.limit()])?;
        removed += budget.spend(rows);
    }
    // Reads every secret, so it belongs to the last call and not to each.
    let secrets_destroyed = if budget.0 == 0 { 0 } else { client_secrets::destroy_unneeded(connection, now)? };
    Ok(SweepReport { timed_out, interrupted, expired, unused, removed, secrets_destroyed, more: budget.0 == 0 })
}

/// Pairs of user and space that have a grant, in order.
fn grant_holders(
    connection: &Connection,
    after: Option<&(UserId, SpaceId)>,
    limit: u32,
) -> Result<Vec<(UserId, SpaceId)>, SqliteError> {
    // No id is empty, so every pair is greater than a pair of empty texts.
    let (user, space) = after.map_or(("", ""), |(user, space)| (user.as_str(), space.as_str()));
    sql::all(connection, HOLDERS, params![user, space, limit], |row| {
        let mut columns = Columns::of_group(row, "authorizations");
        Ok((columns.user()?, columns.space()?))
    })
}

pub(crate) const HOLDERS: &str = "SELECT DISTINCT user, space FROM authorizations \
     WHERE role <> 'ended_flow' AND role = 'grant' AND (user, space) > (?1, ?2) ORDER BY user, space LIMIT ?3";

/// Used grants that have a refresh token and expire soon, in the order of expiry.
pub(crate) fn due_query() -> String {
    format!(
        "SELECT {AUTHORIZATION_COLUMNS} FROM authorizations AS a \
         WHERE a.role = 'grant' AND a.refreshable = 1 AND a.expires_at < ?1 \
         AND (a.last_used_day >= ?2 OR a.authorized_at >= ?2 * 86400000) \
         ORDER BY a.expires_at, a.id LIMIT ?3"
    )
}

/// Counts the envelopes and the tags of connectors of each key over all tables.
fn key_usage(connection: &Connection) -> Result<Vec<(KeyId, u64)>, SqliteError> {
    const COUNT: &str = "SELECT kid, count(*) FROM authorizations WHERE kid IS NOT NULL GROUP BY kid \
         UNION ALL SELECT kid, count(*) FROM client_secrets WHERE kid IS NOT NULL GROUP BY kid \
         UNION ALL SELECT kid, count(*) FROM unclaimed_tokens WHERE kid IS NOT NULL GROUP BY kid \
         UNION ALL SELECT substr(tag, 1, 8) AS kid, count(*) FROM connectors GROUP BY kid";
    let mut usage = BTreeMap::new();
    sql::each(connection, COUNT, [], |row| {
        let mut columns = Columns::of_group(row, "authorizations");
        let (key, count) = (KeyId(columns.array()?), columns.unsigned()?);
        *usage.entry(key).or_insert(0) += count;
        Ok(())
    })?;
    Ok(usage.into_iter().collect())
}

/// Each table with a key, and the key of a row. Each has an index of the keys.
pub(crate) const KEYS: [(&str, &str); 4] =
    [("authorizations", "kid"), ("client_secrets", "kid"), ("unclaimed_tokens", "kid"), ("connectors", "substr(tag, 1, 8)")];

/// Finds the keys of a table, each by one search in the index, past all rows of the key before it.
pub(crate) fn keys_query((table, key): (&str, &str)) -> String {
    format!(
        "WITH RECURSIVE keys (kid) AS ( \
             SELECT min({key}) FROM {table} WHERE {key} IS NOT NULL \
             UNION ALL SELECT (SELECT min({key}) FROM {table} WHERE {key} IS NOT NULL AND {key} > keys.kid) \
             FROM keys WHERE keys.kid IS NOT NULL) \
         SELECT kid FROM keys WHERE kid IS NOT NULL"
    )
}

fn keys_in_use(connection: &Connection) -> Result<Vec<KeyId>, SqliteError> {
    let mut keys = BTreeSet::new();
    for table in KEYS {
        sql::each(connection, &keys_query(table), [], |row| {
            keys.insert(KeyId(Columns::of_group(row, table.0).array()?));
            Ok(())
        })?;
    }
    Ok(keys.into_iter().collect())
}

/// The statements of a sweep, for the tests of query plans.
#[cfg(test)]
pub(crate) fn statements() -> Vec<String> {
    let pending = terminate::statements_for(terminate::PENDING, TIMED_OUT);
    let running = terminate::statements_for(terminate::RUNNING, INTERRUPTED);
    let of_grants = |condition| terminate::statements_for(terminate::GRANT, condition);
    let grants = [ACCESS_EXPIRED, REFRESH_EXPIRED, UNUSED].map(of_grants);
    grants.into_iter().chain([pending, running]).flatten().collect()
}

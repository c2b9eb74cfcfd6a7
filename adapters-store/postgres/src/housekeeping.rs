//! Sweeping, and what background jobs read.
//!
//! Every step of a sweep finds its rows through an index ordered by time, and changes a bounded number of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use async_trait::async_trait;
use grantry_domain::authorization::{
    Authorization, ExpiredCause, FailureCode, RevokedCause, TerminalCause, TerminationCause,
};
use grantry_domain::identity::{Actor, SpaceId, UserId};
use grantry_domain::ports::{Housekeeping, KeyId, StoreError, SweepPolicy, SweepReport};
use grantry_domain::time::Timestamp;
use tokio_postgres::Row;

use crate::authorizations::terminate::{Scope, Tokens, Transition};
use crate::error::PgError;
use crate::records::{AUTHORIZATION_COLUMNS, Columns, authorization, interrupted_before};
use crate::sql::{self, params};
use crate::store::PostgresStore;
use crate::transaction::Transaction;
use crate::{client_secrets, users};

#[async_trait]
impl Housekeeping for PostgresStore {
    async fn sweep(&self, policy: SweepPolicy, now: Timestamp) -> Result<SweepReport, StoreError> {
        let policy = SweepPolicy { batch: policy.batch.clamp(1, LARGEST_BATCH), ..policy };
        self.write(move |transaction| async move { sweep(&transaction, now, policy).await }).await
    }

    async fn grant_holders(
        &self,
        after: Option<(UserId, SpaceId)>,
        limit: u32,
    ) -> Result<Vec<(UserId, SpaceId)>, StoreError> {
        // No id is empty, so every pair is greater than a pair of empty texts.
        let (user, space) = after.as_ref().map_or(("", ""), |(user, space)| (user.as_str(), space.as_str()));
        let rows = self.long_read(HOLDERS, &params![user, space, limit]).await?;
        Ok(rows.iter().map(holder).collect::<Result<_, _>>()?)
    }

    async fn due_for_refresh(
        &self,
        used_since_day: i64,
        expiring_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<Authorization>, StoreError> {
        let used_since = used_since_day.saturating_mul(MILLIS_OF_DAY);
        let parameters = params![expiring_before.as_millis(), used_since_day, limit, used_since];
        let rows = self.long_read(&DUE, &parameters).await?;
        Ok(rows.iter().map(authorization).filter_map(readable).collect::<Result<_, _>>()?)
    }

    async fn key_usage(&self) -> Result<Vec<(KeyId, u64)>, StoreError> {
        let mut usage = BTreeMap::new();
        for row in self.long_read(COUNT, &[]).await? {
            let mut columns = Columns::of_group(&row, "authorizations");
            let (key, count) = (KeyId(columns.array()?), columns.unsigned()?);
            *usage.entry(key).or_insert(0) += count;
        }
        Ok(usage.into_iter().collect())
    }

    async fn keys_in_use(&self) -> Result<Vec<KeyId>, StoreError> {
        let mut keys = BTreeSet::new();
        for table in KEYS {
            for row in self.long_read(&keys_query(table), &[]).await? {
                keys.insert(KeyId(Columns::of_group(&row, table.0).array()?));
            }
        }
        Ok(keys.into_iter().collect())
    }
}

/// The most rows of one call. Other transactions wait for them.
const LARGEST_BATCH: u32 = 256;

/// Drops a row that cannot be restored, so that it does not keep the others from being refreshed. Its use reports it.
fn readable(restored: Result<Authorization, PgError>) -> Option<Result<Authorization, PgError>> {
    match restored {
        Err(PgError::Store(error @ StoreError::Inconsistent { .. })) => {
            tracing::error!(%error, "a grant cannot be read and is not refreshed ahead");
            None
        }
        restored => Some(restored),
    }
}

/// The rows of a step, and the order in which they are locked. Rows that another transaction has locked are left for another call.
type Step = (&'static str, &'static str);

const TIMED_OUT: Step = ("deadline <= $1", "ORDER BY deadline LIMIT $2 FOR UPDATE SKIP LOCKED");
const INTERRUPTED: Step = ("consumed_at <= $1", "ORDER BY consumed_at LIMIT $2 FOR UPDATE SKIP LOCKED");
const ACCESS_EXPIRED: Step =
    ("final_expiry <= $1 AND NOT refreshable", "ORDER BY final_expiry LIMIT $2 FOR UPDATE SKIP LOCKED");
const REFRESH_EXPIRED: Step =
    ("final_expiry <= $1 AND refreshable", "ORDER BY final_expiry LIMIT $2 FOR UPDATE SKIP LOCKED");
// A grant that was not used has a day of last use before its consent.
const UNUSED: Step =
    ("last_used_day < $1 AND authorized_at < $1 * 86400000", "ORDER BY last_used_day LIMIT $2 FOR UPDATE SKIP LOCKED");
const REMOVE_FLOWS: &str = "DELETE FROM authorizations WHERE id = ANY (ARRAY(SELECT id FROM authorizations \
     WHERE role = 'ended_flow' AND since <= $1 ORDER BY since LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING user_id";
const REMOVE_GRANTS: &str = "DELETE FROM authorizations WHERE id = ANY (ARRAY(SELECT id FROM authorizations \
     WHERE role = 'former_grant' AND since <= $1 AND revocation <> 'pending' ORDER BY since LIMIT $2 \
     FOR UPDATE SKIP LOCKED)) RETURNING user_id";

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
async fn sweep(transaction: &Transaction, now: Timestamp, policy: SweepPolicy) -> Result<SweepReport, PgError> {
    let mut budget = Budget(u64::from(policy.batch));
    let transition = |cause| Transition { actor: &Actor::System, now, cause };
    let expired = |cause| transition(TerminalCause::Expired(cause));
    let revoked = |cause| transition(TerminalCause::Revoked(cause));
    let until = |instant: i64, (condition, locked): Step, budget: &Budget| {
        Scope::of_sweep(condition, locked, instant, budget.limit())
    };

    let scope = until(now.as_millis(), TIMED_OUT, &budget);
    let timed_out = expired(ExpiredCause::FlowTimedOut).terminate_pending(transaction, &scope).await?;
    let timed_out = budget.spend(timed_out);

    let scope = until(interrupted_before(now), INTERRUPTED, &budget);
    let interrupted = RevokedCause::Failed(FailureCode::Interrupted);
    let interrupted = budget.spend(revoked(interrupted).terminate_running(transaction, &scope).await?);

    let mut ended = 0;
    for (cause, step) in
        [(ExpiredCause::AccessTokenExpired, ACCESS_EXPIRED), (ExpiredCause::RefreshTokenExpired, REFRESH_EXPIRED)]
    {
        let scope = until(now.as_millis(), step, &budget);
        ended += budget.spend(expired(cause).terminate_grants(transaction, &scope, Tokens::Discard).await?);
    }

    let scope = until(now.minus(policy.unused_grants).day(), UNUSED, &budget);
    let unused = RevokedCause::Terminated(TerminationCause::Unused);
    let unused = budget.spend(revoked(unused).terminate_grants(transaction, &scope, Tokens::Revoke).await?);

    let mut removed = 0;
    for (statement, retention) in [(REMOVE_FLOWS, policy.ended_flows), (REMOVE_GRANTS, policy.ended_grants)] {
        let parameters = params![now.minus(retention).as_millis(), budget.limit()];
        let rows = sql::rows(transaction, statement, &parameters).await?;
        let users = rows.iter().map(|row| Ok(Columns::of_group(row, "authorizations").text()?.to_owned()));
        users::forget(transaction, &users.collect::<Result<Vec<_>, PgError>>()?).await?;
        removed += budget.spend(rows.len() as u64);
    }
    // Reads every superseded secret, so it belongs to the last call and not to each.
    let secrets_destroyed = if budget.0 == 0 { 0 } else { client_secrets::destroy_unneeded(transaction, now).await? };
    Ok(SweepReport { timed_out, interrupted, expired: ended, unused, removed, secrets_destroyed, more: budget.0 == 0 })
}

/// A user and a space.
fn holder(row: &Row) -> Result<(UserId, SpaceId), PgError> {
    let mut columns = Columns::of_group(row, "authorizations");
    Ok((columns.user()?, columns.space()?))
}

/// Pairs of user and space that have a grant, in order.
const HOLDERS: &str = "SELECT DISTINCT user_id, space FROM authorizations \
     WHERE role <> 'ended_flow' AND role = 'grant' AND (user_id, space) > ($1, $2) ORDER BY user_id, space LIMIT $3";

const MILLIS_OF_DAY: i64 = 86_400_000;

/// Used grants that have a refresh token and expire soon, in the order of expiry.
static DUE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {AUTHORIZATION_COLUMNS} FROM authorizations AS a \
         WHERE a.role = 'grant' AND a.refreshable AND a.expires_at < $1 \
         AND (a.last_used_day >= $2 OR a.authorized_at >= $4) \
         ORDER BY a.expires_at, a.id LIMIT $3"
    )
});

/// Counts the envelopes and the tags of connectors of each key over all tables.
const COUNT: &str = "SELECT kid, count(*) FROM authorizations WHERE kid IS NOT NULL GROUP BY kid \
     UNION ALL SELECT kid, count(*) FROM client_secrets WHERE kid IS NOT NULL GROUP BY kid \
     UNION ALL SELECT kid, count(*) FROM unclaimed_tokens WHERE kid IS NOT NULL GROUP BY kid \
     UNION ALL SELECT substring(tag FROM 1 FOR 8) AS kid, count(*) FROM connectors GROUP BY kid";

/// Each table with a key, and the key of a row. Each has an index of the keys.
const KEYS: [(&str, &str); 4] = [
    ("authorizations", "kid"),
    ("client_secrets", "kid"),
    ("unclaimed_tokens", "kid"),
    ("connectors", "substring(tag FROM 1 FOR 8)"),
];

/// Finds the keys of a table, each by one search in the index, past all rows of the key before it.
fn keys_query((table, key): (&str, &str)) -> String {
    let first =
        |after: &str| format!("(SELECT {key} AS kid FROM {table} WHERE {key} IS NOT NULL{after} ORDER BY {key} LIMIT 1)");
    format!(
        "WITH RECURSIVE keys (kid) AS ({} UNION ALL SELECT {} FROM keys WHERE keys.kid IS NOT NULL) \
         SELECT kid FROM keys WHERE kid IS NOT NULL",
        first(""),
        first(&format!(" AND {key} > keys.kid")),
    )
}

//! Pending revocations: of former grants, and of unclaimed tokens.

use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::authorization::{AuthorizationId, RevocationOutcome};
use grantry_domain::encoding::hex;
use grantry_domain::ports::{
    AuditEvent, LeftOut, RevocationJob, RevocationQueue, RevocationUpdate, StoreError, UnclaimedTokens,
};
use grantry_domain::time::Timestamp;
use rusqlite::{Connection, params};

use crate::error::SqliteError;
use crate::records::{AUTHORIZATION_COLUMNS, UNCLAIMED_COLUMNS, authorization, millis, signed, unclaimed_tokens};
use crate::store::SqliteStore;
use crate::{client_secrets, outbox, sql};

#[async_trait]
impl RevocationQueue for SqliteStore {
    async fn queue_unclaimed(&self, tokens: UnclaimedTokens, audit: Vec<AuditEvent>) -> Result<(), StoreError> {
        self.write(move |connection, _| queue_unclaimed(connection, &tokens, &audit)).await
    }

    async fn claim_revocation(
        &self,
        worker: [u8; 16],
        length: Duration,
        longest_pause: Duration,
        left_out: LeftOut,
    ) -> Result<Option<RevocationJob>, StoreError> {
        self.write(move |connection, now| claim(connection, now, worker, length, longest_pause, &left_out)).await
    }

    async fn update_revocation(
        &self,
        job: AuthorizationId,
        worker: [u8; 16],
        update: RevocationUpdate,
        audit: Vec<AuditEvent>,
    ) -> Result<bool, StoreError> {
        self.write(move |connection, now| apply(connection, now, Claimed { job, worker }, &update, &audit)).await
    }
}

/// A row that no worker has, or whose claim has ended or is longer than any claim can be.
const UNCLAIMED_ROW: &str = "(claimed_until IS NULL OR claimed_until <= ?1 OR claimed_until > ?1 + ?2)";

fn queue_unclaimed(connection: &Connection, tokens: &UnclaimedTokens, audit: &[AuditEvent]) -> Result<(), SqliteError> {
    const QUEUE: &str = "INSERT INTO unclaimed_tokens (id, space, connector, incarnation, epoch, digest, user, connection, \
         sealed, kid, queued_at, attempts, revoke_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?11)";
    let owner = &tokens.owner;
    let parameters = params![
        tokens.id.as_bytes(),
        owner.space.as_str(),
        owner.connector.as_str(),
        owner.incarnation.0,
        signed(owner.epoch.0),
        owner.digest.0,
        owner.user.as_str(),
        owner.connection.as_str(),
        tokens.sealed.0,
        tokens.sealed.key_id(),
        tokens.queued_at.as_millis(),
        tokens.attempts,
    ];
    sql::execute(connection, QUEUE, parameters)?;
    outbox::write(connection, audit)
}

/// Claims the revocation that has been due longest. A row that cannot be restored is claimed as well and logged, so that it
/// does not block the others; it is tried again when its claim ends.
fn claim(
    connection: &Connection,
    now: Timestamp,
    worker: [u8; 16],
    length: Duration,
    longest_pause: Duration,
    left_out: &LeftOut,
) -> Result<Option<RevocationJob>, SqliteError> {
    let due = |table, since| due(connection, now, length, longest_pause, left_out, table, since);
    loop {
        let former = due("authorizations WHERE revocation = 'pending' AND", "since")?;
        let unclaimed = due("unclaimed_tokens WHERE", "queued_at")?;
        let job = match (former, unclaimed) {
            (Some((seq, at)), other) if other.is_none_or(|(_, other)| at <= other) => {
                hold(connection, "authorizations", seq, worker, now.plus(length))?;
                let query = format!("SELECT {AUTHORIZATION_COLUMNS} FROM authorizations AS a WHERE a.seq = ?1");
                let found = sql::first(connection, &query, [seq], authorization);
                found.map(|found| found.map(|former| RevocationJob::FormerGrant(Box::new(former))))
            }
            (_, Some((seq, _))) => {
                hold(connection, "unclaimed_tokens", seq, worker, now.plus(length))?;
                let query = format!("SELECT {UNCLAIMED_COLUMNS} FROM unclaimed_tokens WHERE seq = ?1");
                let found = sql::first(connection, &query, [seq], unclaimed_tokens);
                found.map(|found| found.map(|tokens| RevocationJob::Unclaimed(Box::new(tokens))))
            }
            (_, None) => return Ok(None),
        };
        match job {
            Err(SqliteError::Store(error @ StoreError::Inconsistent { .. })) => {
                tracing::error!(%error, "a pending revocation cannot be read and is skipped");
            }
            job => return job,
        }
    }
}

/// The claimable row of a table that has been due longest, and since when; else one that is due implausibly late. Each walks
/// the index of the due times, past the rows that are claimed or left out.
fn due(
    connection: &Connection,
    now: Timestamp,
    length: Duration,
    longest_pause: Duration,
    left_out: &LeftOut,
    table: &str,
    since: &str,
) -> Result<Option<(i64, i64)>, SqliteError> {
    let digests = hex_list(left_out.digests.iter().map(|digest| digest.0.as_slice()));
    let users = hex_list(left_out.users.iter().map(|user| user.as_str().as_bytes()));
    let first = |is_due: &str| {
        let query = format!(
            "SELECT seq, revoke_at FROM {table} {is_due} AND {UNCLAIMED_ROW} AND ({since} <= ?1 - ?3 OR ({NOT_LEFT_OUT})) \
             ORDER BY revoke_at LIMIT 1"
        );
        let parameters = params![now.as_millis(), millis(length), millis(longest_pause), digests, users];
        sql::first(connection, &query, parameters, |row| Ok((row.get(0)?, row.get(1)?)))
    };
    match first("revoke_at <= ?1")? {
        Some(due) => Ok(Some(due)),
        None => first("revoke_at > ?1 + ?3"),
    }
}

/// A row of other settings and another user than those that are left out.
const NOT_LEFT_OUT: &str = "hex(digest) NOT IN (SELECT value FROM json_each(?4)) \
     AND hex(user) NOT IN (SELECT value FROM json_each(?5))";

/// A JSON array of texts, each in the form of the function `hex` of `SQLite`.
fn hex_list<'a>(items: impl Iterator<Item = &'a [u8]>) -> String {
    let items: Vec<_> = items.map(|item| format!("\"{}\"", hex(item).to_uppercase())).collect();
    format!("[{}]", items.join(","))
}

fn hold(connection: &Connection, table: &str, seq: i64, worker: [u8; 16], until: Timestamp) -> Result<(), SqliteError> {
    let statement = format!("UPDATE {table} SET claimed_by = ?2, claimed_until = ?3 WHERE seq = ?1");
    sql::execute(connection, &statement, params![seq, worker, until.as_millis()])?;
    Ok(())
}

/// A revocation, and the worker that has claimed it.
#[derive(Clone, Copy)]
struct Claimed {
    job: AuthorizationId,
    worker: [u8; 16],
}

/// Completes, postpones or continues a revocation. Does nothing if it is not pending, or if another worker has claimed it.
fn apply(
    connection: &Connection,
    now: Timestamp,
    claimed: Claimed,
    update: &RevocationUpdate,
    audit: &[AuditEvent],
) -> Result<bool, SqliteError> {
    let changed = match update {
        RevocationUpdate::Completed(outcome) => complete(connection, claimed, *outcome)?,
        RevocationUpdate::Retry { at } => postpone(connection, claimed, *at, 1)?,
        RevocationUpdate::Deferred { at } => postpone(connection, claimed, *at, 0)?,
        RevocationUpdate::Refreshed { sealed, revision } => {
            const FORMER: &str = "UPDATE authorizations SET sealed = ?3, kid = ?4, revision = ?5, revoke_in_doubt = 0 \
                 WHERE id = ?1 AND revocation = 'pending' AND claimed_by = ?2";
            const UNCLAIMED: &str =
                "UPDATE unclaimed_tokens SET sealed = ?3, kid = ?4 WHERE id = ?1 AND claimed_by = ?2 AND ?5 >= 0";
            let store = |statement| {
                let Claimed { job, worker } = claimed;
                let parameters = params![job.as_bytes(), worker, sealed.0, sealed.key_id(), signed(revision.0)];
                sql::execute(connection, statement, parameters)
            };
            store(FORMER)? + store(UNCLAIMED)?
        }
    };
    if changed > 0 {
        outbox::write(connection, audit)?;
        client_secrets::destroy_unneeded(connection, now)?;
    }
    Ok(changed > 0)
}

/// Destroys the tokens. A former grant keeps the outcome; the row of unclaimed tokens is removed.
fn complete(
    connection: &Connection,
    Claimed { job, worker }: Claimed,
    outcome: RevocationOutcome,
) -> Result<u64, SqliteError> {
    const FORMER: &str = "UPDATE authorizations SET revocation = ?3, sealed = NULL, kid = NULL, revision = 0, \
         revoke_at = NULL, revoke_attempts = NULL, revoke_in_doubt = NULL, claimed_by = NULL, claimed_until = NULL \
         WHERE id = ?1 AND revocation = 'pending' AND claimed_by = ?2";
    const UNCLAIMED: &str = "DELETE FROM unclaimed_tokens WHERE id = ?1 AND claimed_by = ?2";
    let former = sql::execute(connection, FORMER, params![job.as_bytes(), worker, outcome.as_str()])?;
    Ok(former + sql::execute(connection, UNCLAIMED, params![job.as_bytes(), worker])?)
}

/// Counts failed attempts and releases the claim.
fn postpone(
    connection: &Connection,
    Claimed { job, worker }: Claimed,
    at: Timestamp,
    failed: u32,
) -> Result<u64, SqliteError> {
    const FORMER: &str = "UPDATE authorizations SET revoke_at = ?3, revoke_attempts = revoke_attempts + ?4, \
         claimed_by = NULL, claimed_until = NULL WHERE id = ?1 AND revocation = 'pending' AND claimed_by = ?2";
    const UNCLAIMED: &str = "UPDATE unclaimed_tokens SET revoke_at = ?3, attempts = attempts + ?4, \
         claimed_by = NULL, claimed_until = NULL WHERE id = ?1 AND claimed_by = ?2";
    let parameters = params![job.as_bytes(), worker, at.as_millis(), failed];
    Ok(sql::execute(connection, FORMER, parameters)? + sql::execute(connection, UNCLAIMED, parameters)?)
}

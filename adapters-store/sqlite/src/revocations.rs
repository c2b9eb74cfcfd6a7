//! Revocations that are owed: former grants with their tokens, and tokens that never became a grant (R49, R50).

use std::time::Duration;

use grantry_domain::authorization::{AuthorizationId, RevocationOutcome};
use grantry_domain::ports::{AuditEvent, RevocationJob, RevocationUpdate, UnclaimedTokens};
use grantry_domain::time::Timestamp;
use rusqlite::{Connection, params};

use crate::fault::Fault;
use crate::records::{Authorization, authorization, millis, orphan, signed};
use crate::{client_secrets, outbox, sql};

/// A row is free to claim: nobody holds it, or somebody does so for longer than anybody may.
const FREE: &str = "revoke_at <= ?1 AND (claimed_until IS NULL OR claimed_until <= ?1 OR claimed_until > ?1 + ?2)";

/// Queues tokens that never became a grant.
pub(crate) fn queue_unclaimed(connection: &Connection, orphan: &UnclaimedTokens, audit: &[AuditEvent]) -> Result<(), Fault> {
    const QUEUE: &str = "INSERT INTO unclaimed_tokens (id, space, connector, incarnation, epoch, digest, user, sealed, kid, \
         queued_at, attempts, revoke_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?10)";
    let owner = &orphan.owner;
    let parameters = params![
        orphan.id.as_bytes(),
        owner.space.as_str(),
        owner.connector.as_str(),
        owner.incarnation.0,
        signed(owner.epoch.0),
        owner.digest.0,
        owner.user.as_str(),
        orphan.sealed.0,
        orphan.sealed.key_id(),
        orphan.queued_at.as_millis(),
        orphan.attempts,
    ];
    sql::execute(connection, QUEUE, parameters)?;
    outbox::write(connection, audit)
}

/// Claims the revocation that has been due longest.
pub(crate) fn claim(
    connection: &Connection,
    now: Timestamp,
    owner: [u8; 16],
    length: Duration,
) -> Result<Option<RevocationJob>, Fault> {
    let former = due(connection, now, length, "authorizations WHERE revocation = 'pending' AND")?;
    let orphaned = due(connection, now, length, "unclaimed_tokens WHERE")?;
    if let Some((seq, at)) = former
        && orphaned.is_none_or(|(_, other)| at <= other)
    {
        hold(connection, "authorizations", seq, owner, now.plus(length))?;
        let query = format!("SELECT {} FROM authorizations AS a WHERE a.seq = ?1", Authorization::COLUMNS);
        let record = sql::first(connection, &query, [seq], |row| Ok(authorization(row, 0)?.record))?;
        return Ok(record.map(|record| RevocationJob::Former(Box::new(record))));
    }
    let Some((seq, _)) = orphaned else { return Ok(None) };
    hold(connection, "unclaimed_tokens", seq, owner, now.plus(length))?;
    let tokens = sql::first(connection, ORPHAN, [seq], orphan)?;
    Ok(tokens.map(|tokens| RevocationJob::Unclaimed(Box::new(tokens))))
}

const ORPHAN: &str = "SELECT id, space, connector, incarnation, epoch, digest, user, sealed, queued_at, attempts \
     FROM unclaimed_tokens WHERE seq = ?1";

/// The row of a table that has been due longest, and since when.
fn due(connection: &Connection, now: Timestamp, length: Duration, table: &str) -> Result<Option<(i64, i64)>, Fault> {
    let query = format!("SELECT seq, revoke_at FROM {table} {FREE} ORDER BY revoke_at LIMIT 1");
    sql::first(connection, &query, [now.as_millis(), millis(length)], |row| Ok((row.get(0)?, row.get(1)?)))
}

fn hold(connection: &Connection, table: &str, seq: i64, owner: [u8; 16], until: Timestamp) -> Result<(), Fault> {
    let statement = format!("UPDATE {table} SET claimed_by = ?2, claimed_until = ?3 WHERE seq = ?1");
    sql::execute(connection, &statement, params![seq, owner, until.as_millis()])?;
    Ok(())
}

/// Ends or postpones a revocation. What is not owed is left alone.
pub(crate) fn end(
    connection: &Connection,
    now: Timestamp,
    job: AuthorizationId,
    end: &RevocationUpdate,
    audit: &[AuditEvent],
) -> Result<(), Fault> {
    let ended = match end {
        RevocationUpdate::Completed(outcome) => settle(connection, job, *outcome)?,
        RevocationUpdate::Retry { at } => retry(connection, job, *at)?,
        RevocationUpdate::Refreshed { sealed, revision } => {
            const FORMER: &str = "UPDATE authorizations SET sealed = ?2, kid = ?3, revision = ?4, revoke_in_doubt = 0 \
                 WHERE id = ?1 AND revocation = 'pending'";
            const ORPHANED: &str = "UPDATE unclaimed_tokens SET sealed = ?2, kid = ?3 WHERE id = ?1 AND ?4 >= 0";
            let renew = |statement| {
                let parameters = params![job.as_bytes(), sealed.0, sealed.key_id(), signed(revision.0)];
                sql::execute(connection, statement, parameters)
            };
            renew(FORMER)? + renew(ORPHANED)?
        }
    };
    if ended > 0 {
        outbox::write(connection, audit)?;
        client_secrets::destroy_unneeded(connection, now)?;
    }
    Ok(())
}

/// Destroys the tokens. Of a former grant the outcome is kept; unclaimed_tokens were never anybody's grant.
fn settle(connection: &Connection, job: AuthorizationId, outcome: RevocationOutcome) -> Result<u64, Fault> {
    const FORMER: &str = "UPDATE authorizations SET revocation = ?2, sealed = NULL, kid = NULL, revision = 0, \
         revoke_at = NULL, revoke_attempts = NULL, revoke_in_doubt = NULL, claimed_by = NULL, claimed_until = NULL \
         WHERE id = ?1 AND revocation = 'pending'";
    let former = sql::execute(connection, FORMER, params![job.as_bytes(), outcome.as_str()])?;
    Ok(former + sql::execute(connection, "DELETE FROM unclaimed_tokens WHERE id = ?1", [job.as_bytes()])?)
}

/// Counts a failed try and gives the claim back.
fn retry(connection: &Connection, job: AuthorizationId, at: Timestamp) -> Result<u64, Fault> {
    const FORMER: &str = "UPDATE authorizations SET revoke_at = ?2, revoke_attempts = revoke_attempts + 1, \
         claimed_by = NULL, claimed_until = NULL WHERE id = ?1 AND revocation = 'pending'";
    const ORPHANED: &str = "UPDATE unclaimed_tokens SET revoke_at = ?2, attempts = attempts + 1, \
         claimed_by = NULL, claimed_until = NULL WHERE id = ?1";
    let parameters = params![job.as_bytes(), at.as_millis()];
    Ok(sql::execute(connection, FORMER, parameters)? + sql::execute(connection, ORPHANED, parameters)?)
}

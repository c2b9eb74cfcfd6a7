//! Pending revocations: of former grants, and of unclaimed tokens.

use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::authorization::{AuthorizationId, RevocationOutcome};
use grantry_domain::identity::UserId;
use grantry_domain::ports::{
    AuditEvent, LeftOut, RevocationJob, RevocationQueue, RevocationUpdate, StoreError, UnclaimedTokens,
};
use grantry_domain::time::Timestamp;
use tokio_postgres::Row;

use crate::connection::Connection;
use crate::error::PgError;
use crate::records::{AUTHORIZATION_COLUMNS, Columns, UNCLAIMED_COLUMNS, authorization, signed, unclaimed_tokens};
use crate::sql::{self, params};
use crate::store::PostgresStore;
use crate::transaction::Transaction;
use crate::{client_secrets, outbox};

#[async_trait]
impl RevocationQueue for PostgresStore {
    async fn queue_unclaimed(&self, tokens: UnclaimedTokens, audit: Vec<AuditEvent>) -> Result<(), StoreError> {
        let (tokens, audit) = (&tokens, &audit);
        self.write_again(move |transaction, _| async move { queue_unclaimed(&transaction, tokens, audit).await }).await
    }

    async fn claim_revocation(
        &self,
        worker: [u8; 16],
        length: Duration,
        longest_pause: Duration,
        left_out: LeftOut,
    ) -> Result<Option<RevocationJob>, StoreError> {
        let left_out = &left_out;
        self.write(move |transaction| async move {
            let claim = Claim { now: transaction.began(), worker, length, longest_pause, left_out };
            claim.take(&transaction).await
        })
        .await
    }

    async fn update_revocation(
        &self,
        job: AuthorizationId,
        worker: [u8; 16],
        update: RevocationUpdate,
        audit: Vec<AuditEvent>,
    ) -> Result<bool, StoreError> {
        let (claimed, update, audit) = (Claimed { job, worker }, &update, &audit);
        self.write(move |transaction| async move { apply(&transaction, claimed, update, audit).await }).await
    }
}

/// Adds tokens. Their id is random, so a row with it was added by an earlier transaction of this call.
async fn queue_unclaimed(connection: &Connection, tokens: &UnclaimedTokens, audit: &[AuditEvent]) -> Result<(), PgError> {
    const QUEUE: &str = "INSERT INTO unclaimed_tokens (id, space, connector, incarnation, epoch, digest, user_id, connection, \
         sealed, kid, queued_at, attempts, revoke_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $11) ON CONFLICT (id) DO NOTHING";
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
        tokens.sealed.0.as_slice(),
        tokens.sealed.key_id(),
        tokens.queued_at.as_millis(),
        tokens.attempts,
    ];
    if sql::execute(connection, QUEUE, &parameters).await? == 1 {
        outbox::write(connection, audit).await?;
    }
    Ok(())
}

/// A table with pending revocations.
struct Queue {
    table: &'static str,
    /// Which rows of it count.
    rows: &'static str,
    /// The column since when a revocation is pending.
    since: &'static str,
    /// What is read of a row that was claimed, and how.
    columns: &'static str,
    job: fn(&Row) -> Result<RevocationJob, PgError>,
}

const FORMER: Queue = Queue {
    table: "authorizations",
    rows: "revocation = 'pending' AND",
    since: "since",
    columns: AUTHORIZATION_COLUMNS,
    job: |row| Ok(RevocationJob::FormerGrant(Box::new(authorization(row)?))),
};
const UNCLAIMED: Queue = Queue {
    table: "unclaimed_tokens",
    rows: "",
    since: "queued_at",
    columns: UNCLAIMED_COLUMNS,
    job: |row| Ok(RevocationJob::Unclaimed(Box::new(unclaimed_tokens(row)?))),
};

impl Queue {
    /// The claimable row that has been due longest, and since when. Walks the index of the due times, past the rows that are
    /// claimed or left out.
    fn first_due(&self, is_due: &str, locked: &str) -> String {
        let Self { table, rows, since, .. } = self;
        format!(
            "SELECT id, revoke_at FROM {table} WHERE {rows} {is_due} \
             AND (claimed_until IS NULL OR claimed_until <= $1 OR claimed_until > $2) \
             AND ({since} <= $3 OR (digest <> ALL ($5) AND user_id <> ALL ($6))) \
             ORDER BY revoke_at LIMIT 1 {locked}"
        )
    }
}

const DUE: &str = "revoke_at <= $1";
/// Postponed by more than any pause, before the clock was set back.
const IMPLAUSIBLE: &str = "revoke_at > $4";

/// Past rows that another worker claims now.
const LOCKED: &str = "FOR UPDATE SKIP LOCKED";

struct Claim<'c> {
    now: Timestamp,
    worker: [u8; 16],
    length: Duration,
    longest_pause: Duration,
    left_out: &'c LeftOut,
}

impl Claim<'_> {
    /// Claims the revocation that has been due longest. A row that cannot be restored is claimed as well and logged, so that it
    /// does not block the others; it is tried again when its claim ends.
    async fn take(&self, transaction: &Transaction) -> Result<Option<RevocationJob>, PgError> {
        loop {
            // Read without a lock: the row that is not claimed stays free for other workers.
            let former = self.due(transaction, &FORMER, "").await?.map(|(_, at)| at);
            let unclaimed = self.due(transaction, &UNCLAIMED, "").await?.map(|(_, at)| at);
            if former.is_none() && unclaimed.is_none() {
                return Ok(None);
            }
            let is_former_first = former.is_some_and(|former| unclaimed.is_none_or(|unclaimed| former <= unclaimed));
            let (first, second) = if is_former_first { (&FORMER, &UNCLAIMED) } else { (&UNCLAIMED, &FORMER) };
            let job = match self.take_from(transaction, first).await {
                Ok(None) => self.take_from(transaction, second).await,
                job => job,
            };
            match job {
                Err(PgError::Store(error @ StoreError::Inconsistent { .. })) => {
                    tracing::error!(%error, "a pending revocation cannot be read and is skipped");
                }
                job => return job,
            }
        }
    }

    /// Claims the first row of a queue that no other worker claims now.
    async fn take_from(&self, connection: &Connection, queue: &Queue) -> Result<Option<RevocationJob>, PgError> {
        let Queue { table, columns, .. } = queue;
        let Some((id, _)) = self.due(connection, queue, LOCKED).await? else { return Ok(None) };
        let hold = format!("UPDATE {table} SET claimed_by = $2, claimed_until = $3 WHERE id = $1");
        let until = self.now.plus(self.length).as_millis();
        sql::execute(connection, &hold, &params![id.as_slice(), self.worker, until]).await?;
        let read = format!("SELECT {columns} FROM {table} AS a WHERE a.id = $1");
        let row = sql::first(connection, &read, &params![id.as_slice()]).await?;
        row.as_ref().map(queue.job).transpose()
    }

    /// The row of a queue to claim, and since when it is due.
    async fn due(&self, connection: &Connection, queue: &Queue, locked: &str) -> Result<Option<(Vec<u8>, i64)>, PgError> {
        let parameters = params![
            self.now.as_millis(),
            self.now.plus(self.length).as_millis(),
            self.now.minus(self.longest_pause).as_millis(),
            self.now.plus(self.longest_pause).as_millis(),
            self.left_out.digests.iter().map(|digest| digest.0.as_slice()).collect::<Vec<_>>(),
            self.left_out.users.iter().map(UserId::as_str).collect::<Vec<_>>(),
        ];
        for is_due in [DUE, IMPLAUSIBLE] {
            if let Some(row) = sql::first(connection, &queue.first_due(is_due, locked), &parameters).await? {
                let mut columns = Columns::of_group(&row, queue.table);
                return Ok(Some((columns.bytes()?.to_vec(), columns.integer()?)));
            }
        }
        Ok(None)
    }
}

/// A revocation, and the worker that has claimed it.
#[derive(Clone, Copy)]
struct Claimed {
    job: AuthorizationId,
    worker: [u8; 16],
}

/// Completes, postpones or continues a revocation. Does nothing if it is not pending, or if another worker has claimed it.
async fn apply(
    transaction: &Transaction,
    claimed: Claimed,
    update: &RevocationUpdate,
    audit: &[AuditEvent],
) -> Result<bool, PgError> {
    let changed = match update {
        RevocationUpdate::Completed(outcome) => complete(transaction, claimed, *outcome).await?,
        RevocationUpdate::Retry { at } => postpone(transaction, claimed, *at, 1).await?,
        RevocationUpdate::Deferred { at } => postpone(transaction, claimed, *at, 0).await?,
        RevocationUpdate::Refreshed { sealed, revision } => {
            const FORMER: &str = "UPDATE authorizations SET sealed = $3, kid = $4, revision = $5, revoke_in_doubt = FALSE \
                 WHERE id = $1 AND revocation = 'pending' AND claimed_by = $2";
            const UNCLAIMED: &str = "UPDATE unclaimed_tokens SET sealed = $3, kid = $4 WHERE id = $1 AND claimed_by = $2";
            let Claimed { job, worker } = claimed;
            let parameters = params![job.as_bytes(), worker, sealed.0.as_slice(), sealed.key_id(), signed(revision.0)];
            let former = sql::execute(transaction, FORMER, &parameters).await?;
            former + sql::execute(transaction, UNCLAIMED, &parameters[..4]).await?
        }
    };
    if changed > 0 {
        outbox::write(transaction, audit).await?;
        client_secrets::destroy_unneeded(transaction, transaction.began()).await?;
    }
    Ok(changed > 0)
}

/// Destroys the tokens. A former grant keeps the outcome; the row of unclaimed tokens is removed.
async fn complete(
    connection: &Connection,
    Claimed { job, worker }: Claimed,
    outcome: RevocationOutcome,
) -> Result<u64, PgError> {
    const FORMER: &str = "UPDATE authorizations SET revocation = $3, sealed = NULL, kid = NULL, revision = 0, \
         revoke_at = NULL, revoke_attempts = NULL, revoke_in_doubt = NULL, claimed_by = NULL, claimed_until = NULL \
         WHERE id = $1 AND revocation = 'pending' AND claimed_by = $2";
    const UNCLAIMED: &str = "DELETE FROM unclaimed_tokens WHERE id = $1 AND claimed_by = $2";
    let former = sql::execute(connection, FORMER, &params![job.as_bytes(), worker, outcome.as_str()]).await?;
    Ok(former + sql::execute(connection, UNCLAIMED, &params![job.as_bytes(), worker]).await?)
}

/// Counts failed attempts and releases the claim.
async fn postpone(
    connection: &Connection,
    Claimed { job, worker }: Claimed,
    at: Timestamp,
    failed: u32,
) -> Result<u64, PgError> {
    const FORMER: &str = "UPDATE authorizations SET revoke_at = $3, revoke_attempts = revoke_attempts + $4, \
         claimed_by = NULL, claimed_until = NULL WHERE id = $1 AND revocation = 'pending' AND claimed_by = $2";
    const UNCLAIMED: &str = "UPDATE unclaimed_tokens SET revoke_at = $3, attempts = attempts + $4, \
         claimed_by = NULL, claimed_until = NULL WHERE id = $1 AND claimed_by = $2";
    let parameters = params![job.as_bytes(), worker, at.as_millis(), failed];
    let former = sql::execute(connection, FORMER, &parameters).await?;
    Ok(former + sql::execute(connection, UNCLAIMED, &parameters).await?)
}

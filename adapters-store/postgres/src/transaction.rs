//! A transaction that writes, and what became of it when its connection was lost at the commit.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use grantry_domain::ports::{Clock, StoreError};
use grantry_domain::time::Timestamp;
use tokio::time::{Instant, sleep};
use tokio_postgres::SimpleQueryRow;

use crate::connection::{CommitError, Connection, Pool, Pooled};
use crate::error::{NO_ROW, PgError, inconsistent};
use crate::sql::{self, NOW, params};

/// The pause between two questions for the outcome of a commit.
const PAUSE: Duration = Duration::from_millis(50);

/// How transactions begin.
pub(crate) struct Transactions {
    pool: Pool,
    clock: Option<Arc<dyn Clock>>,
    /// One message: the begin, its settings, and a row with the clock and what identifies the transaction.
    begin: String,
    is_tracked: bool,
    lookup: Duration,
}

impl Transactions {
    /// `is_tracked`: the server has the functions that report the outcome of a transaction.
    pub(crate) fn new(pool: Pool, clock: Option<Arc<dyn Clock>>, limit: Duration, is_tracked: bool) -> Self {
        let millis = limit.as_millis();
        let identity =
            if is_tracked { "pg_current_xact_id()::text, left(pg_walfile_name(pg_current_wal_lsn()), 8)" } else { "'', ''" };
        // The settings end with the transaction, so that a pooler can give the connection to another client then. A commit that
        // was reported survives a crash of the server, also where the server has another default.
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = {millis}; SET LOCAL lock_timeout = {millis}; \
             SET LOCAL idle_in_transaction_session_timeout = {millis}; \
             SELECT {NOW}, {identity}, set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
                 WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true)"
        );
        Self { pool, clock, begin, is_tracked, lookup: limit }
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Begins a transaction.
    pub(crate) async fn begin(&self) -> Result<Transaction, PgError> {
        let connection = self.pool.acquire().await?;
        let rows = connection.simple(&self.begin).await?;
        let row = rows.last().ok_or_else(broken)?;
        let now = match &self.clock {
            Some(clock) => clock.now(),
            None => Timestamp::from_millis(column(row, 0)?.parse().map_err(|_| broken())?),
        };
        let identity = Identity { transaction: column(row, 1)?.to_owned(), timeline: column(row, 2)?.to_owned() };
        let (clock, is_undone) = (self.clock.clone(), AtomicBool::new(false));
        Ok(Transaction(Arc::new(Open { connection, now, clock, identity, is_undone })))
    }

    /// Whether a transaction was committed whose connection was lost at the commit; `None` if that cannot be found out.
    ///
    /// The status is that of the number of the transaction. After a failover to a standby that did not receive the transaction,
    /// another one can have its number, so the status is used only if the server is on the same timeline.
    async fn was_committed(&self, lost: &Identity) -> Option<bool> {
        if !self.is_tracked {
            return None;
        }
        let end = Instant::now() + self.lookup;
        loop {
            match self.status(lost).await {
                Ok(Some(Status::Committed)) => return Some(true),
                Ok(Some(Status::Aborted)) => return Some(false),
                Ok(Some(Status::InProgress)) | Err(_) if Instant::now() < end => sleep(PAUSE).await,
                Ok(Some(Status::InProgress) | None) | Err(_) => return None,
            }
        }
    }

    async fn status(&self, lost: &Identity) -> Result<Option<Status>, PgError> {
        const STATUS: &str = "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8) = $2, pg_xact_status($1::text::xid8)";
        let connection = self.pool.acquire().await?;
        let parameters = params![lost.transaction.as_str(), lost.timeline.as_str()];
        let row = sql::first(&connection, STATUS, &parameters).await?;
        connection.release();
        let Some(row) = row else { return Ok(None) };
        let (is_same, status) = (row.try_get(0), row.try_get::<_, Option<String>>(1));
        let (Ok(true), Ok(Some(status))) = (is_same, status) else { return Ok(None) };
        Ok(match status.as_str() {
            "committed" => Some(Status::Committed),
            "aborted" => Some(Status::Aborted),
            "in progress" => Some(Status::InProgress),
            _ => None,
        })
    }

    /// Ends a transaction: commits what succeeded, unless it is to be undone.
    pub(crate) async fn end<T>(&self, transaction: Transaction, outcome: Result<T, PgError>) -> Result<T, PgError> {
        let open = &transaction.0;
        if outcome.is_err() || open.is_undone.load(Ordering::Relaxed) {
            if open.connection.is_usable() && open.connection.simple("ROLLBACK").await.is_ok() {
                open.connection.release();
            }
            return outcome;
        }
        match open.connection.commit().await {
            Ok(()) => {
                open.connection.release();
                outcome
            }
            Err(CommitError::Refused(error)) => Err(error),
            Err(CommitError::Open) => match self.was_committed(&open.identity).await {
                Some(true) => outcome,
                Some(false) => Err(PgError::Lost),
                None => Err(StoreError::OutcomeUnknown.into()),
            },
        }
    }
}

enum Status {
    Committed,
    Aborted,
    InProgress,
}

/// The number of a transaction, and the timeline of the server on which it is unique.
struct Identity {
    transaction: String,
    timeline: String,
}

struct Open {
    connection: Pooled,
    now: Timestamp,
    clock: Option<Arc<dyn Clock>>,
    identity: Identity,
    is_undone: AtomicBool,
}

/// A transaction. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Transaction(Arc<Open>);

impl Transaction {
    /// The instant at which it began.
    pub(crate) fn began(&self) -> Timestamp {
        self.0.now
    }

    /// The present instant. Differs from [`began`](Self::began) after a wait for a lock.
    pub(crate) async fn now(&self) -> Result<Timestamp, PgError> {
        match &self.0.clock {
            Some(clock) => Ok(clock.now()),
            None => Ok(Timestamp::from_millis(sql::number(self, &format!("SELECT {NOW}"), &[]).await?)),
        }
    }

    /// Rolls the transaction back at its end, although it succeeds: its result reports that nothing is to be changed.
    pub(crate) fn undo(&self) {
        self.0.is_undone.store(true, Ordering::Relaxed);
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0.connection
    }
}

fn column(row: &SimpleQueryRow, at: usize) -> Result<&str, PgError> {
    row.try_get(at).ok().flatten().ok_or_else(broken)
}

fn broken() -> PgError {
    inconsistent("database", NO_ROW, "the server reports its clock")
}

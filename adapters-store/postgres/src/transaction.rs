//! A transaction that writes, and the outcome of a commit whose response was lost.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use grantry_domain::ports::{Clock, StoreError};
use grantry_domain::time::Timestamp;
use tokio::time::{Instant, sleep};
use tokio_postgres::SimpleQueryRow;

use crate::connection::{CommitError, Connection, GRACE, Pool, Pooled};
use crate::error::{NO_ROW, PgError, inconsistent};
use crate::sql::{self, NOW, params};

/// The pause between two questions for the outcome of a commit.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a statement may take that ends all authorizations of a connector or of a space.
const LONG: Duration = Duration::from_mins(15);

/// How long the statements of a transaction may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// The one of the options.
    Short,
    /// [`LONG`]: the number of rows is that of all users.
    Long,
}

/// How transactions begin.
pub(crate) struct Transactions {
    pool: Pool,
    clock: Option<Arc<dyn Clock>>,
    /// One message: the begin, its settings, and a row with the clock and what identifies the transaction.
    begin: String,
    begin_long: String,
    /// The identifier of the database cluster if its server reports the outcome of a transaction.
    tracked: Option<String>,
    limit: Duration,
}

impl Transactions {
    /// `tracked`: the identifier of the cluster, if the server reports the outcome of a transaction.
    pub(crate) fn new(pool: Pool, clock: Option<Arc<dyn Clock>>, limit: Duration, tracked: Option<String>) -> Self {
        let identity = if tracked.is_some() { IDENTITY } else { "'', ''" };
        let begin = |length: Duration| begin(length, limit, identity);
        Self { pool, clock, begin: begin(limit), begin_long: begin(LONG), tracked, limit }
    }

    /// How long a transaction may take, without the wait for a connection.
    pub(crate) fn longest(&self, length: Length) -> Duration {
        match length {
            Length::Short => self.limit + GRACE,
            Length::Long => LONG + GRACE,
        }
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Begins a transaction.
    pub(crate) async fn begin(&self, length: Length) -> Result<Transaction, PgError> {
        let connection = self.pool.acquire().await?;
        let begin = match length {
            Length::Short => &self.begin,
            Length::Long => &self.begin_long,
        };
        let rows = connection.simple(begin).await;
        // Nothing was written, so a connection without a response is replaced.
        let rows = rows.map_err(|error| if connection.is_silent() { PgError::Lost } else { error })?;
        if length == Length::Long {
            connection.set_limit(Some(self.longest(length)));
        }
        let row = rows.last().ok_or_else(broken)?;
        let now = match &self.clock {
            Some(clock) => clock.now(),
            None => Timestamp::from_millis(column(row, 0)?.parse().map_err(|_| broken())?),
        };
        let identity = Identity { transaction: column(row, 1)?.to_owned(), timeline: column(row, 2)?.to_owned() };
        let (clock, is_undone) = (self.clock.clone(), AtomicBool::new(false));
        Ok(Transaction(Arc::new(OpenTransaction { connection, now, clock, identity, is_undone })))
    }

    /// Whether a transaction was committed whose connection was lost at the commit; `None` if that cannot be found out.
    ///
    /// The status is that of the number of the transaction. After a failover to a standby that did not receive the
    /// transaction, another one can have its number, so the status is used only if the server is on the same timeline of the
    /// same cluster.
    async fn was_committed(&self, lost: &Identity) -> Option<bool> {
        let cluster = self.tracked.as_deref()?;
        let end = Instant::now() + self.limit;
        loop {
            match self.status(lost, cluster).await {
                Ok(Some(Status::Committed)) => return Some(true),
                Ok(Some(Status::Aborted)) => return Some(false),
                Ok(Some(Status::InProgress)) | Err(_) if Instant::now() < end => sleep(PAUSE).await,
                Ok(Some(Status::InProgress) | None) | Err(_) => return None,
            }
        }
    }

    async fn status(&self, lost: &Identity, cluster: &str) -> Result<Option<Status>, PgError> {
        const STATUS: &str = "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8) = $2 \
             AND (SELECT system_identifier::text FROM pg_control_system()) = $3, pg_xact_status($1::text::xid8)";
        let connection = self.pool.acquire().await?;
        let parameters = params![lost.transaction.as_str(), lost.timeline.as_str(), cluster];
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
            Err(CommitError::Open) => {
                let identity = open.identity.clone();
                // Its permit may be the only one, and the question needs one.
                drop(transaction);
                match self.was_committed(&identity).await {
                    Some(true) => outcome,
                    Some(false) => Err(PgError::Lost),
                    None => Err(StoreError::OutcomeUnknown.into()),
                }
            }
        }
    }
}

/// What identifies a transaction: [`Identity`].
pub(crate) const IDENTITY: &str = "pg_current_xact_id()::text, left(pg_walfile_name(pg_current_wal_lsn()), 8)";

/// The statements that begin a transaction whose statements may take `length`, and each wait for a lock `wait`.
///
/// The settings end with the transaction, so that a pooler can give the connection to another client then. A commit that was
/// reported survives a crash of the server, also where the server has another default.
fn begin(length: Duration, wait: Duration, identity: &str) -> String {
    let (length, wait) = (setting(length), setting(wait));
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = {length}; SET LOCAL lock_timeout = {wait}; \
         SET LOCAL idle_in_transaction_session_timeout = {wait}; \
         SELECT {NOW}, {identity}, set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
             WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true)"
    )
}

/// A time-out as a setting of the server, in milliseconds. Zero would be no limit, and a greater number is refused.
fn setting(limit: Duration) -> i32 {
    i32::try_from(limit.as_millis()).unwrap_or(i32::MAX).max(1)
}

enum Status {
    Committed,
    Aborted,
    InProgress,
}

/// The number of a transaction, and the timeline of the server on which it is unique.
#[derive(Clone)]
struct Identity {
    transaction: String,
    timeline: String,
}

struct OpenTransaction {
    connection: Pooled,
    now: Timestamp,
    clock: Option<Arc<dyn Clock>>,
    identity: Identity,
    is_undone: AtomicBool,
}

/// A transaction. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Transaction(Arc<OpenTransaction>);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_is_one_that_the_server_accepts() {
        assert_eq!(setting(Duration::from_secs(10)), 10_000);
        assert_eq!(setting(Duration::from_micros(1)), 1);
        assert_eq!(setting(Duration::ZERO), 1);
        assert_eq!(setting(Duration::MAX), i32::MAX);
    }
}

//! The store: transactions that write, and reads beside them.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::ports::{Clock, SecureRandom, StoreClock, StoreError};
use grantry_domain::time::Timestamp;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::Row;

use crate::connection::{Connector, Pool, Readers};
use crate::error::{PgError, READ_ONLY, unusable};
use crate::options::PostgresOptions;
use crate::schema::{self, Inspected};
use crate::sql::{self, NOW, Value};
use crate::transaction::{Length, Transaction, Transactions};

/// How often a transaction is repeated after a conflict with a concurrent one.
const CONFLICTS: u32 = 8;
/// How often work is repeated after the connection was lost. Idle connections of a server that was restarted are all closed.
const LOSSES: u32 = 2;
/// The pause before the first repetition after a conflict; it doubles, and a random part of it is waited for.
const PAUSE: Duration = Duration::from_millis(4);

/// An open store on one database. Share it behind an `Arc`, and [`close`](Self::close) it at the end.
///
/// Any number of nodes may have the same database open. The store needs a Tokio runtime.
pub struct PostgresStore {
    transactions: Transactions,
    readers: Readers,
    clock: Option<Arc<dyn Clock>>,
    random: Arc<dyn SecureRandom>,
    deployment: [u8; 16],
    /// This node.
    node: [u8; 16],
    event_claim: Duration,
    acquire_timeout: Duration,
}

impl PostgresStore {
    /// Connects to a database and migrates its schema to the newest version. Of several nodes that start at the same time, one
    /// migrates. A role that may not create tables suffices if the schema is already of the newest version.
    ///
    /// Fails with `Unusable` for a database that is a standby, not UTF-8, of another deployment or of a newer version, for a role
    /// that lacks a privilege, and for a certificate or a password that is refused; with `Unavailable` while the server cannot be
    /// reached. Needs a Tokio runtime.
    pub async fn open(options: PostgresOptions) -> Result<Self, StoreError> {
        let mut node = [0; 16];
        options.random.fill(&mut node).map_err(|_| StoreError::Unavailable)?;
        let connector = Connector::new(&options)?;
        let pool = Pool::new(connector.clone(), options.connections, options.acquire_timeout);
        let Inspected { deployment, tracked } = schema::open(&pool, &options).await?;
        Ok(Self {
            transactions: Transactions::new(pool, options.clock.clone(), options.statement_timeout, tracked),
            readers: Readers::new(connector, options.readers, options.acquire_timeout),
            clock: options.clock,
            random: options.random,
            deployment,
            node,
            event_claim: options.event_claim,
            acquire_timeout: options.acquire_timeout,
        })
    }

    /// The id of the deployment that this database belongs to. It is part of the associated data of every sealed record.
    pub fn deployment_id(&self) -> [u8; 16] {
        self.deployment
    }

    /// Closes the connections. Transactions that have begun end first; later calls are `Unavailable`.
    pub(crate) fn close_connections(&self) {
        self.transactions.pool().close();
        self.readers.close();
    }

    /// The number of connections in use for writes and long reads, for metrics.
    pub fn connections_in_use(&self) -> usize {
        self.transactions.pool().in_use()
    }

    pub(crate) fn node(&self) -> [u8; 16] {
        self.node
    }

    pub(crate) fn event_claim(&self) -> Duration {
        self.event_claim
    }

    /// The clock of the options, or else the instant that the database returned.
    pub(crate) fn clock_or(&self, of_database: Timestamp) -> Timestamp {
        self.clock.as_ref().map_or(of_database, |clock| clock.now())
    }

    /// Writes in one transaction. It is repeated if it conflicts with a concurrent one, and if its connection is lost before
    /// anything was committed. Returns after the commit.
    pub(crate) async fn write<T, F>(&self, work: impl Fn(Transaction) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, PgError>>,
    {
        self.write_within(Length::Short, work).await
    }

    /// Writes as [`write`](Self::write) does, and once again if the outcome is unknown: with `is_again`, the work
    /// recognises what the first transaction may have written.
    pub(crate) async fn write_again<T, F>(&self, work: impl Fn(Transaction, bool) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, PgError>>,
    {
        let first = self.write(|transaction| work(transaction, false)).await;
        if !matches!(first, Err(StoreError::OutcomeUnknown)) {
            return first;
        }
        // If this fails as well, the outcome of the first transaction is still unknown.
        let again = self.write(|transaction| work(transaction, true)).await;
        again.map_err(|error| if error == StoreError::Unavailable { StoreError::OutcomeUnknown } else { error })
    }

    /// Writes in one transaction of this length.
    pub(crate) async fn write_within<T, F>(&self, length: Length, work: impl Fn(Transaction) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, PgError>>,
    {
        let end = Instant::now() + self.acquire_timeout + self.transactions.longest(length);
        let (mut conflicts, mut losses) = (0, 0);
        loop {
            match self.attempt(length, end, &work).await {
                Err(PgError::Conflict | PgError::Lost) if Instant::now() >= end => return Err(StoreError::Unavailable),
                Err(PgError::Conflict) if conflicts < CONFLICTS => {
                    sleep(self.pause(conflicts)).await;
                    conflicts += 1;
                }
                Err(PgError::Lost) if losses < LOSSES => losses += 1,
                outcome => return outcome.map_err(while_open),
            }
        }
    }

    /// One transaction. Its work is cancelled at `end`; the commit is waited for.
    async fn attempt<T, F>(&self, length: Length, end: Instant, work: &impl Fn(Transaction) -> F) -> Result<T, PgError>
    where
        F: Future<Output = Result<T, PgError>>,
    {
        let worked = async {
            let transaction = self.transactions.begin(length).await?;
            let outcome = work(transaction.clone()).await;
            Ok::<_, PgError>((transaction, outcome))
        };
        let Ok(worked) = timeout_at(end, worked).await else { return Err(StoreError::Unavailable.into()) };
        let (transaction, outcome) = worked?;
        self.transactions.end(transaction, outcome).await
    }

    /// A random part of a pause that doubles each time: transactions that conflicted begin again at different times.
    fn pause(&self, repetition: u32) -> Duration {
        let mut part = [0xff];
        // Without randomness the whole pause is waited for.
        let _ = self.random.fill(&mut part);
        PAUSE * 2_u32.pow(repetition) * (u32::from(part[0]) + 1) / 256
    }

    /// Reads a few rows by one statement.
    pub(crate) async fn point_read(&self, sql: &str, parameters: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        self.try_point_read(sql, parameters).await.map_err(while_open)
    }

    /// Reads a few rows by one statement. The error of a standby is that of a start.
    pub(crate) async fn try_point_read(&self, sql: &str, parameters: &[Value<'_>]) -> Result<Vec<Row>, PgError> {
        repeated(|| async { sql::rows(&*self.readers.get().await?, sql, parameters).await }).await
    }

    /// Reads any number of rows by one statement.
    pub(crate) async fn long_read(&self, sql: &str, parameters: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        let read = || async {
            let connection = self.transactions.pool().acquire().await?;
            let rows = sql::rows(&connection, sql, parameters).await;
            connection.release();
            rows
        };
        repeated(read).await.map_err(while_open)
    }
}

/// Reads again on another connection if one was lost, and after a conflict, which a server whose default is `SERIALIZABLE`
/// reports.
async fn repeated<F: Future<Output = Result<Vec<Row>, PgError>>>(read: impl Fn() -> F) -> Result<Vec<Row>, PgError> {
    let mut repetitions = 0;
    loop {
        match read().await {
            Err(PgError::Lost | PgError::Conflict) if repetitions < LOSSES => repetitions += 1,
            rows => return rows,
        }
    }
}

/// An error of a store that was opened. A standby is then a failover that has not ended.
fn while_open(error: PgError) -> StoreError {
    if error == unusable(READ_ONLY) { StoreError::Unavailable } else { error.into() }
}

#[async_trait]
impl StoreClock for PostgresStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        if let Some(clock) = &self.clock {
            return Ok(clock.now());
        }
        let rows = self.point_read(&format!("SELECT {NOW}"), &[]).await?;
        Ok(Timestamp::from_millis(sql::number_of(rows.first())?))
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

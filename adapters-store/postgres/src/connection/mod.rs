//! Connections: opening one, and running statements on it with a time-out.

mod pool;
mod readers;

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use grantry_domain::ports::StoreError;
use tokio::time::timeout;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{CancelToken, Client, Config, Row, SimpleQueryMessage, SimpleQueryRow, Socket, Statement};

pub(crate) use self::pool::{Pool, Pooled};
pub(crate) use self::readers::Readers;
use crate::error::{PgError, is_outcome_open, not_connected};
use crate::options::PostgresOptions;
use crate::tls::Tls;

/// Prepared statements kept per connection: more than the store has.
const STATEMENTS: usize = 256;

/// How much longer than the server this program waits, so that the server reports its time-out first.
const GRACE: Duration = Duration::from_secs(1);

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Config,
    tls: Tls,
    connect_timeout: Duration,
    statement_timeout: Duration,
    statement_cache: bool,
}

impl Connector {
    pub(crate) fn new(options: &PostgresOptions) -> Result<Self, PgError> {
        let tls =
            if options.url.is_encrypted { Tls::new(options.url.root_certificates.as_deref())? } else { Tls::unused()? };
        let mut config = options.url.config.clone();
        config.connect_timeout(options.connect_timeout);
        Ok(Self {
            config,
            tls,
            connect_timeout: options.connect_timeout,
            statement_timeout: options.statement_timeout,
            statement_cache: options.statement_cache,
        })
    }

    /// Opens a connection. A task drives it until it is dropped.
    pub(crate) async fn connect(&self) -> Result<Connection, PgError> {
        let connected = timeout(self.connect_timeout + GRACE, self.config.connect(self.tls.clone())).await;
        let (client, driver) = match connected {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => return Err(not_connected(&error)),
            Err(_) => return Err(StoreError::Unavailable.into()),
        };
        // An error of the driver is an error of the statements that wait for it.
        tokio::spawn(async move { drop(driver.await) });
        Ok(Connection {
            client,
            tls: self.tls.clone(),
            timeout: self.statement_timeout + GRACE,
            statements: self.statement_cache.then(Mutex::default),
            is_broken: AtomicBool::new(false),
        })
    }
}

/// A parameter as the driver takes it.
pub(crate) type Typed<'p> = (&'p (dyn ToSql + Sync), Type);

/// A connection to the server.
pub(crate) struct Connection {
    client: Client,
    tls: Tls,
    timeout: Duration,
    /// Prepared statements, if they are kept.
    statements: Option<Mutex<HashMap<String, Statement>>>,
    /// Whether a statement timed out here, or the server refused one because of the state of the connection.
    is_broken: AtomicBool,
}

/// Why a commit failed.
pub(crate) enum CommitError {
    /// Nothing was committed.
    Refused(PgError),
    /// The connection ended before the response arrived.
    Open,
}

impl Connection {
    /// Whether it can be used for another statement.
    pub(crate) fn is_usable(&self) -> bool {
        !self.is_broken.load(Ordering::Relaxed) && !self.client.is_closed()
    }

    /// Changes rows; returns how many.
    pub(crate) async fn execute(&self, sql: &str, parameters: &[Typed<'_>]) -> Result<u64, PgError> {
        #[cfg(test)]
        crate::statement_tests::note(sql, parameters);
        match self.prepared(sql, parameters).await? {
            Some(statement) => self.run(self.client.execute(&statement, &values(parameters))).await,
            None => self.run(self.client.execute_typed(sql, parameters)).await,
        }
    }

    /// The rows that a statement returns.
    pub(crate) async fn query(&self, sql: &str, parameters: &[Typed<'_>]) -> Result<Vec<Row>, PgError> {
        #[cfg(test)]
        crate::statement_tests::note(sql, parameters);
        match self.prepared(sql, parameters).await? {
            Some(statement) => self.run(self.client.query(&statement, &values(parameters))).await,
            None => self.run(self.client.query_typed(sql, parameters)).await,
        }
    }

    /// Runs statements without parameters in one round trip; returns the rows of all.
    pub(crate) async fn simple(&self, sql: &str) -> Result<Vec<SimpleQueryRow>, PgError> {
        let messages = self.run(self.client.simple_query(sql)).await?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            SimpleQueryMessage::CommandComplete(_) | SimpleQueryMessage::RowDescription(_) | _ => None,
        });
        Ok(rows.collect())
    }

    /// Commits the transaction.
    pub(crate) async fn commit(&self) -> Result<(), CommitError> {
        match timeout(self.timeout, self.client.batch_execute("COMMIT")).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if is_outcome_open(&error) => {
                self.is_broken.store(true, Ordering::Relaxed);
                Err(CommitError::Open)
            }
            Ok(Err(error)) => Err(CommitError::Refused(error.into())),
            Err(_) => {
                self.is_broken.store(true, Ordering::Relaxed);
                Err(CommitError::Open)
            }
        }
    }

    /// The prepared statement, if statements are kept.
    async fn prepared(&self, sql: &str, parameters: &[Typed<'_>]) -> Result<Option<Statement>, PgError> {
        let Some(statements) = &self.statements else { return Ok(None) };
        let kept = statements.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if kept.is_some() {
            return Ok(kept);
        }
        let kinds: Vec<Type> = parameters.iter().map(|(_, kind)| kind.clone()).collect();
        let statement = self.run(self.client.prepare_typed(sql, &kinds)).await?;
        let mut statements = statements.lock().unwrap_or_else(PoisonError::into_inner);
        if statements.len() < STATEMENTS {
            statements.insert(sql.to_owned(), statement.clone());
        }
        Ok(Some(statement))
    }

    /// Waits for a statement. One that takes too long is cancelled, and the connection is not used again.
    async fn run<T>(&self, work: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, PgError> {
        match timeout(self.timeout, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                let error = PgError::from(error);
                if error == PgError::Lost {
                    self.is_broken.store(true, Ordering::Relaxed);
                }
                Err(error)
            }
            Err(_) => {
                self.is_broken.store(true, Ordering::Relaxed);
                cancel(self.client.cancel_token(), self.tls.clone(), self.timeout);
                Err(StoreError::Unavailable.into())
            }
        }
    }
}

fn values<'p>(parameters: &[Typed<'p>]) -> Vec<&'p (dyn ToSql + Sync)> {
    parameters.iter().map(|(value, _)| *value).collect()
}

/// Asks the server to cancel the statement of a connection. Nothing waits for that.
fn cancel<T>(token: CancelToken, tls: T, longest: Duration)
where
    T: MakeTlsConnect<Socket> + Send + 'static,
    T::TlsConnect: Send,
    T::Stream: Send,
    <T::TlsConnect as tokio_postgres::tls::TlsConnect<Socket>>::Future: Send,
{
    tokio::spawn(async move {
        // If the request fails, the server ends the statement when it notices that the connection is closed.
        drop(timeout(longest, token.cancel_query(tls)).await);
    });
}

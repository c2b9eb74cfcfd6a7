//! Connections: opening one, and running statements on it with a time-out.

mod hosts;
mod pool;
mod readers;

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grantry_domain::ports::StoreError;
use tokio::time::timeout;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{CancelToken, Client, Config, Row, SimpleQueryMessage, SimpleQueryRow, Socket, Statement};

use self::hosts::Hosts;
pub(crate) use self::pool::{Pool, Pooled};
pub(crate) use self::readers::Readers;
use crate::error::{PgError, is_outcome_open, no_connection, not_connected};
use crate::options::PostgresOptions;
use crate::tls::Tls;

/// Prepared statements that are cached per connection: more than the store has.
const STATEMENTS: usize = 256;

/// How much longer than the server this program waits, so that the server reports its time-out first. Reads have no time-out
/// in the server.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// Opens connections. Clones share the state of the hosts.
#[derive(Clone)]
pub(crate) struct Connector {
    hosts: Arc<Hosts>,
    tls: Tls,
    connect_timeout: Duration,
    statement_timeout: Duration,
    statement_cache: bool,
}

impl Connector {
    pub(crate) fn new(options: &PostgresOptions) -> Result<Self, PgError> {
        let url = &options.url;
        let tls = if url.is_encrypted { Tls::new(url.root_certificates.as_deref())? } else { Tls::unused()? };
        let connect_timeout = url.config.get_connect_timeout().copied().unwrap_or(options.connect_timeout);
        let mut settings = url.settings();
        settings.connect_timeout(connect_timeout);
        Ok(Self {
            hosts: Arc::new(Hosts::new(settings, &url.config)),
            tls,
            connect_timeout,
            statement_timeout: options.statement_timeout,
            statement_cache: options.statement_cache,
        })
    }

    /// Opens a connection to the first address that accepts writes. Each has the whole time-out for itself.
    pub(crate) async fn connect(&self) -> Result<Connection, PgError> {
        let mut failures = Vec::new();
        for address in self.hosts.addresses(self.connect_timeout).await {
            let attempt = self.connect_to(&self.hosts.config(address)).await;
            self.hosts.record(address, attempt.is_ok());
            match attempt {
                Ok(connection) => return Ok(connection),
                Err(error) => failures.push(error),
            }
        }
        Err(no_connection(&failures))
    }

    /// Opens a connection to one address. A task drives it until it is dropped.
    async fn connect_to(&self, config: &Config) -> Result<Connection, PgError> {
        let connected = timeout(self.connect_timeout, config.connect(self.tls.clone())).await;
        let (client, driver) = match connected {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => return Err(not_connected(&error)),
            Err(_) => return Err(StoreError::Unavailable.into()),
        };
        // An error of the driver is an error of the statements that wait for it.
        tokio::spawn(async move { drop(driver.await) });
        let usual = self.statement_timeout + GRACE;
        Ok(Connection {
            client,
            tls: self.tls.clone(),
            usual,
            limit: Mutex::new(usual),
            statements: self.statement_cache.then(Mutex::default),
            is_broken: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
        })
    }
}

/// A parameter as the driver takes it.
pub(crate) type Typed<'p> = (&'p (dyn ToSql + Sync), Type);

/// A connection to the server.
pub(crate) struct Connection {
    client: Client,
    tls: Tls,
    /// How long this program waits for a statement, unless the transaction has another limit.
    usual: Duration,
    /// How long it waits now.
    limit: Mutex<Duration>,
    /// Prepared statements, if they are cached.
    statements: Option<Mutex<HashMap<String, Statement>>>,
    /// Whether a statement timed out here, or the server refused one because of the state of the connection.
    is_broken: AtomicBool,
    /// Whether the server did not respond in time.
    is_silent: AtomicBool,
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

    /// Whether the server did not respond in time. Other connections to it may be lost as well.
    pub(crate) fn is_silent(&self) -> bool {
        self.is_silent.load(Ordering::Relaxed)
    }

    /// Sets how long this program waits for each statement that begins from now on. `None`: as long as usual.
    pub(crate) fn set_limit(&self, limit: Option<Duration>) {
        *self.limit.lock().unwrap_or_else(PoisonError::into_inner) = limit.unwrap_or(self.usual);
    }

    fn limit(&self) -> Duration {
        *self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes rows; returns how many.
    pub(crate) async fn execute(&self, sql: &str, parameters: &[Typed<'_>]) -> Result<u64, PgError> {
        #[cfg(test)]
        crate::statement_tests::record(sql, parameters);
        match self.prepared(sql, parameters).await? {
            Some(statement) => self.run(self.client.execute(&statement, &values(parameters))).await,
            None => self.run(self.client.execute_typed(sql, parameters)).await,
        }
    }

    /// The rows that a statement returns.
    pub(crate) async fn query(&self, sql: &str, parameters: &[Typed<'_>]) -> Result<Vec<Row>, PgError> {
        #[cfg(test)]
        crate::statement_tests::record(sql, parameters);
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
        match timeout(self.limit(), self.client.batch_execute("COMMIT")).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if is_outcome_open(&error) => {
                self.is_broken.store(true, Ordering::Relaxed);
                Err(CommitError::Open)
            }
            Ok(Err(error)) => Err(CommitError::Refused(error.into())),
            Err(_) => {
                self.is_broken.store(true, Ordering::Relaxed);
                self.is_silent.store(true, Ordering::Relaxed);
                Err(CommitError::Open)
            }
        }
    }

    /// The prepared statement, if statements are cached.
    async fn prepared(&self, sql: &str, parameters: &[Typed<'_>]) -> Result<Option<Statement>, PgError> {
        let Some(statements) = &self.statements else { return Ok(None) };
        let cached = statements.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if cached.is_some() {
            return Ok(cached);
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
        match timeout(self.limit(), work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                let error = PgError::from(error);
                if error == PgError::Lost {
                    self.is_broken.store(true, Ordering::Relaxed);
                }
                Err(error)
            }
            Err(_) => {
                self.is_silent.store(true, Ordering::Relaxed);
                // Several callers of a reader time out at once; one request suffices.
                if !self.is_broken.swap(true, Ordering::Relaxed) {
                    cancel(self.client.cancel_token(), self.tls.clone(), self.usual);
                }
                Err(StoreError::Unavailable.into())
            }
        }
    }
}

fn values<'p>(parameters: &[Typed<'p>]) -> Vec<&'p (dyn ToSql + Sync)> {
    parameters.iter().map(|(value, _)| *value).collect()
}

/// Asks the server to cancel the statement of a connection. Does not wait for the result.
fn cancel<T>(token: CancelToken, tls: T, longest: Duration)
where
    T: MakeTlsConnect<Socket> + Send + 'static,
    T::TlsConnect: Send,
    T::Stream: Send,
    <T::TlsConnect as tokio_postgres::tls::TlsConnect<Socket>>::Future: Send,
{
    tokio::spawn(async move {
        // If the request fails, the statement of a write ends at its time-out in the server, and a read when it is complete.
        drop(timeout(longest, token.cancel_query(tls)).await);
    });
}

//! Options for opening a store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use grantry_domain::ports::{Clock, SecureRandom};

use crate::url::PostgresUrl;

/// Options of [`PostgresStore::open`](crate::PostgresStore::open), with defaults from [`PostgresOptions::new`].
#[derive(Clone)]
pub struct PostgresOptions {
    /// The database.
    pub url: PostgresUrl,
    /// Draws the deployment id of a new database, the id of this node, and pauses before a transaction is repeated.
    pub random: Arc<dyn SecureRandom>,
    /// The clock of every comparison. `None`, as in production: the clock of the database, which all nodes share.
    pub clock: Option<Arc<dyn Clock>>,
    /// The deployment id that a new database gets and an existing one must have. `None`: drawn for a new one, and not
    /// compared.
    pub deployment_id: Option<[u8; 16]>,
    /// Connections for writes and for reads that may take long; more callers wait.
    pub connections: usize,
    /// Connections for reads of a few rows. Several reads share one and do not wait for each other.
    pub readers: usize,
    /// How long a caller waits for a free connection before the store is `Unavailable`.
    pub acquire_timeout: Duration,
    /// How long an attempt to connect to one address may take, unless the URL contains `connect_timeout`.
    pub connect_timeout: Duration,
    /// How long a statement of a write may take, and a wait for a lock in it: the server ends it. A read that takes longer
    /// is cancelled by this program. A lost commit is looked up for as long. A write with its repetitions takes no longer
    /// than this, a second and `acquire_timeout` together, except for the wait for its commit. Statements that end all
    /// authorizations of a connector or of a space may take 15 minutes.
    pub statement_timeout: Duration,
    /// Whether statements are prepared once per connection. A pooler that changes the server between transactions must support
    /// that: `PgBouncer` from 1.21, with `max_prepared_statements`. Without it, each statement is parsed and planned at each run.
    pub statement_cache: bool,
    /// How long one node delivers the audit events alone. Other nodes get none until it has not asked for so long. Zero: each
    /// node gets the pending events, and the sink receives them several times.
    pub event_claim: Duration,
}

impl PostgresOptions {
    /// The default options for a database.
    pub fn new(url: PostgresUrl, random: Arc<dyn SecureRandom>) -> Self {
        Self {
            url,
            random,
            clock: None,
            deployment_id: None,
            connections: 10,
            readers: 2,
            acquire_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            statement_cache: false,
            event_claim: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("url", &self.url)
            .field("connections", &self.connections)
            .field("readers", &self.readers)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field("statement_cache", &self.statement_cache)
            .field("event_claim", &self.event_claim)
            .finish_non_exhaustive()
    }
}

//! The store for several nodes: one `PostgreSQL` database that any number of identical nodes share.
//!
//! # Transactions
//!
//! Every write is one transaction at `READ COMMITTED`. It locks the rows on which its decision depends, so that what it
//! checks still holds when it writes. Transactions of different users do not wait for each other. `SERIALIZABLE` is not
//! used: the counts of all unfinished flows would make every two starts conflict.
//!
//! Locks are taken in this order, where a transaction takes several: the connector (`FOR SHARE`; an edit or a deletion locks
//! it exclusively), the row of the user in `users`, authorizations, client secrets. A commit of a grant locks its flow
//! before the grant that it replaces. A termination locks authorizations by their states, those of one state by their ids.
//! Consuming a flow, a lease and the day of last use lock authorizations only. A deadlock that this order does not exclude
//! is ended by the server.
//!
//! A transaction that the server ends because of a concurrent one (40001, 40P01) is repeated up to eight times, after a random
//! pause. One that lost its connection before its commit is repeated on another connection: nothing was written. The
//! transaction of a caller that was cancelled is rolled back, and its connection counts as in use until then.
//!
//! # Long transactions
//!
//! An edit that expires grants, a deletion, and the end of a space change all authorizations of a connector or of a space in
//! one transaction. Its statements may take 15 minutes in place of [`PostgresOptions::statement_timeout`]; 200,000 grants
//! take about half a minute. Until its commit, starts, commits and edits at the connector wait for its row and are
//! `Unavailable` after their own time-out, refreshes of its grants wait as well, and no row that is removed anywhere in the
//! database is vacuumed.
//!
//! # A commit without a response
//!
//! If the connection ends at the commit, another connection asks the server for the status of the transaction
//! (`pg_xact_status`). A committed one returns its result; an aborted one is repeated. The number of a transaction is unique
//! only on one timeline of one cluster, so after a failover, and with an engine that does not report the status, the result
//! is [`OutcomeUnknown`](grantry_domain::ports::StoreError::OutcomeUnknown). Four operations are then tried once more by the
//! store, which recognises what the first transaction wrote. If that fails too, and for the others, the caller reads again:
//!
//! | operation | after an unknown outcome |
//! |---|---|
//! | `replace`, `consume`, `commit_grant`, `update` | read the authorization or the connector, and compare its version |
//! | `take_lease` | tried once more: a lease of the same holder is returned. Else it ends by itself, and the grant is in doubt |
//! | `create` | tried once more: a connector of the same incarnation was created. Else compare the incarnation |
//! | `queue_unclaimed`, `insert` of a session | tried once more: the row with the id stays. Else repeat with the same id |
//! | `claim_revocation` | the claim ends by itself |
//! | `insert_flow` | read the authorization with the id, which is random and used once |
//! | `terminate`, `delete`, `reinstate`, `set_default_connection`, `remove`, `purge`, `sweep`, `update_revocation`, `forget_events`, diagnostics | repeat; the second time changes nothing, or the same |
//! | `record`, `fail_attempt`, `record_use` | repeat or leave; an event can be written twice, a failure be counted once too little |
//!
//! # Clock
//!
//! Leases, claims and deadlines are compared with the clock of the database, which [`PostgresOptions::clock`] replaces in tests. A
//! lease begins after the wait for its lock.
//!
//! # Connections
//!
//! A bounded pool serves writes and long reads. Reads of a few rows are sent on shared connections without waiting for each other;
//! what issuing an access token needs is one indexed query in one round trip. No connection keeps a state between transactions: settings
//! are `SET LOCAL`, statements are unnamed, and there are no session locks, no `LISTEN` and no temporary tables. A pooler in
//! transaction mode, such as `PgBouncer`, can therefore be between the nodes and the server. [`PostgresOptions::statement_cache`]
//! prepares statements where the pooler supports it.
//!
//! A connection is made to a server that accepts writes, so that reads are not those of a standby, which can be behind. This
//! is checked when it is made. A pooler that switches its server to a standby must close the connections of its clients, or
//! the nodes issue tokens of grants that have ended. The addresses of all hosts are tried, those last that failed the last
//! time.
//!
//! # Schema
//!
//! The migrations run once for many starting nodes. A node of an older release starts as well if the newer schema allows it:
//! `grantry_migrations` contains the oldest version that can use it. At the start and at each probe, the tables, columns,
//! unique indexes and triggers are compared with those of the migrations. `roles.sql` in the sources of this crate creates a
//! role that migrates and one that only reads and writes rows. Ids are random; no sequence is a key. Tables are led by the
//! space where their rows are found by it. Audit events are numbered by the node that delivers them, after their commit,
//! because a number that is drawn before could become visible after a greater one was delivered.
//!
//! **Architecture invariant:** the store makes no decision about a grant. The domain supplies whole authorizations; the
//! predicate updates of `authorizations/terminate.rs` apply to many rows what the domain's transition does to one, which a
//! test compares. The store has no keys: envelopes are bytes.

mod authorizations;
mod client_secrets;
mod closing;
mod connection;
mod connectors;
mod diagnostics;
mod error;
mod housekeeping;
mod leases;
mod options;
mod outbox;
mod probe;
mod queries;
mod records;
mod revocations;
mod schema;
mod sessions;
mod sql;
#[cfg(test)]
mod statement_tests;
mod store;
mod tls;
mod transaction;
mod url;
mod users;

pub use self::options::PostgresOptions;
pub use self::probe::StoreFault;
pub use self::schema::is_empty;
pub use self::store::PostgresStore;
pub use self::url::{InvalidPostgresUrl, PostgresUrl};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! The store for several nodes: one `PostgreSQL` database that any number of identical nodes share.
//!
//! # Transactions
//!
//! Every write is one transaction at `READ COMMITTED`. It locks the rows on which its decision depends, in this order: the
//! connector (`FOR SHARE`; an edit or a deletion locks it exclusively), the user's row in `users`, then authorizations by their ids.
//! What it checks therefore still holds when it writes, and transactions of different users do not wait for each other.
//! `SERIALIZABLE` is not used: the counts of all unfinished flows would make every two starts conflict.
//!
//! A transaction that the server ends because of a concurrent one (40001, 40P01) is repeated up to eight times, after a random
//! pause. One that lost its connection before its commit is repeated on another connection: nothing was written.
//!
//! # A commit without a response
//!
//! If the connection ends at the commit, another connection asks the server for the status of the transaction
//! (`pg_xact_status`). A committed one returns its result; an aborted one is repeated. The number of a transaction is unique only
//! on one timeline, so after a failover, and with an engine that lacks the function, the result is
//! [`OutcomeUnknown`](grantry_domain::ports::StoreError::OutcomeUnknown). The caller then reads again:
//!
//! | operation | after an unknown outcome |
//! |---|---|
//! | `replace`, `consume`, `commit_grant`, `update` | read the authorization or the connector, and compare its version |
//! | `take_lease`, `claim_revocation` | the lease or the claim ends by itself, and the grant is in doubt |
//! | `insert_flow`, `create`, `queue_unclaimed`, `insert` of a session | look for the id; it is random and used once |
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
//! # Schema
//!
//! The migrations run once for many starting nodes. Ids are random; no sequence is a key. Tables are led by the space where their rows
//! are found by it. Audit events are numbered by the node that delivers them, after their commit, because a number that is drawn before
//! could become visible after a greater one was delivered.
//!
//! **Architecture invariant:** the store makes no decision about a grant. The domain supplies whole authorizations; the
//! predicate updates of `authorizations/terminate.rs` apply to many rows what the domain's transition does to one, which a
//! test compares. The store has no keys: envelopes are bytes.

mod authorizations;
mod client_secrets;
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

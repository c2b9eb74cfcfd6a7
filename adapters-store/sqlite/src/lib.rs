//! The embedded default store: `SQLite` in one file.
//!
//! One thread writes, and the writes in its queue share a commit (`writer`). Reads run in parallel to it: point reads on the
//! caller's thread, long reads on a pool of threads (`connection`). No call blocks the async runtime.
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
mod files;
mod housekeeping;
mod leases;
mod log;
mod options;
mod outbox;
mod probe;
mod queries;
#[cfg(test)]
mod query_plan_tests;
mod records;
mod revocations;
mod schema;
mod sessions;
mod slice;
mod sql;
#[cfg(test)]
mod statement_tests;
mod store;
mod users;
mod writer;

pub use self::files::StoreFault;
pub use self::options::SqliteOptions;
pub use self::store::SqliteStore;
pub use self::writer::WriteCounts;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

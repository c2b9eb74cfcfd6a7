//! The embedded default store: `SQLite` in one file.
//!
//! One thread writes, and all that is queued shares a commit (`writer`). Reads go on beside it: point reads inline, on one
//! of several connections, lists on threads of their own (`connection`). Nothing here blocks the async runtime.
//!
//! **Architecture invariant:** the store decides nothing about a grant. Whole records come from the domain; the few
//! predicate updates (`grants/end.rs`) do to many rows what the domain's transition does to one, which a test compares. No
//! key ever comes near: envelopes are bytes.

mod authorizations;
mod client_secrets;
mod connection;
mod connectors;
mod fault;
mod options;
mod outbox;
mod records;
mod revocations;
mod schema;
mod sessions;
mod sql;
mod store;
mod writer;

pub use self::options::SqliteOptions;
pub use self::store::SqliteStore;
pub use self::writer::WriteCounts;

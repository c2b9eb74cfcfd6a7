//! The rules of the store ports, over tables that a database supplies.
//!
//! A database implements [`Database`] and, for its transactions, [`Tables`]. [`TableStore`] implements every port of a store on
//! it: each method is one transaction with its audit events, and states change only by the transition function of the domain.
//!
//! The rules are synchronous on purpose: transactions of embedded databases (`SQLite`, redb, `RocksDB`, LMDB) are synchronous, and
//! [`Database::transact`] runs a whole one on the thread that the database chooses. A store on a server with an asynchronous
//! client awaits every statement and uses the clock of the server; it implements the ports directly.

mod authorizations;
mod client_secrets;
mod connectors;
#[cfg(feature = "contract")]
pub mod contract;
mod database;
mod diagnostics;
mod housekeeping;
mod leases;
mod outbox;
mod queries;
mod record;
mod records;
mod revocations;
mod rows;
mod sessions;
mod store;
mod tables;
mod termination;
mod transaction;
mod users;

pub use self::database::{Access, Database};
pub use self::record::{Record, Selection};
pub use self::records::{
    ClientSecret, ClientSecretSelection, ConnectorRow, ConnectorSelection, DefaultConnection, DefaultConnectionSelection,
    SessionRow, SessionSelection, Tombstone, TombstoneSelection, UnclaimedRow, UnclaimedSelection,
};
pub use self::rows::{AuthorizationRow, AuthorizationSelection, Claim, ClaimableRevocations, StoredCallback};
pub use self::store::TableStore;
pub use self::tables::{Table, Tables};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

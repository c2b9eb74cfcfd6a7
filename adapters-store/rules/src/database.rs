//! Transactions of a database.

use std::future::Future;

use grantry_domain::ports::StoreError;

use crate::Tables;

/// What a transaction does with the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It changes nothing: a snapshot is enough. A database refuses or drops a change that it makes.
    Read,
    /// It may change every table.
    Write,
}

/// A database with transactions.
pub trait Database: Send + Sync + 'static {
    /// Runs `work` in a transaction: commits the changes of `work` if it returns `Ok`, and makes none of them if it returns
    /// `Err` or panics. The result is that of `work`, or the error of the commit.
    ///
    /// Transactions are serialisable: no transaction sees a part of another one, and those that write run one after the other
    /// or fail with [`StoreError::Unavailable`]. [`StoreError::OutcomeUnknown`] reports a commit that may have been made.
    ///
    /// `work` blocks for as long as the tables do, and awaits nothing. A database that waits for a disk runs it on a thread for
    /// blocking work.
    fn transact<T, W>(&self, access: Access, work: W) -> impl Future<Output = Result<T, StoreError>> + Send
    where
        T: Send + 'static,
        W: FnOnce(&mut dyn Tables) -> Result<T, StoreError> + Send + 'static;
}

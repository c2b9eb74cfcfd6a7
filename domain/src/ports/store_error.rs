//! Errors of a store. They contain no text of the database driver.

use thiserror::Error;

/// A store operation failed. Nothing was changed, except possibly after [`StoreError::OutcomeUnknown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Locked, full, restarting or unreachable. Try again later.
    #[error("the store is unavailable")]
    Unavailable,
    /// The connection was lost at the commit: read again to find out whether the change was made.
    #[error("it is unknown whether the change was made")]
    OutcomeUnknown,
    /// A row that cannot have been written by this program. Names table, row and rule.
    #[error("row {row} of {table} is inconsistent: {rule}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The row: its sequence number.
        row: i64,
        /// The rule that is broken.
        rule: &'static str,
    },
    /// Not a Grantry database, damaged, or of a newer schema.
    #[error("the store is not usable: {0}")]
    Unusable(&'static str),
}

impl StoreError {
    /// Whether trying again later can help.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Unavailable | Self::OutcomeUnknown => true,
            Self::Inconsistent { .. } | Self::Unusable(_) => false,
        }
    }
}

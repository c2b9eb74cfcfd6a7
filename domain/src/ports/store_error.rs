//! What can go wrong in a store. No driver text travels along (R78).

use thiserror::Error;

/// A store could not do what was asked. Nothing was changed, except where [`StoreError::OutcomeUnknown`] says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Locked, full, restarting, unreachable. Worth trying again.
    #[error("the store is unavailable")]
    Unavailable,
    /// The connection broke at commit: read again to learn what happened.
    #[error("the store did not say whether the change was made")]
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
    /// Not a database of ours, damaged, or of a newer schema.
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

//! Rows and records: columns in one order, and a checked way back for each.

mod authorization;
mod connector;
mod reader;

pub(crate) use self::authorization::{Authorization, authorization, insert, orphan, overwrite};
pub(crate) use self::connector::{CONNECTOR_COLUMNS, CONNECTOR_WIDTH, connector};
pub(crate) use self::reader::Reader;

/// Counters are far below 2^63.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A span in milliseconds.
pub(crate) fn millis(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

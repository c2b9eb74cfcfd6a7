//! Conversion between rows and values.
//!
//! [`Columns`] reads the columns of a row in order. A column with an unexpected value makes the row inconsistent; the error
//! names table, row and rule, never the value.

mod authorization;
mod connector;

use grantry_domain::authorization::INTERRUPTED_AFTER;
use grantry_domain::connector::ConnectorId;
use grantry_domain::identity::{ConnectionName, SpaceId, UserId};
use grantry_domain::time::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

pub(crate) use self::authorization::{
    AUTHORIZATION_COLUMNS, BY_STATE, FIND, UNCLAIMED_COLUMNS, authorization, find, insert, locked, locked_by_state,
    overwrite, stored, unclaimed_tokens,
};
pub(crate) use self::connector::{CONNECTOR_COLUMNS, CONNECTOR_WIDTH, connector};
use crate::error::{NO_ROW, PgError, inconsistent};

/// Converts a counter to a column; counters stay far below 2^63.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A flow consumed at or before this instant was interrupted: its process has ended.
pub(crate) fn interrupted_before(now: Timestamp) -> i64 {
    now.minus(INTERRUPTED_AFTER).as_millis()
}

/// A position in a row.
pub(crate) struct Columns<'r> {
    row: &'r Row,
    next: usize,
    table: &'static str,
    number: i64,
}

impl<'r> Columns<'r> {
    /// Starts at the column `at`, which contains the number of the row.
    pub(crate) fn numbered(row: &'r Row, at: usize, table: &'static str) -> Result<Self, PgError> {
        let mut columns = Self { row, next: at, table, number: NO_ROW };
        columns.number = columns.integer()?;
        Ok(columns)
    }

    /// Starts at the first column of a result that several rows contribute to.
    pub(crate) fn of_group(row: &'r Row, table: &'static str) -> Self {
        Self::at(row, 0, table)
    }

    /// Starts at the column `at` of such a result.
    pub(crate) fn at(row: &'r Row, at: usize, table: &'static str) -> Self {
        Self { row, next: at, table, number: NO_ROW }
    }

    /// The number of the row.
    pub(crate) fn number(&self) -> i64 {
        self.number
    }

    /// The error for a rule that this row breaks.
    pub(crate) fn broken(&self, rule: &'static str) -> PgError {
        inconsistent(self.table, self.number, rule)
    }

    /// The value of the next column, whose type is that of the schema.
    fn value<T: FromSql<'r>>(&mut self, rule: &'static str) -> Result<Option<T>, PgError> {
        let value = self.row.try_get(self.next).map_err(|_| self.broken(rule))?;
        self.next += 1;
        Ok(value)
    }

    fn required<T>(&self, value: Option<T>) -> Result<T, PgError> {
        value.ok_or_else(|| self.broken("a required column is set"))
    }

    pub(crate) fn optional_integer(&mut self) -> Result<Option<i64>, PgError> {
        self.value("a number has the type bigint")
    }

    pub(crate) fn integer(&mut self) -> Result<i64, PgError> {
        let value = self.optional_integer()?;
        self.required(value)
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64, PgError> {
        let value = self.integer()?;
        u64::try_from(value).map_err(|_| self.broken("a counter is not negative"))
    }

    pub(crate) fn count(&mut self) -> Result<u32, PgError> {
        let value = self.integer()?;
        u32::try_from(value).map_err(|_| self.broken("a counter is not negative and below 2^32"))
    }

    pub(crate) fn optional_flag(&mut self) -> Result<Option<bool>, PgError> {
        self.value("a flag has the type boolean")
    }

    pub(crate) fn flag(&mut self) -> Result<bool, PgError> {
        let value = self.optional_flag()?;
        self.required(value)
    }

    pub(crate) fn optional_time(&mut self) -> Result<Option<Timestamp>, PgError> {
        Ok(self.optional_integer()?.map(Timestamp::from_millis))
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, PgError> {
        Ok(Timestamp::from_millis(self.integer()?))
    }

    pub(crate) fn optional_text(&mut self) -> Result<Option<&'r str>, PgError> {
        self.value("a text has the type text")
    }

    pub(crate) fn text(&mut self) -> Result<&'r str, PgError> {
        let value = self.optional_text()?;
        self.required(value)
    }

    pub(crate) fn optional_bytes(&mut self) -> Result<Option<&'r [u8]>, PgError> {
        self.value("bytes have the type bytea")
    }

    pub(crate) fn bytes(&mut self) -> Result<&'r [u8], PgError> {
        let value = self.optional_bytes()?;
        self.required(value)
    }

    pub(crate) fn optional_array<const N: usize>(&mut self) -> Result<Option<[u8; N]>, PgError> {
        let bytes = self.optional_bytes()?;
        bytes.map(|bytes| bytes.try_into().map_err(|_| self.broken("an id or a hash has its length"))).transpose()
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], PgError> {
        let value = self.optional_array()?;
        self.required(value)
    }

    pub(crate) fn optional_space(&mut self) -> Result<Option<SpaceId>, PgError> {
        let text = self.optional_text()?;
        text.map(SpaceId::new).transpose().map_err(|_| self.broken("a space id is well formed"))
    }

    pub(crate) fn space(&mut self) -> Result<SpaceId, PgError> {
        let value = self.optional_space()?;
        self.required(value)
    }

    pub(crate) fn optional_connector(&mut self) -> Result<Option<ConnectorId>, PgError> {
        let text = self.optional_text()?;
        text.map(ConnectorId::new).transpose().map_err(|_| self.broken("a connector id is well formed"))
    }

    pub(crate) fn connector(&mut self) -> Result<ConnectorId, PgError> {
        let value = self.optional_connector()?;
        self.required(value)
    }

    pub(crate) fn optional_user(&mut self) -> Result<Option<UserId>, PgError> {
        let text = self.optional_text()?;
        text.map(UserId::new).transpose().map_err(|_| self.broken("a user id is well formed"))
    }

    pub(crate) fn user(&mut self) -> Result<UserId, PgError> {
        let value = self.optional_user()?;
        self.required(value)
    }

    pub(crate) fn optional_connection(&mut self) -> Result<Option<ConnectionName>, PgError> {
        let text = self.optional_text()?;
        text.map(ConnectionName::new).transpose().map_err(|_| self.broken("a connection name is well formed"))
    }

    pub(crate) fn connection(&mut self) -> Result<ConnectionName, PgError> {
        let value = self.optional_connection()?;
        self.required(value)
    }
}

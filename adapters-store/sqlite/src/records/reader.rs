//! Reads the columns of a row one after the other. A column that does not hold what it should is an inconsistent row,
//! named by table and rule, never by value (R76).

use grantry_domain::connector::ConnectorId;
use grantry_domain::identity::{SpaceId, UserId};
use grantry_domain::time::Timestamp;
use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::fault::{Fault, inconsistent};

/// A position in a row.
pub(crate) struct Reader<'r> {
    row: &'r Row<'r>,
    next: usize,
    table: &'static str,
}

impl<'r> Reader<'r> {
    /// Starts at a column.
    pub(crate) fn new(row: &'r Row<'r>, at: usize, table: &'static str) -> Self {
        Self { row, next: at, table }
    }

    /// The error of a rule that this row breaks.
    pub(crate) fn broken(&self, rule: &'static str) -> Fault {
        inconsistent(self.table, rule)
    }

    fn value(&mut self) -> Result<ValueRef<'r>, Fault> {
        let value = self.row.get_ref(self.next)?;
        self.next += 1;
        Ok(value)
    }

    fn required<T>(&self, value: Option<T>) -> Result<T, Fault> {
        value.ok_or_else(|| self.broken("a required column is set"))
    }

    pub(crate) fn optional_number(&mut self) -> Result<Option<i64>, Fault> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(number) => Ok(Some(number)),
            ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => Err(self.broken("a number is a number")),
        }
    }

    pub(crate) fn number(&mut self) -> Result<i64, Fault> {
        let value = self.optional_number()?;
        self.required(value)
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64, Fault> {
        let value = self.number()?;
        u64::try_from(value).map_err(|_| self.broken("a counter is not negative"))
    }

    pub(crate) fn count(&mut self) -> Result<u32, Fault> {
        let value = self.number()?;
        u32::try_from(value).map_err(|_| self.broken("a counter is not negative and not too large"))
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Fault> {
        Ok(self.number()? != 0)
    }

    pub(crate) fn optional_time(&mut self) -> Result<Option<Timestamp>, Fault> {
        Ok(self.optional_number()?.map(Timestamp::from_millis))
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, Fault> {
        Ok(Timestamp::from_millis(self.number()?))
    }

    pub(crate) fn optional_text(&mut self) -> Result<Option<&'r str>, Fault> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(bytes) => std::str::from_utf8(bytes).map(Some).map_err(|_| self.broken("a text is UTF-8")),
            ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => Err(self.broken("a text is a text")),
        }
    }

    pub(crate) fn text(&mut self) -> Result<&'r str, Fault> {
        let value = self.optional_text()?;
        self.required(value)
    }

    pub(crate) fn optional_bytes(&mut self) -> Result<Option<&'r [u8]>, Fault> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(bytes) => Ok(Some(bytes)),
            ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Text(_) => Err(self.broken("bytes are bytes")),
        }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'r [u8], Fault> {
        let value = self.optional_bytes()?;
        self.required(value)
    }

    pub(crate) fn optional_array<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Fault> {
        let bytes = self.optional_bytes()?;
        bytes.map(|bytes| bytes.try_into().map_err(|_| self.broken("an id or a hash has its length"))).transpose()
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let value = self.optional_array()?;
        self.required(value)
    }

    pub(crate) fn space(&mut self) -> Result<SpaceId, Fault> {
        let text = self.text()?;
        SpaceId::new(text).map_err(|_| self.broken("a space id is well formed"))
    }

    pub(crate) fn connector(&mut self) -> Result<ConnectorId, Fault> {
        let text = self.text()?;
        ConnectorId::new(text).map_err(|_| self.broken("a connector id is well formed"))
    }

    pub(crate) fn user(&mut self) -> Result<UserId, Fault> {
        let text = self.text()?;
        UserId::new(text).map_err(|_| self.broken("a user id is well formed"))
    }
}

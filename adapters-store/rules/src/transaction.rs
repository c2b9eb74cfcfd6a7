//! One transaction of the rules: the tables and the instant.

use grantry_domain::ports::{AuditEvent, StoreError};
use grantry_domain::time::Timestamp;

use crate::{Record, Table, Tables};

/// The methods of the rules, one file per port, are those of this type.
pub(crate) struct Transaction<'t> {
    pub(crate) tables: &'t mut (dyn Tables + 't),
    /// The clock, read inside of the transaction.
    pub(crate) now: Timestamp,
}

impl<'t> Transaction<'t> {
    pub(crate) fn get<R: Record>(&mut self, key: &R::Key) -> Result<Option<R>, StoreError>
    where
        dyn Tables + 't: Table<R>,
    {
        Table::<R>::get(self.tables, key)
    }

    pub(crate) fn first<R: Record>(&mut self, selection: &R::Selection) -> Result<Option<R>, StoreError>
    where
        dyn Tables + 't: Table<R>,
    {
        Ok(self.some::<R>(selection, 1)?.pop())
    }

    pub(crate) fn some<R: Record>(&mut self, selection: &R::Selection, limit: usize) -> Result<Vec<R>, StoreError>
    where
        dyn Tables + 't: Table<R>,
    {
        Table::<R>::select(self.tables, selection, limit)
    }

    pub(crate) fn all<R: Record>(&mut self, selection: &R::Selection) -> Result<Vec<R>, StoreError>
    where
        dyn Tables + 't: Table<R>,
    {
        self.some(selection, usize::MAX)
    }

    pub(crate) fn count<R: Record>(&mut self, selection: &R::Selection) -> Result<u64, StoreError>
    where
        dyn Tables + 't: Table<R>,
    {
        Table::<R>::count(self.tables, selection)
    }

    pub(crate) fn put<R: Record>(&mut self, record: R) -> Result<(), StoreError>
    where
        dyn Tables + 't: Table<R>,
    {
        self.tables.put(record)
    }

    pub(crate) fn remove<R: Record>(&mut self, key: &R::Key) -> Result<(), StoreError>
    where
        dyn Tables + 't: Table<R>,
    {
        Table::<R>::remove(self.tables, key)
    }

    /// Adds events to the outbox.
    pub(crate) fn log(&mut self, events: impl IntoIterator<Item = AuditEvent>) -> Result<(), StoreError> {
        events.into_iter().try_for_each(|event| self.tables.append_event(event))
    }
}

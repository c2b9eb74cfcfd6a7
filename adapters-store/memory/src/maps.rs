//! The tables, and a transaction that undoes its changes unless it is committed.

use std::collections::{BTreeMap, VecDeque};

use grantry_domain::ports::{AuditEvent, RecordedEvent, StoreError};
use grantry_store_rules::{
    AuthorizationRow, ClientSecret, ConnectorRow, DefaultConnection, Record, Selection as _, SessionRow, Table, Tables,
    Tombstone, UnclaimedRow,
};

type Map<R> = BTreeMap<<R as Record>::Key, R>;

/// All tables.
#[derive(Default)]
pub(crate) struct Maps {
    authorizations: Map<AuthorizationRow>,
    unclaimed: Map<UnclaimedRow>,
    connectors: Map<ConnectorRow>,
    secrets: Map<ClientSecret>,
    defaults: Map<DefaultConnection>,
    tombstones: Map<Tombstone>,
    sessions: Map<SessionRow>,
    events: VecDeque<RecordedEvent>,
    last_event: u64,
}

/// The map of a record.
trait Contains<R: Record> {
    fn map(&mut self) -> &mut Map<R>;
}

impl Contains<AuthorizationRow> for Maps {
    fn map(&mut self) -> &mut Map<AuthorizationRow> {
        &mut self.authorizations
    }
}

impl Contains<UnclaimedRow> for Maps {
    fn map(&mut self) -> &mut Map<UnclaimedRow> {
        &mut self.unclaimed
    }
}

impl Contains<ConnectorRow> for Maps {
    fn map(&mut self) -> &mut Map<ConnectorRow> {
        &mut self.connectors
    }
}

impl Contains<ClientSecret> for Maps {
    fn map(&mut self) -> &mut Map<ClientSecret> {
        &mut self.secrets
    }
}

impl Contains<DefaultConnection> for Maps {
    fn map(&mut self) -> &mut Map<DefaultConnection> {
        &mut self.defaults
    }
}

impl Contains<Tombstone> for Maps {
    fn map(&mut self) -> &mut Map<Tombstone> {
        &mut self.tombstones
    }
}

impl Contains<SessionRow> for Maps {
    fn map(&mut self) -> &mut Map<SessionRow> {
        &mut self.sessions
    }
}

type Undo = Box<dyn FnOnce(&mut Maps)>;

/// The tables in a transaction.
pub(crate) struct Undoing<'m> {
    maps: &'m mut Maps,
    /// How to undo each change, the last one last.
    undo: Vec<Undo>,
}

impl<'m> Undoing<'m> {
    pub(crate) fn new(maps: &'m mut Maps) -> Self {
        Self { maps, undo: Vec::new() }
    }

    pub(crate) fn commit(mut self) {
        self.undo.clear();
    }
}

impl Drop for Undoing<'_> {
    fn drop(&mut self) {
        while let Some(undo) = self.undo.pop() {
            undo(self.maps);
        }
    }
}

impl<R: Record> Table<R> for Undoing<'_>
where
    Maps: Contains<R>,
{
    fn get(&mut self, key: &R::Key) -> Result<Option<R>, StoreError> {
        Ok(self.maps.map().get(key).cloned())
    }

    fn select(&mut self, selection: &R::Selection, limit: usize) -> Result<Vec<R>, StoreError> {
        Ok(selection.pick(self.maps.map().values(), limit))
    }

    fn put(&mut self, record: R) -> Result<(), StoreError> {
        let key = record.key();
        match self.maps.map().insert(key.clone(), record) {
            Some(replaced) => self.undo.push(Box::new(move |maps| drop(maps.map().insert(key, replaced)))),
            None => self.undo.push(Box::new(move |maps| drop(Contains::<R>::map(maps).remove(&key)))),
        }
        Ok(())
    }

    fn remove(&mut self, key: &R::Key) -> Result<(), StoreError> {
        if let Some(removed) = Contains::<R>::map(self.maps).remove(key) {
            self.undo.push(Box::new(move |maps| drop(maps.map().insert(removed.key(), removed))));
        }
        Ok(())
    }
}

impl Tables for Undoing<'_> {
    fn append_event(&mut self, event: AuditEvent) -> Result<(), StoreError> {
        self.maps.last_event += 1;
        self.maps.events.push_back(RecordedEvent { sequence: self.maps.last_event, event });
        self.undo.push(Box::new(|maps| {
            maps.events.pop_back();
            maps.last_event -= 1;
        }));
        Ok(())
    }

    fn events(&mut self, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        Ok(self.maps.events.iter().take(limit).cloned().collect())
    }

    fn remove_events(&mut self, through: u64) -> Result<(), StoreError> {
        while let Some(event) = self.maps.events.pop_front_if(|event| event.sequence <= through) {
            self.undo.push(Box::new(|maps| maps.events.push_front(event)));
        }
        Ok(())
    }
}

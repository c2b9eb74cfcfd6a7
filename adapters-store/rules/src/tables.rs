//! What a database supplies: tables.

use std::collections::BTreeMap;

use grantry_domain::ports::{AuditEvent, KeyId, RecordedEvent, StoreError};

use crate::record::Record;
use crate::records::{
    ClientSecret, ClientSecretSelection, ConnectorRow, ConnectorSelection, DefaultConnection, SessionRow, Tombstone,
    UnclaimedRow, UnclaimedSelection,
};
use crate::rows::{AuthorizationRow, AuthorizationSelection};

/// A table inside of a transaction. Each method sees the changes that were made before in the same transaction.
///
/// Every method takes `&mut self`, because clients of some databases read with a mutable connection. An error ends the
/// transaction.
///
/// A stored record that cannot be read is [`StoreError::Inconsistent`], never absent. Only the selections of
/// [`Selection::leaves_out_unreadable`](crate::Selection::leaves_out_unreadable) log it and leave it out; a count by an index may contain it.
/// The others fail: a termination, an edit that ends grants and a deletion of a connector that meet such a record change nothing,
/// so that none reports success while a grant is left. The operator repairs or removes the record, and repeats the call.
pub trait Table<R: Record> {
    /// The record with this key.
    fn get(&mut self, key: &R::Key) -> Result<Option<R>, StoreError>;

    /// The first records of a selection in its order, `limit` at most. [`Selection::pick`](crate::Selection::pick) finds them among all records; a
    /// database uses an index.
    fn select(&mut self, selection: &R::Selection, limit: usize) -> Result<Vec<R>, StoreError>;

    /// How many records a selection finds.
    fn count(&mut self, selection: &R::Selection) -> Result<u64, StoreError> {
        Ok(self.select(selection, usize::MAX)?.len() as u64)
    }

    /// Adds a record, or replaces the one with its key.
    fn put(&mut self, record: R) -> Result<(), StoreError>;

    /// Removes the record with this key, if there is one.
    fn remove(&mut self, key: &R::Key) -> Result<(), StoreError>;
}

/// All tables, inside of a transaction, and the outbox of audit events.
pub trait Tables:
    Table<AuthorizationRow>
    + Table<UnclaimedRow>
    + Table<ConnectorRow>
    + Table<ClientSecret>
    + Table<DefaultConnection>
    + Table<Tombstone>
    + Table<SessionRow>
{
    /// Adds an event to the outbox. Its sequence number is greater than that of every earlier event, also of removed ones.
    fn append_event(&mut self, event: AuditEvent) -> Result<(), StoreError>;

    /// The oldest events of the outbox, `limit` at most. An event of the kind
    /// [`AuditEventUnreadable`](grantry_domain::ports::AuditKind::AuditEventUnreadable) stands for one that cannot be read.
    fn events(&mut self, limit: usize) -> Result<Vec<RecordedEvent>, StoreError>;

    /// Removes events up to and including a sequence number.
    fn remove_events(&mut self, through: u64) -> Result<(), StoreError>;

    /// How many records of all tables each key has sealed or tagged, without sessions. Reads all of them; a database with an
    /// index on the key ids overrides it.
    fn key_usage(&mut self) -> Result<BTreeMap<KeyId, u64>, StoreError> {
        let rows = Table::<AuthorizationRow>::select(self, &AuthorizationSelection::Sealed, usize::MAX)?;
        let unclaimed = Table::<UnclaimedRow>::select(self, &UnclaimedSelection::All, usize::MAX)?;
        let secrets = Table::<ClientSecret>::select(self, &ClientSecretSelection::All, usize::MAX)?;
        let connectors = Table::<ConnectorRow>::select(self, &ConnectorSelection::All, usize::MAX)?;
        Ok(usage(rows, unclaimed, secrets, connectors))
    }

    /// The keys of [`key_usage`](Self::key_usage), in order. Counts all records; a start waits for it, so a database with an index on
    /// the key ids overrides it, and finds them in a time that does not depend on the number of records.
    fn keys_in_use(&mut self) -> Result<Vec<KeyId>, StoreError> {
        Ok(self.key_usage()?.into_keys().collect())
    }
}

/// How many of these records each key has sealed or tagged.
pub(crate) fn usage(
    rows: Vec<AuthorizationRow>,
    unclaimed: Vec<UnclaimedRow>,
    secrets: Vec<ClientSecret>,
    connectors: Vec<ConnectorRow>,
) -> BTreeMap<KeyId, u64> {
    let sealed = rows.into_iter().filter_map(|row| row.authorization.to_record().sealed);
    let sealed = sealed.chain(unclaimed.into_iter().map(|row| row.tokens.sealed));
    let sealed = sealed.chain(secrets.into_iter().map(|secret| secret.record.sealed));
    let tags = connectors.into_iter().map(|row| row.connector.tag.key_id());
    let mut usage = BTreeMap::new();
    for key in sealed.filter_map(|sealed| sealed.key_id()).chain(tags) {
        *usage.entry(KeyId(key)).or_default() += 1;
    }
    usage
}

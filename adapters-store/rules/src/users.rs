//! Users and tombstones.

use std::collections::BTreeMap;

use async_trait::async_trait;
use grantry_domain::authorization::{Authorization, State};
use grantry_domain::identity::UserId;
use grantry_domain::ports::{AuditEvent, StoreError, StoredUser, UserStore};
use grantry_domain::time::Timestamp;

use crate::transaction::Transaction;
use crate::{AuthorizationRow, AuthorizationSelection, Database, TableStore, Tombstone, TombstoneSelection};

impl Transaction<'_> {
    fn removed_at(&mut self, user: &UserId) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.get::<Tombstone>(user)?.map(|tombstone| tombstone.removed_at))
    }

    fn stored_user(&mut self, id: UserId) -> Result<Option<StoredUser>, StoreError> {
        let removed_at = self.removed_at(&id)?;
        let rows = self.all::<AuthorizationRow>(&AuthorizationSelection::OfUser(id.clone()))?;
        let is_stored = removed_at.is_some() || rows.iter().any(AuthorizationRow::is_consented);
        Ok(is_stored.then_some(StoredUser { id, removed_at }))
    }

    fn reinstate(&mut self, user: &UserId, audit: Vec<AuditEvent>) -> Result<bool, StoreError> {
        if self.get::<Tombstone>(user)?.is_none() {
            return Ok(false);
        }
        self.remove::<Tombstone>(user)?;
        self.log(audit)?;
        Ok(true)
    }

    fn stored_users(&mut self, after: Option<UserId>, limit: u32) -> Result<Vec<StoredUser>, StoreError> {
        let limit = limit as usize;
        let removed = self.some::<Tombstone>(&TombstoneSelection::After(after.clone()), limit)?;
        let mut users: BTreeMap<_, _> = removed.into_iter().map(|row| (row.user, Some(row.removed_at))).collect();
        let mut after = after;
        for _ in 0..limit {
            let Some(row) = self.first::<AuthorizationRow>(&AuthorizationSelection::Users { after })? else { break };
            users.entry(row.owner().user.clone()).or_insert(None);
            after = Some(row.owner().user.clone());
        }
        Ok(users.into_iter().take(limit).map(|(id, removed_at)| StoredUser { id, removed_at }).collect())
    }

    fn open_authorizations(&mut self, user: UserId) -> Result<Vec<Authorization>, StoreError> {
        let rows = self.all::<AuthorizationRow>(&AuthorizationSelection::OfUser(user))?;
        let is_open = |row: &AuthorizationRow| match row.authorization.state() {
            State::Initiated(_) | State::AwaitingCallback(_) | State::Authorized(_) => true,
            State::Expired(_) => row.is_consented(),
            State::Revoked(_) => false,
        };
        Ok(rows.into_iter().filter(is_open).map(|row| row.authorization).collect())
    }
}

#[async_trait]
impl<D: Database> UserStore for TableStore<D> {
    async fn removed_at(&self, user: &UserId) -> Result<Option<Timestamp>, StoreError> {
        let user = user.clone();
        self.read(move |rules| rules.removed_at(&user)).await
    }

    async fn stored_user(&self, user: &UserId) -> Result<Option<StoredUser>, StoreError> {
        let user = user.clone();
        self.read(move |rules| rules.stored_user(user)).await
    }

    async fn reinstate(&self, user: UserId, audit: Vec<AuditEvent>) -> Result<bool, StoreError> {
        self.write(move |rules| rules.reinstate(&user, audit)).await
    }

    async fn stored_users(&self, after: Option<UserId>, limit: u32) -> Result<Vec<StoredUser>, StoreError> {
        self.read(move |rules| rules.stored_users(after, limit)).await
    }

    async fn open_authorizations(&self, user: &UserId) -> Result<Vec<Authorization>, StoreError> {
        let user = user.clone();
        self.read(move |rules| rules.open_authorizations(user)).await
    }
}

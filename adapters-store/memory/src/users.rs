//! Users and tombstones.

use std::collections::BTreeMap;
use std::ops::Bound;

use async_trait::async_trait;
use grantry_domain::authorization::{Authorization, State};
use grantry_domain::identity::UserId;
use grantry_domain::ports::{AuditEvent, StoreError, StoredUser, UserStore};
use grantry_domain::time::Timestamp;

use crate::MemoryStore;
use crate::data::{Data, Row};

impl Data {
    fn reinstate(&mut self, user: &UserId, audit: Vec<AuditEvent>) -> bool {
        let is_lifted = self.tombstones.remove(user).is_some();
        if is_lifted {
            self.outbox.add(audit);
        }
        is_lifted
    }

    /// Users with a tombstone, a grant or a former grant, and when they were removed.
    fn stored_users(&self) -> BTreeMap<UserId, Option<Timestamp>> {
        let of_grants = self.rows.values().filter(|row| row.authorization.authorized_at().is_some());
        let mut users: BTreeMap<_, _> = of_grants.map(|row| (row.owner().user.clone(), None)).collect();
        users.extend(self.tombstones.iter().map(|(user, removed_at)| (user.clone(), Some(*removed_at))));
        users
    }

    fn open_authorizations(&self, user: &UserId) -> Vec<Authorization> {
        let is_open = |row: &&Row| match row.authorization.state() {
            State::Initiated(_) | State::AwaitingCallback(_) | State::Authorized(_) => true,
            State::Expired(ended) => ended.termination().authorized_at().is_some(),
            State::Revoked(_) => false,
        };
        let open = self.rows.values().filter(|row| row.owner().user == *user).filter(is_open);
        open.map(|row| row.authorization.clone()).collect()
    }
}

#[async_trait]
impl UserStore for MemoryStore {
    async fn removed_at(&self, user: &UserId) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.transact(|data, _| data.tombstones.get(user).copied()))
    }

    async fn stored_user(&self, user: &UserId) -> Result<Option<StoredUser>, StoreError> {
        let found = self.transact(|data, _| data.stored_users().remove(user));
        Ok(found.map(|removed_at| StoredUser { id: user.clone(), removed_at }))
    }

    async fn reinstate(&self, user: UserId, audit: Vec<AuditEvent>) -> Result<bool, StoreError> {
        Ok(self.transact(|data, _| data.reinstate(&user, audit)))
    }

    async fn stored_users(&self, after: Option<UserId>, limit: u32) -> Result<Vec<StoredUser>, StoreError> {
        let users = self.transact(|data, _| data.stored_users());
        let later = (after.as_ref().map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let page = users.range::<UserId, _>(later).take(limit as usize);
        Ok(page.map(|(id, removed_at)| StoredUser { id: id.clone(), removed_at: *removed_at }).collect())
    }

    async fn open_authorizations(&self, user: &UserId) -> Result<Vec<Authorization>, StoreError> {
        Ok(self.transact(|data, _| data.open_authorizations(user)))
    }
}

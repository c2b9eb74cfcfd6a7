//! Connectors. An edit and the authorizations it ends are one transaction.

use std::collections::BTreeSet;

use async_trait::async_trait;
use grantry_domain::authorization::{Input, TerminationCause};
use grantry_domain::connector::{Connector, ConnectorKey};
use grantry_domain::identity::{Actor, SpaceId};
use grantry_domain::ports::{
    AuditEvent, ClientSecretKey, ClientSecretRecord, ConnectorStore, Created, EditEffect, StoreError, Updated,
};
use grantry_domain::time::Timestamp;

use crate::MemoryStore;
use crate::data::{Data, Row};

impl Data {
    fn create(&mut self, connector: Connector, secret: Option<ClientSecretRecord>, audit: Vec<AuditEvent>) -> Created {
        if self.connectors.contains_key(&connector.key) {
            return Created::Taken;
        }
        self.connectors.insert(connector.key.clone(), connector);
        self.store_secret(secret);
        self.outbox.add(audit);
        Created::Done
    }

    fn update(
        &mut self,
        next: Connector,
        expected: u64,
        secret: Option<ClientSecretRecord>,
        (effect, actor): (EditEffect, &Actor),
        audit: Vec<AuditEvent>,
        now: Timestamp,
    ) -> Updated {
        match self.connectors.get(&next.key) {
            Some(stored) if stored.incarnation != next.incarnation => return Updated::NotFound,
            Some(stored) if stored.revision != expected => return Updated::Conflict,
            Some(_) => {}
            None => return Updated::NotFound,
        }
        let of_connector = |row: &Row| row.owner().incarnation == next.incarnation;
        let ended_grants = match effect {
            EditEffect::KeepGrants => 0,
            EditEffect::ExpireGrants => self.apply_to_each(of_connector, || Input::ConnectorChanged, actor, now).grants,
        };
        let (incarnation, epoch) = (next.incarnation, next.epoch);
        self.connectors.insert(next.key.clone(), next);
        self.store_secret(secret);
        self.supersede_secrets(incarnation, Some(epoch), now);
        self.outbox.add(audit);
        self.destroy_unneeded_secrets(now);
        Updated::Done { ended_grants }
    }

    fn delete(&mut self, key: &ConnectorKey, actor: &Actor, audit: Vec<AuditEvent>, now: Timestamp) -> Option<u64> {
        let removed = self.connectors.remove(key)?.incarnation;
        let input = || Input::Terminated { cause: TerminationCause::ConnectorDeleted, revoke: true };
        let of_connector = |row: &Row| row.owner().connector_key() == *key;
        let mut incarnations: BTreeSet<_> =
            self.rows.values().filter(|row| of_connector(row)).map(|row| row.owner().incarnation).collect();
        incarnations.insert(removed);
        let ended = self.apply_to_each(of_connector, input, actor, now);
        for removed in incarnations {
            self.defaults.retain(|(incarnation, _), _| *incarnation != removed);
            self.diagnostics.remove(&removed);
            self.supersede_secrets(removed, None, now);
        }
        self.outbox.add(audit);
        self.destroy_unneeded_secrets(now);
        Some(ended.grants)
    }
}

#[async_trait]
impl ConnectorStore for MemoryStore {
    async fn create(
        &self,
        connector: Connector,
        secret: Option<ClientSecretRecord>,
        audit: Vec<AuditEvent>,
    ) -> Result<Created, StoreError> {
        Ok(self.transact(|data, _| data.create(connector, secret, audit)))
    }

    async fn get(&self, key: &ConnectorKey) -> Result<Option<Connector>, StoreError> {
        Ok(self.transact(|data, _| data.connectors.get(key).cloned()))
    }

    async fn list(&self, space: &SpaceId) -> Result<Vec<Connector>, StoreError> {
        Ok(self.transact(|data, _| data.connectors_of(space)))
    }

    async fn update(
        &self,
        next: Connector,
        expected: u64,
        secret: Option<ClientSecretRecord>,
        effect: EditEffect,
        actor: Actor,
        audit: Vec<AuditEvent>,
    ) -> Result<Updated, StoreError> {
        Ok(self.transact(|data, now| data.update(next, expected, secret, (effect, &actor), audit, now)))
    }

    async fn delete(&self, key: &ConnectorKey, actor: Actor, audit: Vec<AuditEvent>) -> Result<Option<u64>, StoreError> {
        Ok(self.transact(|data, now| data.delete(key, &actor, audit, now)))
    }

    async fn client_secret(&self, key: ClientSecretKey) -> Result<Option<ClientSecretRecord>, StoreError> {
        Ok(self.transact(|data, _| data.secrets.get(&key).map(|secret| secret.record.clone())))
    }
}

//! The port of connectors. An edit and the endings it causes are one transaction (R52, R53).

use async_trait::async_trait;
use grantry_domain::authorization::{Input, TerminationCause};
use grantry_domain::connector::{Connector, ConnectorKey, Incarnation};
use grantry_domain::identity::{Actor, SpaceId};
use grantry_domain::ports::{
    AuditEvent, Cascade, ClientSecretKey, ClientSecretRecord, ConnectorStore, Created, StoreError, Updated,
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
        self.keep_secret(secret);
        self.outbox.add(audit);
        Created::Done
    }

    fn update(
        &mut self,
        next: Connector,
        expected: u64,
        secret: Option<ClientSecretRecord>,
        cascade: (Cascade, &Actor),
        audit: Vec<AuditEvent>,
        now: Timestamp,
    ) -> Updated {
        match self.connectors.get(&next.key) {
            Some(stored) if stored.incarnation != next.incarnation => return Updated::NotFound,
            Some(stored) if stored.revision != expected => return Updated::Conflict,
            Some(_) => {}
            None => return Updated::NotFound,
        }
        let (cascade, actor) = cascade;
        let alive = |row: &Row| row.grant.owner().incarnation == next.incarnation && !row.has_ended();
        let ended = match cascade {
            Cascade::Keep => 0,
            Cascade::Changed => self.apply_to_each(alive, || Input::ConnectorChanged, actor, now).grants,
            Cascade::Disabled => {
                let disabled = || Input::Terminated { cause: TerminationCause::ConnectorDisabled, revoke: true };
                self.apply_to_each(alive, disabled, actor, now).grants
            }
        };
        let (incarnation, epoch) = (next.incarnation, next.epoch);
        self.connectors.insert(next.key.clone(), next);
        self.keep_secret(secret);
        self.supersede_secrets(incarnation, Some(epoch), now);
        self.outbox.add(audit);
        self.destroy_unneeded_secrets(now);
        Updated::Done { ended_grants: ended }
    }

    fn delete(&mut self, key: &ConnectorKey, actor: &Actor, audit: Vec<AuditEvent>, now: Timestamp) -> Option<u64> {
        let removed = self.connectors.remove(key)?;
        let deleted = || Input::Terminated { cause: TerminationCause::ConnectorDeleted, revoke: true };
        let of_connector = |row: &Row| row.grant.owner().incarnation == removed.incarnation;
        let ended = self.apply_to_each(of_connector, deleted, actor, now);
        self.supersede_secrets(removed.incarnation, None, now);
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
        cascade: Cascade,
        actor: Actor,
        audit: Vec<AuditEvent>,
    ) -> Result<Updated, StoreError> {
        Ok(self.transact(|data, now| data.update(next, expected, secret, (cascade, &actor), audit, now)))
    }

    async fn count_grants(&self, incarnation: Incarnation) -> Result<u64, StoreError> {
        Ok(self.transact(|data, _| data.count_grants(incarnation)))
    }

    async fn delete(&self, key: &ConnectorKey, actor: Actor, audit: Vec<AuditEvent>) -> Result<Option<u64>, StoreError> {
        Ok(self.transact(|data, now| data.delete(key, &actor, audit, now)))
    }

    async fn client_secret(&self, key: ClientSecretKey) -> Result<Option<ClientSecretRecord>, StoreError> {
        Ok(self.transact(|data, _| data.secrets.get(&key).map(|secret| secret.record.clone())))
    }
}

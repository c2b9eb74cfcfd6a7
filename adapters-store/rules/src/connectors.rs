//! Connectors. An edit and the authorizations it ends are one transaction.

use std::collections::BTreeSet;

use async_trait::async_trait;
use grantry_domain::authorization::{Input, TerminationCause};
use grantry_domain::connector::{Connector, ConnectorKey};
use grantry_domain::identity::{Actor, SpaceId};
use grantry_domain::ports::{
    AuditEvent, ClientSecretKey, ClientSecretRecord, ConnectorStore, Created, Diagnostics, EditEffect, StoreError, Updated,
};

use crate::transaction::Transaction;
use crate::{
    AuthorizationRow, AuthorizationSelection, ClientSecret, ConnectorRow, ConnectorSelection, Database, DefaultConnection,
    DefaultConnectionSelection, Record as _, TableStore,
};

impl Transaction<'_> {
    fn create(
        &mut self,
        connector: Connector,
        secret: Option<ClientSecretRecord>,
        audit: Vec<AuditEvent>,
    ) -> Result<Created, StoreError> {
        if self.get::<ConnectorRow>(&connector.key)?.is_some() {
            return Ok(Created::Taken);
        }
        self.put(ConnectorRow { connector, diagnostics: Diagnostics::default() })?;
        self.store_secret(secret)?;
        self.log(audit)?;
        Ok(Created::Done)
    }

    fn update(
        &mut self,
        next: Connector,
        expected: u64,
        secret: Option<ClientSecretRecord>,
        (effect, actor): (EditEffect, &Actor),
        audit: Vec<AuditEvent>,
    ) -> Result<Updated, StoreError> {
        let stored = self.get::<ConnectorRow>(&next.key)?;
        let stored = stored.filter(|row| row.connector.incarnation == next.incarnation);
        let Some(ConnectorRow { connector: stored, diagnostics }) = stored else { return Ok(Updated::NotFound) };
        if stored.revision != expected {
            return Ok(Updated::Conflict);
        }
        let (incarnation, epoch) = (next.incarnation, next.epoch);
        let ended_grants = match effect {
            EditEffect::KeepGrants => 0,
            EditEffect::ExpireGrants => {
                let rows = self.all(&AuthorizationSelection::OfIncarnation(incarnation))?;
                self.apply_to_each(rows, || Input::ConnectorChanged, actor)?.grants
            }
        };
        self.put(ConnectorRow { connector: next, diagnostics })?;
        self.store_secret(secret)?;
        self.supersede_secrets(incarnation, Some(epoch))?;
        self.log(audit)?;
        self.destroy_unneeded_secrets()?;
        Ok(Updated::Done { ended_grants })
    }

    fn delete(&mut self, key: &ConnectorKey, actor: &Actor, audit: Vec<AuditEvent>) -> Result<Option<u64>, StoreError> {
        let Some(stored) = self.get::<ConnectorRow>(key)? else { return Ok(None) };
        self.remove::<ConnectorRow>(key)?;
        let rows = self.all::<AuthorizationRow>(&AuthorizationSelection::OfConnector(key.clone()))?;
        let mut incarnations: BTreeSet<_> = rows.iter().map(|row| row.owner().incarnation).collect();
        incarnations.insert(stored.connector.incarnation);
        let input = || Input::Terminated { cause: TerminationCause::ConnectorDeleted, revoke: true };
        let ended = self.apply_to_each(rows, input, actor)?;
        for incarnation in incarnations {
            for default in self.all::<DefaultConnection>(&DefaultConnectionSelection::OfIncarnation(incarnation))? {
                self.remove::<DefaultConnection>(&default.key())?;
            }
            self.supersede_secrets(incarnation, None)?;
        }
        self.log(audit)?;
        self.destroy_unneeded_secrets()?;
        Ok(Some(ended.grants))
    }

    /// The connectors of a space, by name, then by id.
    pub(crate) fn connectors_of(&mut self, space: &SpaceId) -> Result<Vec<ConnectorRow>, StoreError> {
        self.all(&ConnectorSelection::OfSpace(space.clone()))
    }
}

#[async_trait]
impl<D: Database> ConnectorStore for TableStore<D> {
    async fn create(
        &self,
        connector: Connector,
        secret: Option<ClientSecretRecord>,
        audit: Vec<AuditEvent>,
    ) -> Result<Created, StoreError> {
        self.write(move |rules| rules.create(connector, secret, audit)).await
    }

    async fn get(&self, key: &ConnectorKey) -> Result<Option<Connector>, StoreError> {
        let key = key.clone();
        self.read(move |rules| Ok(rules.get::<ConnectorRow>(&key)?.map(|row| row.connector))).await
    }

    async fn list(&self, space: &SpaceId) -> Result<Vec<Connector>, StoreError> {
        let space = space.clone();
        self.read(move |rules| Ok(rules.connectors_of(&space)?.into_iter().map(|row| row.connector).collect())).await
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
        self.write(move |rules| rules.update(next, expected, secret, (effect, &actor), audit)).await
    }

    async fn delete(&self, key: &ConnectorKey, actor: Actor, audit: Vec<AuditEvent>) -> Result<Option<u64>, StoreError> {
        let key = key.clone();
        self.write(move |rules| rules.delete(&key, &actor, audit)).await
    }

    async fn client_secret(&self, key: ClientSecretKey) -> Result<Option<ClientSecretRecord>, StoreError> {
        self.read(move |rules| Ok(rules.get::<ClientSecret>(&key)?.map(|secret| secret.record))).await
    }
}

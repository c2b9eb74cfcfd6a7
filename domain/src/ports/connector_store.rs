//! Connectors and their client secrets. An edit and the grants it ends are one transaction (R52).

use async_trait::async_trait;

use crate::authorization::Envelope;
use crate::connector::{Connector, ConnectorKey, Incarnation};
use crate::identity::{Actor, SpaceId};
use crate::ports::{AuditEvent, ClientSecretKey, StoreError};
use crate::provider::BindingDigest;

/// A sealed client secret with what its binding needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSecretRecord {
    /// Incarnation and epoch.
    pub key: ClientSecretKey,
    /// Space and id of the connector.
    pub connector: ConnectorKey,
    /// Digest of that epoch.
    pub digest: BindingDigest,
    /// The envelope.
    pub sealed: Envelope,
}

/// What became of a creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is there.
    Done,
    /// The id is taken in this space.
    Taken,
}

/// Which authorizations an edit ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cascade {
    /// None.
    Keep,
    /// The digest changed: flows fail with `connector_changed`, grants become `Expired{connector_changed}`.
    Changed,
    /// It was disabled: flows and grants become `Revoked{connector_disabled}`.
    Disabled,
}

/// What became of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Updated {
    /// Done.
    Done {
        /// How many grants it ended.
        ended_grants: u64,
    },
    /// Somebody else edited it since.
    Conflict,
    /// It is gone.
    NotFound,
}

/// Keeps connectors.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ConnectorStore: Send + Sync {
    /// Adds a connector, with its secret if there is one.
    async fn create(
        &self,
        connector: Connector,
        secret: Option<ClientSecretRecord>,
        audit: Vec<AuditEvent>,
    ) -> Result<Created, StoreError>;

    /// One connector.
    async fn get(&self, key: &ConnectorKey) -> Result<Option<Connector>, StoreError>;

    /// All connectors of a space, by name.
    async fn list(&self, space: &SpaceId) -> Result<Vec<Connector>, StoreError>;

    /// Replaces a connector whose stored revision is `expected`; a given secret is added or replaces the one of the same
    /// key. Ends authorizations in the same transaction, each with its own audit event in the name of `actor`. A secret of
    /// an earlier epoch is kept while a revocation needs it.
    async fn update(
        &self,
        next: Connector,
        expected: u64,
        secret: Option<ClientSecretRecord>,
        cascade: Cascade,
        actor: Actor,
        audit: Vec<AuditEvent>,
    ) -> Result<Updated, StoreError>;

    /// How many grants are `Authorized` for this connector now.
    async fn count_grants(&self, incarnation: Incarnation) -> Result<u64, StoreError>;

    /// Removes a connector and ends all its authorizations as `connector_deleted`. `None` if there is none; else how many
    /// grants it ended.
    async fn delete(&self, key: &ConnectorKey, actor: Actor, audit: Vec<AuditEvent>) -> Result<Option<u64>, StoreError>;

    /// The sealed client secret of an epoch.
    async fn client_secret(&self, key: ClientSecretKey) -> Result<Option<ClientSecretRecord>, StoreError>;
}

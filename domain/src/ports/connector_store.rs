//! Connectors and their client secrets. An edit and the grants it ends are one transaction.

use async_trait::async_trait;

use crate::authorization::Envelope;
use crate::connector::{Connector, ConnectorKey};
use crate::identity::{Actor, SpaceId};
use crate::ports::{AuditEvent, ClientSecretKey, StoreError};
use crate::provider::BindingDigest;

/// A sealed client secret with what its associated data needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSecretRecord {
    /// Incarnation and epoch.
    pub key: ClientSecretKey,
    /// Space and id of the connector.
    pub connector: ConnectorKey,
    /// Binding digest of that epoch.
    pub digest: BindingDigest,
    /// The envelope.
    pub sealed: Envelope,
}

/// The result of creating a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// Created.
    Done,
    /// The id is taken in this space.
    Taken,
}

/// What an edit does to the authorizations of its connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditEffect {
    /// Nothing.
    KeepGrants,
    /// The binding digest changed: flows fail with `connector_changed`, grants become `Expired{connector_changed}`.
    ExpireGrants,
}

/// The result of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Updated {
    /// Done.
    Done {
        /// How many grants it ended.
        ended_grants: u64,
    },
    /// The stored revision is another one.
    Conflict,
    /// There is no such connector.
    NotFound,
}

/// Stores connectors.
///
/// ```
/// use grantry_domain::identity::SpaceId;
/// use grantry_domain::ports::{ConnectorStore, StoreError};
///
/// /// The names of the connectors of a space.
/// async fn names(store: &dyn ConnectorStore, space: &SpaceId) -> Result<Vec<String>, StoreError> {
///     let connectors = store.list(space).await?;
///     Ok(connectors.iter().map(|connector| connector.name.as_str().to_owned()).collect())
/// }
/// ```
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
    /// key. Ends authorizations in the same transaction, each with its audit event in the name of `actor`. A secret of an
    /// earlier epoch is kept while a revocation needs it.
    async fn update(
        &self,
        next: Connector,
        expected: u64,
        secret: Option<ClientSecretRecord>,
        effect: EditEffect,
        actor: Actor,
        audit: Vec<AuditEvent>,
    ) -> Result<Updated, StoreError>;

    /// Removes a connector and terminates all its authorizations as `connector_deleted`. `None` if there is none; else the
    /// number of grants terminated.
    async fn delete(&self, key: &ConnectorKey, actor: Actor, audit: Vec<AuditEvent>) -> Result<Option<u64>, StoreError>;

    /// The sealed client secret of an epoch.
    async fn client_secret(&self, key: ClientSecretKey) -> Result<Option<ClientSecretRecord>, StoreError>;
}

//! What editors read about failures of their connector.

use std::sync::Arc;

use thiserror::Error;

use crate::connector::ConnectorKey;
use crate::identity::{Actor, Role};
use crate::ports::{ConnectorDiagnostics, ConnectorStore, Diagnostics, StoreError};
use crate::time::Timestamp;
use crate::usecase::access::{Access, AccessError};
use crate::usecase::settings::{ConnectorSettings, ConnectorTampered, UnusableConnector};

/// What is known about failures of a connector. Contains no secret and no text of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiagnosticsView {
    /// The last failure and recent anomalies.
    pub recorded: Diagnostics,
    /// Since when the provider refuses the client of the present revision.
    pub client_refused_since: Option<Timestamp>,
}

/// Why diagnostics were not read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DiagnosticsError {
    /// The caller may not edit this connector, or there is none.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The row of the connector is not authentic: what is recorded under its incarnation may be that of another connector.
    #[error(transparent)]
    Tampered(#[from] ConnectorTampered),
    /// The store is unavailable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DiagnosticsError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Access(error) => error.code(),
            Self::Tampered(tampered) => tampered.code(),
            Self::Store(_) => "store_unavailable",
        }
    }
}

/// Reads diagnostics.
pub(crate) struct DiagnosticsReader {
    pub(super) connectors: Arc<dyn ConnectorStore>,
    pub(super) diagnostics: Arc<dyn ConnectorDiagnostics>,
    pub(super) access: Access,
    pub(super) settings: ConnectorSettings,
}

impl DiagnosticsReader {
    pub(super) async fn read(&self, actor: &Actor, key: &ConnectorKey) -> Result<DiagnosticsView, DiagnosticsError> {
        self.access.authorize_user(actor, &key.space, Role::Editor).await?;
        let connector = self.connectors.get(key).await?.ok_or(AccessError::NotFound)?;
        if let Err(UnusableConnector::Tampered(tampered)) = self.settings.of(&connector) {
            return Err(tampered.into());
        }
        let recorded = self.diagnostics.diagnostics(connector.incarnation).await?;
        Ok(DiagnosticsView { client_refused_since: recorded.client_refused_since(connector.revision), recorded })
    }
}

//! The store under test.

use std::any::Any;
use std::sync::Arc;

use grantry_domain::ports::{
    AuditOutbox, AuthorizationQueries, AuthorizationStore, ConnectorDiagnostics, ConnectorStore, Housekeeping,
    RefreshLeases, RevocationQueue, SessionStore, Store, StoreClock, UserStore,
};

use crate::doubles::TestClock;

/// The ports of a store in one process.
#[derive(Clone)]
#[expect(missing_docs, reason = "the fields are named after their ports")]
pub struct Node {
    pub clock: Arc<dyn StoreClock>,
    pub authorizations: Arc<dyn AuthorizationStore>,
    pub queries: Arc<dyn AuthorizationQueries>,
    pub leases: Arc<dyn RefreshLeases>,
    pub revocations: Arc<dyn RevocationQueue>,
    pub housekeeping: Arc<dyn Housekeeping>,
    pub outbox: Arc<dyn AuditOutbox>,
    pub connectors: Arc<dyn ConnectorStore>,
    pub diagnostics: Arc<dyn ConnectorDiagnostics>,
    pub sessions: Arc<dyn SessionStore>,
    pub users: Arc<dyn UserStore>,
}

impl Node {
    /// All ports of one store.
    pub fn of<S: Store + 'static>(store: S) -> Self {
        let store = Arc::new(store);
        Self {
            clock: store.clone(),
            authorizations: store.clone(),
            queries: store.clone(),
            leases: store.clone(),
            revocations: store.clone(),
            housekeeping: store.clone(),
            outbox: store.clone(),
            connectors: store.clone(),
            diagnostics: store.clone(),
            sessions: store.clone(),
            users: store,
        }
    }
}

/// A fresh, empty store with the clock it reads.
pub struct Backend {
    /// The clock of the store.
    pub clock: TestClock,
    /// One process.
    pub node: Node,
    /// Another process on the same data.
    pub other: Node,
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

impl Backend {
    /// A store that one process uses.
    pub fn new(clock: TestClock, node: Node) -> Self {
        let other = node.clone();
        Self { clock, node, other, _guard: None }
    }

    /// Adds a second process on the same data.
    #[must_use]
    pub fn shared_with(self, other: Node) -> Self {
        Self { other, ..self }
    }

    /// Keeps a value until the store is dropped, such as the temporary directory of its files.
    #[must_use]
    pub fn keeping(self, guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Some(Box::new(guard)), ..self }
    }
}

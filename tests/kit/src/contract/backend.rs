//! What a contract is run against.

use std::any::Any;
use std::sync::Arc;

use grantry_domain::ports::{AuthorizationStore, ConnectorStore, SessionStore};

use crate::doubles::TestClock;

/// The three ports of one process.
#[derive(Clone)]
pub struct Node {
    /// Authorizations.
    pub authorizations: Arc<dyn AuthorizationStore>,
    /// Connectors.
    pub connectors: Arc<dyn ConnectorStore>,
    /// Sessions.
    pub sessions: Arc<dyn SessionStore>,
}

impl Node {
    /// The ports of a store that implements all three.
    pub fn of<S: AuthorizationStore + ConnectorStore + SessionStore + 'static>(store: S) -> Self {
        let store = Arc::new(store);
        Self { authorizations: store.clone(), connectors: store.clone(), sessions: store }
    }
}

/// A fresh, empty store with the clock that drives it.
pub struct Backend {
    /// The clock the store was given.
    pub clock: TestClock,
    /// One process.
    pub node: Node,
    /// Another process on the same data.
    pub other: Node,
    _kept: Option<Box<dyn Any + Send + Sync>>,
}

impl Backend {
    /// A store with one way to it.
    pub fn new(clock: TestClock, node: Node) -> Self {
        let other = node.clone();
        Self { clock, node, other, _kept: None }
    }

    /// Adds another way to the same data, as a second process would have.
    #[must_use]
    pub fn shared_with(self, other: Node) -> Self {
        Self { other, ..self }
    }

    /// Keeps something alive as long as the store, such as the folder it stands in.
    #[must_use]
    pub fn keeping(self, guard: impl Any + Send + Sync) -> Self {
        Self { _kept: Some(Box::new(guard)), ..self }
    }
}

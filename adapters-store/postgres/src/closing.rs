//! Closing a store.

use std::time::Duration;

use tokio::time::timeout;

use crate::outbox;
use crate::store::PostgresStore;

/// How long a node that ends tries to hand over the delivery of events.
const HAND_OVER: Duration = Duration::from_secs(2);

impl PostgresStore {
    /// Closes the connections, after the claim on the delivery of the audit events was released, so that another node can take it.
    /// Transactions that have begun end first; later calls are `Unavailable`.
    pub async fn close(&self) {
        // The claim ends by itself if this fails.
        drop(timeout(HAND_OVER, outbox::release(self)).await);
        self.close_connections();
    }
}

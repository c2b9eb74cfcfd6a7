//! A gate for calls to the store.

use std::sync::Arc;

use tokio::sync::watch;

/// Holds whoever comes until it is opened. Clones are the same gate.
#[derive(Clone)]
pub(crate) struct Gate(Arc<watch::Sender<(usize, bool)>>);

impl Gate {
    pub(crate) fn closed() -> Self {
        Self(Arc::new(watch::Sender::new((0, false))))
    }

    pub(crate) fn open(&self) {
        self.0.send_modify(|(_, open)| *open = true);
    }

    /// Returns when so many have come.
    pub(crate) async fn arrived(&self, count: usize) {
        drop(self.0.subscribe().wait_for(|(arrived, _)| *arrived >= count).await);
    }

    pub(crate) async fn pass(&self) {
        self.0.send_modify(|(arrived, _)| *arrived += 1);
        drop(self.0.subscribe().wait_for(|(_, open)| *open).await);
    }
}

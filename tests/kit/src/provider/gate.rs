//! A gate that holds requests until the test opens it, so that tests need no sleep.

use std::sync::Arc;

use tokio::sync::watch;

/// Holds every request until it is opened. Clones share one gate.
#[derive(Clone, Debug)]
pub struct Gate {
    state: Arc<watch::Sender<GateState>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct GateState {
    open: bool,
    arrived: usize,
}

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self { state: Arc::new(watch::Sender::new(GateState::default())) }
    }

    /// Opens the gate for all waiting and all later requests.
    pub fn open(&self) {
        self.state.send_modify(|state| state.open = true);
    }

    /// Returns when `count` requests in total have reached the gate.
    pub async fn arrived(&self, count: usize) {
        self.wait_until(|state| state.arrived >= count).await;
    }

    /// Reaches the gate and waits until it is open.
    pub(crate) async fn pass(&self) {
        self.state.send_modify(|state| state.arrived += 1);
        self.wait_until(|state| state.open).await;
    }

    async fn wait_until(&self, reached: impl FnMut(&GateState) -> bool) {
        // This fails only after the sender is dropped, and `self` keeps it alive.
        drop(self.state.subscribe().wait_for(reached).await);
    }
}

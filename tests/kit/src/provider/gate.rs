//! A gate that holds requests until the test opens it; the reason why no test has to sleep.

use std::sync::Arc;

use tokio::sync::watch;

/// Holds whoever comes until it is opened. Clones are the same gate.
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

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        self.state.send_modify(|state| state.open = true);
    }

    /// Returns when `count` requests have come to the gate so far.
    pub async fn arrived(&self, count: usize) {
        self.wait_until(|state| state.arrived >= count).await;
    }

    /// Comes to the gate and waits until it is open.
    pub(crate) async fn pass(&self) {
        self.state.send_modify(|state| state.arrived += 1);
        self.wait_until(|state| state.open).await;
    }

    async fn wait_until(&self, reached: impl FnMut(&GateState) -> bool) {
        // It fails only when the sender is gone, and `self` is one.
        drop(self.state.subscribe().wait_for(reached).await);
    }
}

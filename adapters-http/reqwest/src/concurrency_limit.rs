//! A bounded number of requests per host at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many hosts are held before those that nobody uses are forgotten.
const SWEEP_AT: usize = 256;

/// ConcurrencyLimit by host and port.
pub(crate) struct ConcurrencyLimit {
    per_host: usize,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl ConcurrencyLimit {
    pub(crate) fn new(per_host: usize) -> Self {
        Self { per_host, hosts: Mutex::default() }
    }

    /// Waits for a slot, at most that long.
    pub(crate) async fn take(&self, host: &str, patience: Duration) -> Option<OwnedSemaphorePermit> {
        let slots = self.of(host);
        tokio::time::timeout(patience, slots.acquire_owned()).await.ok()?.ok()
    }

    fn of(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= SWEEP_AT {
            hosts.retain(|_, slots| Arc::strong_count(slots) > 1);
        }
        Arc::clone(hosts.entry(host.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.per_host))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn r71_a_host_has_only_so_many_slots() {
        let slots = ConcurrencyLimit::new(1);
        let first = slots.take("a:443", Duration::ZERO).await;
        assert!(first.is_some());
        assert!(slots.take("a:443", Duration::from_millis(5)).await.is_none());
        assert!(slots.take("b:443", Duration::ZERO).await.is_some(), "another host is not held up");
        drop(first);
        assert!(slots.take("a:443", Duration::from_secs(5)).await.is_some());
    }

    #[tokio::test]
    async fn hosts_that_nobody_uses_are_forgotten() {
        let slots = ConcurrencyLimit::new(1);
        let held = slots.take("held:443", Duration::ZERO).await;
        for number in 0..4 * SWEEP_AT {
            drop(slots.take(&format!("{number}:443"), Duration::ZERO).await);
        }
        assert!(slots.hosts.lock().unwrap().len() <= SWEEP_AT);
        assert!(slots.take("held:443", Duration::from_millis(5)).await.is_none(), "what is in use is kept");
        drop(held);
    }
}

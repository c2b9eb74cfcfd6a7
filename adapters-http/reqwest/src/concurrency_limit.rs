//! Limits the number of concurrent requests per host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Entries of unused hosts are removed when the table has this many entries.
const MAX_HOSTS: usize = 256;

/// One semaphore per host and port.
pub(crate) struct ConcurrencyLimit {
    per_host: usize,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl ConcurrencyLimit {
    pub(crate) fn new(per_host: usize) -> Self {
        Self { per_host, hosts: Mutex::default() }
    }

    /// Waits for a permit. Returns `None` after the timeout.
    pub(crate) async fn acquire(&self, host: &str, timeout: Duration) -> Option<OwnedSemaphorePermit> {
        let semaphore = self.semaphore(host);
        tokio::time::timeout(timeout, semaphore.acquire_owned()).await.ok()?.ok()
    }

    fn semaphore(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= MAX_HOSTS {
            hosts.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        Arc::clone(hosts.entry(host.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.per_host))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn r71_a_host_has_a_limited_number_of_permits() {
        let limit = ConcurrencyLimit::new(1);
        let first = limit.acquire("a:443", Duration::ZERO).await;
        assert!(first.is_some());
        assert!(limit.acquire("a:443", Duration::from_millis(5)).await.is_none());
        assert!(limit.acquire("b:443", Duration::ZERO).await.is_some(), "another host is not affected");
        drop(first);
        assert!(limit.acquire("a:443", Duration::from_secs(5)).await.is_some());
    }

    #[tokio::test]
    async fn unused_hosts_are_removed() {
        let limit = ConcurrencyLimit::new(1);
        let held = limit.acquire("held:443", Duration::ZERO).await;
        for number in 0..4 * MAX_HOSTS {
            drop(limit.acquire(&format!("{number}:443"), Duration::ZERO).await);
        }
        assert!(limit.hosts.lock().unwrap().len() <= MAX_HOSTS);
        assert!(limit.acquire("held:443", Duration::from_millis(5)).await.is_none(), "an entry in use is kept");
        drop(held);
    }
}

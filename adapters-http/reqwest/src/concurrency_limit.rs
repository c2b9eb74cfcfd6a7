//! Limits the number of concurrent requests in total and per host, and for each share of both.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Entries that are not in use are removed when a table has this many entries.
const MAX_ENTRIES: usize = 256;
/// The part of the requests that one share may use, in total and to a host.
const PART: usize = 8;

/// Semaphores per host and port, per share, and per share of a host.
pub(crate) struct ConcurrencyLimit {
    total: Arc<Semaphore>,
    hosts: Table<String>,
    of_share: Table<String>,
    shares: Table<(String, String)>,
}

/// Permits for one request.
pub(crate) struct Permits {
    _total: OwnedSemaphorePermit,
    _host: OwnedSemaphorePermit,
    _share: Option<[OwnedSemaphorePermit; 2]>,
}

impl ConcurrencyLimit {
    pub(crate) fn new(in_total: usize, per_host: usize) -> Self {
        Self {
            total: Arc::new(Semaphore::new(in_total)),
            hosts: Table::new(per_host),
            of_share: Table::new(in_total.div_ceil(PART)),
            shares: Table::new(per_host.div_ceil(PART)),
        }
    }

    /// Waits for the permits. Returns `None` after the timeout.
    ///
    /// The permits of the share come first, so that the requests of one share that wait for the host are few, and the host
    /// admits in the order of arrival. The one of all comes last, so that requests that wait for a host take no place of others.
    pub(crate) async fn acquire(&self, host: &str, share: Option<&str>, timeout: Duration) -> Option<Permits> {
        let deadline = Instant::now() + timeout;
        let wait = async |semaphore: Arc<Semaphore>| timeout_at(deadline, semaphore.acquire_owned()).await.ok()?.ok();
        let share = match share {
            Some(share) => {
                let of_host = wait(self.shares.get((host.to_owned(), share.to_owned()))).await?;
                Some([of_host, wait(self.of_share.get(share.to_owned())).await?])
            }
            None => None,
        };
        let host = wait(self.hosts.get(host.to_owned())).await?;
        let total = wait(Arc::clone(&self.total)).await?;
        Some(Permits { _total: total, _host: host, _share: share })
    }
}

/// One semaphore per key.
pub(crate) struct Table<K> {
    permits: usize,
    entries: Mutex<HashMap<K, Arc<Semaphore>>>,
}

impl<K: Eq + std::hash::Hash> Table<K> {
    pub(crate) fn new(permits: usize) -> Self {
        Self { permits, entries: Mutex::default() }
    }

    pub(crate) fn get(&self, key: K) -> Arc<Semaphore> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_ENTRIES && !entries.contains_key(&key) {
            entries.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        Arc::clone(entries.entry(key).or_insert_with(|| Arc::new(Semaphore::new(self.permits))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(5);

    #[tokio::test(start_paused = true)]
    async fn r71_a_host_has_a_limited_number_of_permits() {
        let limit = ConcurrencyLimit::new(64, 1);
        let first = limit.acquire("a:443", None, Duration::ZERO).await;
        assert!(first.is_some());
        assert!(limit.acquire("a:443", None, SHORT).await.is_none());
        assert!(limit.acquire("b:443", None, SHORT).await.is_some(), "another host is not affected");
        drop(first);
        assert!(limit.acquire("a:443", None, SHORT).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn r71_one_share_uses_a_part_of_a_host() {
        let limit = ConcurrencyLimit::new(128, 16);
        let alice = [limit.acquire("a", Some("alice"), SHORT).await, limit.acquire("a", Some("alice"), SHORT).await];
        assert!(alice.iter().all(Option::is_some));
        assert!(limit.acquire("a", Some("alice"), SHORT).await.is_none());
        assert!(limit.acquire("b", Some("alice"), SHORT).await.is_some(), "another host has another part");
        let mut others = Vec::new();
        for user in 0..14 {
            others.push(limit.acquire("a", Some(&format!("user-{user}")), SHORT).await.unwrap());
        }
        assert!(limit.acquire("a", Some("late"), SHORT).await.is_none(), "the host has no permit left");
        drop(alice);
        assert!(limit.acquire("a", Some("late"), SHORT).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn r71_one_share_uses_a_part_of_all_requests() {
        let limit = ConcurrencyLimit::new(16, 16);
        let hosts = ["a", "b", "c"];
        let [first, second, third] = hosts.map(|host| limit.acquire(host, Some("alice"), SHORT));
        let held = [first.await, second.await];
        assert!(held.iter().all(Option::is_some));
        assert!(third.await.is_none());
        let mut others = Vec::new();
        for user in 0..14 {
            others.push(limit.acquire("c", Some(&format!("user-{user}")), SHORT).await.unwrap());
        }
        assert!(limit.acquire("d", None, SHORT).await.is_none(), "no permit is left");
        drop(held);
        assert!(limit.acquire("d", None, SHORT).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn requests_of_one_share_do_not_overtake_those_of_others() {
        let limit = Arc::new(ConcurrencyLimit::new(64, 1));
        let held = limit.acquire("a", Some("alice"), SHORT).await.unwrap();
        let order: Arc<Mutex<Vec<String>>> = Arc::default();
        let mut waiting = Vec::new();
        for user in ["alice", "alice", "alice", "bob"] {
            let (limit, order) = (limit.clone(), order.clone());
            waiting.push(tokio::spawn(async move {
                let permits = limit.acquire("a", Some(user), Duration::from_mins(1)).await.unwrap();
                order.lock().unwrap().push(user.to_owned());
                drop(permits);
            }));
            tokio::task::yield_now().await;
        }
        drop(held);
        for task in waiting {
            task.await.unwrap();
        }
        assert_eq!(order.lock().unwrap().first().map(String::as_str), Some("bob"), "alice has one request at the host");
    }

    #[tokio::test(start_paused = true)]
    async fn entries_that_are_not_in_use_are_removed() {
        let limit = ConcurrencyLimit::new(64, 1);
        let held = limit.acquire("held:443", Some("alice"), Duration::ZERO).await;
        for number in 0..4 * MAX_ENTRIES {
            let user = format!("user-{number}");
            drop(limit.acquire(&format!("{number}:443"), Some(&user), Duration::ZERO).await);
        }
        assert!(limit.hosts.entries.lock().unwrap().len() <= MAX_ENTRIES);
        assert!(limit.shares.entries.lock().unwrap().len() <= MAX_ENTRIES);
        assert!(limit.acquire("held:443", None, SHORT).await.is_none(), "an entry in use is kept");
        drop(held);
    }
}

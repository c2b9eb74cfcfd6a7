//! Work that runs to its end, also if the callers that wait for it are gone.
//!
//! Only the spawned task polls the work. A future that several callers poll, as `futures_util::future::Shared` is, can lose a
//! wake-up if the caller that polled it last is dropped, and it wakes none of them after a panic.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, PoisonError};

use futures_channel::oneshot;
use futures_util::FutureExt;

use crate::ports::Spawner;
use crate::sync::{Mutex, MutexGuard};

/// Runs work detached. `None` if it panicked.
pub(super) async fn detached<T: Send + 'static>(
    spawner: &dyn Spawner,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (sender, result) = oneshot::channel();
    // Sending fails if the caller is gone.
    spawner.spawn(work.map(|result| drop(sender.send(result))).boxed());
    result.await.ok()
}

type Waiters<K, T> = Arc<Mutex<BTreeMap<K, Vec<oneshot::Sender<T>>>>>;

/// Runs work detached, at most once at a time per key. Concurrent callers share its result.
pub(super) struct SingleFlight<K, T> {
    waiters: Waiters<K, T>,
}

impl<K, T> Default for SingleFlight<K, T> {
    fn default() -> Self {
        Self { waiters: Arc::default() }
    }
}

impl<K: Ord + Clone + Send + 'static, T: Clone + Send + 'static> SingleFlight<K, T> {
    /// Joins the running work for a key, or starts it. `None` if it panicked.
    pub(super) async fn join(
        &self,
        spawner: &dyn Spawner,
        key: K,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (sender, result) = oneshot::channel();
        let starts = {
            let mut waiters = locked(&self.waiters);
            let of_key = waiters.entry(key.clone()).or_default();
            of_key.push(sender);
            of_key.len() == 1
        };
        if starts {
            let flight = Flight { waiters: Arc::clone(&self.waiters), key: Some(key) };
            spawner.spawn(work.map(|result| flight.end(&result)).boxed());
        }
        result.await.ok()
    }
}

/// Running work. Its waiters are removed when it ends, also by a panic.
struct Flight<K: Ord, T> {
    waiters: Waiters<K, T>,
    /// `None` once the waiters are removed: those that come later belong to the next flight.
    key: Option<K>,
}

impl<K: Ord, T> Flight<K, T> {
    fn take_waiters(&mut self) -> Vec<oneshot::Sender<T>> {
        let key = self.key.take();
        key.and_then(|key| locked(&self.waiters).remove(&key)).unwrap_or_default()
    }
}

impl<K: Ord, T: Clone> Flight<K, T> {
    fn end(mut self, result: &T) {
        for waiter in self.take_waiters() {
            // Sending fails if the caller is gone.
            drop(waiter.send(result.clone()));
        }
    }
}

impl<K: Ord, T> Drop for Flight<K, T> {
    fn drop(&mut self) {
        self.take_waiters();
    }
}

fn locked<K, T>(waiters: &Waiters<K, T>) -> MutexGuard<'_, BTreeMap<K, Vec<oneshot::Sender<T>>>> {
    waiters.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use futures_util::future::BoxFuture;

    use super::*;
    use crate::ports::Detached;

    /// Keeps the work until the test polls it.
    #[derive(Default)]
    struct Kept(Mutex<Vec<Detached>>);

    #[async_trait::async_trait]
    impl Spawner for Kept {
        fn spawn(&self, work: Detached) {
            self.0.lock().unwrap().push(work);
        }

        async fn sleep(&self, _: std::time::Duration) {}
    }

    impl Kept {
        fn take(&self) -> Detached {
            self.0.lock().unwrap().pop().unwrap()
        }
    }

    fn poll<T>(work: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        match work.poll_unpin(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(result) => Some(result),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn callers_share_the_result_and_later_ones_start_again() {
        let (kept, flights) = (Kept::default(), SingleFlight::default());
        let mut first = pin!(flights.join(&kept, "a", async { 1 }));
        let mut second = pin!(flights.join(&kept, "a", async { 2 }));
        assert_eq!((poll(&mut first), poll(&mut second)), (None, None));
        assert_eq!(kept.0.lock().unwrap().len(), 1);
        assert_eq!(poll(&mut kept.take()), Some(()));
        assert_eq!((poll(&mut first), poll(&mut second)), (Some(Some(1)), Some(Some(1))));
        let mut third = pin!(flights.join(&kept, "a", async { 3 }));
        assert_eq!(poll(&mut third), None);
        assert_eq!(poll(&mut kept.take()), Some(()));
        assert_eq!(poll(&mut third), Some(Some(3)));
    }

    #[test]
    fn a_caller_that_is_gone_stops_neither_the_work_nor_the_others() {
        let (kept, flights) = (Kept::default(), SingleFlight::default());
        let mut first: BoxFuture<'_, _> = flights.join(&kept, "a", async { 1 }).boxed();
        let mut second = pin!(flights.join(&kept, "a", async { 2 }));
        assert_eq!((poll(&mut first), poll(&mut second)), (None, None));
        drop(first);
        assert_eq!(poll(&mut kept.take()), Some(()));
        assert_eq!(poll(&mut second), Some(Some(1)));
    }

    #[test]
    fn callers_learn_that_the_work_panicked() {
        let (kept, flights) = (Kept::default(), SingleFlight::<_, u8>::default());
        let mut first = pin!(flights.join(&kept, "a", async { panic!("on purpose") }));
        let mut second = pin!(flights.join(&kept, "a", async { 2 }));
        assert_eq!((poll(&mut first), poll(&mut second)), (None, None));
        let mut work = kept.take();
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(&mut work))).is_err());
        drop(work);
        assert_eq!((poll(&mut first), poll(&mut second)), (Some(None), Some(None)));
        let mut alone = pin!(detached(&kept, async { panic!("on purpose") }));
        assert_eq!(poll::<Option<u8>>(&mut alone), None);
        let mut work = kept.take();
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(&mut work))).is_err());
        drop(work);
        assert_eq!(poll(&mut alone), Some(None));
    }
}

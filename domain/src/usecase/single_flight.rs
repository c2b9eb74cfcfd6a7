//! One piece of work per key at a time in this process; concurrent callers share its result.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::Shared;

use crate::ports::Spawner;

type Flight<T> = Shared<Pin<Box<dyn Future<Output = T> + Send>>>;
type Flights<K, T> = Arc<Mutex<BTreeMap<K, Flight<T>>>>;

/// Runs work detached, at most once at a time per key. Dropping a waiter does not stop the work.
pub(super) struct SingleFlight<K, T: Clone> {
    flights: Flights<K, T>,
}

impl<K, T: Clone> Default for SingleFlight<K, T> {
    fn default() -> Self {
        Self { flights: Arc::default() }
    }
}

impl<K: Ord + Clone + Send + 'static, T: Clone + Send + Sync + 'static> SingleFlight<K, T> {
    /// Joins the running work for `key`, or starts it.
    pub(super) fn join(&self, spawner: &dyn Spawner, key: K, work: impl Future<Output = T> + Send + 'static) -> Flight<T> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&key) {
            return flight.clone();
        }
        let remove = RemoveOnDrop { flights: Arc::clone(&self.flights), key: key.clone() };
        let flight = async move {
            let remove = remove;
            let result = work.await;
            drop(remove);
            result
        }
        .boxed()
        .shared();
        flights.insert(key, flight.clone());
        drop(flights);
        spawner.spawn(flight.clone().map(|_| ()).boxed());
        flight
    }
}

/// Removes the flight when the work ends, also by a panic.
struct RemoveOnDrop<K: Ord, T: Clone> {
    flights: Flights<K, T>,
    key: K,
}

impl<K: Ord, T: Clone> Drop for RemoveOnDrop<K, T> {
    fn drop(&mut self) {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

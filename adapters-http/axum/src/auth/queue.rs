//! The queue of log-ins whose password is verified.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grantry_domain::ports::Limited;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most verifications at the same time of one user or network.
const RUNNING_OF_SHARE: usize = 2;
/// The most log-ins in the queue of one user or network, with the running ones.
const WAITING_OF_SHARE: usize = 16;
/// The most log-ins in one lane, with the running ones.
const WAITING: usize = 256;
/// When a log-in is tried again that found no place in the queue.
const RETRY: Duration = Duration::from_secs(1);

/// Bounds the verifications that run and that wait: two lanes with 256 places each, of which one user or network has 16, two
/// of them running. Log-ins from browsers in which the user has logged in before have one slot that no other log-in takes.
pub(crate) struct LogInQueue {
    strangers: Arc<Lane>,
    known: Arc<Lane>,
}

/// Who a log-in is counted for in the queue.
pub(crate) enum Share<'a> {
    /// A browser in which this user has logged in before.
    Known(&'a str),
    /// Any other browser, by its network.
    Stranger(&'a str),
}

struct Lane {
    slots: Arc<Semaphore>,
    shares: Mutex<Shares>,
}

#[derive(Default)]
struct Shares {
    total: usize,
    by_name: HashMap<String, InQueue>,
}

struct InQueue {
    count: usize,
    running: Arc<Semaphore>,
}

/// A place in the queue. A verification holds it until its end.
pub(crate) struct Place {
    _slot: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
    _waiting: Waiting,
}

/// A place in a lane, from the start of the wait.
struct Waiting {
    lane: Arc<Lane>,
    share: String,
}

impl LogInQueue {
    /// An empty queue with this many slots for strangers, and one more for known browsers.
    pub(crate) fn new(slots: usize) -> Self {
        Self { strangers: Arc::new(Lane::new(slots)), known: Arc::new(Lane::new(1)) }
    }

    /// Waits for the turn of a log-in. Refuses it at once if the lane or the share has no place.
    pub(crate) async fn enter(&self, share: Share<'_>) -> Result<Place, Limited> {
        let (lane, name) = match share {
            Share::Known(user) => (&self.known, user),
            Share::Stranger(network) => (&self.strangers, network),
        };
        let (waiting, running) = Lane::join(lane, name).ok_or(Limited { retry_after: RETRY })?;
        let closed = |_| Limited { retry_after: RETRY };
        let running = running.acquire_owned().await.map_err(closed)?;
        let free = match share {
            Share::Known(_) => self.strangers.slots.clone().try_acquire_owned().ok(),
            Share::Stranger(_) => None,
        };
        let slot = match free {
            Some(free) => free,
            None => lane.slots.clone().acquire_owned().await.map_err(closed)?,
        };
        Ok(Place { _slot: slot, _running: running, _waiting: waiting })
    }
}

impl Lane {
    fn new(slots: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(slots)), shares: Mutex::default() }
    }

    /// Takes a place, and returns what limits the verifications of its share.
    fn join(lane: &Arc<Self>, name: &str) -> Option<(Waiting, Arc<Semaphore>)> {
        let mut shares = lane.shares();
        if shares.total >= WAITING || shares.by_name.get(name).is_some_and(|share| share.count >= WAITING_OF_SHARE) {
            return None;
        }
        shares.total += 1;
        let empty = || InQueue { count: 0, running: Arc::new(Semaphore::new(RUNNING_OF_SHARE)) };
        let share = shares.by_name.entry(name.to_owned()).or_insert_with(empty);
        share.count += 1;
        Some((Waiting { lane: lane.clone(), share: name.to_owned() }, share.running.clone()))
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut shares = self.lane.shares();
        shares.total -= 1;
        if let Some(share) = shares.by_name.get_mut(&self.share) {
            share.count -= 1;
            if share.count == 0 {
                shares.by_name.remove(&self.share);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// A place that is free at once.
    fn place(queue: &LogInQueue, share: Share<'_>) -> Option<Place> {
        queue.enter(share).now_or_never().and_then(Result::ok)
    }

    #[tokio::test]
    async fn r59_a_network_runs_two_verifications_and_waits_with_fourteen() {
        let queue = LogInQueue::new(4);
        let running = [(); 2].map(|()| place(&queue, Share::Stranger("a")).unwrap());
        let mut waiting: Vec<_> = (0..14).map(|_| Box::pin(queue.enter(Share::Stranger("a")))).collect();
        assert!(waiting.iter_mut().all(|entering| entering.now_or_never().is_none()));
        let refused = queue.enter(Share::Stranger("a")).await.err();
        assert_eq!(refused, Some(Limited { retry_after: RETRY }), "the share is full");
        assert!(place(&queue, Share::Stranger("b")).is_some(), "another network has its turn at once");
        drop(running);
        assert!(waiting[0].as_mut().now_or_never().is_some_and(|place| place.is_ok()));
        drop(waiting);
        let shares = queue.strangers.shares();
        assert_eq!((shares.total, shares.by_name.len()), (0, 0), "nothing is left of those that went away");
    }

    #[tokio::test]
    async fn r59_strangers_leave_a_slot_to_known_browsers() {
        let queue = LogInQueue::new(2);
        let names: Vec<String> = (0..WAITING).map(|number| format!("network {number}")).collect();
        let mut strangers: Vec<_> = names.iter().map(|name| Box::pin(queue.enter(Share::Stranger(name)))).collect();
        let entered: Vec<_> = strangers.iter_mut().filter_map(FutureExt::now_or_never).collect();
        assert_eq!(entered.len(), 2);
        assert!(queue.enter(Share::Stranger("one more")).await.is_err(), "the lane is full");
        // The futures that were polled used up what one task may do at a time.
        tokio::task::yield_now().await;
        let known = place(&queue, Share::Known("alice")).unwrap();
        let mut second = Box::pin(queue.enter(Share::Known("bob")));
        assert!(second.as_mut().now_or_never().is_none(), "one slot is reserved");
        drop(known);
        assert!(second.await.is_ok());
    }

    #[tokio::test]
    async fn known_browsers_use_free_slots_of_strangers() {
        let queue = LogInQueue::new(2);
        let places = ["alice", "bob", "carol"].map(|user| place(&queue, Share::Known(user)));
        assert!(places.iter().all(Option::is_some));
        assert!(place(&queue, Share::Stranger("a")).is_none());
    }
}

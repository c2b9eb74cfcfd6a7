//! Detached work on tokio, with sleeps on the clock of the test.

use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::ports::{Clock, Detached, Spawner};
use tokio::sync::watch;

use super::TestClock;

/// Spawns on the runtime of the test. A sleep ends when the test advances the clock past it. Clones share their state.
#[derive(Clone, Debug)]
pub struct TokioSpawner {
    clock: TestClock,
    running: watch::Sender<usize>,
    sleeping: watch::Sender<usize>,
}

impl TokioSpawner {
    /// A spawner whose sleeps follow this clock.
    pub fn new(clock: TestClock) -> Self {
        Self { clock, running: watch::Sender::new(0), sleeping: watch::Sender::new(0) }
    }

    /// Waits until no spawned task is running.
    pub async fn finished(&self) {
        reached(&self.running, |count| count == 0).await;
    }

    /// Waits until at least `count` sleeps are in progress, so that the clock can be advanced.
    pub async fn sleeping(&self, count: usize) {
        reached(&self.sleeping, |now| now >= count).await;
    }
}

async fn reached(counter: &watch::Sender<usize>, enough: impl Fn(usize) -> bool) {
    // This fails only if the sender is dropped, and the caller holds it.
    drop(counter.subscribe().wait_for(|count| enough(*count)).await);
}

/// Counts one until it is dropped, also when the work panics.
struct Counted(watch::Sender<usize>);

impl Counted {
    fn new(counter: &watch::Sender<usize>) -> Self {
        counter.send_modify(|count| *count += 1);
        Self(counter.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[async_trait]
impl Spawner for TokioSpawner {
    fn spawn(&self, work: Detached) {
        let running = Counted::new(&self.running);
        tokio::spawn(async move {
            work.await;
            drop(running);
        });
    }

    async fn sleep(&self, span: Duration) {
        let until = self.clock.monotonic() + span;
        let _sleeping = Counted::new(&self.sleeping);
        self.clock.reached(until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleep_ends_when_the_clock_passes_it() {
        let clock = TestClock::default();
        let spawner = TokioSpawner::new(clock.clone());
        let sleeper = spawner.clone();
        spawner.spawn(Box::pin(async move { sleeper.sleep(Duration::from_secs(5)).await }));
        spawner.sleeping(1).await;
        clock.advance(Duration::from_secs(4));
        assert_eq!(*spawner.running.borrow(), 1);
        clock.advance(Duration::from_secs(1));
        spawner.finished().await;
    }
}

//! Detached work on tokio, and sleeps that end when the test says so.

use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::ports::{Clock, Detached, Spawner};
use tokio::sync::watch;

use super::TestClock;

/// Spawns on the runtime of the test; a sleep ends when the clock is advanced past it. Clones are the same.
#[derive(Clone, Debug)]
pub struct TokioSpawner {
    clock: TestClock,
    running: watch::Sender<usize>,
    sleeping: watch::Sender<usize>,
}

impl TokioSpawner {
    /// Spawner whose sleeps follow this clock.
    pub fn new(clock: TestClock) -> Self {
        Self { clock, running: watch::Sender::new(0), sleeping: watch::Sender::new(0) }
    }

    /// Returns when no spawned task runs any more.
    pub async fn finished(&self) {
        reached(&self.running, |count| count == 0).await;
    }

    /// Returns when at least `count` sleeps have begun and not ended: the moment to advance the clock.
    pub async fn asleep(&self, count: usize) {
        reached(&self.sleeping, |now| now >= count).await;
    }
}

async fn reached(counter: &watch::Sender<usize>, enough: impl Fn(usize) -> bool) {
    // It fails only when the sender is gone, and the caller holds it.
    drop(counter.subscribe().wait_for(|count| enough(*count)).await);
}

/// Counts one while it lives, whether the work ends, panics or is dropped.
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
        let tasks = TokioSpawner::new(clock.clone());
        let sleeper = tasks.clone();
        tasks.spawn(Box::pin(async move { sleeper.sleep(Duration::from_secs(5)).await }));
        tasks.asleep(1).await;
        clock.advance(Duration::from_secs(4));
        assert_eq!(*tasks.running.borrow(), 1);
        clock.advance(Duration::from_secs(1));
        tasks.finished().await;
    }
}

//! A clock that only the test changes.

use std::sync::Arc;
use std::time::Duration;

use grantry_domain::ports::Clock;
use grantry_domain::time::Timestamp;
use tokio::sync::watch;

/// Wall and monotonic clock of a test. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct TestClock(Arc<watch::Sender<Reading>>);

#[derive(Clone, Copy, Debug)]
struct Reading {
    wall: Timestamp,
    monotonic: Duration,
}

impl TestClock {
    /// A clock that shows this instant.
    pub fn at(wall: Timestamp) -> Self {
        Self(Arc::new(watch::Sender::new(Reading { wall, monotonic: Duration::from_secs(1000) })))
    }

    /// Advances both clocks.
    pub fn advance(&self, span: Duration) {
        self.0.send_modify(|reading| {
            reading.wall = reading.wall.plus(span);
            reading.monotonic += span;
        });
    }

    /// Sets only the wall clock, forwards or backwards, as an administrator or NTP does.
    pub fn step_wall(&self, wall: Timestamp) {
        self.0.send_modify(|reading| reading.wall = wall);
    }

    /// Waits until the monotonic clock has reached an instant.
    pub(super) async fn reached(&self, instant: Duration) {
        // This fails only if every sender is dropped, and `self` is one.
        drop(self.0.subscribe().wait_for(|reading| reading.monotonic >= instant).await);
    }
}

impl Default for TestClock {
    /// 2026-01-01, noon.
    fn default() -> Self {
        Self::at(Timestamp::from_millis(1_767_268_800_000))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.0.borrow().wall
    }

    fn monotonic(&self) -> Duration {
        self.0.borrow().monotonic
    }
}

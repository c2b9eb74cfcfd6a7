//! Wall clock and monotonic clock.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use grantry_domain::ports::Clock;
use grantry_domain::time::Timestamp;

/// The origin of the monotonic clock. All clocks of the process share it, so their readings can be compared.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The clocks of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        at(SystemTime::now())
    }

    fn monotonic(&self) -> Duration {
        START.elapsed()
    }
}

fn at(time: SystemTime) -> Timestamp {
    let epoch = Timestamp::from_millis(0);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => epoch.plus(since),
        // A clock before 1970 was never set. That is no reason to panic.
        Err(before) => epoch.minus(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_before_and_after_the_epoch_are_converted() {
        let span = Duration::from_millis(1500);
        assert_eq!(at(SystemTime::UNIX_EPOCH + span).as_millis(), 1500);
        assert_eq!(at(SystemTime::UNIX_EPOCH - span).as_millis(), -1500);
    }

    #[test]
    fn the_wall_clock_is_that_of_the_system() {
        let before = at(SystemTime::now());
        let now = SystemClock.now();
        assert!(before <= now && now <= at(SystemTime::now()));
    }

    #[test]
    fn all_clocks_have_the_same_origin() {
        let first = SystemClock.monotonic();
        let second = SystemClock.monotonic();
        assert!(first <= second);
        assert!(second <= START.elapsed());
    }
}

//! Notices that the wall clock was set, which makes leases of other nodes look ended.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{CLOCK_STEP, Instant};

/// The wall clock of this node compared with its monotonic clock, which cannot be set.
#[derive(Default)]
pub(super) struct ClockWatch(Mutex<Watched>);

#[derive(Default)]
struct Watched {
    last: Option<Instant>,
    /// By the monotonic clock.
    unsettled_until: Option<Duration>,
}

impl ClockWatch {
    /// Compares both clocks with the last time. After a step, every lease that was taken before it has ended in `length`.
    pub(super) fn note(&self, now: Instant, length: Duration) {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = watched.last.replace(now) {
            let expected = last.wall.plus(now.monotonic.saturating_sub(last.monotonic));
            if now.wall.since(expected).max(expected.since(now.wall)) > CLOCK_STEP {
                watched.unsettled_until = Some(now.monotonic + length);
            }
        }
    }

    /// Whether the end of a lease can be an effect of the step.
    pub(super) fn is_unsettled(&self, monotonic: Duration) -> bool {
        let watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.unsettled_until.is_some_and(|until| monotonic < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    const LENGTH: Duration = Duration::from_secs(45);

    fn at(wall: i64, monotonic: u64) -> Instant {
        Instant { wall: Timestamp::from_millis(wall * 1000), monotonic: Duration::from_secs(monotonic) }
    }

    #[test]
    fn r36_a_step_in_either_direction_unsettles_the_clock_for_the_length_of_a_lease() {
        for (step, unsettles) in [(0, false), (30, false), (-30, false), (31, true), (-31, true), (1_000_000, true)] {
            let watch = ClockWatch::default();
            watch.note(at(2_000_000, 10), LENGTH);
            assert!(!watch.is_unsettled(Duration::from_secs(10)));
            watch.note(at(2_000_100 + step, 110), LENGTH);
            assert_eq!(watch.is_unsettled(Duration::from_secs(110)), unsettles, "{step}");
            watch.note(at(2_000_101 + step, 111), LENGTH);
            assert_eq!(watch.is_unsettled(Duration::from_secs(154)), unsettles, "{step}");
            assert!(!watch.is_unsettled(Duration::from_secs(155)));
        }
    }
}

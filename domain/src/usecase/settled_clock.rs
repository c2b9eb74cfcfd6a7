//! Notices that the wall clock was set, and withholds what a wrong clock would end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::ports::{Clock, StoreClock, StoreError};
use crate::time::Timestamp;

/// A larger difference between the wall clock and the monotonic clock means that the wall clock was set.
const CLOCK_STEP: Duration = Duration::from_secs(30);
/// For how long after a step nothing ends because time has passed, so that a wrong clock can be corrected.
const UNSETTLED: Duration = Duration::from_mins(10);

/// Whether a reading of the wall clock differs so much from the expected one that the clock must have been set.
pub(crate) fn is_step(expected: Timestamp, wall: Timestamp) -> bool {
    wall.since(expected) > CLOCK_STEP || expected.since(wall) > CLOCK_STEP
}

/// The clock of the store, compared with the monotonic clock from one reading to the next. The clock of the process is not used: that of
/// a shared database may differ from it.
pub struct SettledClock {
    store_clock: Arc<dyn StoreClock>,
    clock: Arc<dyn Clock>,
    /// `None` before the first reading.
    history: Mutex<Option<History>>,
}

struct History {
    wall: Timestamp,
    monotonic: Duration,
    /// When the last step was noticed, by the monotonic clock.
    stepped_at: Option<Duration>,
}

impl History {
    fn note(&mut self, wall: Timestamp, monotonic: Duration) {
        let expected = self.wall.plus(monotonic.saturating_sub(self.monotonic));
        if is_step(expected, wall) {
            self.stepped_at = Some(monotonic);
        }
        (self.wall, self.monotonic) = (wall, monotonic);
    }

    fn has_stepped_within(&self, span: Duration, monotonic: Duration) -> bool {
        self.stepped_at.is_some_and(|stepped_at| monotonic < stepped_at.saturating_add(span))
    }
}

impl SettledClock {
    /// A step is noticed from the first reading on.
    pub fn new(store_clock: Arc<dyn StoreClock>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { store_clock, clock, history: Mutex::new(None) })
    }

    /// The present instant. `None` for some minutes after the wall clock was set, forwards or backwards: what has a deadline
    /// does not end then.
    pub async fn now(&self) -> Result<Option<Timestamp>, StoreError> {
        let now = self.store_clock.now().await?;
        self.note(now);
        Ok((!self.has_stepped_within(UNSETTLED)).then_some(now))
    }

    /// Compares a reading of the store's clock with the last one.
    pub fn note(&self, wall: Timestamp) {
        let monotonic = self.clock.monotonic();
        self.history().get_or_insert(History { wall, monotonic, stepped_at: None }).note(wall, monotonic);
    }

    /// Whether a step was noticed less than this time ago.
    pub fn has_stepped_within(&self, span: Duration) -> bool {
        let monotonic = self.clock.monotonic();
        self.history().as_ref().is_some_and(|history| history.has_stepped_within(span, monotonic))
    }

    fn history(&self) -> MutexGuard<'_, Option<History>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    fn wall(seconds: u64) -> Timestamp {
        Timestamp::from_millis(0).plus(Duration::from_secs(seconds))
    }

    fn history() -> History {
        History { wall: wall(5000), monotonic: START, stepped_at: None }
    }

    /// Whether nothing is withheld after a reading.
    fn is_settled(history: &mut History, wall: Timestamp, monotonic: Duration) -> bool {
        history.note(wall, monotonic);
        !history.has_stepped_within(UNSETTLED, monotonic)
    }

    #[test]
    fn a_clock_is_unsettled_for_some_minutes_after_a_step_in_either_direction() {
        for stepped in [5000 + 31, 5000 - 31, 5000 + 86_400, 0] {
            let mut history = history();
            assert!(!is_settled(&mut history, wall(stepped), START), "{stepped}");
            let settled = START + UNSETTLED;
            let just_before = settled.saturating_sub(Duration::from_secs(1));
            assert!(!is_settled(&mut history, wall(stepped + UNSETTLED.as_secs() - 1), just_before));
            assert!(is_settled(&mut history, wall(stepped + UNSETTLED.as_secs()), settled));
        }
    }

    #[test]
    fn a_second_step_prolongs_the_time() {
        let mut history = history();
        assert!(!is_settled(&mut history, wall(100_000), START));
        let back = START + Duration::from_mins(1);
        assert!(!is_settled(&mut history, wall(5060), back));
        assert!(!is_settled(&mut history, wall(5000 + UNSETTLED.as_secs()), START + UNSETTLED));
        assert!(is_settled(&mut history, wall(5060 + UNSETTLED.as_secs()), back + UNSETTLED));
    }

    #[test]
    fn a_clock_that_runs_is_settled_also_between_readings_far_apart() {
        let mut history = history();
        for (seconds, drift) in [(1, 0), (86_400, 20), (86_500, 0)] {
            assert!(is_settled(&mut history, wall(5000 + seconds + drift), START + Duration::from_secs(seconds)));
        }
    }
}

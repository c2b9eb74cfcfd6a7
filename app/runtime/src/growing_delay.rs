//! Attempts that have to wait longer and longer, instead of a lock that a stranger can keep closed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grantry_domain::ports::{Clock, Limited};

use crate::quota::Quota;

/// The longest wait between two attempts.
const LONGEST: Duration = Duration::from_mins(5);
/// The most callers that are tracked.
const MAX_TRACKED: usize = 65_536;

/// The attempts of one caller.
#[derive(Clone, Copy)]
struct Attempts {
    count: u32,
    last: Duration,
}

/// Allows the attempts of a quota at once. Each further one waits twice as long as the one before, until none was made for
/// the span of the quota.
pub(crate) struct GrowingDelay {
    quota: Quota,
    clock: Arc<dyn Clock>,
    callers: Mutex<HashMap<String, Attempts>>,
}

impl GrowingDelay {
    pub(crate) fn new(quota: Quota, clock: Arc<dyn Clock>) -> Self {
        Self { quota, clock, callers: Mutex::default() }
    }

    /// Counts an attempt, or returns how long to wait.
    pub(crate) fn take(&self, who: &str) -> Result<(), Limited> {
        let now = self.clock.monotonic();
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |attempts: &Attempts| now.saturating_sub(attempts.last) < self.quota.per;
        let attempts = callers.get(who).copied().filter(is_recent).unwrap_or(Attempts { count: 0, last: now });
        let (wait, waited) = (self.delay(attempts.count), now.saturating_sub(attempts.last));
        if waited < wait {
            return Err(Limited { retry_after: wait.saturating_sub(waited) });
        }
        if callers.len() >= MAX_TRACKED && !callers.contains_key(who) {
            callers.retain(|_, attempts| is_recent(attempts) && self.delay(attempts.count) > Duration::ZERO);
            if callers.len() >= MAX_TRACKED {
                callers.clear();
            }
        }
        callers.insert(who.to_owned(), Attempts { count: attempts.count.saturating_add(1), last: now });
        Ok(())
    }

    /// Forgets the attempts of a caller.
    pub(crate) fn forget(&self, who: &str) {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner).remove(who);
    }

    /// The number of tracked callers.
    pub(crate) fn tracked(&self) -> usize {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The wait after this many attempts.
    fn delay(&self, count: u32) -> Duration {
        let further = count.checked_sub(self.quota.times.get());
        further.map_or(Duration::ZERO, |further| (Duration::from_secs(1) * 2_u32.pow(further.min(16))).min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use grantry_testkit::doubles::TestClock;

    use super::*;

    fn limiter(clock: &TestClock, times: u32) -> GrowingDelay {
        GrowingDelay::new(Quota::in_ten_minutes(times), Arc::new(clock.clone()))
    }

    #[test]
    fn the_wait_doubles_up_to_its_maximum_and_is_never_a_lock() {
        let clock = TestClock::default();
        let limiter = limiter(&clock, 3);
        for _ in 0..3 {
            limiter.take("a").unwrap();
        }
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let wait = Duration::from_secs(seconds);
            assert_eq!(limiter.take("a").unwrap_err().retry_after, wait);
            clock.advance(wait.checked_sub(Duration::from_millis(1)).unwrap());
            assert_eq!(limiter.take("a").unwrap_err().retry_after, Duration::from_millis(1), "refusals do not count");
            clock.advance(Duration::from_millis(1));
            limiter.take("a").unwrap();
        }
        limiter.take("b").unwrap();
    }

    #[test]
    fn attempts_are_forgotten_after_a_success_and_after_the_span() {
        let clock = TestClock::default();
        let limiter = limiter(&clock, 1);
        limiter.take("a").unwrap();
        limiter.take("a").unwrap_err();
        limiter.forget("a");
        limiter.take("a").unwrap();
        clock.advance(Duration::from_mins(10));
        limiter.take("a").unwrap();
        limiter.take("a").unwrap_err();
    }

    #[test]
    fn the_number_of_tracked_callers_is_bounded() {
        let clock = TestClock::default();
        let limiter = limiter(&clock, 2);
        for _ in 0..3 {
            let _ = limiter.take("delayed");
        }
        for caller in 0..2 * MAX_TRACKED {
            limiter.take(&format!("caller-{caller}")).unwrap();
        }
        assert!(limiter.tracked() <= MAX_TRACKED, "{}", limiter.tracked());
        limiter.take("delayed").unwrap_err();
    }
}

//! Attempts that have to wait longer and longer, instead of a lock that a stranger can keep closed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grantry_domain::ports::{Clock, Limited};

use crate::callers::Callers;
use crate::quota::Quota;

/// The longest wait between two attempts.
const LONGEST: Duration = Duration::from_mins(5);
/// How many successes count as much as one failure.
const SUCCESSES: u32 = 8;

/// The attempts of one caller.
#[derive(Default)]
struct Attempts {
    /// Failures and attempts without a known outcome count `SUCCESSES`, successes one.
    weight: u32,
    last: Duration,
}

/// Allows the attempts of a quota at once. Each further one waits twice as long as the one before. Time beyond the wait
/// forgets one attempt for each share of the span, and a whole span without an attempt forgets all of them.
///
/// A success counts as an eighth of an attempt and forgets nothing: a caller with one right password must not have unlimited
/// attempts, each of which costs as much as a wrong one.
pub(crate) struct GrowingDelay {
    quota: Quota,
    clock: Arc<dyn Clock>,
    callers: Mutex<Callers<Attempts>>,
}

impl GrowingDelay {
    pub(crate) fn new(quota: Quota, clock: Arc<dyn Clock>) -> Self {
        Self { quota, clock, callers: Mutex::new(Callers::new(quota.per)) }
    }

    /// Counts an attempt, or returns how long to wait.
    pub(crate) fn take(&self, who: &str) -> Result<(), Limited> {
        let now = self.clock.monotonic();
        let mut callers = self.callers();
        let attempts = callers.seen(who, now);
        let (wait, waited) = (self.delay(attempts.weight / SUCCESSES), now.saturating_sub(attempts.last));
        if waited < wait {
            return Err(Limited { retry_after: wait.saturating_sub(waited) });
        }
        let shares = waited.saturating_sub(wait).as_nanos() / self.quota.share().as_nanos().max(1);
        let forgotten = if waited >= self.quota.per { u32::MAX } else { u32::try_from(shares).unwrap_or(u32::MAX) };
        let weight = attempts.weight.saturating_sub(forgotten.saturating_mul(SUCCESSES)).saturating_add(SUCCESSES);
        *attempts = Attempts { weight, last: now };
        Ok(())
    }

    /// The last attempt of a caller succeeded.
    pub(crate) fn succeeded(&self, who: &str) {
        if let Some(attempts) = self.callers().find(who) {
            attempts.weight = attempts.weight.saturating_sub(SUCCESSES - 1);
        }
    }

    /// The number of tracked callers.
    pub(crate) fn tracked(&self) -> usize {
        self.callers().len()
    }

    fn callers(&self) -> MutexGuard<'_, Callers<Attempts>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
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
    use crate::callers::MAX_TRACKED;

    fn limiter(clock: &TestClock, times: u32) -> GrowingDelay {
        GrowingDelay::new(Quota::in_ten_minutes(times), Arc::new(clock.clone()))
    }

    fn allowed(limiter: &GrowingDelay, who: &str) -> usize {
        std::iter::repeat_with(|| limiter.take(who)).take_while(Result::is_ok).count()
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
    fn r59_a_success_counts_an_eighth_and_forgets_no_failure() {
        let clock = TestClock::default();
        let limiter = limiter(&clock, 20);
        let mut successes = 0;
        while limiter.take("a").is_ok() {
            limiter.succeeded("a");
            successes += 1;
        }
        assert_eq!(successes, 20 * 8);
        for _ in 0..19 {
            limiter.take("b").unwrap();
        }
        limiter.take("b").unwrap();
        limiter.succeeded("b");
        assert_eq!(allowed(&limiter, "b"), 1, "19 failures and one success are known");
        limiter.succeeded("unknown");
    }

    #[test]
    fn attempts_are_forgotten_with_time_beyond_the_wait_and_after_the_span() {
        let clock = TestClock::default();
        let limiter = limiter(&clock, 20);
        assert_eq!(allowed(&limiter, "a"), 20);
        clock.advance(Duration::from_secs(1));
        assert_eq!(allowed(&limiter, "a"), 1, "nothing is forgotten for the wait itself");
        clock.advance(Duration::from_secs(2 + 3 * 30));
        assert_eq!(allowed(&limiter, "a"), 2, "of 21 attempts three are forgotten");
        clock.advance(Duration::from_mins(10));
        assert_eq!(allowed(&limiter, "a"), 20);
    }

    #[test]
    fn r59_others_change_the_count_of_no_caller_and_are_bounded() {
        let clock = TestClock::default();
        let limiter = limiter(&clock, 20);
        for _ in 0..19 {
            limiter.take("almost delayed").unwrap();
        }
        assert_eq!(allowed(&limiter, "delayed"), 20);
        for caller in 0..MAX_TRACKED - 2 {
            assert_eq!(allowed(&limiter, &format!("caller-{caller}")), 20);
        }
        assert_eq!(allowed(&limiter, "almost delayed"), 1);
        limiter.take("one more").unwrap();
        assert_eq!(limiter.tracked(), MAX_TRACKED);
        limiter.take("almost delayed").unwrap_err();
        limiter.take("caller-0").unwrap_err();
        assert_eq!(allowed(&limiter, "delayed"), 20, "the one that was seen longest ago");
    }
}

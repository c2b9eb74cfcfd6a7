//! Rate limits per process.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::ports::{Clock, Limited, Operation, RateLimiter};

use crate::callers::Callers;
use crate::growing_delay::GrowingDelay;
use crate::quota::Quota;

/// The quota of each operation, for one user or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Starting flows.
    pub start: Quota,
    /// Callbacks.
    pub callback: Quota,
    /// Log-ins without a wait, for one name and network. A network has ten times as many for all names together.
    pub log_in: Quota,
    /// Status requests, which pages send every few seconds.
    pub status: Quota,
    /// Disconnects.
    pub disconnect: Quota,
}

/// How many pages may show the consent of one start: that of a front end, and the page that is opened.
const PAGES_OF_START: NonZeroU32 = NonZeroU32::new(2).expect("above zero");

/// For how many names one network may use up the log-ins without a wait.
const NAMES_OF_NETWORK: NonZeroU32 = NonZeroU32::new(10).expect("above zero");

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            start: Quota::in_ten_minutes(20),
            callback: Quota::in_ten_minutes(40),
            log_in: Quota::in_ten_minutes(20),
            status: Quota::in_ten_minutes(1200),
            disconnect: Quota::in_ten_minutes(40),
        }
    }
}

/// Counts in this process. Each limit tracks the 16,384 callers that were seen last; another one starts with a full quota.
pub struct MemoryRateLimiter {
    start: Limiter,
    discovery: Limiter,
    callback: Limiter,
    log_in: GrowingDelay,
    log_in_network: GrowingDelay,
    status: Limiter,
    disconnect: Limiter,
}

impl MemoryRateLimiter {
    /// Limits measured with the monotonic side of this clock.
    pub fn new(limits: RateLimits, clock: &Arc<dyn Clock>) -> Self {
        let limiter = |quota| Limiter::new(quota, clock.clone());
        Self {
            start: limiter(limits.start),
            discovery: limiter(limits.start.times(PAGES_OF_START)),
            callback: limiter(limits.callback),
            log_in: GrowingDelay::new(limits.log_in, clock.clone()),
            log_in_network: GrowingDelay::new(limits.log_in.times(NAMES_OF_NETWORK), clock.clone()),
            status: limiter(limits.status),
            disconnect: limiter(limits.disconnect),
        }
    }

    /// The number of tracked callers, over all operations.
    pub fn tracked(&self) -> usize {
        let limiters = [&self.start, &self.discovery, &self.callback, &self.status, &self.disconnect];
        limiters.into_iter().map(|limiter| limiter.callers().len()).sum::<usize>()
            + self.log_in.tracked()
            + self.log_in_network.tracked()
    }
}

#[async_trait]
impl RateLimiter for MemoryRateLimiter {
    async fn take(&self, who: &str, operation: Operation) -> Result<(), Limited> {
        match operation {
            Operation::Start => self.start.take(who),
            Operation::Callback => self.callback.take(who),
            Operation::LogIn => self.log_in.take(who),
            Operation::LogInNetwork => self.log_in_network.take(who),
            Operation::Discovery => self.discovery.take(who),
            Operation::Status => self.status.take(who),
            Operation::Disconnect => self.disconnect.take(who),
        }
    }

    async fn succeeded(&self, who: &str, operation: Operation) {
        match operation {
            Operation::LogIn => self.log_in.succeeded(who),
            Operation::LogInNetwork => self.log_in_network.succeeded(who),
            // These count every operation alike.
            Operation::Start | Operation::Discovery | Operation::Callback | Operation::Status | Operation::Disconnect => {}
        }
    }
}

/// One operation. Each caller may use the quota as a burst, and has each use again after its share of the span.
struct Limiter {
    quota: Quota,
    clock: Arc<dyn Clock>,
    /// When each caller has the whole quota again.
    full_at: Mutex<Callers<Duration>>,
}

impl Limiter {
    fn new(quota: Quota, clock: Arc<dyn Clock>) -> Self {
        Self { quota, clock, full_at: Mutex::new(Callers::new(quota.per)) }
    }

    fn take(&self, who: &str) -> Result<(), Limited> {
        let now = self.clock.monotonic();
        let share = self.quota.share();
        let mut callers = self.callers();
        let full_at = callers.seen(who, now);
        let taken_until = now.max(*full_at);
        let retry_after = taken_until.saturating_sub(now.saturating_add(share * (self.quota.times.get() - 1)));
        if retry_after.is_zero() {
            *full_at = taken_until.saturating_add(share);
            Ok(())
        } else {
            Err(Limited { retry_after })
        }
    }

    fn callers(&self) -> MutexGuard<'_, Callers<Duration>> {
        self.full_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
const OPERATIONS: [Operation; 7] = [
    Operation::Start,
    Operation::Discovery,
    Operation::Callback,
    Operation::LogIn,
    Operation::LogInNetwork,
    Operation::Status,
    Operation::Disconnect,
];

#[cfg(test)]
mod tests {
    use grantry_testkit::doubles::TestClock;

    use super::*;
    use crate::callers::MAX_TRACKED;

    fn limiter(clock: &TestClock) -> MemoryRateLimiter {
        let clock: Arc<dyn Clock> = Arc::new(clock.clone());
        MemoryRateLimiter::new(RateLimits::default(), &clock)
    }

    #[tokio::test]
    async fn r59_each_caller_has_a_quota_for_each_operation() {
        let clock = TestClock::default();
        let limiter = limiter(&clock);
        for _ in 0..20 {
            limiter.take("user:alice", Operation::Start).await.unwrap();
        }
        let refused = limiter.take("user:alice", Operation::Start).await.unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_secs(30));
        limiter.take("user:bob", Operation::Start).await.unwrap();
        limiter.take("user:alice", Operation::Callback).await.unwrap();

        clock.advance(Duration::from_millis(29_999));
        limiter.take("user:alice", Operation::Start).await.unwrap_err();
        clock.advance(Duration::from_millis(1));
        limiter.take("user:alice", Operation::Start).await.unwrap();
        limiter.take("user:alice", Operation::Start).await.unwrap_err();
    }

    #[tokio::test]
    async fn r59_a_network_has_ten_times_the_log_ins_of_one_name() {
        let clock = TestClock::default();
        let limiter = limiter(&clock);
        for _ in 0..200 {
            limiter.take("198.51.100.1", Operation::LogInNetwork).await.unwrap();
        }
        limiter.take("198.51.100.1", Operation::LogInNetwork).await.unwrap_err();
        limiter.take("198.51.100.2", Operation::LogInNetwork).await.unwrap();
    }

    #[tokio::test]
    async fn callers_with_a_full_quota_are_removed() {
        let clock = TestClock::default();
        let limiter = limiter(&clock);
        for round in 0..5 {
            for caller in 0..1024 {
                limiter.take(&format!("ip:{round}:{caller}"), Operation::Start).await.unwrap();
            }
            clock.advance(Duration::from_mins(10));
        }
        assert_eq!(limiter.tracked(), 1024);
    }

    #[tokio::test]
    async fn a_step_of_the_wall_clock_changes_no_wait() {
        let clock = TestClock::default();
        let limiter = limiter(&clock);
        let (now, year) = (clock.now(), Duration::from_hours(365 * 24));
        for operation in OPERATIONS {
            while limiter.take("limited", operation).await.is_ok() {}
            let refused = limiter.take("limited", operation).await;
            for wall in [now.plus(year), now.minus(year), now] {
                clock.step_wall(wall);
                assert_eq!(limiter.take("limited", operation).await, refused, "{operation:?}");
            }
        }
    }

    #[tokio::test]
    async fn r59_the_number_of_tracked_callers_is_bounded_for_each_operation() {
        let clock = TestClock::default();
        let limiter = limiter(&clock);
        for operation in OPERATIONS {
            while limiter.take("limited", operation).await.is_ok() {}
            for caller in 0..MAX_TRACKED + 10 {
                limiter.take(&format!("ip:{caller}"), operation).await.unwrap();
                limiter.take("limited", operation).await.unwrap_err();
            }
        }
        assert_eq!(limiter.tracked(), OPERATIONS.len() * MAX_TRACKED);
    }
}

#[cfg(test)]
mod contract {
    use std::future::{Ready, ready};

    use grantry_testkit::contract::rate_limiter::LimiterBackend;
    use grantry_testkit::doubles::TestClock;

    use super::*;

    fn limiter(clock: TestClock) -> Ready<LimiterBackend> {
        let read: Arc<dyn Clock> = Arc::new(clock.clone());
        let limiter = Arc::new(MemoryRateLimiter::new(RateLimits::default(), &read));
        ready(LimiterBackend { limiter, clock, limited: OPERATIONS.into() })
    }

    grantry_testkit::rate_limiter_contract!(limiter);
}

//! Rate limits per process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use grantry_domain::ports::{Clock, Limited, Operation, RateLimiter};

use crate::growing_delay::GrowingDelay;
use crate::quota::Quota;

/// The quota of each operation, for one user or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Starting flows.
    pub start: Quota,
    /// Callbacks.
    pub callback: Quota,
    /// Log-ins without a wait, for one name and network, and for unknown names from one network.
    pub log_in: Quota,
    /// Status requests, which pages send every few seconds.
    pub status: Quota,
    /// Disconnects.
    pub disconnect: Quota,
}

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

/// Counts in this process. Callers whose quota is full again are removed, so memory is bounded by the callers of one span.
pub struct MemoryRateLimiter {
    start: Limiter,
    callback: Limiter,
    log_in: GrowingDelay,
    status: Limiter,
    disconnect: Limiter,
}

impl MemoryRateLimiter {
    /// Limits measured with the monotonic side of this clock.
    pub fn new(limits: RateLimits, clock: &Arc<dyn Clock>) -> Self {
        let limiter = |quota| Limiter::new(quota, Monotonic(clock.clone()));
        Self {
            start: limiter(limits.start),
            callback: limiter(limits.callback),
            log_in: GrowingDelay::new(limits.log_in, clock.clone()),
            status: limiter(limits.status),
            disconnect: limiter(limits.disconnect),
        }
    }

    /// The number of tracked callers, over all operations.
    pub fn tracked(&self) -> usize {
        let limiters = [&self.start, &self.callback, &self.status, &self.disconnect];
        limiters.into_iter().map(|limiter| limiter.governed.len()).sum::<usize>() + self.log_in.tracked()
    }
}

#[async_trait]
impl RateLimiter for MemoryRateLimiter {
    async fn take(&self, who: &str, operation: Operation) -> Result<(), Limited> {
        match operation {
            Operation::Start => self.start.take(who),
            Operation::Callback => self.callback.take(who),
            Operation::LogIn => self.log_in.take(who),
            Operation::Status => self.status.take(who),
            Operation::Disconnect => self.disconnect.take(who),
        }
    }

    async fn forget(&self, who: &str, operation: Operation) {
        match operation {
            Operation::LogIn => self.log_in.forget(who),
            // These count every operation.
            Operation::Start | Operation::Callback | Operation::Status | Operation::Disconnect => {}
        }
    }
}

type Governed = governor::RateLimiter<String, DefaultKeyedStateStore<String>, Monotonic, NoOpMiddleware<Duration>>;

/// One operation.
struct Limiter {
    governed: Governed,
    clock: Monotonic,
    /// The number of tracked callers at which the next removal runs.
    clean_at: AtomicUsize,
}

/// The quota as one of `governor`.
fn governed(quota: Quota) -> governor::Quota {
    let share = (quota.per / quota.times.get()).max(Duration::from_nanos(1));
    governor::Quota::with_period(share).unwrap_or(governor::Quota::per_second(quota.times)).allow_burst(quota.times)
}

const MIN_TO_CLEAN: usize = 1024;

impl Limiter {
    fn new(quota: Quota, clock: Monotonic) -> Self {
        let governed = Governed::new(governed(quota), DefaultKeyedStateStore::default(), clock.clone());
        Self { governed, clock, clean_at: AtomicUsize::new(MIN_TO_CLEAN) }
    }

    fn take(&self, who: &str) -> Result<(), Limited> {
        let taken = self.governed.check_key(&who.to_owned());
        self.clean();
        taken.map_err(|refused| Limited { retry_after: refused.wait_time_from(self.clock.now()) })
    }

    /// Removes callers with a full quota whenever the table has doubled, so the cost per call is constant on average.
    fn clean(&self) {
        if self.governed.len() >= self.clean_at.load(Ordering::Relaxed) {
            self.governed.retain_recent();
            let next = (2 * self.governed.len()).max(MIN_TO_CLEAN);
            self.clean_at.store(next, Ordering::Relaxed);
        }
    }
}

/// The injected clock as a clock of `governor`.
#[derive(Clone)]
struct Monotonic(Arc<dyn Clock>);

impl GovernorClock for Monotonic {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

#[cfg(test)]
mod tests {
    use grantry_testkit::doubles::TestClock;

    use super::*;

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
    async fn callers_with_a_full_quota_are_removed() {
        let clock = TestClock::default();
        let limiter = limiter(&clock);
        for round in 0..5 {
            for caller in 0..MIN_TO_CLEAN {
                limiter.take(&format!("ip:{round}:{caller}"), Operation::Start).await.unwrap();
            }
            clock.advance(Duration::from_mins(10));
        }
        assert!(limiter.tracked() <= MIN_TO_CLEAN + 1, "{} are tracked", limiter.tracked());
    }
}

//! Rates per process (R59).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use grantry_domain::ports::{Clock, Limited, Operation, RateLimiter};

/// So many in a span, all at once if need be; each comes back after its share of the span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How many.
    pub times: NonZeroU32,
    /// In which span.
    pub per: Duration,
}

impl Quota {
    /// So many in ten minutes.
    ///
    /// # Panics
    /// At compile time, if there are none.
    pub const fn in_ten_minutes(times: u32) -> Self {
        let times = NonZeroU32::new(times).expect("a rate of zero lets nothing through");
        Self { times, per: Duration::from_mins(10) }
    }

    fn governed(self) -> governor::Quota {
        let share = (self.per / self.times.get()).max(Duration::from_nanos(1));
        governor::Quota::with_period(share).unwrap_or(governor::Quota::per_second(self.times)).allow_burst(self.times)
    }
}

/// The quota of each operation, for one user or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Starting flows.
    pub start: Quota,
    /// Callbacks.
    pub callback: Quota,
    /// Log-ins.
    pub log_in: Quota,
    /// Asking for a status, which pages do every few seconds.
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

/// Counts in this process alone. What has recovered its full quota is forgotten, so memory follows the callers of one span.
pub struct MemoryRateLimiter {
    start: Limiter,
    callback: Limiter,
    log_in: Limiter,
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
            log_in: limiter(limits.log_in),
            status: limiter(limits.status),
            disconnect: limiter(limits.disconnect),
        }
    }

    /// How many callers it remembers, over all operations.
    pub fn remembered(&self) -> usize {
        let all = [&self.start, &self.callback, &self.log_in, &self.status, &self.disconnect];
        all.into_iter().map(|limiter| limiter.governed.len()).sum()
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
}

type Governed = governor::RateLimiter<String, DefaultKeyedStateStore<String>, Monotonic, NoOpMiddleware<Duration>>;

/// One operation.
struct Limiter {
    governed: Governed,
    clock: Monotonic,
    /// At how many remembered callers to forget the recovered ones next.
    clean_at: AtomicUsize,
}

const FEWEST_TO_CLEAN: usize = 1024;

impl Limiter {
    fn new(quota: Quota, clock: Monotonic) -> Self {
        let governed = Governed::new(quota.governed(), DefaultKeyedStateStore::default(), clock.clone());
        Self { governed, clock, clean_at: AtomicUsize::new(FEWEST_TO_CLEAN) }
    }

    fn take(&self, who: &str) -> Result<(), Limited> {
        let taken = self.governed.check_key(&who.to_owned());
        self.clean();
        taken.map_err(|refused| Limited { retry_after: refused.wait_time_from(self.clock.now()) })
    }

    /// Forgets recovered callers whenever the table has doubled, which costs a constant share of each call.
    fn clean(&self) {
        if self.governed.len() >= self.clean_at.load(Ordering::Relaxed) {
            self.governed.retain_recent();
            let next = (2 * self.governed.len()).max(FEWEST_TO_CLEAN);
            self.clean_at.store(next, Ordering::Relaxed);
        }
    }
}

/// The injected clock in the form the governor wants.
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
    async fn callers_that_have_recovered_are_forgotten() {
        let clock = TestClock::default();
        let limiter = limiter(&clock);
        for round in 0..5 {
            for caller in 0..FEWEST_TO_CLEAN {
                limiter.take(&format!("ip:{round}:{caller}"), Operation::Start).await.unwrap();
            }
            clock.advance(Duration::from_mins(10));
        }
        assert!(limiter.remembered() <= FEWEST_TO_CLEAN + 1, "{} are remembered", limiter.remembered());
    }
}

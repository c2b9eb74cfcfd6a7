//! The contract of [`RateLimiter`]. [`rate_limiter_contract!`](crate::rate_limiter_contract) expands to its rules.

use std::sync::Arc;
use std::time::Duration;

use grantry_domain::ports::{Clock, Limited, Operation, RateLimiter};

use crate::doubles::TestClock;

/// A rate limiter under test, with the clock it reads.
pub struct LimiterBackend {
    /// The limiter. No operation was counted yet.
    pub limiter: Arc<dyn RateLimiter>,
    /// Its clock.
    pub clock: TestClock,
}

/// Expands to one test for each rule. The factory is an `async fn(TestClock) -> LimiterBackend`.
#[macro_export]
macro_rules! rate_limiter_contract {
    ($factory:path) => {
        $crate::port_rules! {
            @clock rate_limiter $factory;
            the_first_operation_is_allowed,
            every_operation_has_a_limit,
            a_refusal_states_when_the_next_operation_is_allowed,
            a_refused_operation_does_not_count,
            callers_are_counted_apart,
            operations_are_counted_apart,
            a_step_of_the_wall_clock_changes_nothing,
            a_success_counts_no_more_than_an_attempt,
            a_success_of_an_unknown_caller_is_ignored,
        }
    };
}

/// All operations.
const OPERATIONS: [Operation; 7] = [
    Operation::Start,
    Operation::Discovery,
    Operation::Callback,
    Operation::LogIn,
    Operation::LogInNetwork,
    Operation::Status,
    Operation::Disconnect,
];
/// A caller that has no limit within this many operations is not limited.
const ENOUGH: usize = 100_000;
const TICK: Duration = Duration::from_millis(1);

impl LimiterBackend {
    /// Takes until the limit; returns how many were allowed, and the refusal.
    async fn exhaust(&self, who: &str, operation: Operation) -> (usize, Limited) {
        for allowed in 0..ENOUGH {
            if let Err(limited) = self.limiter.take(who, operation).await {
                return (allowed, limited);
            }
        }
        panic!("{operation:?} has no limit");
    }
}

/// A caller that was not seen before is not limited.
pub async fn the_first_operation_is_allowed(backend: LimiterBackend) {
    for operation in OPERATIONS {
        assert_eq!(backend.limiter.take("user:alice", operation).await, Ok(()), "{operation:?}");
    }
}

/// Operations without a pause are refused in the end, with a wait above zero.
pub async fn every_operation_has_a_limit(backend: LimiterBackend) {
    for operation in OPERATIONS {
        let (allowed, limited) = backend.exhaust("user:alice", operation).await;
        assert!(allowed > 0 && !limited.retry_after.is_zero(), "{operation:?}: {limited:?}");
    }
}

/// The operation is refused until the wait is over, and is allowed at its end.
pub async fn a_refusal_states_when_the_next_operation_is_allowed(backend: LimiterBackend) {
    for operation in OPERATIONS {
        let (_, limited) = backend.exhaust("user:alice", operation).await;
        backend.clock.advance(limited.retry_after.saturating_sub(TICK));
        let early = backend.limiter.take("user:alice", operation).await;
        assert!(early.is_err_and(|early| early.retry_after <= TICK), "{operation:?}: {early:?}");
        backend.clock.advance(TICK);
        assert_eq!(backend.limiter.take("user:alice", operation).await, Ok(()), "{operation:?}");
    }
}

/// A caller that keeps asking waits no longer than one that does not.
pub async fn a_refused_operation_does_not_count(backend: LimiterBackend) {
    for operation in OPERATIONS {
        let (_, limited) = backend.exhaust("user:alice", operation).await;
        for _ in 0..3 {
            assert_eq!(backend.limiter.take("user:alice", operation).await, Err(limited), "{operation:?}");
        }
    }
}

/// The limit of one caller is not that of another one.
pub async fn callers_are_counted_apart(backend: LimiterBackend) {
    for operation in OPERATIONS {
        backend.exhaust("user:alice", operation).await;
        for other in ["user:bob", "ip:alice", "user:alice2"] {
            assert_eq!(backend.limiter.take(other, operation).await, Ok(()), "{operation:?} of {other}");
        }
    }
}

/// A caller that has used up one operation may use every other one.
pub async fn operations_are_counted_apart(backend: LimiterBackend) {
    for (at, operation) in OPERATIONS.into_iter().enumerate() {
        let who = format!("user:{at}");
        backend.exhaust(&who, operation).await;
        for other in OPERATIONS.into_iter().filter(|other| *other != operation) {
            assert_eq!(backend.limiter.take(&who, other).await, Ok(()), "{other:?} after {operation:?}");
        }
    }
}

/// Limits are measured with the monotonic clock: setting the wall clock neither lifts nor prolongs them.
pub async fn a_step_of_the_wall_clock_changes_nothing(backend: LimiterBackend) {
    let year = Duration::from_hours(365 * 24);
    for operation in OPERATIONS {
        let (_, limited) = backend.exhaust("user:alice", operation).await;
        let now = backend.clock.now();
        for wall in [now.plus(year), now.minus(year)] {
            backend.clock.step_wall(wall);
            assert_eq!(backend.limiter.take("user:alice", operation).await, Err(limited), "{operation:?}");
        }
        backend.clock.step_wall(now);
    }
}

/// A caller whose operations succeed is allowed at least as many.
pub async fn a_success_counts_no_more_than_an_attempt(backend: LimiterBackend) {
    for operation in OPERATIONS {
        let (attempts, _) = backend.exhaust("user:alice", operation).await;
        let mut successes = 0;
        while successes < attempts && backend.limiter.take("user:bob", operation).await.is_ok() {
            backend.limiter.succeeded("user:bob", operation).await;
            successes += 1;
        }
        assert_eq!(successes, attempts, "{operation:?}");
    }
}

/// A success without an operation gives no caller a greater quota.
pub async fn a_success_of_an_unknown_caller_is_ignored(backend: LimiterBackend) {
    for operation in OPERATIONS {
        let (allowed, _) = backend.exhaust("user:alice", operation).await;
        for _ in 0..8 {
            backend.limiter.succeeded("user:bob", operation).await;
        }
        assert_eq!(backend.exhaust("user:bob", operation).await.0, allowed, "{operation:?}");
    }
}

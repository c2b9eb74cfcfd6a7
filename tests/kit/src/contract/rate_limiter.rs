//! The contract of [`RateLimiter`]. [`rate_limiter_contract!`](crate::rate_limiter_contract) expands to its rules.

use std::sync::Arc;

use grantry_domain::ports::{Limited, Operation, RateLimiter};

use crate::doubles::TestClock;

/// A rate limiter under test, with the clock it reads.
pub struct LimiterBackend {
    /// The limiter. No operation was counted yet.
    pub limiter: Arc<dyn RateLimiter>,
    /// Its clock.
    pub clock: TestClock,
    /// The operations that it limits, each to at most 100,000 without a pause.
    pub limited: Vec<Operation>,
}

/// Expands to one test for each rule. The factory is an `async fn(TestClock) -> LimiterBackend`.
#[macro_export]
macro_rules! rate_limiter_contract {
    ($factory:path) => {
        $crate::port_rules! {
            @clock rate_limiter $factory;
            the_first_operation_is_allowed,
            a_limited_operation_is_refused_with_a_wait,
            an_operation_is_allowed_after_the_wait,
            a_refused_operation_is_not_counted,
            callers_are_counted_apart,
            operations_are_counted_apart,
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
pub async fn a_limited_operation_is_refused_with_a_wait(backend: LimiterBackend) {
    for operation in backend.limited.clone() {
        let (allowed, limited) = backend.exhaust("user:alice", operation).await;
        assert!(allowed > 0 && !limited.retry_after.is_zero(), "{operation:?}: {limited:?}");
    }
}

/// At the end of the wait that the refusal states. It may be allowed earlier.
pub async fn an_operation_is_allowed_after_the_wait(backend: LimiterBackend) {
    for operation in backend.limited.clone() {
        let (_, limited) = backend.exhaust("user:alice", operation).await;
        backend.clock.advance(limited.retry_after);
        assert_eq!(backend.limiter.take("user:alice", operation).await, Ok(()), "{operation:?}");
    }
}

/// A caller that keeps asking is refused, and waits no longer than one that does not.
pub async fn a_refused_operation_is_not_counted(backend: LimiterBackend) {
    for operation in backend.limited.clone() {
        let (_, limited) = backend.exhaust("user:alice", operation).await;
        for _ in 0..3 {
            let again = backend.limiter.take("user:alice", operation).await;
            let is_as_before = again.is_err_and(|again| again.retry_after <= limited.retry_after);
            assert!(is_as_before, "{operation:?}: {again:?} after {limited:?}");
        }
        backend.clock.advance(limited.retry_after);
        assert_eq!(backend.limiter.take("user:alice", operation).await, Ok(()), "{operation:?}");
    }
}

/// The limit of one caller is not that of another one.
pub async fn callers_are_counted_apart(backend: LimiterBackend) {
    for operation in backend.limited.clone() {
        backend.exhaust("user:alice", operation).await;
        for other in ["user:bob", "ip:alice", "user:alice2"] {
            assert_eq!(backend.limiter.take(other, operation).await, Ok(()), "{operation:?} of {other}");
        }
    }
}

/// A caller that has used up one operation may use every other one.
pub async fn operations_are_counted_apart(backend: LimiterBackend) {
    for (at, operation) in backend.limited.clone().into_iter().enumerate() {
        let who = format!("user:{at}");
        backend.exhaust(&who, operation).await;
        for other in OPERATIONS.into_iter().filter(|other| *other != operation) {
            assert_eq!(backend.limiter.take(&who, other).await, Ok(()), "{other:?} after {operation:?}");
        }
    }
}

/// A caller whose operations succeed is allowed at least as many.
pub async fn a_success_counts_no_more_than_an_attempt(backend: LimiterBackend) {
    for operation in backend.limited.clone() {
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
    for operation in backend.limited.clone() {
        let (allowed, _) = backend.exhaust("user:alice", operation).await;
        for _ in 0..8 {
            backend.limiter.succeeded("user:bob", operation).await;
        }
        assert_eq!(backend.exhaust("user:bob", operation).await.0, allowed, "{operation:?}");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::future::{Ready, ready};
    use std::sync::Mutex;
    use std::time::Duration;

    use async_trait::async_trait;
    use grantry_domain::ports::Clock as _;

    use super::*;
    use crate::contract::rejects;
    use crate::doubles::UnlimitedRate;

    const TIMES: i64 = 3;
    const SPAN: Duration = Duration::from_secs(30);

    /// What is wrong with a limiter.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Flaw {
        None,
        RefusesTheFirst,
        HasNoLimit,
        StatesNoWait,
        StatesAShortWait,
        ForgetsAfterARefusal,
        CountsRefusals,
        CountsCallersTogether,
        CountsOperationsTogether,
        CountsSuccessesTwice,
        GivesForSuccesses,
    }

    /// Allows three operations within each span.
    struct Windows {
        flaw: Flaw,
        clock: TestClock,
        /// When the span of a caller ends, and how many operations it has counted.
        counted: Mutex<HashMap<(String, Operation), (Duration, i64)>>,
    }

    impl Windows {
        fn key(&self, who: &str, operation: Operation) -> (String, Operation) {
            let who = if self.flaw == Flaw::CountsCallersTogether { "" } else { who };
            (who.to_owned(), if self.flaw == Flaw::CountsOperationsTogether { Operation::Start } else { operation })
        }
    }

    #[async_trait]
    impl RateLimiter for Windows {
        async fn take(&self, who: &str, operation: Operation) -> Result<(), Limited> {
            let (now, first) = (self.clock.monotonic(), i64::from(self.flaw == Flaw::RefusesTheFirst) * TIMES);
            let mut counted = self.counted.lock().unwrap();
            let (ends, times) = counted.entry(self.key(who, operation)).or_insert((now + SPAN, first));
            if *ends <= now {
                (*ends, *times) = (now + SPAN, 0);
            }
            if *times < TIMES || self.flaw == Flaw::HasNoLimit {
                *times += 1;
                return Ok(());
            }
            let wait = ends.saturating_sub(now);
            match self.flaw {
                Flaw::StatesNoWait => return Err(Limited { retry_after: Duration::ZERO }),
                Flaw::StatesAShortWait => return Err(Limited { retry_after: wait / 2 }),
                Flaw::ForgetsAfterARefusal => *times = 0,
                Flaw::CountsRefusals => *ends += SPAN,
                Flaw::None
                | Flaw::RefusesTheFirst
                | Flaw::HasNoLimit
                | Flaw::CountsCallersTogether
                | Flaw::CountsOperationsTogether
                | Flaw::CountsSuccessesTwice
                | Flaw::GivesForSuccesses => {}
            }
            Err(Limited { retry_after: wait })
        }

        async fn succeeded(&self, who: &str, operation: Operation) {
            let now = self.clock.monotonic();
            let mut counted = self.counted.lock().unwrap();
            match self.flaw {
                Flaw::CountsSuccessesTwice => counted.entry(self.key(who, operation)).or_insert((now + SPAN, 0)).1 += 1,
                Flaw::GivesForSuccesses => counted.entry(self.key(who, operation)).or_insert((now + SPAN, 0)).1 -= 1,
                Flaw::None
                | Flaw::RefusesTheFirst
                | Flaw::HasNoLimit
                | Flaw::StatesNoWait
                | Flaw::StatesAShortWait
                | Flaw::ForgetsAfterARefusal
                | Flaw::CountsRefusals
                | Flaw::CountsCallersTogether
                | Flaw::CountsOperationsTogether => {}
            }
        }
    }

    fn windows(flaw: Flaw, clock: TestClock) -> LimiterBackend {
        let limiter = Arc::new(Windows { flaw, clock: clock.clone(), counted: Mutex::default() });
        LimiterBackend { limiter, clock, limited: OPERATIONS.into() }
    }

    mod with_limits {
        use super::*;

        fn limiter(clock: TestClock) -> Ready<LimiterBackend> {
            ready(windows(Flaw::None, clock))
        }

        crate::rate_limiter_contract!(limiter);
    }

    mod without_limits {
        use super::*;

        fn limiter(clock: TestClock) -> Ready<LimiterBackend> {
            ready(LimiterBackend { limiter: Arc::new(UnlimitedRate), clock, limited: Vec::new() })
        }

        crate::rate_limiter_contract!(limiter);
    }

    #[tokio::test]
    async fn a_limiter_that_breaks_a_rule_is_rejected() {
        let flawed = |flaw| windows(flaw, TestClock::default());
        assert!(rejects(the_first_operation_is_allowed(flawed(Flaw::RefusesTheFirst))).await);
        assert!(rejects(a_limited_operation_is_refused_with_a_wait(flawed(Flaw::HasNoLimit))).await);
        assert!(rejects(a_limited_operation_is_refused_with_a_wait(flawed(Flaw::StatesNoWait))).await);
        assert!(rejects(an_operation_is_allowed_after_the_wait(flawed(Flaw::StatesAShortWait))).await);
        assert!(rejects(a_refused_operation_is_not_counted(flawed(Flaw::ForgetsAfterARefusal))).await);
        assert!(rejects(a_refused_operation_is_not_counted(flawed(Flaw::CountsRefusals))).await);
        assert!(rejects(callers_are_counted_apart(flawed(Flaw::CountsCallersTogether))).await);
        assert!(rejects(operations_are_counted_apart(flawed(Flaw::CountsOperationsTogether))).await);
        assert!(rejects(a_success_counts_no_more_than_an_attempt(flawed(Flaw::CountsSuccessesTwice))).await);
        assert!(rejects(a_success_of_an_unknown_caller_is_ignored(flawed(Flaw::GivesForSuccesses))).await);
    }
}

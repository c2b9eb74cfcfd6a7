//! Rate limiters: one without limits, one with scripted refusals.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::ports::{Limited, Operation, RateLimiter};

use super::locked;

/// Allows every operation.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnlimitedRate;

#[async_trait]
impl RateLimiter for UnlimitedRate {
    async fn take(&self, _who: &str, _operation: Operation) -> Result<(), Limited> {
        Ok(())
    }

    async fn succeeded(&self, _who: &str, _operation: Operation) {}
}

/// Allows every operation except those a test refuses; records all of them.
#[derive(Debug, Default)]
pub struct ScriptedRate {
    results: Mutex<VecDeque<Option<Duration>>>,
    taken: Mutex<Vec<(String, Operation)>>,
    succeeded: Mutex<Vec<(String, Operation)>>,
}

impl ScriptedRate {
    /// Queues an allowed operation, before a later refusal.
    pub fn allow_next(&self) {
        locked(&self.results).push_back(None);
    }

    /// Queues a refusal.
    pub fn refuse(&self, retry_after: Duration) {
        locked(&self.results).push_back(Some(retry_after));
    }

    /// The operations that succeeded, in order.
    pub fn succeeded(&self) -> Vec<(String, Operation)> {
        locked(&self.succeeded).clone()
    }

    /// All operations so far, in order.
    pub fn taken(&self) -> Vec<(String, Operation)> {
        locked(&self.taken).clone()
    }
}

#[async_trait]
impl RateLimiter for ScriptedRate {
    async fn take(&self, who: &str, operation: Operation) -> Result<(), Limited> {
        locked(&self.taken).push((who.to_owned(), operation));
        match locked(&self.results).pop_front().flatten() {
            Some(retry_after) => Err(Limited { retry_after }),
            None => Ok(()),
        }
    }

    async fn succeeded(&self, who: &str, operation: Operation) {
        locked(&self.succeeded).push((who.to_owned(), operation));
    }
}

#[cfg(all(test, feature = "contract"))]
mod contract {
    use std::sync::Arc;

    use super::*;
    use crate::contract::rate_limiter::{self, LimiterBackend};
    use crate::doubles::TestClock;

    fn backend(limiter: impl RateLimiter + 'static) -> LimiterBackend {
        LimiterBackend { limiter: Arc::new(limiter), clock: TestClock::default() }
    }

    /// The rules without a limit are those that a limiter without limits and a script can keep.
    #[tokio::test]
    async fn the_first_operation_is_allowed() {
        rate_limiter::the_first_operation_is_allowed(backend(UnlimitedRate)).await;
        rate_limiter::the_first_operation_is_allowed(backend(ScriptedRate::default())).await;
    }

    /// A script of seven limits, one for each operation.
    #[tokio::test]
    async fn every_operation_has_a_limit() {
        let limiter = ScriptedRate::default();
        for _ in 0..7 {
            limiter.allow_next();
            limiter.refuse(Duration::from_secs(30));
        }
        rate_limiter::every_operation_has_a_limit(backend(limiter)).await;
    }
}

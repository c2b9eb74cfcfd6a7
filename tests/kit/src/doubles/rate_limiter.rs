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

/// Allows every operation except those a test refuses, and records all of them. It counts nothing: a script is no limit, and the
/// contract of limits does not hold for it.
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

//! Rate limiters for tests in which rates do not matter, and for those in which they do.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::ports::{Limited, Operation, RateLimiter};

use super::locked;

/// Lets everything through.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnlimitedRate;

#[async_trait]
impl RateLimiter for UnlimitedRate {
    async fn take(&self, _who: &str, _operation: Operation) -> Result<(), Limited> {
        Ok(())
    }
}

/// Answers from a script, then lets everything through; remembers who asked for what.
#[derive(Debug, Default)]
pub struct ScriptedRate {
    refusals: Mutex<VecDeque<Option<Duration>>>,
    taken: Mutex<Vec<(String, Operation)>>,
}

impl ScriptedRate {
    /// Lets the next one through that has no answer yet.
    pub fn let_through(&self) {
        locked(&self.refusals).push_back(None);
    }

    /// Refuses the next one that has no answer yet.
    pub fn refuse(&self, retry_after: Duration) {
        locked(&self.refusals).push_back(Some(retry_after));
    }

    /// Everything that was asked for, in order.
    pub fn taken(&self) -> Vec<(String, Operation)> {
        locked(&self.taken).clone()
    }
}

#[async_trait]
impl RateLimiter for ScriptedRate {
    async fn take(&self, who: &str, operation: Operation) -> Result<(), Limited> {
        locked(&self.taken).push((who.to_owned(), operation));
        match locked(&self.refusals).pop_front().flatten() {
            Some(retry_after) => Err(Limited { retry_after }),
            None => Ok(()),
        }
    }
}

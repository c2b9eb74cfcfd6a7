//! Limits on how often somebody may do something (R59).

use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Starting a flow.
    Start,
    /// Finishing one.
    Callback,
    /// Logging in.
    LogIn,
    /// Asking for a status.
    Status,
    /// Disconnecting.
    Disconnect,
}

/// Takes one of (who, operation).
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Takes one, or says how long to wait. `who` is a user, an address or a user name, with a prefix telling which.
    async fn take(&self, who: &str, operation: Operation) -> Result<(), Limited>;
}

/// Too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("too many requests; try again in {} s", retry_after.as_secs())]
pub struct Limited {
    /// When the next one will be let through.
    pub retry_after: Duration,
}

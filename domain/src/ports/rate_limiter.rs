//! Rate limits.

use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Starting a flow.
    Start,
    /// Reading an issuer's metadata to show it before a start.
    Discovery,
    /// Completing a flow.
    Callback,
    /// Logging in. Attempts beyond the limit wait longer and longer; they are never refused for good.
    LogIn,
    /// The same, for all user names of one network.
    LogInNetwork,
    /// Reading a status.
    Status,
    /// Disconnecting, and setting the default connection.
    Disconnect,
}

/// Counts operations per caller.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Counts one operation, or returns how long to wait. `who` is a user, an address or a user name, with a prefix for
    /// its kind.
    async fn take(&self, who: &str, operation: Operation) -> Result<(), Limited>;

    /// The last operation of a caller succeeded. A limiter may count it less than one that failed.
    async fn succeeded(&self, who: &str, operation: Operation);
}

/// The limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("too many requests; try again in {} s", retry_after.as_secs())]
pub struct Limited {
    /// When the next operation is allowed.
    pub retry_after: Duration,
}

//! Rate limits.

use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Starting a flow.
    Start,
    /// A request to a provider without a flow: reading an issuer's metadata to show it before a start, and testing a connector.
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

/// Counts each operation of each caller apart. An implementation may leave operations without a limit.
///
/// ```
/// use async_trait::async_trait;
/// use grantry_domain::ports::{Limited, Operation, RateLimiter};
///
/// /// A limiter for hosts that limit requests elsewhere.
/// struct Unlimited;
///
/// #[async_trait]
/// impl RateLimiter for Unlimited {
///     async fn take(&self, _who: &str, _operation: Operation) -> Result<(), Limited> {
///         Ok(())
///     }
///
///     async fn succeeded(&self, _who: &str, _operation: Operation) {}
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Counts one operation, or refuses it. The first one of a caller is allowed. A refused operation is not counted: it does not
    /// prolong the wait. `who` is a user, an address or a user name, with a prefix for its kind.
    async fn take(&self, who: &str, operation: Operation) -> Result<(), Limited>;

    /// The last operation of a caller succeeded. A limiter may count it less than one that failed, and never more. Without a
    /// counted operation this has no effect.
    async fn succeeded(&self, who: &str, operation: Operation);
}

/// The limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("too many requests; try again in {} s", retry_after.as_secs())]
pub struct Limited {
    /// The time after which the next operation is allowed, above zero.
    pub retry_after: Duration,
}

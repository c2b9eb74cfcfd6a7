//! Clock, randomness and detached work.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

use crate::time::Timestamp;

/// Wall clock and monotonic clock.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// Time since some fixed instant of this process; never goes back. Deadlines of own work are measured with it.
    fn monotonic(&self) -> Duration;
}

/// Cryptographically secure randomness.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait SecureRandom: Send + Sync {
    /// Fills the buffer, or fails; a failure aborts what needed it (R74).
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomUnavailable>;
}

/// The operating system gave no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no secure randomness is available")]
pub struct RandomUnavailable;

/// A future that runs to its end wherever it is put.
pub type Detached = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Work that outlives its caller, and waiting.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Spawner: Send + Sync {
    /// Runs a future to its end even if whoever asked for it goes away (R26).
    fn spawn(&self, work: Detached);
    /// Waits.
    async fn sleep(&self, span: Duration);
}

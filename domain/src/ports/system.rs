//! Clock, randomness and detached tasks.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

use crate::time::Timestamp;

/// Wall clock and monotonic clock.
///
/// ```
/// use std::time::Duration;
///
/// use grantry_domain::ports::Clock;
/// use grantry_domain::time::Timestamp;
///
/// /// A clock that stands still, for a test.
/// struct Stopped;
///
/// impl Clock for Stopped {
///     fn now(&self) -> Timestamp {
///         Timestamp::from_millis(1_800_000_000_000)
///     }
///
///     fn monotonic(&self) -> Duration {
///         Duration::ZERO
///     }
/// }
///
/// assert_eq!(Stopped.now().as_millis(), 1_800_000_000_000);
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// Time since a fixed instant of this process; never decreases. Request deadlines are measured with it.
    fn monotonic(&self) -> Duration;
}

/// A cryptographically secure random generator.
///
/// ```
/// use grantry_domain::ports::{RandomUnavailable, SecureRandom};
///
/// /// A new id.
/// fn new_id(random: &dyn SecureRandom) -> Result<[u8; 16], RandomUnavailable> {
///     let mut id = [0; 16];
///     random.fill(&mut id)?;
///     Ok(id)
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait SecureRandom: Send + Sync {
    /// Fills the buffer. An error aborts the operation that needed the bytes.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomUnavailable>;
}

/// The operating system provided no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no secure randomness is available")]
pub struct RandomUnavailable;

/// Work for [`Spawner::spawn`].
pub type Detached = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs detached work, and sleeps.
///
/// ```
/// use grantry_domain::ports::Spawner;
///
/// /// Starts work that outlives its caller.
/// fn start(spawner: &dyn Spawner) {
///     spawner.spawn(Box::pin(async {}));
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Spawner: Send + Sync {
    /// Runs a future to completion, also if the caller is dropped.
    fn spawn(&self, work: Detached);
    /// Sleeps.
    async fn sleep(&self, duration: Duration);
}

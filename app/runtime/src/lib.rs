//! What the process provides to the use cases: clock, secure randomness, detached tasks and rate limits.
//!
//! The only crate that reads the system clock and draws randomness. Tests replace each of them.

mod clock;
mod random;
mod rate_limiter;
mod spawner;

pub use clock::SystemClock;
pub use random::SystemRandom;
pub use rate_limiter::{MemoryRateLimiter, Quota, RateLimits};
pub use spawner::TokioSpawner;

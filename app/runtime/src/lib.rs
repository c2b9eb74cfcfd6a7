//! The ports that a process implements: clock, secure randomness, detached tasks and rate limits.
//!
//! Only this crate reads the system clock and draws randomness. Tests and hosts can replace each port.

mod callers;
mod clock;
mod growing_delay;
mod quota;
mod random;
mod rate_limiter;
mod spawner;

pub use clock::SystemClock;
pub use quota::Quota;
pub use random::SystemRandom;
pub use rate_limiter::{MemoryRateLimiter, RateLimits};
pub use spawner::TokioSpawner;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

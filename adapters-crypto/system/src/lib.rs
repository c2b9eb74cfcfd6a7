//! What Grantry takes from the machine it runs on: time, randomness, and work that outlives a request.
//!
//! The only crate that reaches for such things. Everything else is told the time and given its randomness, so a test decides
//! both.

mod clock;
mod entropy;
mod tasks;

pub use clock::SystemClock;
pub use entropy::SystemEntropy;
pub use tasks::TokioTasks;

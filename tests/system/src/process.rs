//! Processes that a test starts, kills or pauses.

mod grantry;
mod node;

pub use grantry::{GrantryProcess, Installation, ProcessOutput, mode};
pub use node::{LISTENING, NodeProcess, NodeProcessError, SETTINGS};

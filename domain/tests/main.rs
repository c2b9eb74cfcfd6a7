//! The use cases, run against the reference store and doubles of every other port.
//!
//! Tests are named after the requirement or the lesson they show.

mod common;

mod callback;
mod cancel;
mod disconnect;
mod edits;
mod hand_out;
mod mocks;
mod renewal;
mod start;

//! The use cases, run against the reference store and doubles of every other port.
//!
//! Tests are named after the requirement or the lesson they show.

mod common;

mod admin;
mod callback;
mod cancel;
mod disconnect;
mod edits;
mod execute;
mod hand_out;
mod housekeeping;
mod renewal;
mod shared;
mod start;
mod status;

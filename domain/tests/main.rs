//! The use cases, run against the reference store and doubles of every other port.
//!
//! Tests are named after the requirement or the lesson they show.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]
#![expect(clippy::unchecked_time_subtraction, reason = "spans of tests are constants")]
#![expect(clippy::assigning_clones, reason = "an edited setting reads as an assignment")]
#![expect(clippy::large_futures, reason = "a test's future lives on its own stack")]
#![expect(clippy::similar_names, reason = "parts become ports")]

mod common;

mod access_token;
mod admin;
mod callback;
mod cancel;
mod disconnect;
mod edits;
mod execute;
mod housekeeping;
mod invariants;
mod mocks;
mod refresh;
mod shared;
mod start;
mod status;

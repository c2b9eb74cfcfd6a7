//! The use cases and their parts, tested against the reference store and doubles of every other port.
//!
//! A test name contains the requirement or the lesson that the test shows.

#![expect(clippy::unwrap_used, reason = "an unexpected error fails the test")]
#![expect(clippy::unchecked_time_subtraction, reason = "spans of tests are constants")]
#![expect(clippy::assigning_clones, reason = "an edited setting reads as an assignment")]
#![expect(clippy::large_futures, reason = "the future of a test is large")]
#![expect(clippy::similar_names, reason = "parts have ports, and a sealer has sealed records")]

mod common;

mod access;
mod access_token;
mod admin;
mod callback;
mod cancel;
mod clock_steps;
mod connections;
mod connector_test;
mod diagnostics;
mod disconnect;
mod edits;
mod execute;
mod housekeeping;
mod invariants;
mod mocks;
mod parts;
mod refresh;
mod relay;
mod scopes;
mod shared;
mod start;
mod status;
mod tampering;
mod try_connection;
mod users;

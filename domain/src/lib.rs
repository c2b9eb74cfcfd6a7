//! Per-user OAuth on connectors: states, invariants, use cases and ports.
//!
//! **Architecture invariant:** this crate performs no I/O, reads no clock and draws no randomness; all of that comes through
//! the traits in [`ports`]. It uses no HTTP, SQL, JSON or async runtime, and its types are not serialisable: every adapter
//! has separate records and a fallible conversion.
//!
//! Reading order: [`authorization`] is the aggregate and its state machine, synchronous and total. [`usecase`] has one file
//! per use case. The other modules define the values both use.

pub mod authorization;
pub mod connector;
pub mod display;
pub mod encoding;
pub mod identity;
mod named;
pub mod ports;
pub mod provider;
pub mod row_tag;
pub mod secret;
mod sync;
pub mod time;
pub mod usecase;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

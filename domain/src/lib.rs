//! Per-user OAuth on connectors: the states, the invariants, the use cases and the ports.
//!
//! **Architecture invariant:** this crate performs no IO, reads no clock and draws no randomness; all of that comes in
//! through the traits in [`ports`]. It knows no HTTP, no SQL, no JSON and no async runtime, and its types are not
//! serialisable: every boundary owns its record and a fallible conversion.
//!
//! Reading order: [`authorization`] is the aggregate and its state machine, synchronous and total. [`usecase`] has one file per use
//! case. Beside them stand the words they are written in.

pub mod authorization;
pub mod connector;
pub mod encoding;
pub mod identity;
pub mod ports;
pub mod provider;
pub mod secret;
pub mod time;
pub mod usecase;

//! Harness of the wired tests: what runs beside Grantry while it is tested as a whole, and Grantry itself.
//!
//! - [`deployment`]: what several nodes share; [`host`]: a node in this process, out of the real adapters; [`process`]: a node
//!   in a process of its own, to be killed.
//! - [`browser`]: a scripted browser. [`world`]: all of it with the mock provider, as most tests want it.
//! - [`served`]: `grantry serve` as an operator runs it.
//! - [`authorization_server`]: real authorization servers.

pub mod authorization_server;
pub mod browser;
pub mod clock;
pub mod deployment;
pub mod host;
pub mod people;
pub mod place;
pub mod process;
pub mod served;
pub mod world;

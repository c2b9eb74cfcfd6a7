//! Harness of the wired tests: Grantry with its real adapters, and the servers and browsers it talks to.
//!
//! - [`test_app`]: the fixture of most tests: a deployment, a node, and a provider.
//! - [`deployment`]: what the nodes of a deployment share; [`host`]: a node in this process; [`process`]: a node in a
//!   separate process that a test can kill, and `grantry serve` as an operator runs it.
//! - [`browser`]: a scripted browser. [`paths`]: the routes of a connector. [`users`]: the users of a deployment.
//! - [`authorization_server`]: real authorization servers.

pub mod authorization_server;
pub mod browser;
pub mod clock;
pub mod deployment;
pub mod host;
pub mod paths;
pub mod process;
pub mod test_app;
pub mod users;

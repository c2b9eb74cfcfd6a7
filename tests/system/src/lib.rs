//! Harness of the wired tests: what runs beside Grantry while it is tested as a whole.

pub mod authorization_server;

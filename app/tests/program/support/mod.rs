//! Shared parts of the program tests: its process, a client with cookies, and a folder to run it in.

mod http;
mod process;
mod site;

use std::net::TcpListener;

pub(crate) use http::{Browser, Response};
pub(crate) use process::{Running, grantry, run};
pub(crate) use site::Site;

/// A port that is free at the moment.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

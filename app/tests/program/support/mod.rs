//! Shared parts of the program tests: its process, a client with cookies, and a folder to run it in.

mod http;
mod process;
mod site;

pub(crate) use http::{Browser, Response};
pub(crate) use process::{Finished, Running, grantry, run};
pub(crate) use site::Site;

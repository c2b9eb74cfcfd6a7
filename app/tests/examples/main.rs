//! The example hosts, each run through a whole flow: connect, use, refresh, disconnect.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod agent_host;
mod browser;
mod domain_only;
mod embed_actix;
mod embed_axum;
mod guide;
#[cfg(unix)]
mod programs;

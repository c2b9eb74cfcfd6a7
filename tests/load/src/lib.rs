//! The load client of `cargo xtask bench`, the databases that it uses, and the programs that are measured beside the server.
//!
//! - [`deployment`], [`seed`]: a deployment with many grants. [`postgres`]: the same on `PostgreSQL`. [`provider`]: its provider
//!   and API.
//! - [`workload`], [`drive`]: callers that repeat one kind of call. [`http`]: their connections. [`latency`]: their result.
//! - [`references`]: a handler and a proxy that do nothing but the protocol. [`commits`]: durable commits of one row.
//! - [`storm`], [`start`], [`console`]: many callers at once, the start of a server, the size of a script.
//! - [`in_process`]: an access token without HTTP. [`sweep`]: a sweep while requests are processed.
//! - [`process`]: CPU time and memory.

pub mod commits;
pub mod console;
pub mod deployment;
pub mod drive;
pub mod http;
pub mod in_process;
pub mod latency;
pub mod postgres;
pub mod process;
pub mod provider;
pub mod references;
pub mod seed;
pub mod start;
pub mod storm;
pub mod sweep;
pub mod workload;

/// The error of a command is printed and never matched on.
pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

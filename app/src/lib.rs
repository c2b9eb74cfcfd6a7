//! Grantry as a program: configuration, composition, background jobs and the command line.
//!
//! The library exists so that tests and other programs can run what the binary runs. A host that embeds Grantry builds
//! [`Ports`](grantry_domain::usecase::Ports) and the router itself, as [`app`] does here.
//!
//! Reading order: [`config`] is what an operator writes, [`app`] makes a system of it, [`serve`] runs it with [`jobs`] beside
//! it, and [`cli`] is the way in.

pub mod app;
mod audit;
mod check;
pub mod cli;
pub mod config;
mod connector_export;
mod connector_types;
pub mod console;
pub mod demo;
pub mod directory;
mod http_server;
pub mod jobs;
pub mod key_file;
pub mod passwords;
mod process_hardening;
mod progress;
pub mod serve;
pub mod signals;
mod telemetry;

pub use process_hardening::harden;
pub use telemetry::{LogFormat, start_log};

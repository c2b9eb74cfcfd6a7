//! Grantry as a program and as a library: composition, configuration, background jobs and the command line.
//!
//! A host that embeds Grantry starts at [`App::builder`](app::App::builder), mounts
//! [`App::router`](app::App::router) and runs [`Jobs`](jobs::Jobs); `docs/embedding.md` shows how. [`prelude`] contains the
//! types for that. The crates whose types are part of the API are re-exported under their names without the prefix
//! `grantry_`, such as [`domain`], so that a host depends on one crate. The binary does the same from
//! a configuration file: [`config`] parses it, [`app`] builds an application of it, [`serve`] runs the application with
//! [`jobs`], and [`cli`] is the command line.
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `cli` | the command line and the binary | yes |
//! | `sqlite` | the SQLite store | yes |
//! | `postgres` | the PostgreSQL store | yes |
//! | `demo` | `grantry demo` and `grantry mock-provider`, with the mock authorization server of the test kit | yes |

pub mod app;
mod audit;
#[cfg(feature = "cli")]
mod check;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
#[cfg(feature = "cli")]
mod connector_export;
mod connector_types;
pub mod console;
#[cfg(feature = "demo")]
pub mod demo;
mod descriptors;
pub mod directory;
mod escape;
mod failure_log;
mod http_server;
pub mod jobs;
pub mod key_file;
mod log_limit;
mod log_lines;
pub mod passwords;
pub mod prelude;
#[cfg(feature = "cli")]
mod process_hardening;
pub mod profile_folder;
#[cfg(feature = "cli")]
mod progress;
pub mod serve;
pub mod signals;
pub mod store;
mod telemetry;

pub use grantry_crypto_aes_gcm as crypto_aes_gcm;
pub use grantry_domain as domain;
pub use grantry_http_axum as http_axum;
pub use grantry_provider_oauth2 as provider_oauth2;
pub use grantry_runtime as runtime;
#[cfg(feature = "postgres")]
pub use grantry_store_postgres as store_postgres;
#[cfg(feature = "sqlite")]
pub use grantry_store_sqlite as store_sqlite;
#[cfg(feature = "cli")]
pub use process_hardening::harden;
pub use telemetry::{LogFormat, start_log};

/// The code in the documents, compiled by `cargo test --doc`.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../README.md")]
    struct Readme;

    #[doc = include_str!("../../docs/embedding.md")]
    struct Embedding;
}

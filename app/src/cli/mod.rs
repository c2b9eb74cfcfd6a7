//! The command line.
//!
//! Data goes to standard output, messages to standard error. An error is one sentence that names what to do. Exit codes: 0
//! success, 1 failure or a failed check, 2 wrong usage.

mod accounts;
mod agents;
mod check;
mod connectors;
#[cfg(feature = "demo")]
mod demo;
mod error;
mod keys;
#[cfg(feature = "demo")]
mod mock_provider;
mod openapi;
mod output;
mod providers;
mod serve;
mod users;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use error::CliError;

const EXIT_CODES: &str = "Exit codes: 0 success · 1 failure, or a failed check · 2 wrong usage";

#[derive(Parser)]
#[command(name = "grantry", version, about = "Per-user OAuth on connectors: connect, use, disconnect", after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a demo in one process: server, users, connectors and a provider
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
    #[cfg(not(feature = "demo"))]
    #[command(hide = true)]
    Demo(NoDemo),
    /// Serve a mock authorization server with faults, for tests of products in any language
    #[cfg(feature = "demo")]
    MockProvider(mock_provider::MockProviderArgs),
    #[cfg(not(feature = "demo"))]
    #[command(hide = true)]
    MockProvider(NoDemo),
    /// Run the server
    Serve(serve::ServeArgs),
    /// Check configuration, keys, store, clock and connectors without starting the server
    Check(check::CheckArgs),
    /// Generate and list keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Accounts of users
    #[command(subcommand)]
    Accounts(accounts::AccountsCommand),
    /// API keys of back ends
    #[command(subcommand)]
    Agents(agents::AgentsCommand),
    /// Export and import connector definitions, without secrets and grants
    #[command(subcommand)]
    Connectors(connectors::ConnectorsCommand),
    /// Provider profiles: list, describe, check, and write new ones
    #[command(subcommand)]
    Providers(providers::ProvidersCommand),
    /// List users and reinstate deprovisioned ones
    #[command(subcommand)]
    Users(users::UsersCommand),
    #[command(about = "Print the OpenAPI document of the HTTP API")]
    Openapi,
}

/// The configuration file.
#[derive(Args)]
struct ConfigArgs {
    /// The configuration file; every key can also come from a GRANTRY_… variable
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Accepts the arguments of the demo and of the mock provider, so that a build without them refuses the command and not its
/// arguments.
#[cfg(not(feature = "demo"))]
#[derive(Args)]
struct NoDemo {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _arguments: Vec<OsString>,
}

/// Runs one command. `args` begins with the name of the program.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output and are no error.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(sentence) = error.sentence() {
                output::error(&sentence);
            }
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<(), CliError> {
    match command {
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(&args),
        #[cfg(not(feature = "demo"))]
        Command::Demo(NoDemo { .. }) => Err(CliError::NoDemo),
        #[cfg(feature = "demo")]
        Command::MockProvider(args) => mock_provider::run(&args),
        #[cfg(not(feature = "demo"))]
        Command::MockProvider(NoDemo { .. }) => Err(CliError::NoDemo),
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Keys(command) => keys::run(command),
        Command::Accounts(command) => accounts::run(&command),
        Command::Agents(command) => agents::run(&command),
        Command::Connectors(command) => connectors::run(command),
        Command::Providers(command) => providers::run(command),
        Command::Users(command) => users::run(command),
        Command::Openapi => openapi::run(),
    }
}

/// The runtime of a command that does I/O.
fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Io { what: "cannot start threads".to_owned(), kind: error.kind() })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

//! The command line: what can be asked, and how it is answered.
//!
//! Data goes to standard output, words about it to standard error. An error is one sentence that says what to do, and the
//! exit code tells programs: 0 done, 1 not done (or a check failed), 2 the command line is wrong.

mod accounts;
mod agents;
mod check;
mod connectors;
mod demo;
mod error;
mod keys;
mod openapi;
mod output;
mod serve;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use error::CliError;

const EXIT_CODES: &str = "Exit codes: 0 done · 1 not done, or a check failed · 2 the command line is wrong";

#[derive(Parser)]
#[command(name = "grantry", version, about = "Per-user OAuth on connectors: connect, use, disconnect", after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Try everything in one process: server, people, connectors and a provider to connect to
    Demo(demo::DemoArgs),
    /// Run the server
    Serve(serve::ServeArgs),
    /// Examine configuration, keys, store, clock and connectors without starting the server
    Check(check::CheckArgs),
    /// Make and examine keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Accounts of people
    #[command(subcommand)]
    Accounts(accounts::AccountsCommand),
    /// API keys of back ends
    #[command(subcommand)]
    Agents(agents::AgentsCommand),
    /// Move definitions of connectors; never secrets or grants
    #[command(subcommand)]
    Connectors(connectors::ConnectorsCommand),
    #[command(about = "Print the OpenAPI document of the HTTP API")]
    Openapi,
}

/// Where the configuration is.
#[derive(Args)]
struct ConfigArgs {
    /// The configuration file; every key can also come from a GRANTRY_… variable
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs one command. `args` begins with the name of the program.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for and go to standard output; the rest is a mistake.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match answer(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(sentence) = error.sentence() {
                output::error(&sentence);
            }
            ExitCode::FAILURE
        }
    }
}

fn answer(command: Command) -> Result<(), CliError> {
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Keys(command) => keys::run(command),
        Command::Accounts(command) => accounts::run(&command),
        Command::Agents(command) => agents::run(&command),
        Command::Connectors(command) => connectors::run(command),
        Command::Openapi => openapi::run(),
    }
}

/// The runtime of a command that does IO.
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

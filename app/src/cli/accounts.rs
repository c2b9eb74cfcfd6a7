//! `grantry accounts hash-password`.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Subcommand;
use grantry_domain::secret::Secret;
use grantry_runtime::SystemRandom;
use zeroize::Zeroizing;

use crate::cli::CliError;
use crate::cli::output::print;
use crate::passwords;

/// The longest password that log-in accepts.
const MAX_LENGTH: usize = 1024;

#[derive(Subcommand)]
pub(super) enum AccountsCommand {
    /// Hash a password for the configuration; prompts on a terminal, otherwise reads one line
    HashPassword,
}

pub(super) fn run(command: &AccountsCommand) -> Result<(), CliError> {
    match command {
        AccountsCommand::HashPassword => {
            let password = if io::stdin().is_terminal() { prompt_twice()? } else { read_line(io::stdin().lock())? };
            print(passwords::hash(&password, &SystemRandom)?)
        }
    }
}

fn prompt_twice() -> Result<Secret, CliError> {
    let _no_echo = NoEcho::start();
    let first = prompt("Password: ")?;
    let second = prompt("Again: ")?;
    if first.expose() == second.expose() {
        Ok(first)
    } else {
        Err(CliError::Refused("the two passwords differ; try again".to_owned()))
    }
}

fn prompt(text: &str) -> Result<Secret, CliError> {
    let mut stderr = io::stderr().lock();
    drop(write!(stderr, "{text}").and_then(|()| stderr.flush()));
    let password = read_line(io::stdin().lock());
    // The terminal did not echo the line end.
    drop(writeln!(stderr));
    password
}

/// Reads one line, without its end, into memory that is zeroized and never reallocated.
fn read_line(input: impl BufRead) -> Result<Secret, CliError> {
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LENGTH + 2));
    let mut input = input.take(u64::try_from(MAX_LENGTH + 2).unwrap_or(u64::MAX));
    input
        .read_until(b'\n', &mut line)
        .map_err(|error| CliError::Io { what: "cannot read the password".to_owned(), kind: error.kind() })?;
    while matches!(line.last(), Some(b'\n' | b'\r')) {
        line.pop();
    }
    match line.len() {
        0 => Err(CliError::Refused("the password is empty; enter one on a line of standard input".to_owned())),
        length if length > MAX_LENGTH => Err(CliError::Refused(format!("the password is longer than {MAX_LENGTH} bytes"))),
        _ => Ok(Secret::from_zeroizing(line)),
    }
}

/// Switches the echo of the terminal off until it is dropped.
#[cfg(unix)]
struct NoEcho(Option<rustix::termios::Termios>);

#[cfg(unix)]
impl NoEcho {
    fn start() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(io::stdin()).ok();
        if let Some(mut no_echo) = before.clone() {
            no_echo.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &no_echo);
        }
        Self(before)
    }
}

#[cfg(unix)]
impl Drop for NoEcho {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}

#[cfg(not(unix))]
struct NoEcho;

#[cfg(not(unix))]
impl NoEcho {
    fn start() -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_without_its_end() {
        for (input, expected) in [("secret\n", "secret"), ("secret", "secret"), ("two words\r\nmore\n", "two words")] {
            assert_eq!(read_line(input.as_bytes()).unwrap().expose(), expected.as_bytes());
        }
        for bad in [String::new(), "\n".to_owned(), "x".repeat(1025), "x".repeat(5000)] {
            assert!(read_line(bad.as_bytes()).is_err(), "{} bytes", bad.len());
        }
        assert!(read_line("x".repeat(1024).as_bytes()).is_ok());
    }
}

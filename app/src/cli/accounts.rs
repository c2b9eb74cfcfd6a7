//! `grantry accounts hash-password`.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Subcommand;
use grantry_domain::secret::Secret;
use grantry_runtime::SystemRandom;
use zeroize::Zeroizing;

use crate::cli::CliError;
use crate::cli::output::print;
use crate::passwords;

/// Longer ones are refused at log-in, too.
const LONGEST: usize = 1024;

#[derive(Subcommand)]
pub(super) enum AccountsCommand {
    /// Hash a password for the configuration; asks on a terminal, reads one line elsewhere
    HashPassword,
}

pub(super) fn run(command: &AccountsCommand) -> Result<(), CliError> {
    match command {
        AccountsCommand::HashPassword => {
            let password = if io::stdin().is_terminal() { ask_twice()? } else { read_line(io::stdin().lock())? };
            print(passwords::hash(&password, &SystemRandom)?)
        }
    }
}

fn ask_twice() -> Result<Secret, CliError> {
    let _quiet = Quiet::start();
    let first = ask("Password: ")?;
    let second = ask("Again: ")?;
    if first.expose() == second.expose() {
        Ok(first)
    } else {
        Err(CliError::Refused("the two passwords differ; try again".to_owned()))
    }
}

fn ask(prompt: &str) -> Result<Secret, CliError> {
    let mut stderr = io::stderr().lock();
    drop(write!(stderr, "{prompt}").and_then(|()| stderr.flush()));
    let password = read_line(io::stdin().lock());
    // The line end was not echoed.
    drop(writeln!(stderr));
    password
}

/// Reads one line, without its end, into memory that is wiped and never grows.
fn read_line(input: impl BufRead) -> Result<Secret, CliError> {
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST + 2));
    let mut input = input.take(u64::try_from(LONGEST + 2).unwrap_or(u64::MAX));
    input
        .read_until(b'\n', &mut line)
        .map_err(|error| CliError::Io { what: "cannot read the password".to_owned(), kind: error.kind() })?;
    while matches!(line.last(), Some(b'\n' | b'\r')) {
        line.pop();
    }
    match line.len() {
        0 => Err(CliError::Refused("the password is empty; give one on a line of standard input".to_owned())),
        length if length > LONGEST => Err(CliError::Refused(format!("the password is longer than {LONGEST} bytes"))),
        _ => Ok(Secret::from_zeroizing(line)),
    }
}

/// Switches the echo of the terminal off as long as it lives.
#[cfg(unix)]
struct Quiet(Option<rustix::termios::Termios>);

#[cfg(unix)]
impl Quiet {
    fn start() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(io::stdin()).ok();
        if let Some(mut quiet) = before.clone() {
            quiet.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &quiet);
        }
        Self(before)
    }
}

#[cfg(unix)]
impl Drop for Quiet {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}

#[cfg(not(unix))]
struct Quiet;

#[cfg(not(unix))]
impl Quiet {
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

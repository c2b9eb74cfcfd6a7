//! Standard output for data, standard error for messages. Characters that act on a terminal are escaped in both.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

use crate::cli::CliError;
use crate::escape::{escaped_json, escaped_lines};

/// Writes a line of data to standard output.
pub(super) fn print(line: impl Display) -> Result<(), CliError> {
    write_line(&escaped_lines(&line.to_string()))
}

fn write_line(line: &str) -> Result<(), CliError> {
    writeln!(io::stdout().lock(), "{line}").map_err(|_| CliError::OutputClosed)
}

/// Writes data as JSON to standard output.
pub(super) fn print_json(data: &impl Serialize) -> Result<(), CliError> {
    // The types of this crate have text keys, so they always have a JSON form.
    let text =
        serde_json::to_string_pretty(data).map_err(|_| CliError::Refused("the result has no JSON form".to_owned()))?;
    write_line(&escaped_json(&text))
}

/// Writes data as JSON in one line, for the reader of a command that continues to run.
#[cfg(feature = "demo")]
pub(super) fn print_json_line(data: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string(data).map_err(|_| CliError::Refused("the result has no JSON form".to_owned()))?;
    write_line(&escaped_json(&text))
}

/// Writes a message to standard error.
pub(super) fn info(line: impl Display) {
    // A closed standard error is no reason to fail.
    drop(writeln!(io::stderr().lock(), "{}", escaped_lines(&line.to_string())));
}

/// Writes an error to standard error.
pub(super) fn error(sentence: &str) {
    info(format_args!("grantry: {sentence}"));
}

//! `grantry openapi`.

use crate::cli::CliError;
use crate::cli::output::say;

pub(super) fn run() -> Result<(), CliError> {
    say(grantry_http_axum::openapi().trim_end())
}

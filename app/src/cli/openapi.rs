//! `grantry openapi`.

use crate::cli::CliError;
use crate::cli::output::print;

pub(super) fn run() -> Result<(), CliError> {
    print(grantry_http_axum::openapi().trim_end())
}

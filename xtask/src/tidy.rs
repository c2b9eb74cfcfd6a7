//! `cargo xtask tidy`: the rules of the repository that the compiler does not check.
//!
//! Every check is a function from values that were read to a list of findings; this file reads the values and prints the
//! findings.

mod edges;
mod imports;
mod repository;
mod source_text;
mod sources;

use xshell::Shell;

use self::repository::Repository;
use crate::{Result, print_findings};

/// Fails with all findings.
pub(crate) fn check(sh: &Shell) -> Result {
    let repository = Repository::read(sh)?;
    let findings = [edges::check(sh)?, sources::check(&repository), imports::check(&repository)].concat();
    print_findings("tidy", &findings)
}

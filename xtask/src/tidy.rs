//! `cargo xtask tidy`: the rules of the repository that the compiler does not check.
//!
//! Every check is a function from values that were read to a list of findings; this file reads the values and prints the
//! findings.

mod deployment;
mod edges;
mod imports;
pub(crate) mod links;
mod named_tests;
pub(crate) mod prose;
pub(crate) mod repository;
pub(crate) mod source_text;
mod sources;

use clap::Args;
use xshell::Shell;

use self::prose::{Finding, Rules};
use self::repository::Repository;
use crate::{Result, print_findings};

#[derive(Args)]
pub(crate) struct Options {
    /// Print the number of words per file that `xtask/prose.toml` rejects, and check nothing.
    #[arg(long)]
    prose_report: bool,
}

/// Checks everything, or prints the report.
pub(crate) fn run(sh: &Shell, options: &Options) -> Result {
    if !options.prose_report {
        return check(sh);
    }
    let repository = Repository::read(sh)?;
    let (findings, _) = Rules::parse(repository.text(prose::RULES)?)?.check(&repository);
    print!("{}", prose::report(&findings));
    Ok(())
}

/// Fails with all findings.
pub(crate) fn check(sh: &Shell) -> Result {
    let repository = Repository::read(sh)?;
    let (words, unused) = Rules::parse(repository.text(prose::RULES)?)?.check(&repository);
    let words = words.iter().map(Finding::describe).collect();
    let named = named_tests::check(&repository);
    let links = links::check(&repository);
    let deployment = deployment::check(&repository);
    let (sources, imports) = (sources::check(&repository), imports::check(&repository));
    let findings = [edges::check(sh)?, sources, imports, named, links, deployment, words, unused].concat();
    print_findings("tidy", &findings)
}

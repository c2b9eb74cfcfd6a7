//! `cargo xtask tidy`: the rules of the repository that no compiler knows.
//!
//! Every check is a pure function from what was read to what is wrong; this file reads, calls and prints.

mod edges;
mod lexer;
mod names;
mod repository;
mod requirements;
mod sources;
mod suggest;

use clap::Args;
use xshell::Shell;

use self::edges::Member;
use self::names::Names;
use self::repository::Repository;
use self::requirements::{Catalogue, Map};
use crate::{Result, workspace};

const MAP: &str = "requirements.toml";
const CATALOGUE: &str = "docs/security/requirements.md";

/// Check, or propose which test belongs to which requirement.
#[derive(Args)]
pub(crate) struct Options {
    /// Print `requirements.toml` with the tests that carry a requirement's name (`r28_…`, `lesson_09_…`, `"R30 …"`).
    #[arg(long)]
    suggest: bool,
    /// Write the proposal into the file.
    #[arg(long, requires = "suggest")]
    write: bool,
}

/// Checks everything, or proposes.
pub(crate) fn run(sh: &Shell, options: &Options) -> Result {
    if options.suggest { propose(sh, options.write) } else { check(sh) }
}

/// Fails with everything that is wrong.
pub(crate) fn check(sh: &Shell) -> Result {
    let repository = Repository::read(sh)?;
    let findings = [
        edges::check(&members()?),
        sources::check(&repository),
        requirements::check(
            &Map::parse(repository.text(MAP)?)?,
            &Catalogue::parse(repository.text(CATALOGUE)?),
            &Names::of(&repository),
        ),
    ]
    .concat();
    for finding in &findings {
        println!("  {finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err("tidy found one thing".into()),
        many => Err(format!("tidy found {many} things").into()),
    }
}

fn propose(sh: &Shell, write: bool) -> Result {
    let repository = Repository::read(sh)?;
    let map = Map::parse(repository.text(MAP)?)?;
    let proposal = suggest::render(&suggest::with_found_tests(map, &Names::of(&repository)));
    if write {
        sh.write_file(MAP, proposal)?;
    } else {
        print!("{proposal}");
    }
    Ok(())
}

fn members() -> Result<Vec<Member>> {
    Ok(workspace::metadata()?.packages.iter().map(Member::from).collect())
}

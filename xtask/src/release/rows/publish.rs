//! Cargo and npm accept every published package, as far as they can judge it without a network.
//!
//! `cargo publish --dry-run` reads the index of the registry, so cargo packs all published crates together (`cargo package`),
//! which checks their manifests, their files, and that they resolve against each other. `cargo xtask release` builds each crate
//! from its archive as well. `npm publish --dry-run` needs no network; the modules of a package are built first. Packages for Python have no such command; their tests
//! build and install them.

use xshell::cmd;

use crate::release::context::Context;
use crate::release::row::{Outcome, Place, Sheet};
use crate::workspace::CONSOLE;
use crate::{Result, manifests};

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let (sh, mut sheet) = (context.shell()?, Sheet::default());
    let crates = manifests::crates(&context.files)?;
    let crates: Vec<_> = crates.iter().filter(|package| package.is_published).collect();
    let selection: Vec<_> = crates.iter().flat_map(|package| ["--package", &package.name]).collect();
    let command = format!("cargo package --no-verify --offline --allow-dirty {}", selection.join(" "));
    if cmd!(sh, "cargo package --quiet --no-verify --offline --allow-dirty {selection...}").run().is_err() {
        let mend = format!("run `{command}` and mend what it reports");
        sheet.red("cargo does not pack the crates", Place::Command(command), mend);
    }
    let npm = manifests::npm(&context.files)?;
    let npm: Vec<_> = npm.iter().filter(|package| package.is_published).collect();
    for package in &npm {
        let name = &package.name;
        let _there = sh.push_dir(CONSOLE);
        let command = format!("npm publish --dry-run --offline --access public -w {name}");
        let words: Vec<_> = command.split(' ').skip(1).collect();
        let is_built = cmd!(sh, "npm run build --silent -w {name}").quiet().run().is_ok();
        if !is_built || cmd!(sh, "npm {words...}").quiet().ignore_stdout().ignore_stderr().run().is_err() {
            let mend = format!("run `npm run build -w {name} && {command}` in {CONSOLE} and mend what it reports");
            sheet.red(format!("npm does not build or does not accept `{name}`"), &package.manifest, mend);
        }
    }
    sheet.note(format!("{} crates and {} npm packages, without their registries", crates.len(), npm.len()));
    Ok(sheet.outcome())
}

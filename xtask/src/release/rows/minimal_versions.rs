//! The published crates build with the lowest version of each direct dependency that their manifests permit.
//!
//! Cargo selects these versions with an unstable option, so `RUSTC_BOOTSTRAP` is set for this selection, and not for the build.

use std::path::Path;

use cargo_metadata::MetadataCommand;
use xshell::{Shell, cmd};

use crate::Result;
use crate::release::context::Context;
use crate::release::row::{Outcome, Place, Sheet};

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let (sh, mut sheet) = (context.shell()?, Sheet::default());
    let below = context.target()?.join("minimal-versions");
    let copy = below.join("sources");
    context.copy_to(&copy)?;
    sh.change_dir(&copy);
    if let Err(reason) = select(&sh, &copy)? {
        let mend = "raise the version in `[workspace.dependencies]` that the reason names";
        sheet.red(format!("no set of lowest versions: {reason}"), "Cargo.toml", mend);
        return Ok(sheet.outcome());
    }
    let _target = sh.push_env("CARGO_TARGET_DIR", below.join("target"));
    let metadata = MetadataCommand::new().manifest_path(copy.join("Cargo.toml")).no_deps().exec()?;
    let published = metadata.packages.iter().filter(|package| package.publish.is_none());
    let packages: &Vec<_> = &published.flat_map(|package| ["--package".to_owned(), package.name.to_string()]).collect();
    if cmd!(sh, "cargo check --quiet --locked --all-features {packages...}").run().is_err() {
        let manifest = copy.join("Cargo.toml");
        let manifest = manifest.strip_prefix(context.root()).unwrap_or(&manifest).display();
        let command = format!("cargo check --locked --all-features --manifest-path {manifest} {}", packages.join(" "));
        let mend = "in `[workspace.dependencies]` of Cargo.toml, raise the version of the dependency whose item or feature the \
            compiler does not find";
        let what = "the published crates do not build with the lowest versions of their dependencies";
        sheet.red(what, Place::Command(command), mend);
    }
    Ok(sheet.outcome())
}

/// Writes a lock file with the lowest versions of direct dependencies, or returns why there is none.
fn select(sh: &Shell, sources: &Path) -> Result<std::result::Result<(), String>> {
    std::fs::remove_file(sources.join("Cargo.lock"))?;
    let _unstable = sh.push_env("RUSTC_BOOTSTRAP", "1");
    let output = cmd!(sh, "cargo -Z direct-minimal-versions generate-lockfile").quiet().ignore_status().output()?;
    let reason = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(if output.status.success() { Ok(()) } else { Err(reason) })
}

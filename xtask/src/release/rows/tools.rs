//! Checks that build the workspace, or that require a tool. A tool that is not installed is named in the reason for skipping.

use std::collections::BTreeMap;

use cargo_metadata::MetadataCommand;
use xshell::{Shell, cmd};

use crate::Result;
use crate::codegen::{self, Difference};
use crate::release::context::Context;
use crate::release::row::{Outcome, Place, Sheet};
use crate::setup::tools::SEMVER_CHECKS;

/// The argument of `--only` of the check of the Rust API.
pub(crate) const RUST_API: &str = "rust-api";

/// Generated files, the bundle of the console among them, are current byte for byte.
pub(crate) fn generated(context: &Context) -> Result<Outcome> {
    let mut sheet = Sheet::default();
    for Difference { path, what } in codegen::stale(&context.shell()?)? {
        let mend = "run `cargo xtask codegen` and commit the result";
        sheet.red(format!("the generated file {path} {what}"), context.files.nearest(&path), mend);
    }
    Ok(sheet.outcome())
}

/// The public API of each crate against the last release.
pub(crate) fn rust_api(context: &Context) -> Result<Outcome> {
    let base = match context.base() {
        Ok(base) if base.is_release => base.revision.clone(),
        Ok(_) => return Ok(Outcome::Skipped("there is no release to compare with".to_owned())),
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    let sh = context.shell()?;
    if let Err(reason) = SEMVER_CHECKS.require(&sh) {
        return Ok(Outcome::Skipped(reason));
    }
    let mut sheet = Sheet::default();
    if cmd!(sh, "cargo semver-checks --workspace --baseline-rev {base}").run().is_err() {
        let mend = "undo what the command reports, or raise the version in Cargo.toml and add an entry with the label `breaking` to \
            CHANGELOG.md";
        let command = format!("cargo semver-checks --workspace --baseline-rev {base}");
        sheet.red("the public API of a crate has breaking changes", Place::Command(command), mend);
    }
    Ok(sheet.outcome())
}

/// Every feature of each published crate alone, all together, and the documentation.
pub(crate) fn builds(context: &Context) -> Result<Outcome> {
    let (sh, mut sheet) = (context.shell()?, Sheet::default());
    let metadata = MetadataCommand::new().manifest_path(context.root().join("Cargo.toml")).no_deps().exec()?;
    let published = metadata.packages.iter().filter(|package| package.publish.is_none());
    let features: BTreeMap<_, Vec<_>> =
        published.map(|package| (package.name.to_string(), package.features.keys().cloned().collect())).collect();
    let manifests: BTreeMap<_, _> = metadata
        .packages
        .iter()
        .map(|package| {
            let path = package.manifest_path.strip_prefix(&metadata.workspace_root).unwrap_or(&package.manifest_path);
            (package.name.to_string(), Place::from(path.as_str().replace('\\', "/")))
        })
        .collect();
    for (package, features) in &features {
        let alone = features.iter().filter(|feature| *feature != "default");
        let alone = alone.map(|feature| vec!["--no-default-features", "--features", feature]);
        for features in [vec!["--no-default-features"], vec!["--all-features"]].into_iter().chain(alone) {
            build(
                &sh,
                &[&["check", "--quiet", "--package", package], &features[..]].concat(),
                manifests.get(package),
                &mut sheet,
            );
        }
    }
    let _strict = sh.push_env("RUSTDOCFLAGS", "-D warnings");
    build(&sh, &["doc", "--quiet", "--workspace", "--no-deps"], None, &mut sheet);
    Ok(sheet.outcome())
}

/// Runs cargo. The place of a failure is the manifest of the package, or the command if it builds several.
fn build(sh: &Shell, arguments: &[&str], manifest: Option<&Place>, sheet: &mut Sheet) {
    if cmd!(sh, "cargo {arguments...}").run().is_err() {
        let command = format!("cargo {}", arguments.join(" "));
        let place = manifest.cloned().unwrap_or_else(|| Place::command(&command));
        sheet.red(format!("`{command}` fails"), place, format!("run `{command}` and mend what it reports"));
    }
}

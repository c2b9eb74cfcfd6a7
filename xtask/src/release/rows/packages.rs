//! What a registry requires of each package, what a package contains, and the order in which packages are published.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde_json::Value;
use xshell::cmd;

use crate::Result;
use crate::manifests::{self, Package};
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};
use crate::tidy::repository::{Repository, has_extension};
use crate::workspace::{CONSOLE, PYTHON};

/// The manifest of the npm workspace.
const CONSOLE_MANIFEST: &str = "app/console/package.json";

/// Files that no published package contains: data, secrets, and what a tool installs or builds.
static UNWANTED: LazyLock<GlobSet> = LazyLock::new(|| {
    let patterns = [
        "**/node_modules/**",
        "**/grantry-demo/**",
        "**/target/**",
        "**/*.db",
        "**/*.db-wal",
        "**/*.key",
        "**/*.pem",
        "**/.env*",
        "**/*.rej",
        "**/*.tmp",
        "**/.DS_Store",
        "**/e2e/**",
    ];
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).expect("a valid pattern"));
    }
    set.build().expect("a valid set")
});

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let mut sheet = Sheet::default();
    let version = manifests::version(&context.files)?;
    let (crates, npm) = (manifests::crates(&context.files)?, manifests::npm(&context.files)?);
    required(&crates, &version, &mut sheet);
    required(&npm, &version, &mut sheet);
    python(&context.files, &version, &mut sheet)?;
    for (registry, packages, manifest) in [("crates", &crates, "Cargo.toml"), ("npm packages", &npm, CONSOLE_MANIFEST)] {
        if let Some(order) = order(packages, manifest, &mut sheet) {
            sheet.note(format!("{registry} are published in this order: {}", order.join(", ")));
        }
    }
    if sheet.is_red() {
        sheet.note("contents are not listed until the manifests are mended");
    } else {
        contents(context, &crates, &mut sheet)?;
        npm_contents(context, &npm, &mut sheet)?;
    }
    Ok(sheet.outcome())
}

/// The fields of the manifest, and the versions of the packages of the repository.
fn required(packages: &[Package], version: &str, sheet: &mut Sheet) {
    let published: BTreeSet<_> =
        packages.iter().filter(|package| package.is_published).map(|package| package.name.as_str()).collect();
    for package in packages.iter().filter(|package| package.is_published) {
        for field in &package.missing {
            sheet.red(format!("`{}` has no `{field}`", package.name), &package.manifest, format!("add `{field}`"));
        }
        if package.version.as_deref().is_some_and(|own| own != version) {
            let what = format!("the version of `{}` is not {version}, that of the workspace", package.name);
            sheet.red(what, &package.manifest, format!("set the version to {version}"));
        }
        for dependency in &package.dependencies {
            if dependency.is_dev {
                continue;
            }
            if !published.contains(dependency.name.as_str()) {
                let what = format!("`{}` is published and depends on `{}`, which is not", package.name, dependency.name);
                sheet.red(what, &package.manifest, "publish the dependency, or remove it");
            } else if dependency.version.as_deref() != Some(version) {
                let what = format!("`{}` does not depend on version {version} of `{}`", package.name, dependency.name);
                sheet.red(what, &package.manifest, format!("set the version of the dependency to {version}"));
            }
        }
    }
}

/// Each package after those it depends on. Dependencies of tests without a version are left out of a published manifest.
fn order(packages: &[Package], manifest: &str, sheet: &mut Sheet) -> Option<Vec<String>> {
    let published = || packages.iter().filter(|package| package.is_published);
    let names: BTreeSet<_> = published().map(|package| package.name.clone()).collect();
    let mut open: BTreeMap<_, BTreeSet<_>> = published()
        .map(|package| {
            let needs = package.dependencies.iter().filter(|needed| !needed.is_dev && names.contains(&needed.name));
            (package.name.clone(), needs.map(|needed| needed.name.clone()).collect())
        })
        .collect();
    let mut order = Vec::new();
    while !open.is_empty() {
        let ready: Vec<_> = open.iter().filter(|(_, needs)| needs.is_empty()).map(|(name, _)| name.clone()).collect();
        if ready.is_empty() {
            let cycle: Vec<_> = open.into_keys().collect();
            sheet.red(
                format!("no order of publication: {} depend on each other", cycle.join(", ")),
                manifest,
                "remove a dependency of one of them on another one",
            );
            return None;
        }
        open.retain(|name, _| !ready.contains(name));
        for needs in open.values_mut() {
            needs.retain(|name| !ready.contains(name));
        }
        order.extend(ready);
    }
    Some(order)
}

/// What cargo would pack.
fn contents(context: &Context, crates: &[Package], sheet: &mut Sheet) -> Result {
    let sh = context.shell()?;
    for package in crates.iter().filter(|package| package.is_published) {
        let name = &package.name;
        let listing =
            cmd!(sh, "cargo package --list --allow-dirty --offline --package {name}").quiet().ignore_stderr().read();
        let Ok(listing) = listing else {
            let mend =
                format!("run `cargo package --list --allow-dirty --offline --package {name}` and mend what it reports");
            sheet.red(format!("cargo cannot list the contents of `{name}`"), &package.manifest, mend);
            continue;
        };
        for file in listing.lines().filter(|file| UNWANTED.is_match(file)) {
            let mend = format!("remove the file, or exclude it in {} (`exclude = [\"{file}\"]`)", package.manifest);
            sheet.red(format!("`{name}` would contain the file"), format!("{}{file}", package.folder), mend);
        }
        if !listing.lines().any(|file| file == "src/lib.rs" || file == "src/main.rs") {
            sheet.red(format!("`{name}` would contain no sources"), &package.manifest, "remove `include`, or add `src/**`");
        }
        if !listing.lines().any(|file| file == "LICENSE") {
            let mend = format!("link the `LICENSE` of the repository into {}", package.folder);
            sheet.red(format!("`{name}` would contain no license"), &package.folder, mend);
        }
    }
    Ok(())
}

/// What npm would pack. Built modules are missing if nothing was built; `npm run pack:check` compares them after a build.
fn npm_contents(context: &Context, packages: &[Package], sheet: &mut Sheet) -> Result {
    let sh = context.shell()?;
    let published: Vec<_> = packages.iter().filter(|package| package.is_published).collect();
    let selection = published.iter().flat_map(|package| ["--workspace", &package.name]);
    let _there = sh.push_dir(CONSOLE);
    let listing = cmd!(sh, "npm pack --dry-run --json --offline --ignore-scripts {selection...}").quiet().ignore_stderr();
    let listing: Value = serde_json::from_str(&listing.read()?)?;
    for package in published {
        let packed = listing.as_array().into_iter().flatten().find(|packed| packed["name"] == package.name.as_str());
        let files = packed.and_then(|packed| packed["files"].as_array());
        let files: Vec<_> = files.into_iter().flatten().filter_map(|file| file["path"].as_str()).collect();
        npm_files(package, &files, sheet);
    }
    Ok(())
}

fn npm_files(package: &Package, files: &[&str], sheet: &mut Sheet) {
    let name = &package.name;
    let is_unwanted =
        |file: &&&str| UNWANTED.is_match(file) || file.contains(".test.") || file.split('/').any(|part| part == "test");
    for file in files.iter().filter(is_unwanted) {
        let mend = format!("remove the file, or name folders without it in `files` of {}", package.manifest);
        sheet.red(format!("`{name}` would contain the file"), format!("{}{file}", package.folder), mend);
    }
    for required in ["package.json", "README.md", "LICENSE"].into_iter().filter(|required| !files.contains(required)) {
        let mend = format!("add the file to {}", package.folder);
        sheet.red(format!("`{name}` would contain no {required}"), &package.folder, mend);
    }
    if !files.iter().any(|file| file.starts_with("src/index.")) {
        sheet.red(format!("`{name}` would contain no sources"), &package.manifest, "add `src` to `files`");
    }
}

/// The version of the Python package, and its files. The build takes what git tracks below `src`; its tests build it and compare
/// the contents.
fn python(repository: &Repository, version: &str, sheet: &mut Sheet) -> Result {
    let manifest = format!("{PYTHON}/pyproject.toml");
    let table: toml::Table = toml::from_str(repository.text(&manifest)?).map_err(|error| format!("{manifest}: {error}"))?;
    let project = table.get("project").and_then(toml::Value::as_table).ok_or(format!("{manifest} has no [project]"))?;
    for field in ["name", "description", "readme", "license", "license-files", "requires-python", "urls"] {
        if !project.contains_key(field) {
            sheet.red(format!("the Python package has no `{field}`"), &manifest, format!("add `{field}`"));
        }
    }
    if project.get("version").and_then(toml::Value::as_str) != Some(version) {
        let what = format!("the version of the Python package is not {version}, that of the workspace");
        sheet.red(what, &manifest, format!("set the version to {version}"));
    }
    let (folder, sources) = (format!("{PYTHON}/"), format!("{PYTHON}/src/grantry/"));
    let paths: Vec<_> = repository.files.iter().map(|file| &file.path).chain(&repository.others).collect();
    let is_module = |path: &str| has_extension(path, "py") || path.ends_with("/py.typed");
    for path in paths.iter().filter(|path| path.starts_with(&format!("{folder}src/")) && !is_module(path)) {
        let mend = "remove the file: the package contains modules and `py.typed`";
        sheet.red("the Python package would contain the file", *path, mend);
    }
    for required in [format!("{sources}__init__.py"), format!("{sources}py.typed"), format!("{folder}LICENSE")] {
        if !paths.contains(&&required) {
            let mend = format!("add the file {required}");
            sheet.red(format!("the Python package would lack {required}"), repository.nearest(&required), mend);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::Dependency;

    fn package(name: &str, is_published: bool, dependencies: &[(&str, bool)]) -> Package {
        let dependency = |(name, is_dev): &(&str, bool)| Dependency {
            name: (*name).into(),
            is_dev: *is_dev,
            version: Some("0.1.0".into()),
        };
        Package {
            name: name.into(),
            manifest: format!("{name}/Cargo.toml"),
            folder: format!("{name}/"),
            is_published,
            dependencies: dependencies.iter().map(dependency).collect(),
            missing: Vec::new(),
            version: None,
            rust_version: None,
        }
    }

    fn whats(sheet: Sheet) -> Vec<String> {
        match sheet.outcome() {
            Outcome::Red { findings, .. } => findings.into_iter().map(|finding| finding.what).collect(),
            Outcome::Green { notes } => notes,
            Outcome::Skipped(reason) => vec![reason],
        }
    }

    #[test]
    fn a_crate_is_published_after_those_it_depends_on() {
        let crates = [package("app", true, &[("store", false), ("tests", true)]), package("store", true, &[("app", true)])];
        assert_eq!(order(&crates, "Cargo.toml", &mut Sheet::default()).unwrap(), ["store", "app"]);
        let cycle = [package("a", true, &[("b", false)]), package("b", true, &[("a", false)])];
        let mut sheet = Sheet::default();
        assert!(order(&cycle, "Cargo.toml", &mut sheet).is_none());
        assert_eq!(whats(sheet), ["no order of publication: a, b depend on each other"]);
    }

    #[test]
    fn nothing_published_depends_on_something_unpublished() {
        let mut sheet = Sheet::default();
        required(&[package("app", true, &[("kit", false)]), package("kit", false, &[])], "0.1.0", &mut sheet);
        assert_eq!(whats(sheet), ["`app` is published and depends on `kit`, which is not"]);
        let mut sheet = Sheet::default();
        required(&[package("app", true, &[("kit", false)]), package("kit", true, &[])], "0.2.0", &mut sheet);
        assert_eq!(whats(sheet), ["`app` does not depend on version 0.2.0 of `kit`"]);
    }

    #[test]
    fn an_npm_package_contains_sources_and_no_tests() {
        let mut sheet = Sheet::default();
        let complete = ["LICENSE", "README.md", "package.json", "src/index.ts"];
        npm_files(&package("client", true, &[]), &complete, &mut sheet);
        assert!(!sheet.is_red());
        npm_files(
            &package("client", true, &[]),
            &["LICENSE", "README.md", "src/a.test.ts", "test/b.ts", "c.key"],
            &mut sheet,
        );
        let contains = "`client` would contain the file";
        let lacks = ["`client` would contain no package.json", "`client` would contain no sources"];
        assert_eq!(whats(sheet), [contains, contains, contains, lacks[0], lacks[1]]);
    }

    #[test]
    fn data_and_secrets_are_unwanted() {
        for file in ["a.key", "app/node_modules/x/y.js", "a/b.db", ".env.local"] {
            assert!(UNWANTED.is_match(file), "{file}");
        }
        assert!(!UNWANTED.is_match("src/keyring.rs"));
    }
}

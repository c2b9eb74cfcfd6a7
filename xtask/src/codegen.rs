//! `cargo xtask codegen`: the generated files that are committed.
//!
//! Files are removed and generated in place. A check compares the result with the committed files byte for byte and restores
//! them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use xshell::{Shell, cmd};

use crate::Result;
use crate::workspace::{self, CONSOLE, PYTHON};

#[derive(Args)]
pub(crate) struct Options {
    /// Change nothing, and fail if a committed file differs from the generated one.
    #[arg(long)]
    check: bool,
}

/// A group of generated files.
struct Artefact {
    name: &'static str,
    /// The files and folders of the group, from the root.
    outputs: &'static [&'static str],
    generate: fn(&Shell) -> Result,
}

/// In the order of their dependencies: the types of the clients and the reference pages are generated from `openapi.json`, and the
/// picture of the states from the transition table.
const ARTEFACTS: &[Artefact] = &[
    Artefact { name: "transition table", outputs: &["domain/TRANSITIONS.md"], generate: transitions },
    Artefact { name: "API description", outputs: &["openapi.json"], generate: openapi },
    Artefact { name: "picture of the states", outputs: &[crate::reference::STATES], generate: crate::reference::states },
    Artefact {
        name: "reference pages",
        outputs: &[crate::reference::PAGES, crate::reference::PROVIDERS],
        generate: crate::reference::pages,
    },
    Artefact {
        name: "client and console",
        outputs: &["app/console/packages/client/src/generated", "app/console/web/src/generated", "app/console/dist"],
        generate: console,
    },
    Artefact {
        name: "models of the Python client",
        outputs: &["app/python/src/grantry/generated/models.py"],
        generate: python,
    },
];

/// A file that is not as it is generated.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// From the root.
    pub(crate) path: String,
    /// How it differs, after its path: "is stale".
    pub(crate) what: &'static str,
}

/// Regenerates all files, or compares them.
pub(crate) fn run(sh: &Shell, options: &Options) -> Result {
    if options.check {
        return check(sh);
    }
    for artefact in ARTEFACTS {
        regenerate(sh, artefact)?;
        println!("{}: generated", artefact.name);
    }
    Ok(())
}

/// Fails with the names of all stale files.
pub(crate) fn check(sh: &Shell) -> Result {
    check_each(sh, ARTEFACTS)
}

fn check_each(sh: &Shell, artefacts: &[Artefact]) -> Result {
    let stale = stale_of(sh, artefacts)?;
    if stale.is_empty() {
        return Ok(());
    }
    for Difference { path, what } in &stale {
        println!("  {path} {what}");
    }
    Err("generated files are not current: run `cargo xtask codegen` and commit the result".into())
}

/// The files that are not current.
pub(crate) fn stale(sh: &Shell) -> Result<Vec<Difference>> {
    stale_of(sh, ARTEFACTS)
}

fn stale_of(sh: &Shell, artefacts: &[Artefact]) -> Result<Vec<Difference>> {
    let mut stale = Vec::new();
    for artefact in artefacts {
        let (committed, generated) = regenerate(sh, artefact)?;
        committed.restore_over(&sh.current_dir(), &generated)?;
        let differences = compare(&committed, &generated);
        let verdict = if differences.is_empty() { "current" } else { "stale" };
        eprintln!("{}: {verdict}", artefact.name);
        stale.extend(differences);
    }
    Ok(stale)
}

/// Removes the outputs and generates them again, so that neither an old file nor a generator that did not run passes as a
/// result. Returns the files before and after. After a failure the files are as before.
fn regenerate(sh: &Shell, artefact: &Artefact) -> Result<(Snapshot, Snapshot)> {
    let root = sh.current_dir();
    let committed = Snapshot::take(&root, artefact.outputs)?;
    committed.remove(&root)?;
    let outcome = (artefact.generate)(sh);
    let generated = Snapshot::take(&root, artefact.outputs)?;
    let failure = match outcome {
        Err(error) => Some(error),
        Ok(()) if generated.0.is_empty() => Some(format!("{}: nothing was generated", artefact.name).into()),
        Ok(()) => None,
    };
    let Some(failure) = failure else {
        return Ok((committed, generated));
    };
    committed.restore_over(&root, &generated)?;
    Err(failure)
}

/// The test that compares the table also writes it. Its build is that of the other tests, with the features of the whole
/// workspace.
fn transitions(sh: &Shell) -> Result {
    let _update = sh.push_env("UPDATE_GENERATED", "1");
    cmd!(sh, "cargo test --quiet --workspace --lib transitions_table_is_current").quiet().ignore_stdout().run()?;
    Ok(())
}

fn openapi(sh: &Shell) -> Result {
    let server = workspace::server(sh)?;
    let text = cmd!(sh, "{server} openapi").quiet().read()?;
    Ok(sh.write_file("openapi.json", text + "\n")?)
}

fn console(sh: &Shell) -> Result {
    let _there = sh.push_dir(CONSOLE);
    cmd!(sh, "npm run --silent codegen").run()?;
    cmd!(sh, "npm run --silent build").ignore_stdout().run()?;
    Ok(())
}

/// The script uses only the standard library.
fn python(sh: &Shell) -> Result {
    let _there = sh.push_dir(PYTHON);
    cmd!(sh, "python3 scripts/generate_models.py").quiet().run()?;
    Ok(())
}

/// Files below the root, with their content and modification time.
#[derive(Debug, Default)]
struct Snapshot(BTreeMap<PathBuf, (Vec<u8>, SystemTime)>);

impl Snapshot {
    /// Reads the outputs that exist; folders with all files below them.
    fn take(root: &Path, outputs: &[&str]) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut open: Vec<PathBuf> = outputs.iter().map(PathBuf::from).collect();
        while let Some(path) = open.pop() {
            let full = root.join(&path);
            if full.is_dir() {
                for entry in std::fs::read_dir(&full)? {
                    open.push(path.join(entry?.file_name()));
                }
            } else if full.exists() {
                let changed = full.metadata()?.modified()?;
                files.insert(path, (std::fs::read(&full)?, changed));
            }
        }
        Ok(Self(files))
    }

    fn remove(&self, root: &Path) -> Result {
        for path in self.0.keys() {
            std::fs::remove_file(root.join(path))?;
        }
        Ok(())
    }

    /// Replaces the files of `now` by these, with their modification times: cargo would otherwise rebuild the crates that embed
    /// them.
    fn restore_over(&self, root: &Path, now: &Self) -> Result {
        now.remove(root)?;
        for (path, (content, changed)) in &self.0 {
            let full = root.join(path);
            if let Some(folder) = full.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(&full, content)?;
            File::options().write(true).open(&full)?.set_modified(*changed)?;
        }
        Ok(())
    }
}

fn compare(committed: &Snapshot, generated: &Snapshot) -> Vec<Difference> {
    let difference = |path: &Path, what| Difference { path: path.to_string_lossy().replace('\\', "/"), what };
    let mut differences = Vec::new();
    for (path, (content, _)) in &generated.0 {
        match committed.0.get(path) {
            None => differences.push(difference(path, "is missing")),
            Some((old, _)) if old != content => {
                differences.push(difference(path, "is stale"));
            }
            Some(_) => {}
        }
    }
    for path in committed.0.keys().filter(|path| !generated.0.contains_key(*path)) {
        differences.push(difference(path, "is no longer generated"));
    }
    differences
}

#[cfg(test)]
mod tests {
    use xshell::TempDir;

    use super::*;

    fn artefact(generate: fn(&Shell) -> Result) -> Artefact {
        Artefact { name: "thing", outputs: &["out", "single"], generate }
    }

    /// A folder with three files generated some time ago, and a shell whose current directory it is.
    fn folder() -> (TempDir, Shell) {
        let sh = Shell::new().unwrap();
        let folder = sh.create_temp_dir().unwrap();
        sh.change_dir(folder.path());
        for (path, text) in [("out/a", "1"), ("out/deep/b", "2"), ("single", "3")] {
            sh.write_file(path, text).unwrap();
            let file = File::options().write(true).open(folder.path().join(path)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
        (folder, sh)
    }

    fn snapshot(sh: &Shell) -> Snapshot {
        Snapshot::take(&sh.current_dir(), &["out", "single", "absent"]).unwrap()
    }

    #[test]
    fn equal_files_are_current() {
        let (_folder, sh) = folder();
        assert_eq!(snapshot(&sh).0.len(), 3);
        assert!(compare(&snapshot(&sh), &snapshot(&sh)).is_empty());
    }

    #[test]
    fn every_difference_is_named() {
        let (_folder, sh) = folder();
        let changing = artefact(|sh| {
            sh.write_file("out/a", "changed")?;
            sh.write_file("out/fresh", "4")?;
            Ok(sh.write_file("single", "3")?)
        });
        let (committed, generated) = regenerate(&sh, &changing).unwrap();
        let expected = ["out/a is stale", "out/fresh is missing", "out/deep/b is no longer generated"];
        let found = compare(&committed, &generated).into_iter().map(|Difference { path, what }| format!("{path} {what}"));
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_changed_byte_of_a_bundle_fails_the_check_and_stays() {
        let (_folder, sh) = folder();
        let bundle = [artefact(|sh| {
            sh.write_file("out/a", "bundle")?;
            sh.write_file("out/deep/b", "2")?;
            Ok(sh.write_file("single", "3")?)
        })];
        sh.write_file("out/a", "bundle").unwrap();
        check_each(&sh, &bundle).unwrap();
        sh.write_file("out/a", "bumdle").unwrap();
        let error = check_each(&sh, &bundle).unwrap_err().to_string();
        assert!(error.contains("run `cargo xtask codegen`"), "{error}");
        assert_eq!(sh.read_file("out/a").unwrap(), "bumdle");
    }

    #[test]
    fn previous_files_are_restored_with_their_times() {
        let (_folder, sh) = folder();
        let changing = artefact(|sh| Ok(sh.write_file("out/fresh", "4")?));
        let (committed, generated) = regenerate(&sh, &changing).unwrap();
        committed.restore_over(&sh.current_dir(), &generated).unwrap();
        assert_eq!(snapshot(&sh).0, committed.0);
        assert!(committed.0.values().all(|(_, changed)| *changed == SystemTime::UNIX_EPOCH));
    }

    #[test]
    fn a_generator_that_fails_or_does_nothing_fails_and_changes_nothing() {
        let (_folder, sh) = folder();
        let before = snapshot(&sh);
        let idle = artefact(|_| Ok(()));
        assert_eq!(regenerate(&sh, &idle).unwrap_err().to_string(), "thing: nothing was generated");
        let failing = artefact(|sh| {
            sh.write_file("out/half", "x")?;
            Err("broken".into())
        });
        assert_eq!(regenerate(&sh, &failing).unwrap_err().to_string(), "broken");
        assert_eq!(snapshot(&sh).0, before.0);
    }
}

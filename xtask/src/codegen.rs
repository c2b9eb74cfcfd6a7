//! `cargo xtask codegen`: the generated files that are committed.
//!
//! A check generates in place, compares byte for byte with what was there, and puts back what was there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use xshell::{Shell, cmd};

use crate::Result;
use crate::workspace::{self, CONSOLE};

/// Whether a generator whose input does not exist is passed over instead of failing.
const PASS_OVER_MISSING: bool = true;

/// Regenerate, or only compare.
#[derive(Args)]
pub(crate) struct Options {
    /// Change nothing; fail where a file is not what would be generated.
    #[arg(long)]
    check: bool,
}

/// Something generated.
struct Artefact {
    name: &'static str,
    /// The file without which there is nothing to generate from.
    input: &'static str,
    /// The files and folders it consists of, from the root.
    outputs: &'static [&'static str],
    generate: fn(&Shell) -> Result,
}

/// In the order in which one feeds the next: the client's types come from `openapi.json`.
const ARTEFACTS: &[Artefact] = &[
    Artefact {
        name: "transition table",
        input: "domain/src/grant/mod.rs",
        outputs: &["domain/TRANSITIONS.md"],
        generate: transitions,
    },
    Artefact {
        name: "API description",
        input: "app/src/cli/mod.rs",
        outputs: &["openapi.json"],
        generate: openapi,
    },
    Artefact {
        name: "client and console",
        input: "app/console/package.json",
        outputs: &[
            "app/console/packages/client/src/generated",
            "app/console/dist",
        ],
        generate: console,
    },
];

/// Regenerates everything, or compares.
pub(crate) fn run(sh: &Shell, options: &Options) -> Result {
    if options.check {
        check(sh)
    } else {
        generate(sh)
    }
}

fn generate(sh: &Shell) -> Result {
    for artefact in present(sh, ARTEFACTS)? {
        (artefact.generate)(sh)?;
        println!("{}: generated", artefact.name);
    }
    Ok(())
}

/// Fails with the names of all stale files.
pub(crate) fn check(sh: &Shell) -> Result {
    let root = sh.current_dir();
    let mut stale = Vec::new();
    for artefact in present(sh, ARTEFACTS)? {
        let committed = read(&root, artefact.outputs)?;
        let outcome = (artefact.generate)(sh);
        let generated = read(&root, artefact.outputs)?;
        restore(&root, &committed, &generated)?;
        outcome?;
        let differences = compare(&committed, &generated);
        println!(
            "{}: {}",
            artefact.name,
            if differences.is_empty() {
                "current"
            } else {
                "stale"
            }
        );
        stale.extend(differences);
    }
    if stale.is_empty() {
        return Ok(());
    }
    for line in &stale {
        println!("  {line}");
    }
    Err("generated files are not current: run `cargo xtask codegen` and commit the result".into())
}

fn present<'a>(sh: &Shell, artefacts: &'a [Artefact]) -> Result<Vec<&'a Artefact>> {
    let (there, missing): (Vec<_>, Vec<_>) = artefacts
        .iter()
        .partition(|artefact| sh.path_exists(artefact.input));
    for artefact in missing {
        let words = format!(
            "{}: not there yet ({} does not exist)",
            artefact.name, artefact.input
        );
        if !PASS_OVER_MISSING {
            return Err(words.into());
        }
        println!("{words}");
    }
    Ok(there)
}

/// The test that compares the table also writes it.
fn transitions(sh: &Shell) -> Result {
    let _update = sh.push_env("UPDATE_GENERATED", "1");
    cmd!(
        sh,
        "cargo test --quiet --package grantry-domain transitions_table_is_current"
    )
    .quiet()
    .ignore_stdout()
    .run()?;
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

/// Contents by path from the root.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Reads the outputs that exist, folders with everything below them.
fn read(root: &Path, outputs: &[&str]) -> Result<Files> {
    let mut files = Files::new();
    let mut open: Vec<PathBuf> = outputs.iter().map(PathBuf::from).collect();
    while let Some(path) = open.pop() {
        let full = root.join(&path);
        if full.is_dir() {
            for entry in std::fs::read_dir(&full)? {
                open.push(path.join(entry?.file_name()));
            }
        } else if full.exists() {
            files.insert(path, std::fs::read(&full)?);
        }
    }
    Ok(files)
}

fn restore(root: &Path, committed: &Files, generated: &Files) -> Result {
    for path in generated
        .keys()
        .filter(|path| !committed.contains_key(*path))
    {
        std::fs::remove_file(root.join(path))?;
    }
    for (path, content) in committed
        .iter()
        .filter(|(path, content)| generated.get(*path) != Some(content))
    {
        let full = root.join(path);
        if let Some(folder) = full.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(full, content)?;
    }
    Ok(())
}

fn compare(committed: &Files, generated: &Files) -> Vec<String> {
    let mut differences = Vec::new();
    for (path, content) in generated {
        match committed.get(path) {
            None => differences.push(format!("{} is missing", path.display())),
            Some(old) if old != content => differences.push(format!("{} is stale", path.display())),
            Some(_) => {}
        }
    }
    for path in committed
        .keys()
        .filter(|path| !generated.contains_key(*path))
    {
        differences.push(format!("{} is no longer generated", path.display()));
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(pairs: &[(&str, &str)]) -> Files {
        pairs
            .iter()
            .map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn equal_files_are_current() {
        let same = files(&[("a", "1"), ("b/c", "2")]);
        assert!(compare(&same, &same).is_empty());
    }

    #[test]
    fn every_difference_is_named() {
        let committed = files(&[("changed", "old"), ("gone", "x"), ("same", "s")]);
        let generated = files(&[("changed", "new"), ("fresh", "y"), ("same", "s")]);
        let expected = [
            "changed is stale",
            "fresh is missing",
            "gone is no longer generated",
        ];
        assert_eq!(compare(&committed, &generated), expected);
    }

    #[test]
    fn a_check_puts_back_what_was_there() {
        let root = Shell::new().unwrap().create_temp_dir().unwrap();
        let write = |path: &str, text: &str| {
            let full = root.path().join(path);
            std::fs::create_dir_all(full.parent().unwrap()).unwrap();
            std::fs::write(full, text).unwrap();
        };
        write("out/changed", "old");
        write("out/deep/gone", "x");
        write("single", "s");
        let outputs = ["out", "single", "absent"];
        let committed = read(root.path(), &outputs).unwrap();
        assert_eq!(
            committed,
            files(&[
                ("out/changed", "old"),
                ("out/deep/gone", "x"),
                ("single", "s")
            ])
        );

        write("out/changed", "new");
        write("out/fresh", "y");
        std::fs::remove_dir_all(root.path().join("out/deep")).unwrap();
        let generated = read(root.path(), &outputs).unwrap();
        assert_eq!(compare(&committed, &generated).len(), 3);

        restore(root.path(), &committed, &generated).unwrap();
        assert_eq!(read(root.path(), &outputs).unwrap(), committed);
    }
}

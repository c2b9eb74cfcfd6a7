//! Plants mistakes in a small workspace, and shows that the slow check of each finds it and is green without it.
//!
//! `cargo xtask nightly` does this, since each check builds something. The fast checks have their mistakes in the tests of this
//! crate. The workspace has one program with the name, the features and the files that the checks expect, and a history of two commits:
//! the second one adds a function with its test.

use std::path::PathBuf;

use xshell::{Shell, cmd};

use super::base;
use super::context::Context;
use super::row::{Outcome, Row};
use super::rows::ROWS;
use crate::{Result, workspace};

/// A mistake, and the slow check that must find it.
struct Mistake {
    row: &'static str,
    /// A part of the finding.
    finding: &'static str,
    /// A file, a text in it, and the text that replaces it. An empty text is replaced at the end of the file.
    edits: &'static [(&'static str, &'static str, &'static str)],
    /// Whether the base is a release.
    released: bool,
}

/// Slow checks without a mistake here, since they need the whole product: the name, a source, and a test in it which plants a
/// difference.
#[cfg(test)]
const WITHOUT: [(&str, &str, &str); 2] = [
    ("generated", include_str!("../codegen.rs"), "a_changed_byte_of_a_bundle_fails_the_check_and_stays"),
    ("speed", include_str!("rows/speed.rs"), "a_ratio_that_is_worse_by_more_than_the_range_is_found"),
];

const SOURCE: &str = "app/src/lib.rs";
const PROGRAM: &str = "app/src/main.rs";
const TESTS: &str = "app/tests/sums.rs";
const MANIFEST: &str = "app/Cargo.toml";

const FILES: &[(&str, &str)] = &[
    (
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"app\"]\n\n[workspace.package]\nversion = \"0.1.0\"\nrust-version = \"1.95\"\n",
    ),
    (
        MANIFEST,
        "[package]\nname = \"grantry\"\ndescription = \"Text\"\nedition = \"2024\"\nversion.workspace = true\nrust-version.workspace = true\n\n\
         [features]\ncli = []\nsqlite = []\n",
    ),
    (SOURCE, "//! Sums.\n\n/// The sum.\npub fn sum(a: u8, b: u8) -> u8 {\n    a.saturating_add(b)\n}\n"),
    (PROGRAM, "//! Prints a sum.\n\nfn main() {\n    println!(\"{}\", grantry::sum(1, 2));\n}\n"),
    (TESTS, "//! Sums.\n\n#[test]\nfn one_and_one_is_two() {\n    assert_eq!(grantry::sum(1, 1), 2);\n}\n"),
    ("README.md", "# Sums\n\nYou need Rust 1.95 or later.\n"),
    (".gitignore", "target\n"),
    // The program is also the xtask, and passes every step.
    (".cargo/config.toml", "[alias]\nxtask = \"run --quiet --package grantry --\"\n"),
];

/// What the second commit adds.
const ADDED: &[(&str, &str)] = &[
    (SOURCE, "\n/// Twice a number.\npub fn twice(a: u8) -> u8 {\n    sum(a, a)\n}\n"),
    (TESTS, "\n#[test]\nfn twice_one_is_two() {\n    assert_eq!(grantry::twice(1), 2);\n}\n"),
];

const MISTAKES: &[Mistake] = &[
    Mistake {
        row: "suites",
        finding: "the step `browser` fails",
        edits: &[(
            PROGRAM,
            "fn main() {\n",
            "fn main() {\n    assert_ne!(std::env::args().last().unwrap(), \"browser\");\n",
        )],
        released: false,
    },
    Mistake {
        row: "publish",
        finding: "cargo does not pack the crates",
        edits: &[(MANIFEST, "description = \"Text\"\n", "description = \"Text\"\nreadme = \"planted.md\"\n")],
        released: false,
    },
    Mistake {
        row: "builds",
        finding: "`cargo check --quiet --package grantry --no-default-features --features cli` fails",
        edits: &[(
            SOURCE,
            "",
            "\n#[cfg(all(feature = \"cli\", not(feature = \"sqlite\")))]\ncompile_error!(\"planted\");\n",
        )],
        released: false,
    },
    Mistake {
        row: "builds",
        finding: "`cargo doc --quiet --workspace --no-deps` fails",
        edits: &[(SOURCE, "/// The sum.", "/// The sum, see [`planted`].")],
        released: false,
    },
    Mistake {
        row: "rust-api",
        finding: "has breaking changes",
        edits: &[(SOURCE, "pub fn twice(a: u8)", "pub fn double(a: u8)"), (TESTS, "grantry::twice", "grantry::double")],
        released: true,
    },
    Mistake {
        row: "msrv",
        finding: "the document requires Rust 1.80, and `rust-version` is 1.95",
        edits: &[("README.md", "1.95", "1.80")],
        released: false,
    },
    Mistake {
        row: "msrv",
        finding: "`rust-version` is 1.90, and that of the workspace 1.95",
        edits: &[(MANIFEST, "rust-version.workspace = true", "rust-version = \"1.90\"")],
        released: false,
    },
    Mistake {
        row: "minimal-versions",
        finding: "do not build with the lowest versions",
        // The module is missing in 2.0.0.
        edits: &[
            (MANIFEST, "", "\n[dependencies]\nmemchr = \"2\"\n"),
            (
                SOURCE,
                "    a.saturating_add(b)\n",
                "    a.saturating_add(b).max(u8::from(memchr::memmem::find(b\"a\", b\"b\").is_some()))\n",
            ),
        ],
        released: false,
    },
    Mistake {
        row: "tests",
        finding: "no test executes any of the",
        edits: &[(TESTS, "    assert_eq!(grantry::twice(1), 2);\n", "    assert_eq!(grantry::sum(1, 1), 2);\n")],
        released: false,
    },
    Mistake {
        row: "flakes",
        finding: "of 50 runs in a random order failed",
        edits: &[(
            TESTS,
            "",
            "\nstatic SET: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);\n\n#[test]\nfn first() {\n    \
             SET.store(true, std::sync::atomic::Ordering::SeqCst);\n}\n\n#[test]\nfn second() {\n    \
             assert!(SET.load(std::sync::atomic::Ordering::SeqCst));\n}\n",
        )],
        released: false,
    },
    Mistake {
        row: "reproducibility",
        finding: "two builds of the same sources differ",
        edits: &[(PROGRAM, "grantry::sum(1, 2)", "env!(\"CARGO_MANIFEST_DIR\")")],
        released: false,
    },
];

/// Plants every mistake. Fails with those that are not found, and with checks that are red without one.
pub(crate) fn run(sh: &Shell) -> Result {
    let scratch = Scratch::new(sh)?;
    let mut wrong = Vec::new();
    for row in ROWS.iter().filter(|row| MISTAKES.iter().any(|mistake| mistake.row == row.name)) {
        let mistakes = MISTAKES.iter().filter(|mistake| mistake.row == row.name);
        for mistake in std::iter::once(None).chain(mistakes.map(Some)) {
            let outcome = scratch.outcome(row, mistake)?;
            let is_expected = match (&outcome, mistake) {
                (Outcome::Green { .. }, None) => true,
                (Outcome::Red { findings, .. }, Some(mistake)) => {
                    findings.iter().any(|finding| finding.what.contains(mistake.finding))
                        && findings.iter().all(|finding| finding.place.fault(&scratch.root).is_none())
                }
                // There is no release to compare with before the tag of the mistake.
                (Outcome::Skipped(_), None) => row.name == "rust-api",
                (Outcome::Green { .. } | Outcome::Skipped(_), Some(_)) | (Outcome::Red { .. }, None) => false,
            };
            let expected = mistake.map_or("green", |mistake| mistake.finding);
            println!("{} {}: {expected}", if is_expected { "ok    " } else { "WRONG " }, row.name);
            if !is_expected {
                wrong.push(format!("{}: {expected}\n  found: {outcome:?}", row.name));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// The workspace.
struct Scratch {
    sh: Shell,
    root: PathBuf,
}

impl Scratch {
    fn new(sh: &Shell) -> Result<Self> {
        let root: PathBuf = workspace::metadata()?.target_directory.join("planted-slow").into();
        if root.exists() {
            std::fs::remove_dir_all(&root)?;
        }
        std::fs::create_dir_all(&root)?;
        let sh = sh.clone();
        sh.change_dir(&root);
        let this = Self { sh, root };
        for (path, text) in FILES {
            this.sh.write_file(path, text)?;
        }
        cmd!(this.sh, "cargo generate-lockfile --quiet --offline").run()?;
        this.git(&["init", "--quiet"])?;
        this.commit("first")?;
        let first = cmd!(this.sh, "git rev-parse HEAD").quiet().read()?;
        this.sh.write_file(base::FILE, format!("commit = \"{first}\"\nreason = \"planted\"\n"))?;
        for (path, text) in ADDED {
            this.replace(path, "", text)?;
        }
        this.commit("second")?;
        this.git(&["branch", "clean"])?;
        Ok(this)
    }

    /// The outcome of a check, with or without a mistake.
    fn outcome(&self, row: &Row, mistake: Option<&Mistake>) -> Result<Outcome> {
        let released = mistake.is_some_and(|mistake| mistake.released);
        if released {
            self.git(&["tag", "v0.1.0", "clean"])?;
        }
        for (path, from, to) in mistake.into_iter().flat_map(|mistake| mistake.edits) {
            self.replace(path, from, to)?;
        }
        let outcome = (row.run)(&Context::open(&self.root, None)?);
        self.git(&["reset", "--quiet", "--hard", "clean"])?;
        if released {
            self.git(&["tag", "--delete", "v0.1.0"])?;
        }
        outcome
    }

    fn replace(&self, path: &str, from: &str, to: &str) -> Result {
        let text = self.sh.read_file(path)?;
        let text = if from.is_empty() { text + to } else { text.replacen(from, to, 1) };
        Ok(self.sh.write_file(path, text)?)
    }

    fn commit(&self, message: &str) -> Result {
        self.git(&["add", "--all"])?;
        self.git(&["-c", "user.name=Test", "-c", "user.email=test@example.com", "commit", "--quiet", "-m", message])
    }

    fn git(&self, arguments: &[&str]) -> Result {
        Ok(cmd!(self.sh, "git {arguments...}").quiet().ignore_stdout().run()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::row::Cost;

    #[test]
    fn every_slow_check_has_a_planted_mistake() {
        for row in ROWS.iter().filter(|row| row.cost == Cost::Slow) {
            let has_mistake = MISTAKES.iter().any(|mistake| mistake.row == row.name);
            assert!(has_mistake != WITHOUT.iter().any(|(name, ..)| *name == row.name), "{}", row.name);
        }
        for (row, source, test) in WITHOUT {
            assert!(source.contains(&format!("#[test]\n    fn {test}()")), "{row}: {test}");
        }
    }

    #[test]
    fn every_edit_changes_its_file() {
        for (path, from, _) in MISTAKES.iter().flat_map(|mistake| mistake.edits) {
            let texts = FILES.iter().chain(ADDED).filter(|(file, _)| file == path);
            assert!(texts.map(|(_, text)| text).any(|text| text.contains(from)), "{path}: {from}");
        }
    }
}

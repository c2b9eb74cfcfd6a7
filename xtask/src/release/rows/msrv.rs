//! The lowest version of Rust that the manifests promise is one for all crates, and is the one that builds and documents name.
//!
//! If the toolchain is a newer one, the toolchain of that version must be installed, and checks the workspace.

use std::sync::LazyLock;

use regex::Regex;
use xshell::{Shell, cmd};

use crate::Result;
use crate::manifests;
use crate::release::context::Context;
use crate::release::row::{Outcome, Place, Sheet};

/// Requirements of a version in documents: `Rust 1.95 or later`, `Rust toolchain (1.95 or later)`.
static DOCUMENTED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"Rust(?: toolchain)? \(?(?<version>1\.\d+(?:\.\d+)?) or (?:later|newer)").expect("a valid pattern")
});

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let mut sheet = Sheet::default();
    let promised = manifests::rust_version(&context.files)?;
    for package in manifests::crates(&context.files)? {
        if let Some(version) = package.rust_version.filter(|version| *version != promised) {
            let what = format!("`rust-version` is {version}, and that of the workspace {promised}");
            sheet.red(what, package.manifest, "write `rust-version.workspace = true`");
        }
    }
    for file in context.files.files.iter().filter(|file| file.is_a("md") && file.path != "CHANGELOG.md") {
        for (at, line) in file.text.lines().enumerate() {
            for found in DOCUMENTED.captures_iter(line).filter(|found| found["version"] != promised) {
                let what = format!("the document requires Rust {}, and `rust-version` is {promised}", &found["version"]);
                sheet.red(what, format!("{}:{}", file.path, at + 1), format!("write {promised}"));
            }
        }
    }
    let sh = context.shell()?;
    let rustc = cmd!(sh, "rustc --version").quiet().read()?;
    if is_version(&rustc, &promised) {
        sheet.note(format!("{rustc} is that version: every build and test of this machine shows it"));
    } else {
        build(&sh, &promised, &rustc, &mut sheet);
    }
    Ok(sheet.outcome())
}

/// Checks the workspace with the toolchain of the promised version.
fn build(sh: &Shell, promised: &str, rustc: &str, sheet: &mut Sheet) {
    let toolchain = format!("+{promised}");
    if cmd!(sh, "rustc {toolchain} --version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        let mend = format!("run `rustup toolchain install {promised}`, and this check again");
        sheet.red(format!("this toolchain is {rustc}, so no build shows that {promised} suffices"), "Cargo.toml", mend);
    } else if cmd!(sh, "cargo {toolchain} check --quiet --workspace --all-targets").run().is_err() {
        let command = format!("cargo {toolchain} check --workspace --all-targets");
        let mend = "raise `rust-version` in Cargo.toml, or replace what the compiler of that version refuses";
        sheet.red(format!("the workspace does not build with Rust {promised}"), Place::Command(command), mend);
    }
}

/// Whether the output of `rustc --version` is a patch of this version: `rustc 1.95.0 (hash date)` of 1.95.
fn is_version(rustc: &str, promised: &str) -> bool {
    let version = rustc.split_whitespace().nth(1).unwrap_or_default();
    version.strip_prefix(promised).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toolchain_is_a_patch_of_the_promised_version() {
        assert!(is_version("rustc 1.95.0 (59807616e 2026-04-14)", "1.95"));
        assert!(!is_version("rustc 1.96.0 (59807616e 2026-04-14)", "1.95"));
        assert!(!is_version("rustc 1.950.0", "1.95"));
        assert!(!is_version("", "1.95"));
    }

    #[test]
    fn documents_require_a_version() {
        for text in ["You need Rust 1.95 or later, a C compiler", "a Rust toolchain (1.95 or later) and"] {
            assert_eq!(&DOCUMENTED.captures(text).unwrap()["version"], "1.95", "{text}");
        }
        assert!(!DOCUMENTED.is_match("Rust 1.95 is installed"));
    }
}

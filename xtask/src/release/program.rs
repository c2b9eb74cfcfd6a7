//! The program as it is released: the same bytes from the same sources, in every folder.
//!
//! Paths of the machine are replaced in everything that the compilers write. Cargo leaves this option out of the hashes in the
//! names of symbols.

use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::Result;

/// Which program is built, and with which features: without the demo authorization server.
const SELECTION: [&str; 7] =
    ["--package", "grantry", "--bin", "grantry", "--no-default-features", "--features", "cli,sqlite"];

/// Builds the program from the sources in a folder, below `target`, and returns its path.
pub(crate) fn build(sh: &Shell, sources: &Path, target: &Path) -> Result<PathBuf> {
    let home = cargo_home(sh)?;
    let paths = [(sources, "/grantry"), (target, "/target"), (home.as_path(), "/cargo")];
    let mapped = |option: &str| paths.map(|(from, to)| format!("{option}={}={to}", from.display()));
    // The separator permits spaces in paths.
    let _rust = sh.push_env("CARGO_ENCODED_RUSTFLAGS", mapped("--remap-path-prefix").join("\x1f"));
    // The compilers of C on Windows do not have this option.
    let _c = cfg!(unix).then(|| sh.push_env("CFLAGS", mapped("-ffile-prefix-map").join(" ")));
    let _target = sh.push_env("CARGO_TARGET_DIR", target);
    let _there = sh.push_dir(sources);
    cmd!(sh, "cargo build --quiet --release --locked {SELECTION...}").run()?;
    Ok(target.join("release").join(format!("grantry{}", std::env::consts::EXE_SUFFIX)))
}

/// The folder of cargo, with the sources of dependencies.
pub(crate) fn cargo_home(sh: &Shell) -> Result<PathBuf> {
    if let Ok(home) = sh.var("CARGO_HOME") {
        return Ok(home.into());
    }
    Ok(std::env::home_dir().ok_or("there is no home folder")?.join(".cargo"))
}

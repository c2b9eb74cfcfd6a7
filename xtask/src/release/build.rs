//! The build of the program for a release: the same sources give the same bytes in every folder.

use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::Result;

/// The program without the demo.
pub(crate) const FEATURES: [&str; 3] = ["--no-default-features", "--features", "cli,sqlite"];

/// Builds the program of the repository in the current directory, and returns its path.
///
/// Paths of this machine are replaced in what compilers write. The documentation of rustc describes `--remap-path-prefix`, that
/// of gcc and clang `-ffile-prefix-map`.
pub(crate) fn production(sh: &Shell, target: &Path) -> Result<PathBuf> {
    let sources = sh.current_dir();
    let cargo = cargo_home()?;
    let prefixes =
        [(sources.as_path(), "/grantry"), (&*cargo, "/cargo"), (target, "/target")].map(|(from, to)| (from.display(), to));
    let rust: Vec<_> = prefixes.iter().map(|(from, to)| format!("--remap-path-prefix={from}={to}")).collect();
    let c: Vec<_> = prefixes.iter().map(|(from, to)| format!("-ffile-prefix-map={from}={to}")).collect();
    let _rust = sh.push_env("CARGO_ENCODED_RUSTFLAGS", rust.join("\x1f"));
    let _c = sh.push_env("CFLAGS", c.join(" "));
    let features = FEATURES;
    cmd!(sh, "cargo build --quiet --locked --release --package grantry {features...} --target-dir {target}").run()?;
    Ok(target.join("release").join(format!("grantry{}", std::env::consts::EXE_SUFFIX)))
}

/// The target triple of this machine.
pub(crate) fn host(sh: &Shell) -> Result<String> {
    let text = cmd!(sh, "rustc --version --verbose").quiet().read()?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc prints no host")?.to_owned())
}

/// Where cargo keeps the sources of dependencies.
fn cargo_home() -> Result<PathBuf> {
    match std::env::var_os("CARGO_HOME") {
        Some(home) => Ok(home.into()),
        None => Ok(std::env::home_dir().ok_or("there is no home directory")?.join(".cargo")),
    }
}

//! The program as it is released: the same bytes from the same sources, in every folder.
//!
//! Paths of the machine are replaced in everything that the compilers write. Cargo leaves this option out of the hashes in the
//! names of symbols.

use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::workspace::FEATURES;
use crate::{Result, workspace};

/// The time of a build, in seconds since 1970.
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Variables that would change what the compilers write.
const AMBIENT: [&str; 6] =
    ["CXXFLAGS", "HOST_CFLAGS", "TARGET_CFLAGS", "CARGO_BUILD_TARGET", "CARGO_BUILD_RUSTC_WRAPPER", "RUSTC_WRAPPER"];

/// Builds the program from the sources in a folder, below `target`, and returns its path.
pub(crate) fn build(sh: &Shell, sources: &Path, target: &Path) -> Result<PathBuf> {
    let (home, host) = (cargo_home(sh)?, workspace::host(sh)?);
    for path in [sources, target, &home] {
        if path.to_string_lossy().contains(char::is_whitespace) {
            return Err(format!("{}: the flags of C compilers cannot contain white space", path.display()).into());
        }
    }
    let paths = [(sources, "/grantry"), (target, "/target"), (home.as_path(), "/cargo")];
    let mapped = |option: &str| paths.map(|(from, to)| format!("{option}={}={to}", from.display()));
    // Takes precedence over the flags of the environment and of the configuration of cargo.
    let _rust = sh.push_env("CARGO_ENCODED_RUSTFLAGS", mapped("--remap-path-prefix").join("\x1f"));
    // The compilers of C on Windows do not have this option.
    let _c = cfg!(unix).then(|| sh.push_env("CFLAGS", mapped("-ffile-prefix-map").join(" ")));
    // Compilers of C write this instant in place of `__DATE__` and `__TIME__`. A release sets its day.
    let _time = sh.var(EPOCH).is_err().then(|| sh.push_env(EPOCH, "0"));
    let _target = sh.push_env("CARGO_TARGET_DIR", target);
    let _there = sh.push_dir(sources);
    let of_the_host = format!("CFLAGS_{}", host.replace('-', "_"));
    let selection = ["--package", "grantry", "--bin", "grantry", "--target", &host];
    let mut command =
        cmd!(sh, "cargo build --quiet --release --locked {selection...} {FEATURES...}").env_remove(of_the_host);
    for name in AMBIENT {
        command = command.env_remove(name);
    }
    command.run()?;
    Ok(target.join(host).join("release").join(format!("grantry{}", std::env::consts::EXE_SUFFIX)))
}

/// The folder of cargo, with the sources of dependencies.
pub(crate) fn cargo_home(sh: &Shell) -> Result<PathBuf> {
    if let Ok(home) = sh.var("CARGO_HOME") {
        return Ok(home.into());
    }
    Ok(std::env::home_dir().ok_or("there is no home folder")?.join(".cargo"))
}

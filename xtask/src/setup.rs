//! `cargo xtask setup`: what the tests need beside a Rust toolchain.
//!
//! Idempotent, and fast where all is there: programs are looked for, and what takes long leaves a stamp that holds its input.

mod need;
mod stamp;

use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use self::stamp::Stamp;
use crate::Result;
use crate::workspace::CONSOLE;

/// Set-ups of real authorization servers, and where their working copies stand.
const SERVERS: &str = "tests/system/authorization-servers";
const SERVERS_COPY: &str = "target/authorization-servers";

/// Installs what is missing.
pub(crate) fn run(sh: &Shell) -> Result {
    need::install_missing(sh)?;
    console_packages(sh)?;
    authorization_servers(sh)
}

/// Exactly the packages of the lock file; the stamp lies among them, so that it goes when they go.
fn console_packages(sh: &Shell) -> Result {
    let console = sh.current_dir().join(CONSOLE);
    let lock = console.join("package-lock.json");
    if !lock.exists() {
        return Ok(());
    }
    let stamp = Stamp::new(console.join("node_modules/.grantry-setup"), &[&lock])?;
    if stamp.is_current() {
        return Ok(());
    }
    let _there = sh.push_dir(&console);
    cmd!(sh, "npm ci --no-audit --no-fund").run()?;
    stamp.write()
}

/// A working copy, because a set-up writes into its own folder.
fn authorization_servers(sh: &Shell) -> Result {
    let source = sh.current_dir().join(SERVERS);
    let copy = sh.current_dir().join(SERVERS_COPY);
    if !source.is_dir() {
        return Ok(());
    }
    let files = files_below(&source)?;
    let stamp = Stamp::new(copy.join(".grantry-setup"), &files)?;
    if stamp.is_current() {
        return Ok(());
    }
    for file in &files {
        let target = copy.join(file.strip_prefix(&source)?);
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // With its permissions: some are scripts.
        std::fs::copy(file, target)?;
    }
    for script in files
        .iter()
        .filter(|file| file.file_name().is_some_and(|name| name == "setup.sh"))
    {
        let script = copy.join(script.strip_prefix(&source)?);
        cmd!(sh, "sh {script}").run()?;
    }
    stamp.write()
}

/// All files below a folder, in a stable order.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

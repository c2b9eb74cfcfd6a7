//! `cargo xtask setup`: installs what the tests need besides a Rust toolchain.
//!
//! Idempotent, and fast if everything is present: programs are searched on the PATH, and each longer step leaves a stamp file
//! with its input.

mod need;
mod stamp;
pub(crate) mod tools;

use std::path::{Path, PathBuf};

use clap::Args;
use xshell::{Shell, cmd};

use self::stamp::Stamp;
use crate::Result;
use crate::workspace::{CONSOLE, PYTHON};

/// The set-ups of real authorization servers, and the folder of their working copies.
const SERVERS: &str = "tests/system/authorization-servers";
const SERVERS_COPY: &str = "target/authorization-servers";

/// The virtual environment of the Python client.
const ENVIRONMENT: &str = "target/python/venv";

/// The virtual environment of the checkers of `docs/deploy`, and what is installed there.
const CHECKERS: &str = "target/deploy/venv";
const CHECKERS_REQUIREMENTS: &str = "xtask/deploy-requirements.txt";

/// What is installed.
#[derive(Args)]
pub(crate) struct Options {
    /// Install the tools of the slow release checks as well.
    #[arg(long)]
    release: bool,
}

/// Installs what the options name.
pub(crate) fn install(sh: &Shell, options: &Options) -> Result {
    if options.release { everything(sh) } else { run(sh) }
}

/// Installs what the tests and the release checks need.
pub(crate) fn everything(sh: &Shell) -> Result {
    run(sh)?;
    need::install_missing(sh, need::LONGER_RUNS)?;
    checkers(sh)?;
    tools::install(sh)
}

/// Installs what the tests need and is missing.
pub(crate) fn run(sh: &Shell) -> Result {
    need::install_missing(sh, need::TESTS)?;
    console_packages(sh)?;
    python_environment(sh)?;
    authorization_servers(sh)
}

/// Fails with instructions if no server of `PostgreSQL` is installed that can be started.
pub(crate) fn require_postgres(sh: &Shell) -> Result {
    need::require(sh, &need::POSTGRES)
}

/// Installs exactly the packages of the lock file. The stamp is inside `node_modules`, so it is removed together with the
/// packages.
pub(crate) fn console_packages(sh: &Shell) -> Result {
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

/// The virtual environment of the Python client. Returns its interpreter.
pub(crate) fn python_environment(sh: &Shell) -> Result<PathBuf> {
    environment(sh, ENVIRONMENT, &format!("{PYTHON}/requirements.txt"))
}

/// The virtual environment of the checkers of `docs/deploy`. Returns the folder of their programs.
pub(crate) fn checkers(sh: &Shell) -> Result<PathBuf> {
    let interpreter = environment(sh, CHECKERS, CHECKERS_REQUIREMENTS)?;
    Ok(interpreter.parent().ok_or("an interpreter without a folder")?.to_owned())
}

/// Creates a virtual environment with exactly the packages of a requirements file, and returns its interpreter.
fn environment(sh: &Shell, folder: &str, requirements: &str) -> Result<PathBuf> {
    need::require(sh, &need::PYTHON)?;
    let environment = sh.current_dir().join(folder);
    let interpreter = environment.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let requirements = sh.current_dir().join(requirements);
    let stamp = Stamp::new(environment.join(".grantry-setup"), &[&requirements])?;
    // The interpreter is a link, which an upgrade of the system can break.
    if !stamp.is_current() || cmd!(sh, "{interpreter} --version").quiet().ignore_stdout().run().is_err() {
        cmd!(sh, "python3 -m venv --clear {environment}").run()?;
        let options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--requirement"];
        cmd!(sh, "{interpreter} -m pip install {options...} {requirements}").run()?;
        stamp.write()?;
    }
    Ok(interpreter)
}

/// Sets up working copies, because a set-up writes into the folder it runs in.
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
        // `copy` keeps the permissions; some files are scripts.
        std::fs::copy(file, target)?;
    }
    for script in files.iter().filter(|file| file.file_name().is_some_and(|name| name == "setup.sh")) {
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

#[cfg(test)]
mod tests {
    use xshell::TempDir;

    use super::*;

    fn workspace_with(script: &str) -> (TempDir, Shell) {
        let sh = Shell::new().unwrap();
        let folder = sh.create_temp_dir().unwrap();
        sh.change_dir(folder.path());
        sh.write_file(format!("{SERVERS}/one/setup.sh"), script).unwrap();
        sh.write_file(format!("{SERVERS}/common/flow.py"), "1").unwrap();
        (folder, sh)
    }

    #[test]
    fn servers_are_set_up_once_and_again_after_a_change() {
        let (_folder, sh) = workspace_with("cd \"$(dirname \"$0\")\" && echo ran >> log && cp ../common/flow.py .");
        let log = || sh.read_file(format!("{SERVERS_COPY}/one/log")).unwrap();
        authorization_servers(&sh).unwrap();
        authorization_servers(&sh).unwrap();
        assert_eq!(log(), "ran\n");
        sh.write_file(format!("{SERVERS}/common/flow.py"), "2").unwrap();
        authorization_servers(&sh).unwrap();
        assert_eq!(log(), "ran\nran\n");
        assert_eq!(sh.read_file(format!("{SERVERS_COPY}/one/flow.py")).unwrap(), "2");
    }

    #[test]
    fn a_failed_set_up_is_repeated() {
        let (_folder, sh) = workspace_with("test -f \"$(dirname \"$0\")/../ready\"");
        assert!(authorization_servers(&sh).is_err());
        assert!(authorization_servers(&sh).is_err());
        sh.write_file(format!("{SERVERS_COPY}/ready"), "").unwrap();
        authorization_servers(&sh).unwrap();
    }
}

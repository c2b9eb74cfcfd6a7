//! Working copies of the servers in the target folder, because a set-up writes to the folder of its script.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Kind, RealServerError};

/// Written by `setup.sh` at its end.
const READY: &str = ".ready";

/// Prepares the working copy of a server and returns its folder. The first test does the work; the tests of all processes
/// wait for it.
pub(super) fn prepare(kind: Kind) -> Result<PathBuf, RealServerError> {
    install(&source(), &working_copies(), kind.folder())
}

fn install(source: &Path, copies: &Path, folder: &'static str) -> Result<PathBuf, RealServerError> {
    let failed = |source| RealServerError::Io { what: "copying the set-up", source };
    fs::create_dir_all(copies).map_err(failed)?;
    let lock = File::create(copies.join(format!("{folder}.lock"))).map_err(failed)?;
    lock.lock().map_err(failed)?;

    let copy = copies.join(folder);
    copy_changed(&source.join("common"), &copies.join("common")).map_err(failed)?;
    let changed = copy_changed(&source.join(folder), &copy).map_err(failed)?;
    let stamp = copy.join(READY);
    if changed && stamp.exists() {
        fs::remove_file(&stamp).map_err(failed)?;
    }
    if !stamp.exists() {
        set_up(&copy, folder)?;
    }
    Ok(copy)
}

fn set_up(copy: &Path, folder: &'static str) -> Result<(), RealServerError> {
    let done = Command::new("sh")
        .arg(copy.join("setup.sh"))
        .output()
        .map_err(|source| RealServerError::Io { what: "running setup.sh", source })?;
    if done.status.success() {
        return Ok(());
    }
    let text = [done.stdout, done.stderr].concat();
    Err(RealServerError::SetUp { folder, output: String::from_utf8_lossy(&text).into_owned() })
}

/// Copies files that differ, with their permissions. Returns whether there were any.
fn copy_changed(from: &Path, to: &Path) -> io::Result<bool> {
    fs::create_dir_all(to)?;
    let mut changed = false;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_file() && fs::read(entry.path())? != fs::read(&target).unwrap_or_default() {
            // A rename is atomic: a server that starts at this moment reads the old file or the new one.
            let mut new = OsString::from(".new-");
            new.push(entry.file_name());
            fs::copy(entry.path(), to.join(&new))?;
            fs::rename(to.join(new), target)?;
            changed = true;
        }
    }
    Ok(changed)
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("authorization-servers")
}

/// `authorization-servers` in cargo's target folder.
fn working_copies() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        |folder| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder),
    );
    target.join("authorization-servers")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(script: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in ["source/common", "source/one"] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        fs::write(folder.path().join("source/one/setup.sh"), script).unwrap();
        folder
    }

    fn install_one(root: &Path) -> Result<PathBuf, RealServerError> {
        install(&root.join("source"), &root.join("copies"), "one")
    }

    #[test]
    fn a_set_up_runs_once_and_again_after_a_change() {
        let folder = sources("cd \"$(dirname \"$0\")\" && echo ran >> log && touch .ready");
        let log = folder.path().join("copies/one/log");
        install_one(folder.path()).unwrap();
        install_one(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "ran\n");
        fs::write(folder.path().join("source/one/more.txt"), "new").unwrap();
        install_one(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "ran\nran\n");
    }

    #[test]
    fn a_failed_set_up_returns_its_output_and_is_repeated() {
        let folder = sources("echo no network >&2; exit 1");
        for _ in 0..2 {
            let failed = install_one(folder.path()).unwrap_err();
            assert!(failed.to_string().contains("no network"), "{failed}");
        }
    }

    #[test]
    fn concurrent_tests_set_up_once() {
        let folder = sources("cd \"$(dirname \"$0\")\" && echo ran >> log && touch .ready");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| install_one(folder.path()).unwrap());
            }
        });
        assert_eq!(fs::read_to_string(folder.path().join("copies/one/log")).unwrap(), "ran\n");
    }
}

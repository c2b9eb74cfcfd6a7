//! The root of the workspace, its members, and the binary of the server.

use std::path::PathBuf;

use cargo_metadata::{Metadata, MetadataCommand};
use xshell::{Shell, cmd};

use crate::Result;

/// The folder of the npm workspace of the console, from the root.
pub(crate) const CONSOLE: &str = "app/console";

/// The folder of the Python client, from the root.
pub(crate) const PYTHON: &str = "app/python";

/// The options of cargo for the program without the demo authorization server.
pub(crate) const FEATURES: [&str; 3] = ["--no-default-features", "--features", "cli,sqlite,postgres"];

/// The variable with the program that the tests in other languages start.
pub(crate) const SERVER_BINARY: &str = "SERVER_BINARY";

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    // Cargo sets the variable for `cargo run`; a binary that is started directly uses the compiled-in value.
    let manifest = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let mut root = PathBuf::from(manifest);
    root.pop();
    root
}

/// A shell whose current directory is the root.
pub(crate) fn shell() -> Result<Shell> {
    let sh = Shell::new()?;
    sh.change_dir(root());
    Ok(sh)
}

/// The members of the workspace with the dependencies they declare, not resolved.
pub(crate) fn metadata() -> Result<Metadata> {
    Ok(MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec()?)
}

/// The target triple of this machine.
pub(crate) fn host(sh: &Shell) -> Result<String> {
    let text = cmd!(sh, "rustc --version --verbose").quiet().read()?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc prints no host")?.to_owned())
}

/// Builds the server and returns the path of its binary.
///
/// It builds the whole workspace, so that features unify as in the tests and no crate is compiled twice.
pub(crate) fn server(sh: &Shell) -> Result<PathBuf> {
    cmd!(sh, "cargo build --quiet --workspace --bins").run()?;
    let name = format!("grantry{}", std::env::consts::EXE_SUFFIX);
    // The current directory can be a copy of the repository.
    let manifest = sh.current_dir().join("Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec()?;
    Ok(metadata.target_directory.join("debug").join(name).into())
}

/// Whether nextest is installed.
pub(crate) fn has_nextest(sh: &Shell) -> bool {
    cmd!(sh, "cargo nextest --version").quiet().ignore_stdout().ignore_stderr().run().is_ok()
}

//! Where the workspace is, what it consists of, and the server's binary.

use std::path::PathBuf;

use cargo_metadata::{Metadata, MetadataCommand};
use xshell::{Shell, cmd};

use crate::Result;

/// The folder of the console's npm workspace, from the root.
pub(crate) const CONSOLE: &str = "app/console";

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    // Cargo sets the variable for `cargo run`; the compiled-in value serves a binary that is started by hand.
    let manifest = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let mut root = PathBuf::from(manifest);
    root.pop();
    root
}

/// A shell that stands in the root.
pub(crate) fn shell() -> Result<Shell> {
    let sh = Shell::new()?;
    sh.change_dir(root());
    Ok(sh)
}

/// The members of the workspace with what they declare, without resolving anything.
pub(crate) fn metadata() -> Result<Metadata> {
    Ok(MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec()?)
}

/// Builds the server and gives the path of its binary.
///
/// Built with the whole workspace: features unify as in the tests, so that nothing is compiled twice.
pub(crate) fn server(sh: &Shell) -> Result<PathBuf> {
    cmd!(sh, "cargo build --quiet --workspace --bins").run()?;
    let name = format!("grantry{}", std::env::consts::EXE_SUFFIX);
    Ok(metadata()?.target_directory.join("debug").join(name).into())
}

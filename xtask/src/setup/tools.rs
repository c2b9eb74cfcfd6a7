//! Tools of `release` and of some checks of `release-check`. `cargo xtask setup --release` installs them, since the tests do not need them.

use std::path::PathBuf;

use xshell::{Shell, cmd};

use super::need::{self, on_path};
use crate::{Result, workspace};

/// A program that `cargo install` installs.
pub(crate) struct Tool {
    /// The name of the package: `cargo-deny` for the subcommand `cargo deny`, otherwise the name of the program.
    package: &'static str,
    /// The version, if another one may write something else.
    version: Option<&'static str>,
}

/// Coverage.
pub(crate) const LLVM_COV: Tool = Tool { package: "cargo-llvm-cov", version: None };
/// Lists of the crates in a program.
pub(crate) const CYCLONEDX: Tool = Tool { package: "cargo-cyclonedx", version: None };
/// Licences, bans, sources and advisories.
pub(crate) const DENY: Tool = Tool { package: "cargo-deny", version: None };
/// The documentation site.
pub(crate) const MDBOOK: Tool = Tool { package: "mdbook", version: Some("0.5.4") };
/// Breaking changes of crates.
pub(crate) const SEMVER_CHECKS: Tool = Tool { package: "cargo-semver-checks", version: None };

impl Tool {
    /// Ok if the tool is installed, otherwise the reason and how to install it.
    pub(crate) fn require(&self, sh: &Shell) -> std::result::Result<(), String> {
        let package = self.package;
        let call = if let Some(subcommand) = package.strip_prefix("cargo-") {
            cmd!(sh, "cargo {subcommand} --version")
        } else {
            cmd!(sh, "{package} --version")
        };
        match call.quiet().ignore_stdout().ignore_stderr().run() {
            Ok(()) => Ok(()),
            Err(_) => Err(format!("{package} is not installed (`cargo {}`)", self.installation().join(" "))),
        }
    }

    /// The arguments of cargo that install the tool.
    fn installation(&self) -> Vec<&'static str> {
        let version = self.version.map(|version| ["--version", version]);
        ["install", "--locked", self.package].into_iter().chain(version.into_iter().flatten()).collect()
    }
}

/// Tools of LLVM that read the data which programs of this compiler write.
pub(crate) struct Llvm {
    pub(crate) cov: PathBuf,
    pub(crate) profdata: PathBuf,
}

/// The tools beside the compiler, or those of the same version on the PATH, as Debian names them; otherwise the reason and how to
/// install them.
pub(crate) fn llvm(sh: &Shell) -> Result<std::result::Result<Llvm, String>> {
    let version = cmd!(sh, "rustc --version --verbose").quiet().read()?;
    let host = workspace::host(sh)?;
    let package = llvm_package(&version)?;
    let beside = PathBuf::from(cmd!(sh, "rustc --print sysroot").quiet().read()?).join("lib/rustlib").join(host).join("bin");
    let suffix = package.trim_start_matches("llvm");
    let tool = |name: &str| {
        let beside = beside.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        if beside.is_file() { Some(beside) } else { on_path(&format!("{name}{suffix}")) }
    };
    Ok(match (tool("llvm-cov"), tool("llvm-profdata")) {
        (Some(cov), Some(profdata)) => Ok(Llvm { cov, profdata }),
        (None, _) | (_, None) => Err(format!(
            "llvm-cov is not installed (`rustup component add llvm-tools`, or the package `{package}` of a distribution)"
        )),
    })
}

/// The package of Debian with the LLVM of a compiler, from the output of `rustc --version --verbose`.
fn llvm_package(version: &str) -> Result<String> {
    let llvm = version.lines().find_map(|line| line.strip_prefix("LLVM version: ")).ok_or("rustc does not name its LLVM")?;
    Ok(format!("llvm-{}", llvm.split('.').next().unwrap_or(llvm)))
}

/// Installs what is missing.
pub(super) fn install(sh: &Shell) -> Result {
    for tool in [&LLVM_COV, &CYCLONEDX, &DENY, &MDBOOK, &SEMVER_CHECKS] {
        if tool.require(sh).is_err() {
            let arguments = tool.installation();
            cmd!(sh, "cargo {arguments...}").run()?;
        }
    }
    let Err(reason) = llvm(sh)? else { return Ok(()) };
    if need::is_debian_as_root(sh) {
        need::apt_install(sh, &[&llvm_package(&cmd!(sh, "rustc --version --verbose").quiet().read()?)?])?;
    } else {
        return Err(reason.into());
    }
    llvm(sh)?.map(drop).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_named_with_the_command_that_installs_it() {
        let absent = Tool { package: "cargo-does-not-exist", version: None };
        let reason = absent.require(&Shell::new().unwrap()).unwrap_err();
        assert_eq!(reason, "cargo-does-not-exist is not installed (`cargo install --locked cargo-does-not-exist`)");
        let absent = Tool { package: "does-not-exist", version: Some("1.2.3") };
        let reason = absent.require(&Shell::new().unwrap()).unwrap_err();
        assert_eq!(reason, "does-not-exist is not installed (`cargo install --locked does-not-exist --version 1.2.3`)");
    }

    #[test]
    fn the_package_has_the_version_of_the_compiler() {
        assert_eq!(llvm_package("rustc 1.95.0\nhost: x\nLLVM version: 22.1.2\n").unwrap(), "llvm-22");
        assert!(llvm_package("rustc 1.95.0").is_err());
    }
}

//! Programs that the tests start.

use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::Result;

/// A program, or a group of related programs.
pub(super) struct Need {
    name: &'static str,
    /// Which tests need the program.
    reason: &'static str,
    present: fn(&Shell) -> bool,
    /// The Debian packages; empty if Debian has none.
    apt: &'static [&'static str],
    /// The instruction for other systems.
    by_hand: &'static str,
}

/// The interpreter of the Python client's tests and of scripts.
pub(super) const PYTHON: Need = Need {
    name: "Python 3.10 or newer with venv",
    reason: "Python client, one real authorization server, and the scripted users of both",
    present: |sh| runs(sh, "python3", &["-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))"]),
    apt: &["python3", "python3-venv"],
    by_hand: "install Python 3.10 or newer with its venv module, so that `python3` is on the PATH",
};

/// The server that is started for tests and measurements.
pub(super) const POSTGRES: Need = Need {
    name: "PostgreSQL 15 or newer",
    reason: "the store for several nodes",
    present: |_| has_postgres(),
    apt: &["postgresql"],
    by_hand: "install the server of PostgreSQL",
};

/// What the tests need.
pub(super) const TESTS: &[Need] = &[
    Need {
        name: "rustfmt and clippy",
        reason: "format and lint",
        present: |sh| runs(sh, "cargo", &["fmt", "--version"]) && runs(sh, "cargo", &["clippy", "--version"]),
        apt: &[],
        by_hand: "rustup component add rustfmt clippy",
    },
    Need {
        name: "Node.js 20.19 or newer",
        reason: "console, its tests, and one real authorization server",
        present: |sh| {
            cmd!(sh, "node --version").quiet().ignore_stderr().read().is_ok_and(|version| node_is_new_enough(&version))
        },
        apt: &["nodejs"],
        by_hand: "install Node.js from https://nodejs.org",
    },
    Need {
        name: "npm",
        reason: "packages of the console",
        present: |_| on_path("npm").is_some(),
        apt: &["npm"],
        by_hand: "install npm (it comes with Node.js)",
    },
    PYTHON,
    Need {
        name: "Chromium",
        reason: "browser end-to-end tests",
        present: |_| ["chromium", "chromium-browser", "google-chrome"].iter().any(|name| on_path(name).is_some()),
        apt: &["chromium"],
        by_hand: "install Chromium so that `chromium` is on the PATH",
    },
    Need {
        present: |_| std::env::var_os("DATABASE_URL").is_some() || has_postgres(),
        by_hand: "install the server of PostgreSQL, or set DATABASE_URL to one that the tests may use as a superuser",
        ..POSTGRES
    },
    Need {
        name: "PgBouncer",
        reason: "the store for several nodes behind a pooler",
        // Debian's folder is not in the PATH of every account.
        present: |_| on_path("pgbouncer").is_some() || Path::new("/usr/sbin/pgbouncer").is_file(),
        apt: &["pgbouncer"],
        by_hand: "install PgBouncer, so that `pgbouncer` is on the PATH",
    },
];

/// What `cargo xtask nightly` needs besides.
pub(super) const LONGER_RUNS: &[Need] = &[
    Need {
        name: "promtool",
        reason: "the alerts in docs/deploy",
        present: |_| on_path("promtool").is_some(),
        apt: &["prometheus"],
        by_hand: "install Prometheus, so that `promtool` is on the PATH",
    },
    Need {
        name: "Python 3.11 or newer",
        reason: "the dashboard in docs/deploy",
        present: |sh| runs(sh, "python3", &["-c", "import sys; sys.exit(sys.version_info < (3, 11))"]),
        apt: &["python3"],
        by_hand: "install Python 3.11 or newer, so that `python3` is on the PATH",
    },
];

/// Installs missing programs with apt where possible; otherwise fails with instructions.
pub(super) fn install_missing(sh: &Shell, needs: &[Need]) -> Result {
    let missing = || needs.iter().filter(|need| !(need.present)(sh)).collect::<Vec<_>>();
    let first = missing();
    let packages: Vec<_> = first.iter().flat_map(|need| need.apt).copied().collect();
    if !packages.is_empty() && is_debian_as_root(sh) {
        apt_install(sh, &packages)?;
    }
    // A package of the distribution may be too old, so search again.
    let rest = if first.is_empty() { first } else { missing() };
    if rest.is_empty() { Ok(()) } else { Err(instructions(&rest).into()) }
}

/// Fails with instructions if a program is missing.
pub(super) fn require(sh: &Shell, need: &Need) -> Result {
    if (need.present)(sh) { Ok(()) } else { Err(instructions(&[need]).into()) }
}

fn instructions(missing: &[&Need]) -> String {
    let mut lines = vec!["programs are needed that are not installed:".to_owned()];
    let by_hand = |need: &&Need| format!("  {} ({}): {}", need.name, need.reason, need.by_hand);
    lines.extend(missing.iter().map(by_hand));
    let packages: Vec<_> = missing.iter().flat_map(|need| need.apt).copied().collect();
    if !packages.is_empty() {
        lines.push(format!("On Debian: apt-get install {}", packages.join(" ")));
    }
    lines.join("\n")
}

/// Installs packages of Debian.
pub(super) fn apt_install(sh: &Shell, packages: &[&str]) -> Result {
    let _quiet = sh.push_env("DEBIAN_FRONTEND", "noninteractive");
    cmd!(sh, "apt-get update --quiet").run()?;
    cmd!(sh, "apt-get install --yes --quiet --no-install-recommends {packages...}").run()?;
    Ok(())
}

pub(super) fn is_debian_as_root(sh: &Shell) -> bool {
    let is_root = || cmd!(sh, "id -u").quiet().read().is_ok_and(|id| id == "0");
    Path::new("/etc/debian_version").exists() && on_path("apt-get").is_some() && is_root()
}

/// Whether a server is where the tests look for it. Debian does not put its programs into `PATH`.
fn has_postgres() -> bool {
    let debian = (15..=18).map(|version| format!("/usr/lib/postgresql/{version}/bin"));
    let others = ["/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql@15/bin"].map(str::to_owned);
    debian.chain(others).any(|folder| Path::new(&folder).join("initdb").is_file())
}

fn runs(sh: &Shell, program: &str, arguments: &[&str]) -> bool {
    cmd!(sh, "{program} {arguments...}").quiet().ignore_stdout().ignore_stderr().run().is_ok()
}

/// Where a program is, if it is on the PATH.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let (path, file) = (std::env::var_os("PATH").unwrap_or_default(), format!("{name}{}", std::env::consts::EXE_SUFFIX));
    std::env::split_paths(&path).map(|folder| folder.join(&file)).find(|file| file.is_file())
}

/// Whether the output of `node --version`, for example `v20.20.2`, is a supported version.
fn node_is_new_enough(version: &str) -> bool {
    let mut numbers = version.trim().trim_start_matches('v').split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (20, 19),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node_are_compared_as_numbers() {
        assert!(node_is_new_enough("v20.19.0"));
        assert!(node_is_new_enough("v100.0.0\n"));
        assert!(!node_is_new_enough("v20.9.0"));
        assert!(!node_is_new_enough("v18.20.4"));
        assert!(!node_is_new_enough("node"));
    }

    #[test]
    fn a_missing_interpreter_is_named_with_its_packages() {
        let sh = Shell::new().unwrap();
        let absent = Need { present: |_| false, ..PYTHON };
        let error = require(&sh, &absent).unwrap_err().to_string();
        assert!(error.contains("Python 3.10 or newer with venv (Python client, "), "{error}");
        assert!(error.ends_with("On Debian: apt-get install python3 python3-venv"), "{error}");
        let present = Need { present: |_| true, ..PYTHON };
        assert!(require(&sh, &present).is_ok());
    }

    #[test]
    fn instructions_name_all_missing_programs() {
        let missing: Vec<_> = TESTS.iter().filter(|need| ["npm", "Chromium"].contains(&need.name)).collect();
        let text = instructions(&missing);
        assert!(text.contains("npm (packages of the console): install npm"));
        assert!(text.ends_with("On Debian: apt-get install npm chromium"));
    }
}

//! The dependencies of each documented build, as cargo resolves them.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::process::Command;

    /// The packages of the workspace, and every other one, that a build of `grantry` with these features links.
    fn packages(features: &[&str]) -> BTreeSet<String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["tree", "--offline", "--package", "grantry", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
            .args(features)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    }

    #[test]
    fn only_the_demo_links_test_code() {
        let test_code = ["grantry-testkit", "grantry-store-memory", "mockall", "proptest", "tempfile"];
        let production = packages(&["--no-default-features", "--features", "cli,sqlite,postgres"]);
        assert!(production.contains("grantry-store-sqlite") && production.contains("clap"), "{production:?}");
        for package in test_code {
            assert!(!production.contains(package), "{package} is linked into the production build");
        }
        assert!(packages(&[]).contains("grantry-testkit"), "the default build contains the demo");
    }

    #[test]
    fn the_library_alone_links_neither_command_line_nor_store() {
        let library = packages(&["--no-default-features"]);
        assert!(library.contains("grantry-domain"), "{library:?}");
        for package in ["clap", "indicatif", "rusqlite", "grantry-store-sqlite", "grantry-testkit"] {
            assert!(!library.contains(package), "{package} is linked into the library");
        }
    }
}

//! What the sources must contain, and what they must not.

use super::repository::{File, Repository};
use super::source_text::Syntax;

/// All checks of the sources.
pub(crate) fn check(repository: &Repository) -> Vec<String> {
    let mut findings = Vec::new();
    for file in &repository.files {
        let syntax = Syntax::of(&file.path).filter(|_| file.is_source());
        if syntax == Some(Syntax::Rust) {
            findings.extend(undocumented(file));
            findings.extend(switched_off(file, Syntax::Rust, RUST_SWITCHES));
        }
        if syntax == Some(Syntax::TypeScript) {
            findings.extend(switched_off(file, Syntax::TypeScript, TYPESCRIPT_SWITCHES));
        }
        findings.extend(foreign_paths(file));
        findings.extend(foreign_registries(file));
    }
    findings.extend(domain_stays_pure(repository));
    findings
}

const RUST_SWITCHES: &[&str] = &["#[ignore", "#[allow(", "#![allow(", ", ignore)]", ", allow("];
const TYPESCRIPT_SWITCHES: &[&str] = &[".skip(", ".only(", ".todo(", ".fixme(", ".skipIf(", ".runIf(", ".failing("];

/// Every module begins with its documentation.
fn undocumented(file: &File) -> Vec<String> {
    let first = file.text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("#!["));
    let documented = first.is_some_and(|line| line.starts_with("//!") && line.len() > 4);
    if documented { Vec::new() } else { vec![format!("{}: has no `//!` documentation", file.path)] }
}

/// No test is skipped or singled out, and no lint is allowed: a failing test is fixed or removed.
fn switched_off(file: &File, syntax: Syntax, switches: &[&str]) -> Vec<String> {
    let code = syntax.code(&file.text);
    let lines = code.lines().enumerate();
    let found = lines.flat_map(|(at, line)| switches.iter().filter(|switch| line.contains(**switch)).map(move |s| (at, s)));
    found.map(|(at, switch)| format!("{}:{}: switches a test or a lint off with `{switch}`", file.path, at + 1)).collect()
}

/// Folders that exist on one machine only.
const MACHINE_FOLDERS: &[&str] = &["home", "Users", "root", "work", "farm"];

/// No file names a path of the machine it was written on.
fn foreign_paths(file: &File) -> Vec<String> {
    let lines = file.text.lines().enumerate();
    let found = lines.filter(|(_, line)| MACHINE_FOLDERS.iter().any(|folder| names_absolute_path(line, folder)));
    found.map(|(at, _)| format!("{}:{}: names a path of one machine", file.path, at + 1)).collect()
}

/// Whether the line has an absolute path below this folder, and not a part of a longer path or of a URL.
fn names_absolute_path(line: &str, folder: &str) -> bool {
    let path = format!("/{folder}/");
    line.match_indices(&path).any(|(at, _)| {
        let is_start = !line[..at].ends_with(|before: char| before.is_alphanumeric() || ".-_~/})]*$".contains(before));
        let goes_on = line[at + path.len()..].starts_with(|after: char| after.is_alphanumeric() || after == '.');
        is_start && goes_on
    })
}

/// npm's lock file names no registry, and cargo's lock file names the public index only.
fn foreign_registries(file: &File) -> Vec<String> {
    let (key, public) = if file.path.ends_with("package-lock.json") {
        ("\"resolved\": ", None)
    } else if file.path.ends_with("Cargo.lock") {
        ("source = ", Some("\"registry+https://github.com/rust-lang/crates.io-index\""))
    } else {
        return Vec::new();
    };
    let sources = file.text.lines().filter_map(|line| line.trim().strip_prefix(key));
    // npm also resolves the workspace's members, to their folders.
    let foreign = sources.filter(|source| public != Some(*source) && source.contains("://"));
    foreign.map(|source| format!("{}: takes a package from {source}", file.path)).collect()
}

const DOMAIN_LINTS: &str = "domain/clippy.toml";

/// What the list of the domain must disallow; it may contain more.
const AMBIENT: &[&str] = &["std::time::SystemTime::now", "std::time::Instant::now", "std::env::var"];

/// The domain has a list of disallowed methods, each with a reason.
fn domain_stays_pure(repository: &Repository) -> Vec<String> {
    let Some(text) = repository.find(DOMAIN_LINTS) else {
        return vec![format!("{DOMAIN_LINTS} does not exist")];
    };
    let Ok(table) = text.parse::<toml::Table>() else {
        return vec![format!("{DOMAIN_LINTS} is not TOML")];
    };
    let methods = table.get("disallowed-methods").and_then(toml::Value::as_array).cloned().unwrap_or_default();
    let path = |method: &toml::Value| method.get("path").and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    let missing = AMBIENT.iter().filter(|ambient| !methods.iter().any(|method| path(method) == **ambient));
    let missing = missing.map(|ambient| format!("{DOMAIN_LINTS}: does not disallow {ambient}"));
    let unreasoned = methods.iter().filter(|method| method.get("reason").is_none());
    missing.chain(unreasoned.map(|method| format!("{DOMAIN_LINTS}: gives no reason for {method}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_module_begins_with_documentation() {
        assert!(undocumented(&file("a.rs", "\n#![no_std]\n//! Words.\n\nuse x;")).is_empty());
        for text in ["", "use x;\n//! Words.", "/// Words.\nstruct X;", "//!\nuse x;"] {
            assert_eq!(undocumented(&file("a.rs", text)), ["a.rs: has no `//!` documentation"], "{text:?}");
        }
    }

    #[test]
    fn no_rust_test_or_lint_is_switched_off() {
        let fine = "// #[ignore]\nlet x = \"#[allow(y)]\";\n#[expect(z, reason = \"why\")]\niter.skip(1)";
        assert!(switched_off(&file("a.rs", fine), Syntax::Rust, RUST_SWITCHES).is_empty());
        for text in ["#[ignore]", "#[ignore = \"why\"]", "#![allow(x)]", "#[allow(x)]", "#[cfg_attr(x, ignore)]"] {
            let found = switched_off(&file("a.rs", &format!("\n{text}\nfn x() {{}}")), Syntax::Rust, RUST_SWITCHES);
            assert_eq!(found.len(), 1, "{text}");
            assert!(found[0].starts_with("a.rs:2: "), "{text}");
        }
    }

    #[test]
    fn no_typescript_test_is_switched_off() {
        let fine = "// test.skip('x')\ntest('skips nothing', () => exit(1));";
        assert!(switched_off(&file("a.ts", fine), Syntax::TypeScript, TYPESCRIPT_SWITCHES).is_empty());
        for text in ["test.skip('x')", "describe.only('x')", "it.todo('x')", "test.skipIf(y)('x')"] {
            assert_eq!(switched_off(&file("a.ts", text), Syntax::TypeScript, TYPESCRIPT_SWITCHES).len(), 1, "{text}");
        }
    }

    #[test]
    fn no_file_names_a_path_of_one_machine() {
        let path = |folder: &str, rest: &str| format!("see {}{folder}/{rest}", "/");
        for (folder, rest) in [("home", "anna/x"), ("Users", "anna"), ("root", ".cargo"), ("work", "main")] {
            assert_eq!(foreign_paths(&file("a.md", &path(folder, rest))).len(), 1, "{folder}");
        }
        let url = format!("https://example.com{}", path("home", "x").trim_start_matches("see "));
        for text in [url.as_str(), "./home/x", "a homely/work/place", "/tmp/x", "GET /homes/1"] {
            assert!(foreign_paths(&file("a.md", text)).is_empty(), "{text}");
        }
    }

    #[test]
    fn lock_files_name_the_public_registry_only() {
        let npm = |url: &str| file("app/console/package-lock.json", &format!("  \"resolved\": \"{url}\",\n"));
        assert!(foreign_registries(&npm("packages/client")).is_empty());
        assert_eq!(foreign_registries(&npm("https://mirror.example/a-1.tgz")).len(), 1);
        let cargo = |source: &str| file("Cargo.lock", &format!("source = \"{source}\"\n"));
        assert!(foreign_registries(&cargo("registry+https://github.com/rust-lang/crates.io-index")).is_empty());
        assert_eq!(foreign_registries(&cargo("git+https://example.com/a")).len(), 1);
    }

    #[test]
    fn the_domain_has_a_list_with_reasons() {
        let entry = |path: &&str| format!("  {{ path = \"{path}\", reason = \"why\" }},\n");
        let good = format!("disallowed-methods = [\n{}]\n", AMBIENT.iter().map(entry).collect::<String>());
        let check_list = |text: &str| domain_stays_pure(&Repository::of(&[(DOMAIN_LINTS, text)]));
        assert!(check_list(&good).is_empty());
        assert_eq!(check_list(&good.replace("SystemTime", "Other")).len(), 1);
        assert_eq!(check_list(&good.replacen(", reason = \"why\"", "", 1)).len(), 1);
        assert_eq!(check_list("").len(), AMBIENT.len());
        assert_eq!(check_list("not toml").len(), 1);
        assert_eq!(domain_stays_pure(&Repository::of(&[])).len(), 1);
    }

    #[test]
    fn the_whole_check_reaches_every_kind_of_file() {
        let repository = Repository::of(&[
            ("a.rs", "#[ignore]\nfn x() {}"),
            ("a.test.ts", "it.only('x')"),
            ("dist/a.js", "it.only('x')"),
            ("a.md", &format!("{}home/anna/x", "/")),
        ]);
        let found = check(&repository);
        assert_eq!(found.len(), 5, "{found:#?}");
    }
}

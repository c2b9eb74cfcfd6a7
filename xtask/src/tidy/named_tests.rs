//! The tests that the security policy names: each of them exists.
//!
//! A test is named in inline code as `FILE::NAME`, where `FILE` is the end of the path of one file; further tests of this
//! file are named as `::NAME`. `sources` checks that no test is switched off.

use std::sync::LazyLock;

use regex::Regex;

use super::repository::{File, Repository};
use super::source_text::Syntax;

const POLICY: &str = "SECURITY.md";

static NAMED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"`(?<file>[\w./-]+\.(?:rs|tsx?))?::(?<name>[^`]+)`").expect("a valid pattern"));

/// Names without a test, and a policy that names none.
pub(crate) fn check(repository: &Repository) -> Vec<String> {
    let Some(policy) = repository.find(POLICY) else { return vec![format!("{POLICY} does not exist")] };
    let (mut findings, mut is_empty, mut file) = (Vec::new(), true, Err("names no file".to_owned()));
    for (at, line) in policy.lines().enumerate() {
        for named in NAMED.captures_iter(line) {
            is_empty = false;
            if let Some(end) = named.name("file") {
                file = the_file(repository, end.as_str());
            }
            let problem = match &file {
                Ok(file) if has_test(file, &named["name"]) => continue,
                Ok(file) => format!("is no test of {}", file.path),
                Err(problem) => problem.clone(),
            };
            findings.push(format!("{POLICY}:{}: {} {problem}", at + 1, &named[0]));
        }
    }
    if is_empty {
        findings.push(format!("{POLICY}: names no test"));
    }
    findings
}

/// The only file whose path ends so.
fn the_file<'a>(repository: &'a Repository, end: &str) -> Result<&'a File, String> {
    let is_named = |path: &str| path.strip_suffix(end).is_some_and(|start| start.is_empty() || start.ends_with('/'));
    let found: Vec<_> = repository.files.iter().filter(|file| is_named(&file.path)).collect();
    match found[..] {
        [file] => Ok(file),
        [] => Err("is in no file of the repository".to_owned()),
        _ => Err(format!("may be in any of {} files", found.len())),
    }
}

fn has_test(file: &File, name: &str) -> bool {
    if Syntax::of(&file.path) == Some(Syntax::Rust) {
        return has_rust_test(&Syntax::Rust.code(&file.text), name);
    }
    let title = format!("(\"{name}\"");
    file.text.lines().map(str::trim_start).any(|line| line.starts_with("it") && line.contains(&title))
}

/// Whether a function of this name has an attribute that makes it a test.
fn has_rust_test(code: &str, name: &str) -> bool {
    let lines: Vec<_> = code.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let is_named = |line: &str| line.split_once("fn ").is_some_and(|(_, rest)| rest.split('(').next() == Some(name));
    let is_test = |at| {
        let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
        attributes.into_iter().any(|line| line.contains("test]") || line.contains("test("))
    };
    (0..lines.len()).any(|at| is_named(lines[at]) && is_test(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUST: &str = "#[test]\nfn plain() {}\n\n#[tokio::test(flavor = \"x\")]\n#[expect(y)]\nasync fn wired() {}\n\
        fn helper() {}\n// #[test]\n// fn comment() {}\n    #[test]\n    fn of_property(a in 0..1) {}\n";
    const TYPESCRIPT: &str = "describe(\"pages\", () => {\n  it(\"R62 cannot be framed\", () => {});\n  it.each([1])(\"of %i\", f);\n\
        // it(\"comment\", f);\n";

    fn findings(policy: &str) -> Vec<String> {
        let other = "#[test]\nfn other() {}\n";
        check(&Repository::of(&[
            (POLICY, policy),
            ("a/tests/flow.rs", RUST),
            ("b/tests/flow.rs", other),
            ("c/overflow.rs", other),
            ("web/attacks.test.ts", TYPESCRIPT),
        ]))
    }

    #[test]
    fn tests_that_exist_pass() {
        let policy = "| x | `a/tests/flow.rs::plain`, `::wired`, `::of_property` |\n`b/tests/flow.rs::other`; `overflow.rs::other`\n\
            `attacks.test.ts::R62 cannot be framed`, `::of %i` and `Type::method`, `a::b`, `flow.rs`";
        assert_eq!(findings(policy), Vec::<String>::new());
    }

    #[test]
    fn names_without_a_test_are_found_with_their_line() {
        let found = findings("\n`a/tests/flow.rs::missing`, `::plain`, `::helper`\n`::comment`, `::plai`");
        let expected = [
            "SECURITY.md:2: `a/tests/flow.rs::missing` is no test of a/tests/flow.rs",
            "SECURITY.md:2: `::helper` is no test of a/tests/flow.rs",
            "SECURITY.md:3: `::comment` is no test of a/tests/flow.rs",
            "SECURITY.md:3: `::plai` is no test of a/tests/flow.rs",
        ];
        assert_eq!(found, expected);
        assert_eq!(findings("`attacks.test.ts::R62`, `::comment`, `::pages`").len(), 3);
    }

    #[test]
    fn a_file_that_is_missing_or_ambiguous_is_found() {
        let found = findings("`none.rs::plain`, `tests/flow.rs::plain`, `low.rs::other`");
        let expected = [
            "SECURITY.md:1: `none.rs::plain` is in no file of the repository",
            "SECURITY.md:1: `tests/flow.rs::plain` may be in any of 2 files",
            "SECURITY.md:1: `low.rs::other` is in no file of the repository",
        ];
        assert_eq!(found, expected);
        assert_eq!(findings("`::plain`"), ["SECURITY.md:1: `::plain` names no file"]);
    }

    #[test]
    fn a_policy_that_is_missing_or_names_no_test_is_found() {
        assert_eq!(findings("text"), ["SECURITY.md: names no test"]);
        assert_eq!(check(&Repository::of(&[])), ["SECURITY.md does not exist"]);
    }
}

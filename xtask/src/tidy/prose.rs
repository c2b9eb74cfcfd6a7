//! Words that comments and documents do not use, with what to write instead: the rules are in `xtask/prose.toml`.
//!
//! The search goes line by line, so a phrase that is broken over two lines is not found. Inline code (in backticks) is
//! skipped. Of string literals, those of Rust sources are read that can be messages (`Syntax::literals`); tests are left out.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use globset::{Glob, GlobSet, GlobSetBuilder};
use regex::Regex;
use serde::Deserialize;

use super::repository::Repository;
use super::source_text::Syntax;
use crate::Result;

/// Where the rules are, from the root.
pub(crate) const RULES: &str = "xtask/prose.toml";

static INLINE_CODE: LazyLock<Regex> = LazyLock::new(|| Regex::new("`[^`]*`").expect("a valid pattern"));

/// The content of the rule file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    skip: Vec<String>,
    #[serde(default)]
    rule: Vec<RuleEntry>,
    #[serde(default)]
    exception: Vec<ExceptionEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    words: String,
    write: String,
    #[serde(default)]
    except: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExceptionEntry {
    path: String,
    word: String,
    reason: String,
}

/// The compiled rules.
pub(crate) struct Rules {
    skip: GlobSet,
    words: Vec<Rule>,
    exceptions: Vec<Exception>,
}

struct Rule {
    words: Regex,
    write: String,
    except: GlobSet,
}

struct Exception {
    entry: ExceptionEntry,
    path: GlobSet,
}

/// One word at one place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    word: String,
    write: String,
}

impl Rules {
    /// Compiles the rule file; unknown keys, invalid patterns and exceptions without a reason are errors.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let document: Document = toml::from_str(text).map_err(|error| format!("{RULES}: {error}"))?;
        let rule = |entry: RuleEntry| -> Result<Rule> {
            let words = Regex::new(&format!(r"(?i)\b(?:{})\b", entry.words))?;
            Ok(Rule { words, write: entry.write, except: globs(&entry.except)? })
        };
        let exception = |entry: ExceptionEntry| -> Result<Exception> {
            if entry.reason.trim().is_empty() {
                return Err(format!("{RULES}: the exception for `{}` in {} has no reason", entry.word, entry.path).into());
            }
            Ok(Exception { path: globs(std::slice::from_ref(&entry.path))?, entry })
        };
        Ok(Self {
            skip: globs(&document.skip)?,
            words: document.rule.into_iter().map(rule).collect::<Result<_>>()?,
            exceptions: document.exception.into_iter().map(exception).collect::<Result<_>>()?,
        })
    }

    /// Every word that the rules reject and no exception allows, and every exception that allows nothing.
    pub(crate) fn check(&self, repository: &Repository) -> (Vec<Finding>, Vec<String>) {
        let mut used = vec![false; self.exceptions.len()];
        let mut findings = self.search(repository);
        findings.retain(|finding| {
            let mut allowed = false;
            for (exception, used) in self.exceptions.iter().zip(&mut used) {
                if exception.allows(finding) {
                    (*used, allowed) = (true, true);
                }
            }
            !allowed
        });
        let unused = self.exceptions.iter().zip(used).filter(|(_, used)| !used).map(|(exception, _)| {
            let ExceptionEntry { path, word, .. } = &exception.entry;
            format!("{RULES}: the exception for `{word}` in {path} matches nothing; remove it")
        });
        (findings, unused.collect())
    }

    fn search(&self, repository: &Repository) -> Vec<Finding> {
        let mut findings = Vec::new();
        for file in repository.files.iter().filter(|file| !self.skip.is_match(&file.path)) {
            let Some(syntax) = Syntax::of(&file.path) else {
                continue;
            };
            let mut texts = vec![syntax.prose(&file.text)];
            texts.extend((!is_test(&file.path)).then(|| syntax.literals(&file.text)));
            for prose in texts {
                // Most files contain the words of no rule: one search of the text instead of one for each line.
                let applies = |rule: &&Rule| !rule.except.is_match(&file.path) && rule.words.is_match(&prose);
                let rules: Vec<_> = self.words.iter().filter(applies).collect();
                for (at, line) in prose.lines().enumerate().filter(|_| !rules.is_empty()) {
                    let line = INLINE_CODE.replace_all(line, " ");
                    let words = rules.iter().flat_map(|rule| rule.words.find_iter(&line).map(move |word| (word, rule)));
                    findings.extend(words.map(|(word, rule)| Finding {
                        path: file.path.clone(),
                        line: at + 1,
                        word: word.as_str().to_owned(),
                        write: rule.write.clone(),
                    }));
                }
            }
        }
        findings
    }
}

/// Whether a file contains only tests, whose literals are data.
fn is_test(path: &str) -> bool {
    let mut parts = path.split('/').skip_while(|part| *part != "src");
    parts.next().is_none()
        || path.starts_with("tests/fuzz/")
        || parts.any(|part| part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs"))
}

impl Exception {
    fn allows(&self, finding: &Finding) -> bool {
        self.path.is_match(&finding.path) && self.entry.word.eq_ignore_ascii_case(&finding.word)
    }
}

impl Finding {
    /// One line for the terminal.
    pub(crate) fn describe(&self) -> String {
        format!("{}:{}: \"{}\": write {}", self.path, self.line, self.word, self.write)
    }

    /// The file and the line.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.path, self.line)
    }

    /// The rejected word.
    pub(crate) fn word(&self) -> &str {
        &self.word
    }

    /// What to write in its place.
    pub(crate) fn instead(&self) -> &str {
        &self.write
    }
}

fn globs(patterns: &[String]) -> Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern)?);
    }
    Ok(set.build()?)
}

/// The number of findings per file and per word, largest first.
pub(crate) fn report(findings: &[Finding]) -> String {
    let rows = |key: fn(&Finding) -> String| {
        let mut counts = BTreeMap::<String, usize>::new();
        for finding in findings {
            *counts.entry(key(finding)).or_default() += 1;
        }
        let mut rows: Vec<_> = counts.into_iter().collect();
        rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        rows.into_iter().map(|(name, count)| format!("{count:>6}  {name}")).collect::<Vec<_>>().join("\n")
    };
    let files = rows(|finding| finding.path.clone());
    let words = rows(|finding| finding.word.to_lowercase());
    format!("{files}\n\n{words}\n\n{:>6}  in total\n", findings.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        skip = ["**/dist/**"]
        [[rule]]
        words = 'some(?:body|one)'
        write = "the caller"
        [[rule]]
        words = '(?-i:[RT]\d\d)'
        write = "the RFC section"
        except = ["docs/**"]
    "#;

    fn with_exception(path: &str, word: &str) -> String {
        format!("{TEXT}\n[[exception]]\npath = '{path}'\nword = '{word}'\nreason = 'quoted'\n")
    }

    fn check(rules: &str, files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let (findings, unused) = Rules::parse(rules).unwrap().check(&Repository::of(files));
        (findings.iter().map(Finding::describe).collect(), unused)
    }

    #[test]
    fn a_word_in_a_comment_is_found_with_its_line() {
        let (found, _) = check(TEXT, &[("a/b.rs", "let somebody = \"someone\";\n// Somebody calls.")]);
        assert_eq!(found, ["a/b.rs:2: \"Somebody\": write the caller"]);
    }

    #[test]
    fn a_word_in_a_message_is_found_and_not_in_a_test() {
        let text = "let a = \"somebody\";\nreturn Err(\"this is somebody else\");";
        let files = [("a/src/b.rs", text), ("a/src/b_tests.rs", text), ("a/tests/c.rs", text), ("a/src/c.ts", text)];
        assert_eq!(check(TEXT, &files).0, ["a/src/b.rs:2: \"somebody\": write the caller"]);
    }

    #[test]
    fn parts_of_words_and_inline_code_are_not_found() {
        let text = "Text of somebodys, `somebody` and\n```\nsomebody\n```\nr26_x, XR26.";
        assert_eq!(check(TEXT, &[("a.md", text)]).0, Vec::<String>::new());
    }

    #[test]
    fn skipped_files_and_files_that_a_rule_leaves_out_are_not_found() {
        let files = [("a/dist/x.js", "// somebody"), ("docs/a.md", "R26"), ("LICENSE", "somebody"), ("a.md", "R26")];
        assert_eq!(check(TEXT, &files).0, ["a.md:1: \"R26\": write the RFC section"]);
    }

    #[test]
    fn an_exception_allows_its_word_in_its_files_only() {
        let files = [("a.md", "somebody someone"), ("b.md", "Somebody")];
        let (found, unused) = check(&with_exception("a.md", "Somebody"), &files);
        assert_eq!(found, ["a.md:1: \"someone\": write the caller", "b.md:1: \"Somebody\": write the caller"]);
        assert!(unused.is_empty());
        assert_eq!(check(&with_exception("*.md", "somebody"), &files).0.len(), 1);
    }

    #[test]
    fn an_exception_that_matches_nothing_is_an_error() {
        let (_, unused) = check(&with_exception("c.md", "somebody"), &[("a.md", "somebody")]);
        assert_eq!(unused, ["xtask/prose.toml: the exception for `somebody` in c.md matches nothing; remove it"]);
    }

    #[test]
    fn invalid_rules_are_refused() {
        for text in [
            "",
            "skip = []\nunknown = 1",
            "skip = []\n[[rule]]\nwords = '('\nwrite = ''",
            "skip = ['[']",
            "skip = []\n[[exception]]\npath = 'a'\nword = 'b'",
            "skip = []\n[[exception]]\npath = 'a'\nword = 'b'\nreason = ' '",
        ] {
            assert!(Rules::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_report_counts_files_and_words() {
        let rules = Rules::parse(TEXT).unwrap();
        let (findings, _) = rules.check(&Repository::of(&[("a.md", "R26"), ("b.md", "someone\nSomeone")]));
        let expected = "     2  b.md\n     1  a.md\n\n     2  someone\n     1  r26\n\n     3  in total\n";
        assert_eq!(report(&findings), expected);
    }
}

//! Licences, bans and sources of all dependencies, by `deny.toml`; advisories if cargo-deny is installed.
//!
//! Licences, bans and sources are read from `cargo metadata` and the lock files, so that they are checked without a tool. Terms of
//! an expression (SPDX) are joined by `OR` and `AND`, where `AND` binds more strongly, and by `/`, an older form of `OR`.

use std::collections::BTreeSet;

use cargo_metadata::MetadataCommand;
use serde_json::Value;
use xshell::cmd;

use crate::Result;
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};

const RULES: &str = "deny.toml";
const NPM_LOCK: &str = "app/console/package-lock.json";
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The part of `deny.toml` that this check applies.
#[derive(Debug)]
struct Rules {
    allowed: BTreeSet<String>,
    banned: BTreeSet<String>,
}

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let mut sheet = Sheet::default();
    let rules = Rules::parse(context.files.text(RULES)?)?;
    crates(context, &rules, &mut sheet)?;
    npm(context.files.text(NPM_LOCK)?, &rules, &mut sheet)?;
    advisories(context, &mut sheet)?;
    Ok(sheet.outcome())
}

impl Rules {
    fn parse(text: &str) -> Result<Self> {
        let table: toml::Table = toml::from_str(text).map_err(|error| format!("{RULES}: {error}"))?;
        let list = |section: &str, key: &str| {
            let values = table.get(section).and_then(|section| section.get(key)).and_then(toml::Value::as_array);
            values.cloned().unwrap_or_default()
        };
        let name = |value: &toml::Value| value.get("crate").unwrap_or(value).as_str().map(str::to_owned);
        let allowed: BTreeSet<_> = list("licenses", "allow").iter().filter_map(name).collect();
        if allowed.is_empty() {
            return Err(format!("{RULES}: [licenses] allows nothing").into());
        }
        Ok(Self { allowed, banned: list("bans", "deny").iter().filter_map(name).collect() })
    }

    /// Whether the terms of a licence expression can be met.
    fn allow(&self, expression: &str) -> bool {
        let tokens = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
        let tokens: Vec<_> = tokens.split_whitespace().collect();
        let mut at = 0;
        let allowed = self.any(&tokens, &mut at);
        allowed && at == tokens.len()
    }

    fn any(&self, tokens: &[&str], at: &mut usize) -> bool {
        let mut result = self.all(tokens, at);
        while tokens.get(*at) == Some(&"OR") {
            *at += 1;
            result |= self.all(tokens, at);
        }
        result
    }

    fn all(&self, tokens: &[&str], at: &mut usize) -> bool {
        let mut result = self.term(tokens, at);
        while tokens.get(*at) == Some(&"AND") {
            *at += 1;
            result &= self.term(tokens, at);
        }
        result
    }

    fn term(&self, tokens: &[&str], at: &mut usize) -> bool {
        let Some(first) = tokens.get(*at) else {
            return false;
        };
        *at += 1;
        if *first == "(" {
            let result = self.any(tokens, at);
            *at += 1;
            return result;
        }
        if tokens.get(*at) == Some(&"WITH") {
            let exception = tokens.get(*at + 1).copied().unwrap_or_default();
            *at += 2;
            return self.allowed.contains(&format!("{first} WITH {exception}"));
        }
        self.allowed.contains(*first)
    }
}

fn crates(context: &Context, rules: &Rules, sheet: &mut Sheet) -> Result {
    let metadata = MetadataCommand::new().manifest_path(context.root().join("Cargo.toml")).exec()?;
    for package in &metadata.packages {
        let (name, version) = (&package.name, &package.version);
        let place = format!("Cargo.lock ({name} {version})");
        match &package.license {
            Some(license) if rules.allow(license) => {}
            Some(license) => {
                sheet.red(
                    format!("the licence `{license}` is not allowed"),
                    place.clone(),
                    "replace the dependency, or add the licence to deny.toml",
                );
            }
            None => sheet.red("the crate declares no licence", place.clone(), "replace the dependency"),
        }
        if rules.banned.contains(name.as_str()) {
            sheet.red("deny.toml bans the crate", place.clone(), format!("find what needs it with `cargo tree -i {name}`"));
        }
        if package.source.as_ref().is_some_and(|source| source.repr != CRATES_IO) {
            sheet.red("the crate does not come from crates.io", place, "depend on a version of crates.io");
        }
    }
    sheet.note(format!("{} crates", metadata.packages.len()));
    Ok(())
}

/// What the bundle or a package contains; tools of the build are not distributed.
fn npm(lock: &str, rules: &Rules, sheet: &mut Sheet) -> Result {
    let lock: Value = serde_json::from_str(lock).map_err(|error| format!("{NPM_LOCK}: {error}"))?;
    for (path, package) in lock["packages"].as_object().into_iter().flatten() {
        let is_distributed = path.starts_with("node_modules/") && package["dev"] != true && package["link"] != true;
        if !is_distributed {
            continue;
        }
        let license = package["license"].as_str().unwrap_or_default();
        if !rules.allow(license) {
            let name = path.trim_start_matches("node_modules/");
            let what = format!("the licence `{license}` is not allowed");
            sheet.red(what, format!("{NPM_LOCK} ({name})"), "replace the package, or add the licence to deny.toml");
        }
    }
    Ok(())
}

fn advisories(context: &Context, sheet: &mut Sheet) -> Result {
    let sh = context.shell()?;
    if cmd!(sh, "cargo deny --version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        sheet.note("skipped: advisories, because cargo-deny is not installed (`cargo install --locked cargo-deny`)");
        return Ok(());
    }
    let output = cmd!(sh, "cargo deny --offline check advisories bans sources").quiet().ignore_status().output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let first = text.lines().find(|line| line.starts_with("error")).unwrap_or("cargo-deny failed").to_owned();
        sheet.red(first, RULES, "run `cargo deny check`, and update or replace the crates that it names");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[licenses]\nallow = ['MIT', 'Apache-2.0', 'Apache-2.0 WITH LLVM-exception']\n\
        [bans]\ndeny = [{ crate = 'openssl', reason = 'x' }]";

    #[test]
    fn expressions_are_evaluated() {
        let rules = Rules::parse(TEXT).unwrap();
        for allowed in
            ["MIT", "GPL-3.0 OR MIT", "MIT/GPL-3.0", "MIT AND Apache-2.0", "(MIT OR X) AND Apache-2.0", "X AND Y OR MIT"]
        {
            assert!(rules.allow(allowed), "{allowed}");
        }
        assert!(rules.allow("Apache-2.0 WITH LLVM-exception"));
        for refused in
            ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR X) AND Y", "MIT WITH LLVM-exception", "MIT MIT", "MIT AND"]
        {
            assert!(!rules.allow(refused), "{refused}");
        }
        assert!(rules.banned.contains("openssl"));
        assert!(Rules::parse("[licenses]").is_err());
    }

    #[test]
    fn only_distributed_packages_of_npm_are_checked() {
        let lock = r#"{ "packages": { "": {}, "node_modules/a": { "license": "MIT" }, "node_modules/b": { "license": "X", "dev": true },
            "node_modules/c": { "license": "X" }, "node_modules/d": { "link": true } } }"#;
        let mut sheet = Sheet::default();
        npm(lock, &Rules::parse(TEXT).unwrap(), &mut sheet).unwrap();
        let Outcome::Red { findings, .. } = sheet.outcome() else { panic!("not red") };
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].place, "app/console/package-lock.json (c)");
    }
}

//! Licences, bans and sources of all dependencies, by `deny.toml`.
//!
//! Crates are checked by cargo-deny. If it is not installed, `cargo metadata` names their licences and sources, so that they are
//! checked without a tool; a note states that. Terms of an expression (SPDX) are joined by `OR` and `AND`, where `AND` binds more
//! strongly, and by `/`, an older form of `OR`. Packages of npm are read from their lock file.

use std::collections::BTreeSet;

use cargo_metadata::MetadataCommand;
use serde_json::Value;
use xshell::{Shell, cmd};

use crate::Result;
use crate::release::context::Context;
use crate::release::row::{Outcome, Place, Sheet};
use crate::setup::tools::DENY;

pub(super) const RULES: &str = "deny.toml";
pub(super) const CARGO_LOCK: &str = "Cargo.lock";
const NPM_LOCK: &str = "app/console/package-lock.json";
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The part of `deny.toml` that this check applies.
#[derive(Debug)]
struct Rules {
    allowed: BTreeSet<String>,
    banned: BTreeSet<String>,
}

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let (sh, mut sheet) = (context.shell()?, Sheet::default());
    let rules = Rules::parse(context.files.text(RULES)?)?;
    npm(context.files.text(NPM_LOCK)?, &rules, &mut sheet)?;
    match DENY.require(&sh) {
        Ok(()) => {
            deny(&sh, context.files.find(CARGO_LOCK).unwrap_or_default(), &["bans", "licenses", "sources"], &mut sheet)?;
        }
        Err(reason) => {
            crates(context, &rules, &mut sheet)?;
            sheet.note(format!("{reason}: licences, bans and sources are read from `cargo metadata`"));
        }
    }
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
    let lock = context.files.find(CARGO_LOCK).unwrap_or_default();
    for package in &metadata.packages {
        let (name, version) = (&package.name, &package.version);
        let place = locked(lock, name, &version.to_string());
        let replaced = format!("replace what requires it (`cargo tree --workspace --invert {name}@{version}`)");
        match &package.license {
            Some(license) if rules.allow(license) => {}
            Some(license) => {
                let what = format!("the licence `{license}` of the crate {name} {version} is not allowed");
                sheet.red(what, &place, format!("{replaced}, or add the licence to {RULES}"));
            }
            None => sheet.red(format!("the crate {name} {version} declares no licence"), &place, &replaced),
        }
        if rules.banned.contains(name.as_str()) {
            sheet.red(format!("{RULES} bans the crate {name} {version}"), &place, &replaced);
        }
        if package.source.as_ref().is_some_and(|source| source.repr != CRATES_IO) {
            let what = format!("the crate {name} {version} does not come from crates.io");
            sheet.red(what, &place, "depend on a version of crates.io");
        }
    }
    sheet.note(format!("{} crates", metadata.packages.len()));
    Ok(())
}

/// The line of `Cargo.lock` with the version of a crate; the file if it does not have it.
fn locked(lock: &str, name: &str, version: &str) -> Place {
    let lines: Vec<_> = lock.lines().collect();
    let is_entry = |pair: &[&str]| pair[0] == format!("name = \"{name}\"") && pair[1] == format!("version = \"{version}\"");
    // The lines of a pair are counted from 0, and the version is in the second one.
    let line = lines.windows(2).position(is_entry).map(|at| at + 2);
    Place::Path { path: CARGO_LOCK.to_owned(), line }
}

/// What the bundle or a package contains: every package of the lock file, also those below a workspace or another package. The
/// workspaces of the repository have its licence, and tools of the build are not distributed.
fn npm(text: &str, rules: &Rules, sheet: &mut Sheet) -> Result {
    let lock: Value = serde_json::from_str(text).map_err(|error| format!("{NPM_LOCK}: {error}"))?;
    let packages = lock["packages"].as_object().ok_or(format!("{NPM_LOCK} has no `packages`"))?;
    let workspaces: BTreeSet<_> =
        lock["packages"][""]["workspaces"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut count = 0;
    for (path, package) in packages {
        let is_ours = path.is_empty() || workspaces.contains(path.as_str());
        // A link is the entry of a workspace in `node_modules`. Its target has an entry of another path.
        if is_ours || package["dev"] == true || package["link"] == true {
            continue;
        }
        count += 1;
        let license = package["license"].as_str().unwrap_or_default();
        if !rules.allow(license) {
            let name = path.strip_prefix("node_modules/").unwrap_or(path);
            let what = format!("the licence `{license}` of the package {name} is not allowed");
            let key = format!("\"{path}\":");
            let line = text.lines().position(|line| line.trim_start().starts_with(&key)).map(|at| at + 1);
            let mend = format!("replace the package, or add the licence to {RULES}");
            sheet.red(what, Place::Path { path: NPM_LOCK.to_owned(), line }, mend);
        }
    }
    sheet.note(format!("{count} npm packages are distributed"));
    Ok(())
}

/// Runs checks of cargo-deny.
pub(super) fn deny(sh: &Shell, lock: &str, checks: &[&str], sheet: &mut Sheet) -> Result {
    let output = cmd!(sh, "cargo deny --offline --format json check {checks...}").quiet().ignore_status().output()?;
    let report = String::from_utf8_lossy(&output.stderr);
    let errors = errors(&report, lock);
    if errors.is_empty() && !output.status.success() {
        return Err(format!("cargo-deny fails: {}", report.trim()).into());
    }
    for (what, place) in errors {
        sheet.red(what, place, format!("run `cargo deny --offline check {}`, and replace what it names", checks.join(" ")));
    }
    Ok(())
}

/// The errors of a report, a JSON document on each line: what is wrong, and where the crate is locked.
fn errors(report: &str, lock: &str) -> Vec<(String, Place)> {
    let lines = report.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let errors = lines.filter(|line| line["type"] == "diagnostic" && line["fields"]["severity"] == "error");
    let error = |line: Value| {
        let (fields, package) = (&line["fields"], &line["fields"]["graphs"][0]["Krate"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let labels = fields["labels"].as_array().into_iter().flatten();
        let labels = labels.map(|label| format!("; `{}`: {}", text(&label["span"]), text(&label["message"])));
        let what = text(&fields["message"]) + &labels.collect::<String>();
        match (package["name"].as_str(), package["version"].as_str()) {
            (Some(name), Some(version)) => (format!("{name} {version}: {what}"), locked(lock, name, version)),
            (None, _) | (_, None) => (what, Place::from(RULES)),
        }
    };
    errors.map(error).collect()
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
    fn errors_are_read_from_the_report_of_the_tool() {
        let report = r#"{"fields":{"code":"rejected","graphs":[{"Krate":{"name":"a","version":"1.0.0"}}],"labels":[
            {"message":"rejected","span":"X"}],"message":"no licence fits","severity":"error"},"type":"diagnostic"}
            {"fields":{"message":"two versions","severity":"warning"},"type":"diagnostic"}
            {"fields":{"message":"no crate","severity":"error"},"type":"diagnostic"}
            {"fields":{"errors":2},"type":"summary"}"#
            .replace("[\n            ", "[");
        let lock = "[[package]]\nname = \"a\"\nversion = \"0.9.0\"\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n";
        let expected = [("a 1.0.0: no licence fits; `X`: rejected", "Cargo.lock:7"), ("no crate", "deny.toml")];
        assert_eq!(errors(&report, lock), expected.map(|(what, place)| (what.to_owned(), Place::from(place))));
        assert_eq!(locked(lock, "b", "1.0.0"), Place::from(CARGO_LOCK));
    }

    #[test]
    fn only_distributed_packages_of_npm_are_checked() {
        let lock = r#"{ "packages": { "": { "workspaces": ["web"] }, "node_modules/a": { "license": "MIT" },
            "node_modules/b": { "license": "X", "dev": true }, "node_modules/c": { "license": "X" },
            "node_modules/a/node_modules/c": { "license": "X" }, "web": {}, "web/node_modules/c": { "license": "X" },
            "node_modules/web": { "resolved": "web", "link": true }, "vendored": {} } }"#;
        let mut sheet = Sheet::default();
        npm(lock, &Rules::parse(TEXT).unwrap(), &mut sheet).unwrap();
        let Outcome::Red { findings, .. } = sheet.outcome() else { panic!("not red") };
        let whats: Vec<_> = findings.iter().map(|finding| finding.what.as_str()).collect();
        let expected = [
            "`X` of the package a/node_modules/c",
            "`X` of the package c",
            "`` of the package vendored",
            "`X` of the package web/node_modules/c",
        ];
        assert_eq!(whats, expected.map(|part| format!("the licence {part} is not allowed")));
        assert_eq!(findings[2].place, Place::from(NPM_LOCK));
        let mut sheet = Sheet::default();
        npm("{ \"packages\": {\n  \"node_modules/c\": {} } }", &Rules::parse(TEXT).unwrap(), &mut sheet).unwrap();
        let Outcome::Red { findings, .. } = sheet.outcome() else { panic!("not red") };
        assert_eq!(findings[0].place, Place::line(NPM_LOCK, 2));
        assert!(npm("{}", &Rules::parse(TEXT).unwrap(), &mut Sheet::default()).is_err());
    }
}

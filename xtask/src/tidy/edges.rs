//! Which crate may depend on which: edges point inward only.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Package};
use xshell::{Shell, cmd};

use crate::{Result, workspace};

/// A member of the workspace with the other members it depends on.
#[derive(Debug)]
struct Member {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    /// Only for tests and examples.
    is_dev: bool,
}

impl From<&Package> for Member {
    fn from(package: &Package) -> Self {
        let members = package.dependencies.iter().filter(|dependency| dependency.path.is_some());
        let dependencies = members.map(|dependency| Dependency {
            name: dependency.name.clone(),
            is_dev: dependency.kind == DependencyKind::Development,
        });
        Self { name: package.name.to_string(), dependencies: dependencies.collect() }
    }
}

/// Which other members a member may depend on.
enum Allowed {
    Only(&'static [&'static str]),
    Any,
}

struct Rule {
    member: &'static str,
    /// Normal dependencies.
    allowed: Allowed,
    /// Further members that only the tests may use.
    in_tests: &'static [&'static str],
}

const DOMAIN: &str = "grantry-domain";
const RUNTIME: &str = "grantry-runtime";
const PORTS: &str = "grantry-test-ports";
const OAUTH2: &str = "grantry-provider-oauth2";
const STORE_RULES: &str = "grantry-store-rules";
/// The test kit, the reference store, whose histories other stores are compared with, and the cluster of tests.
const TESTKIT: &[&str] = &["grantry-testkit", "grantry-store-memory", "grantry-test-postgres"];

const fn inner(member: &'static str, allowed: &'static [&'static str]) -> Rule {
    Rule { member, allowed: Allowed::Only(allowed), in_tests: TESTKIT }
}

/// Every store has this rule, so that another one needs no row. It may use the rules of the ports.
static STORE: Rule = inner("grantry-store-", &[DOMAIN, STORE_RULES]);

/// Every other member has a row: a new crate is a decision about the architecture.
const RULES: &[Rule] = &[
    inner(DOMAIN, &[]),
    inner(RUNTIME, &[DOMAIN]),
    inner("grantry-crypto-aes-gcm", &[DOMAIN]),
    inner(OAUTH2, &[DOMAIN]),
    // It is no store: it depends on none, and each may depend on it.
    inner(STORE_RULES, &[DOMAIN]),
    // It implements the transport port that the codec defines.
    inner("grantry-http-reqwest", &[DOMAIN, OAUTH2]),
    inner("grantry-http-axum", &[DOMAIN]),
    // The composition root; the demo runs the authorization server of the test kit.
    Rule { member: "grantry", allowed: Allowed::Any, in_tests: &[] },
    // It contains the contract of the transport port as well.
    Rule { member: "grantry-testkit", allowed: Allowed::Only(&[DOMAIN, RUNTIME, OAUTH2]), in_tests: &[] },
    Rule { member: PORTS, allowed: Allowed::Only(&[]), in_tests: &[] },
    Rule { member: "grantry-test-postgres", allowed: Allowed::Only(&[PORTS]), in_tests: &[] },
    Rule { member: "grantry-load", allowed: Allowed::Any, in_tests: &[] },
    // It models the protocol and uses none of its code.
    Rule { member: "grantry-model", allowed: Allowed::Only(&[]), in_tests: &[] },
    Rule { member: "grantry-scheduler-tests", allowed: Allowed::Only(&[DOMAIN]), in_tests: TESTKIT },
    Rule { member: "grantry-system-tests", allowed: Allowed::Any, in_tests: &[] },
    Rule { member: "grantry-fuzz", allowed: Allowed::Any, in_tests: &[] },
    Rule { member: "xtask", allowed: Allowed::Only(&[RUNTIME]), in_tests: &[] },
];

/// Crates that perform IO, run tasks, read ambient time or randomness, or define a serialisation format. The domain must
/// not depend on them, directly or through another crate.
const FOREIGN_TO_DOMAIN: &[&str] = &[
    // Runtimes.
    "async-io",
    "async-std",
    "futures-executor",
    "mio",
    "smol",
    "tokio",
    // IO and its protocols.
    "axum",
    "hyper",
    "native-tls",
    "reqwest",
    "rusqlite",
    "rustls",
    "rustix",
    "socket2",
    "sqlx",
    "tokio-postgres",
    "ureq",
    // Ambient time and randomness.
    "chrono",
    "getrandom",
    "jiff",
    "rand",
    "time",
    // Serialisation.
    "bincode",
    "ciborium",
    "postcard",
    "prost",
    "serde",
    "serde_core",
    "serde_json",
    "toml",
];

/// The feature of the domain that adds mocks for tests. Its dependencies are not checked.
const MOCK: &str = "mock";

/// All edges and dependencies that are not allowed.
pub(crate) fn check(sh: &Shell) -> Result<Vec<String>> {
    let packages = workspace::metadata()?.packages;
    let members: Vec<_> = packages.iter().map(Member::from).collect();
    let domain = packages.iter().find(|package| package.name == DOMAIN).ok_or("the domain crate does not exist")?;
    Ok([wrong_edges(&members), foreign_crates(&resolved(sh, domain)?)].concat())
}

/// The crates that a build of this package alone compiles in, with all features but the mocks.
///
/// Asked of `cargo tree` and not of `cargo metadata`: the latter unifies the features of the whole workspace, so a feature
/// that another member enables on a shared crate would count.
fn resolved(sh: &Shell, package: &Package) -> Result<BTreeSet<String>> {
    let name = package.name.as_str();
    let features: Vec<_> = package.features.keys().filter(|feature| *feature != MOCK).cloned().collect();
    let features = features.join(",");
    let format = "{p}";
    let tree = cmd!(sh, "cargo tree --package {name} --no-default-features --features {features} --prefix none");
    let lines = tree.args(["--edges", "normal,no-proc-macro", "--format", format]).quiet().read()?;
    let names = lines.lines().filter_map(|line| line.split(' ').next());
    Ok(names.filter(|found| !found.is_empty() && *found != name).map(str::to_owned).collect())
}

fn foreign_crates(resolved: &BTreeSet<String>) -> Vec<String> {
    let foreign = FOREIGN_TO_DOMAIN.iter().filter(|name| resolved.contains(**name));
    let found = foreign.map(|name| {
        format!("{DOMAIN}: depends on {name} (see `cargo tree --package {DOMAIN} --edges normal --invert {name}`)")
    });
    found.collect()
}

fn wrong_edges(members: &[Member]) -> Vec<String> {
    let mut findings = Vec::new();
    for member in members {
        match rule_of(member) {
            Some(rule) => findings.extend(wrong_edges_of(member, rule)),
            None => findings.push(format!("{}: has no row in the table of allowed edges", member.name)),
        }
    }
    for rule in RULES.iter().filter(|rule| members.iter().all(|member| member.name != rule.member)) {
        findings.push(format!("{}: has a row in the table of allowed edges, but does not exist", rule.member));
    }
    findings
}

fn rule_of(member: &Member) -> Option<&'static Rule> {
    let row = RULES.iter().find(|rule| rule.member == member.name);
    row.or_else(|| member.name.starts_with(STORE.member).then_some(&STORE))
}

fn wrong_edges_of(member: &Member, rule: &Rule) -> Vec<String> {
    let is_allowed = |dependency: &&Dependency| {
        let name = dependency.name.as_str();
        let normally = match rule.allowed {
            Allowed::Any => true,
            Allowed::Only(allowed) => allowed.contains(&name),
        };
        normally || (dependency.is_dev && rule.in_tests.contains(&name))
    };
    let wrong = member.dependencies.iter().filter(|dependency| !is_allowed(dependency));
    wrong.map(|dependency| format!("{}: must not depend on {}", member.name, dependency.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A leading `dev:` marks a dependency of the tests.
    fn member(name: &str, dependencies: &[&str]) -> Member {
        let dependency =
            |text: &&str| Dependency { name: text.trim_start_matches("dev:").into(), is_dev: text.starts_with("dev:") };
        Member { name: name.into(), dependencies: dependencies.iter().map(dependency).collect() }
    }

    /// The whole workspace without any edge, but with this member.
    fn workspace_with(changed: Member) -> Vec<Member> {
        let others = RULES.iter().map(|rule| rule.member).filter(|name| *name != changed.name);
        let mut members: Vec<_> = others.map(|name| member(name, &[])).collect();
        members.push(changed);
        members
    }

    fn findings(name: &str, dependencies: &[&str]) -> Vec<String> {
        wrong_edges(&workspace_with(member(name, dependencies)))
    }

    #[test]
    fn inward_edges_pass() {
        assert!(findings("grantry-http-axum", &["grantry-domain", "dev:grantry-testkit"]).is_empty());
        assert!(findings("grantry-http-reqwest", &["grantry-domain", "grantry-provider-oauth2"]).is_empty());
        assert!(findings("grantry", &["grantry-testkit", "grantry-store-sqlite", "grantry-runtime"]).is_empty());
        assert!(findings("grantry-testkit", &["grantry-domain", "grantry-runtime"]).is_empty());
        assert!(findings("grantry-runtime", &["grantry-domain"]).is_empty());
    }

    #[test]
    fn an_adapter_does_not_depend_on_another_adapter() {
        let found = findings("grantry-store-sqlite", &["grantry-domain", "grantry-crypto-aes-gcm"]);
        assert_eq!(found, ["grantry-store-sqlite: must not depend on grantry-crypto-aes-gcm"]);
        let found = findings("grantry-http-axum", &["grantry-domain", "grantry-runtime"]);
        assert_eq!(found, ["grantry-http-axum: must not depend on grantry-runtime"]);
    }

    #[test]
    fn a_store_may_use_the_rules_of_stores_and_they_use_no_store() {
        assert!(findings("grantry-store-memory", &["grantry-domain", "grantry-store-rules"]).is_empty());
        let found = findings("grantry-store-rules", &["grantry-domain", "dev:grantry-store-memory", "grantry-store-sqlite"]);
        assert_eq!(found, ["grantry-store-rules: must not depend on grantry-store-sqlite"]);
    }

    #[test]
    fn the_test_kit_is_for_tests_only() {
        let found = findings("grantry-store-memory", &["grantry-testkit"]);
        assert_eq!(found, ["grantry-store-memory: must not depend on grantry-testkit"]);
    }

    #[test]
    fn the_domain_depends_on_no_other_member() {
        let found = findings(DOMAIN, &["dev:grantry-testkit", "dev:grantry-store-memory", "grantry-store-memory"]);
        assert_eq!(found, ["grantry-domain: must not depend on grantry-store-memory"]);
    }

    #[test]
    fn table_and_workspace_have_the_same_members() {
        let mut members = workspace_with(member("grantry-new", &[]));
        members.retain(|member| member.name != "xtask");
        let expected = [
            "grantry-new: has no row in the table of allowed edges",
            "xtask: has a row in the table of allowed edges, but does not exist",
        ];
        assert_eq!(wrong_edges(&members), expected);
    }

    #[test]
    fn pure_crates_pass_and_io_and_formats_do_not() {
        let resolved = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let pure = ["base64", "futures-util", "hex", "sha2", "subtle", "thiserror", "zeroize"];
        assert!(foreign_crates(&resolved(&pure)).is_empty());
        let found = foreign_crates(&resolved(&["sha2", "serde_core", "tokio"]));
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("grantry-domain: depends on tokio ("));
    }

    #[test]
    fn the_resolved_tree_of_a_crate_is_transitive() {
        let packages = workspace::metadata().unwrap().packages;
        let xtask = packages.iter().find(|package| package.name == "xtask").unwrap();
        let resolved = resolved(&workspace::shell().unwrap(), xtask).unwrap();
        assert!(resolved.contains("regex-syntax"), "{resolved:?}");
        assert!(!resolved.contains("serde_derive") && !resolved.contains("xtask"), "{resolved:?}");
    }
}

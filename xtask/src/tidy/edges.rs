//! Which crate may know which: edges point inward only.

use cargo_metadata::{DependencyKind, Package};

/// A member of the workspace with what it declares.
#[derive(Debug)]
pub(crate) struct Member {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    /// Only for tests and examples.
    is_dev: bool,
    is_optional: bool,
    /// Another member of the workspace.
    is_member: bool,
}

impl From<&Package> for Member {
    fn from(package: &Package) -> Self {
        let dependency = |dependency: &cargo_metadata::Dependency| Dependency {
            name: dependency.name.clone(),
            is_dev: dependency.kind == DependencyKind::Development,
            is_optional: dependency.optional,
            is_member: dependency.path.is_some(),
        };
        Self { name: package.name.to_string(), dependencies: package.dependencies.iter().map(dependency).collect() }
    }
}

/// Which other members one may know.
enum Knows {
    Only(&'static [&'static str]),
    Everybody,
}

struct Rule {
    member: &'static str,
    /// In what it ships.
    knows: Knows,
    /// Also in its own tests.
    tests_know: &'static [&'static str],
}

const DOMAIN: &str = "grantry-domain";
/// What tests may use beside the crate itself: the kit, and the reference store as the model.
const TESTKIT: &[&str] = &["grantry-testkit", "grantry-store-memory"];

const fn adapter(member: &'static str, knows: &'static [&'static str]) -> Rule {
    Rule { member, knows: Knows::Only(knows), tests_know: TESTKIT }
}

/// Every member has its row: a new crate is a decision about the architecture.
const RULES: &[Rule] = &[
    Rule {
        member: DOMAIN,
        knows: Knows::Only(&[]),
        // Its use cases are tested against doubles of every port and the reference store.
        tests_know: TESTKIT,
    },
    adapter("grantry-store-memory", &[DOMAIN]),
    Rule {
        member: "grantry-store-sqlite",
        knows: Knows::Only(&[DOMAIN]),
        // Random histories are compared with those of the reference store.
        tests_know: &["grantry-testkit", "grantry-store-memory"],
    },
    adapter("grantry-crypto-aes-gcm", &[DOMAIN]),
    adapter("grantry-system", &[DOMAIN]),
    adapter("grantry-provider-oauth2", &[DOMAIN]),
    // It implements the transport port that the codec owns.
    adapter("grantry-http-reqwest", &[DOMAIN, "grantry-provider-oauth2"]),
    adapter("grantry-http-axum", &[DOMAIN]),
    // The composition root; also the test kit, whose authorization server the demo runs.
    Rule { member: "grantry", knows: Knows::Everybody, tests_know: &[] },
    Rule { member: "grantry-testkit", knows: Knows::Only(&[DOMAIN]), tests_know: &[] },
    Rule { member: "grantry-system-tests", knows: Knows::Everybody, tests_know: &[] },
    Rule { member: "xtask", knows: Knows::Only(&[]), tests_know: &[] },
];

/// What the domain may use of the outside: no IO, no runtime, no serialisation.
const DOMAIN_USES: &[&str] = &["async-trait", "futures-util", "thiserror", "zeroize"];

/// What it may offer to others as a feature.
const DOMAIN_OFFERS: &[&str] = &["mockall"];

/// Everything that points the wrong way.
pub(crate) fn check(members: &[Member]) -> Vec<String> {
    let mut findings = Vec::new();
    for member in members {
        match RULES.iter().find(|rule| rule.member == member.name) {
            Some(rule) => findings.extend(wrong_edges(member, rule)),
            None => findings.push(format!("{}: has no row in the table of allowed edges", member.name)),
        }
        if member.name == DOMAIN {
            findings.extend(foreign_to_domain(member));
        }
    }
    for rule in RULES.iter().filter(|rule| members.iter().all(|member| member.name != rule.member)) {
        findings.push(format!("{}: has a row in the table of allowed edges, but does not exist", rule.member));
    }
    findings
}

fn wrong_edges(member: &Member, rule: &Rule) -> Vec<String> {
    let allowed = |dependency: &Dependency| {
        let name = dependency.name.as_str();
        let shipped = match rule.knows {
            Knows::Everybody => true,
            Knows::Only(known) => known.contains(&name),
        };
        shipped || (dependency.is_dev && rule.tests_know.contains(&name))
    };
    let wrong = member.dependencies.iter().filter(|dependency| dependency.is_member && !allowed(dependency));
    wrong.map(|dependency| format!("{}: must not know {}", member.name, dependency.name)).collect()
}

fn foreign_to_domain(domain: &Member) -> Vec<String> {
    let allowed = |dependency: &Dependency| {
        let name = dependency.name.as_str();
        DOMAIN_USES.contains(&name) || (dependency.is_optional && DOMAIN_OFFERS.contains(&name))
    };
    let foreign = domain.dependencies.iter().filter(|dependency| !dependency.is_dev && !allowed(dependency));
    foreign.map(|dependency| format!("{DOMAIN}: must not use {}", dependency.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name` is another member, `name!` comes from outside, `name?` too and is optional, a leading `dev:` is for tests.
    fn member(name: &str, dependencies: &[&str]) -> Member {
        let dependency = |text: &&str| {
            let is_dev = text.starts_with("dev:");
            let name = text.trim_start_matches("dev:");
            let is_member = !name.ends_with(['!', '?']);
            Dependency {
                name: name.trim_end_matches(['!', '?']).into(),
                is_dev,
                is_optional: name.ends_with('?'),
                is_member,
            }
        };
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
        check(&workspace_with(member(name, dependencies)))
    }

    #[test]
    fn inward_edges_pass() {
        assert!(findings("grantry-http-axum", &["grantry-domain", "axum!", "dev:grantry-testkit"]).is_empty());
        assert!(findings("grantry-http-reqwest", &["grantry-domain", "grantry-provider-oauth2"]).is_empty());
        assert!(findings("grantry", &["grantry-testkit", "grantry-store-sqlite"]).is_empty());
        assert!(findings("grantry-testkit", &["grantry-domain"]).is_empty());
    }

    #[test]
    fn an_adapter_must_not_know_another() {
        let found = findings("grantry-store-sqlite", &["grantry-domain", "grantry-crypto-aes-gcm"]);
        assert_eq!(found, ["grantry-store-sqlite: must not know grantry-crypto-aes-gcm"]);
    }

    #[test]
    fn the_test_kit_is_for_tests_only() {
        let found = findings("grantry-store-memory", &["grantry-testkit"]);
        assert_eq!(found, ["grantry-store-memory: must not know grantry-testkit"]);
    }

    #[test]
    fn the_domain_knows_nobody() {
        let found = findings(
            DOMAIN,
            &[
                "dev:grantry-testkit",
                "dev:grantry-store-memory",
                "grantry-store-memory",
                "thiserror!",
                "mockall?",
                "dev:tokio!",
            ],
        );
        assert_eq!(
            found,
            ["grantry-domain: must not know grantry-store-memory", "grantry-domain: must not use grantry-store-memory",]
        );
    }

    #[test]
    fn the_domain_uses_only_what_is_listed() {
        let found = findings(DOMAIN, &["serde!", "mockall!", "zeroize!"]);
        assert_eq!(found, ["grantry-domain: must not use serde", "grantry-domain: must not use mockall"]);
    }

    #[test]
    fn table_and_workspace_have_the_same_members() {
        let mut members = workspace_with(member("grantry-new", &[]));
        members.retain(|member| member.name != "xtask");
        let expected = [
            "grantry-new: has no row in the table of allowed edges",
            "xtask: has a row in the table of allowed edges, but does not exist",
        ];
        assert_eq!(check(&members), expected);
    }
}

//! The files in `docs/deploy`, checked by the programs that read such files: a step of `cargo xtask nightly`.
//!
//! `cargo xtask tidy` compares the names in them with the sources. No check here needs a cluster, a container or the network.

use std::collections::BTreeSet;

use serde_json::Value;
use xshell::{Shell, cmd};

use crate::{Result, setup};

const RULES: &str = "docs/deploy/prometheus-rules.yaml";
const RULES_TEST: &str = "docs/deploy/prometheus-rules.test.yaml";
const DASHBOARD: &str = "docs/deploy/grafana-dashboard.json";
const MANIFESTS: &str = "docs/deploy/kubernetes.yaml";
const DOCKERFILE: &str = "docs/deploy/Dockerfile";

/// Compares a dashboard with Grafana's model.
const DASHBOARD_CHECKER: &str = "xtask/deploy-dashboard.py";

/// Where the expressions of the dashboard are written as rules.
const EXPRESSIONS: &str = "target/deploy/dashboard-rules.yaml";

/// The oldest and the newest version of Kubernetes whose schemas the checker contains.
const KUBERNETES: [&str; 2] = ["1.25.0", "1.37.0"];

/// Checks everything.
pub(crate) fn check(sh: &Shell) -> Result {
    cmd!(sh, "promtool check rules {RULES}").run()?;
    cmd!(sh, "promtool test rules {RULES_TEST}").run()?;
    let dashboard: Value = serde_json::from_str(&sh.read_file(DASHBOARD)?)?;
    sh.write_file(EXPRESSIONS, as_rules(&expressions(&dashboard)))?;
    cmd!(sh, "promtool check rules {EXPRESSIONS}").run()?;

    let programs = setup::checkers(sh)?;
    let program = |name: &str| programs.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let python = program("python");
    cmd!(sh, "{python} {DASHBOARD_CHECKER} {DASHBOARD}").run()?;
    let validate = program("kubernetes-validate");
    for version in KUBERNETES {
        cmd!(sh, "{validate} --strict --kubernetes-version {version} {MANIFESTS}").run()?;
    }
    let hadolint = program("hadolint");
    cmd!(sh, "{hadolint} --failure-threshold info {DOCKERFILE}").run()?;
    Ok(())
}

/// The expressions of all panels.
fn expressions(dashboard: &Value) -> BTreeSet<String> {
    match dashboard {
        Value::Object(members) => {
            let own = members.get("expr").and_then(Value::as_str).map(str::to_owned);
            members.values().flat_map(expressions).chain(own).collect()
        }
        Value::Array(items) => items.iter().flat_map(expressions).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => BTreeSet::new(),
    }
}

/// Expressions as a file of rules, with a value for each variable of Grafana. JSON is YAML.
fn as_rules(expressions: &BTreeSet<String>) -> String {
    let rule = |(number, expression): (usize, &String)| {
        let expression = expression.replace("$__rate_interval", "5m").replace("$instance", ".*");
        serde_json::json!({ "record": format!("dashboard:{number}"), "expr": expression })
    };
    let rules: Vec<_> = expressions.iter().enumerate().map(rule).collect();
    serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_become_rules_without_variables_of_grafana() {
        let dashboard = serde_json::json!({ "panels": [
            { "type": "row", "panels": [] },
            { "targets": [{ "expr": "rate(a{instance=~\"$instance\"}[$__rate_interval])" }, { "expr": "b" }] },
        ] });
        let found = expressions(&dashboard);
        assert_eq!(found.len(), 2);
        let rules: Value = serde_json::from_str(&as_rules(&found)).unwrap();
        let rules = &rules["groups"][0]["rules"];
        assert_eq!(rules[0], serde_json::json!({ "record": "dashboard:0", "expr": "b" }));
        assert_eq!(rules[1]["expr"], "rate(a{instance=~\".*\"}[5m])");
    }
}

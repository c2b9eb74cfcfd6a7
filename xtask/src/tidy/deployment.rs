//! The files in `docs/deploy`: what they name exists. Their syntax is checked by `cargo xtask nightly`, with the programs that read
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::repository::{File, Repository};
use crate::workspace::FEATURES;

const FOLDER: &str = "docs/deploy/";
const DASHBOARD: &str = "docs/deploy/grafana-dashboard.json";
const DOCKERFILE: &str = "docs/deploy/Dockerfile";
const MANIFESTS: &str = "docs/deploy/kubernetes.yaml";
const RULES: &str = "docs/deploy/prometheus-rules.yaml";

/// Pages with the names that exist.
const EVENTS: &str = "docs/reference/audit-events.md";
const METRICS: &str = "docs/reference/metrics.md";
const SECTIONS: &str = "docs/operations.md";
const SETTINGS: &str = "docs/reference/settings.md";

/// The configuration in the manifests.
const CONFIGURATION: &str = "grantry.toml: |";

/// Series of a histogram.
const SUFFIXES: [&str; 3] = ["_bucket", "_sum", "_count"];

/// The first cells of a row of a table: a name as code, and the kind of a metric.
static ROW: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^\| `(?<name>[^`]+)` \| (?<kind>\w*)"));
static VARIABLE_OF_ROW: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^\| .* \| `(GRANTRY_\w+)` \|"));
static METRIC: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bgrantry_\w+"));
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bGRANTRY_\w+"));
/// In JSON, quotes are escaped.
static EVENT: LazyLock<Regex> = LazyLock::new(|| pattern(r#"\bkind=~?\\?"([\w|]+)"#));
/// `section "A"`, and `Sections "A" and "B"`, also over several lines.
static SECTION: LazyLock<Regex> = LazyLock::new(|| pattern(r#"(?i)\bsections?\s+"[^"]+"(?:(?:,|\s+and)\s+"[^"]+")*"#));
static QUOTED: LazyLock<Regex> = LazyLock::new(|| pattern(r#""([^"]+)""#));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a valid pattern")
}

/// All checks of the files.
pub(crate) fn check(repository: &Repository) -> Vec<String> {
    let known = Known::read(repository);
    let mut findings = Vec::new();
    for path in [RULES, DASHBOARD, MANIFESTS, DOCKERFILE] {
        if repository.find(path).is_none() {
            findings.push(format!("{path} does not exist"));
        }
    }
    for file in repository.files.iter().filter(|file| file.path.starts_with(FOLDER)) {
        findings.extend(known.unknown_names(file));
        match file.path.as_str() {
            RULES => findings.extend(known.unknown_sections(file)),
            DASHBOARD => findings.extend(unusable_panels(file)),
            MANIFESTS => findings.extend(known.unknown_settings(file)),
            DOCKERFILE => findings.extend(other_build(file)),
            _ => {}
        }
    }
    findings
}

/// The names that exist.
struct Known<'r> {
    /// Each metric with its kind.
    metrics: BTreeMap<&'r str, &'r str>,
    settings: BTreeSet<&'r str>,
    variables: BTreeSet<&'r str>,
    events: BTreeSet<&'r str>,
    sections: BTreeSet<&'r str>,
}

impl<'r> Known<'r> {
    /// Reads the pages. One that does not exist contains no name.
    fn read(repository: &'r Repository) -> Self {
        let rows = |path| ROW.captures_iter(repository.find(path).unwrap_or_default()).map(|row| row.extract::<2>().1);
        let variables = VARIABLE_OF_ROW.captures_iter(repository.find(SETTINGS).unwrap_or_default());
        let headings = repository.find(SECTIONS).unwrap_or_default().lines().filter(|line| line.starts_with('#'));
        Self {
            metrics: rows(METRICS).map(|[name, kind]| (name, kind)).collect(),
            settings: rows(SETTINGS).map(|[name, _]| name).collect(),
            variables: variables.map(|row| row.extract::<1>().1[0]).collect(),
            events: rows(EVENTS).map(|[name, _]| name).collect(),
            sections: headings.map(|line| line.trim_start_matches('#').trim()).collect(),
        }
    }

    /// Metrics, kinds of audit events and variables that do not exist.
    fn unknown_names(&self, file: &File) -> Vec<String> {
        let mut findings = Vec::new();
        for (at, line) in file.text.lines().enumerate() {
            let mut report = |problem: String| findings.push(format!("{}:{}: {problem}", file.path, at + 1));
            for name in METRIC.find_iter(line).map(|found| found.as_str()).filter(|name| !self.has_series(name)) {
                report(format!("{name} is no series of a metric in {METRICS}"));
            }
            for name in VARIABLE.find_iter(line).map(|found| found.as_str()).filter(|name| !self.variables.contains(name)) {
                report(format!("{name} is no variable in {SETTINGS}"));
            }
            for list in EVENT.captures_iter(line) {
                let unknown = list.extract::<1>().1[0].split('|').filter(|name| !self.events.contains(name));
                unknown.for_each(|name| report(format!("{name} is no kind of event in {EVENTS}")));
            }
        }
        findings
    }

    /// Whether Prometheus has a series of this name: a histogram has three, and none of the plain name.
    fn has_series(&self, name: &str) -> bool {
        let histogram = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
        match self.metrics.get(name) {
            Some(kind) => *kind != "histogram",
            None => histogram.is_some_and(|name| self.metrics.get(name) == Some(&"histogram")),
        }
    }

    /// Sections of the operators' page that the alerts name and that do not exist, and descriptions that name none.
    fn unknown_sections(&self, file: &File) -> Vec<String> {
        let named = SECTION.find_iter(&file.text).flat_map(|list| QUOTED.captures_iter(list.as_str()));
        let named = named.map(|name| name[1].split_whitespace().collect::<Vec<_>>().join(" "));
        let unknown = named.filter(|name| !self.sections.contains(name.as_str()));
        let unknown = unknown.map(|name| format!("{}: \"{name}\" is no section of {SECTIONS}", file.path));
        let without = file.text.split("- alert: ").skip(1).filter(|alert| !SECTION.is_match(alert));
        let without = without.map(|alert| {
            let name = alert.lines().next().unwrap_or_default();
            format!("{}: the alert {name} names no section of {SECTIONS}", file.path)
        });
        unknown.chain(without).collect()
    }

    /// Settings of the configuration in the manifests that do not exist.
    fn unknown_settings(&self, file: &File) -> Vec<String> {
        let Some((_, after)) = file.text.split_once(CONFIGURATION) else {
            return vec![format!("{}: has no `{CONFIGURATION}`", file.path)];
        };
        // The block ends with the first line that is not indented by more than its key.
        let block: Vec<_> = after.lines().skip(1).take_while(|line| line.is_empty() || line.starts_with("    ")).collect();
        match block.join("\n").parse::<toml::Table>() {
            Ok(table) => {
                let unknown = names(&table, "").into_iter().filter(|name| !self.settings.contains(name.as_str()));
                unknown.map(|name| format!("{}: {name} is no setting in {SETTINGS}", file.path)).collect()
            }
            Err(_) => vec![format!("{}: the configuration is not TOML", file.path)],
        }
    }
}

/// The names of the settings of a table. Items of lists are not read.
fn names(table: &toml::Table, prefix: &str) -> Vec<String> {
    let named = |(key, value): (&String, &toml::Value)| match value.as_table() {
        Some(inner) => names(inner, &format!("{prefix}{key}.")),
        None => vec![format!("{prefix}{key}")],
    };
    table.iter().flat_map(named).collect()
}

/// Panels that show nothing, or a data source of one installation of Grafana only.
fn unusable_panels(file: &File) -> Vec<String> {
    let Ok(dashboard) = serde_json::from_str::<Value>(&file.text) else {
        return vec![format!("{}: is not JSON", file.path)];
    };
    let panels = dashboard["panels"].as_array().map(Vec::as_slice).unwrap_or_default();
    let (mut findings, mut ids) = (Vec::new(), BTreeSet::new());
    if panels.is_empty() {
        findings.push(format!("{}: has no panels", file.path));
    }
    for panel in panels {
        let title = panel["title"].as_str().unwrap_or_default();
        let mut report = |problem: &str| findings.push(format!("{}: the panel `{title}` {problem}", file.path));
        if panel["id"].as_u64().is_none_or(|id| !ids.insert(id)) {
            report("has the id of another panel, or none");
        }
        if panel["type"] == "row" {
            continue;
        }
        let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        if targets.is_empty() || targets.iter().any(|target| target["expr"].as_str().is_none_or(str::is_empty)) {
            report("has no expression");
        }
        if targets.iter().chain([panel]).any(|part| part["datasource"]["uid"] != "${datasource}") {
            report("has another data source than the variable `datasource`");
        }
    }
    findings
}

/// A build with other features than those of a release, or without the lock file.
fn other_build(file: &File) -> Option<String> {
    let expected = format!("cargo build --release --locked -p grantry {}", FEATURES.join(" "));
    let is_built = file.text.lines().any(|line| line.strip_prefix("RUN ") == Some(expected.as_str()));
    (!is_built).then(|| format!("{}: has no line `RUN {expected}`", file.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: [(&str, &str); 4] = [
        (METRICS, "| metric | kind |\n|---|---|\n| `grantry_a_total` | counter |\n| `grantry_b_seconds` | histogram |\n"),
        (SETTINGS, "| `listen` | `\"x\"` | `GRANTRY_LISTEN` | m |\n| `store.url` | `\"y\"` | `GRANTRY_STORE_URL` | m |\n"),
        (EVENTS, "| `refreshed` | Tokens were refreshed. | m |\n| `decrypt_failed` | m | m |\n"),
        (SECTIONS, "# Operating\n\n## Monitoring\n\n### After a disclosure\n"),
    ];

    const GOOD_RULES: &str = "- alert: One\n  expr: rate(grantry_a_total{kind=~\"refreshed|decrypt_failed\"}[5m]) > 0\n  \
         description: >-\n    Sections \"Monitoring\" and \"After a\n    disclosure\".\n";
    const GOOD_MANIFESTS: &str = "data:\n  grantry.toml: |\n    listen = \"0.0.0.0:8080\"\n\n    [store]\n    url = \"u\"\n---\n\
         env:\n  - name: GRANTRY_STORE_URL\n";
    const GOOD_DASHBOARD: &str = r#"{ "panels": [{ "id": 1, "type": "row", "title": "r" }, { "id": 2, "title": "p",
        "datasource": { "uid": "${datasource}" },
        "targets": [{ "expr": "grantry_b_seconds_sum{kind=\"refreshed\"}", "datasource": { "uid": "${datasource}" } }] }] }"#;

    fn good_dockerfile() -> String {
        format!("FROM rust\nRUN cargo build --release --locked -p grantry {}\n", FEATURES.join(" "))
    }

    /// The findings for these files beside the pages. A file that is not given is a good one.
    fn found(changed: &[(&str, &str)]) -> Vec<String> {
        let dockerfile = good_dockerfile();
        let good =
            [(RULES, GOOD_RULES), (MANIFESTS, GOOD_MANIFESTS), (DASHBOARD, GOOD_DASHBOARD), (DOCKERFILE, &dockerfile)];
        let unchanged = good.into_iter().filter(|(path, _)| changed.iter().all(|(other, _)| path != other));
        let files: Vec<_> = unchanged.chain(PAGES).chain(changed.iter().copied()).collect();
        check(&Repository::of(&files))
    }

    #[test]
    fn names_that_exist_are_accepted() {
        assert!(found(&[]).is_empty(), "{:#?}", found(&[]));
    }

    #[test]
    fn a_missing_file_is_found() {
        let findings = check(&Repository::of(&PAGES));
        assert_eq!(findings.len(), 4, "{findings:#?}");
        assert_eq!(findings[0], format!("{RULES} does not exist"));
    }

    #[test]
    fn a_metric_that_does_not_exist_is_found() {
        for name in ["grantry_c", "grantry_a", "grantry_a_total_sum", "grantry_b_seconds", "grantry_b_seconds_total"] {
            let rules = GOOD_RULES.replace("grantry_a_total", name);
            assert_eq!(found(&[(RULES, &rules)]), [format!("{RULES}:2: {name} is no series of a metric in {METRICS}")]);
        }
        for name in ["grantry_b_seconds_bucket", "grantry_b_seconds_sum", "grantry_b_seconds_count"] {
            assert!(found(&[(RULES, &GOOD_RULES.replace("grantry_a_total", name))]).is_empty(), "{name}");
        }
        let dashboard = GOOD_DASHBOARD.replace("grantry_b_seconds_sum", "grantry_b_seconds_max");
        assert_eq!(found(&[(DASHBOARD, &dashboard)]).len(), 1);
    }

    #[test]
    fn a_kind_of_event_that_does_not_exist_is_found() {
        let rules = GOOD_RULES.replace("|decrypt_failed", "|decrypt_fails");
        assert_eq!(found(&[(RULES, &rules)]), [format!("{RULES}:2: decrypt_fails is no kind of event in {EVENTS}")]);
        let dashboard = GOOD_DASHBOARD.replace("\\\"refreshed", "\\\"renamed");
        assert_eq!(found(&[(DASHBOARD, &dashboard)]).len(), 1);
    }

    #[test]
    fn a_section_that_does_not_exist_and_an_alert_without_one_are_found() {
        let rules = GOOD_RULES.replace("disclosure\"", "closure\"");
        assert_eq!(found(&[(RULES, &rules)]), [format!("{RULES}: \"After a closure\" is no section of {SECTIONS}")]);
        let rules = format!("{GOOD_RULES}- alert: Two\n  description: See \"Monitoring\".\n");
        assert_eq!(found(&[(RULES, &rules)]), [format!("{RULES}: the alert Two names no section of {SECTIONS}")]);
    }

    #[test]
    fn a_variable_and_a_setting_that_do_not_exist_are_found() {
        let manifests = GOOD_MANIFESTS.replace("GRANTRY_STORE_URL", "GRANTRY_STORE_URI");
        assert_eq!(
            found(&[(MANIFESTS, &manifests)]),
            [format!("{MANIFESTS}:9: GRANTRY_STORE_URI is no variable in {SETTINGS}")]
        );
        for (good, bad, name) in [("url = ", "uri = ", "store.uri"), ("[store]", "[storage]", "storage.url")] {
            let manifests = GOOD_MANIFESTS.replace(good, bad);
            assert_eq!(found(&[(MANIFESTS, &manifests)]), [format!("{MANIFESTS}: {name} is no setting in {SETTINGS}")]);
        }
        let broken = GOOD_MANIFESTS.replace("url = ", "url ");
        assert_eq!(found(&[(MANIFESTS, &broken)]), [format!("{MANIFESTS}: the configuration is not TOML")]);
        let without = GOOD_MANIFESTS.replace("grantry.toml", "other.toml");
        assert_eq!(found(&[(MANIFESTS, &without)]), [format!("{MANIFESTS}: has no `{CONFIGURATION}`")]);
    }

    #[test]
    fn a_dashboard_that_shows_nothing_is_found() {
        for (good, bad, problem) in [
            ("\"id\": 2", "\"id\": 1", "the panel `p` has the id of another panel, or none"),
            ("\"expr\"", "\"query\"", "the panel `p` has no expression"),
            ("${datasource}", "abc", "the panel `p` has another data source than the variable `datasource`"),
            ("\"panels\"", "\"rows\"", "has no panels"),
            ("] }] }", "] }]", "is not JSON"),
        ] {
            let dashboard = GOOD_DASHBOARD.replacen(good, bad, 1);
            assert_eq!(found(&[(DASHBOARD, &dashboard)]), [format!("{DASHBOARD}: {problem}")]);
        }
    }

    #[test]
    fn a_build_with_other_features_is_found() {
        for (good, bad) in [("sqlite,", ""), ("--locked ", ""), ("--no-default-features ", ""), ("RUN ", "# ")] {
            let findings = found(&[(DOCKERFILE, &good_dockerfile().replace(good, bad))]);
            assert_eq!(findings.len(), 1, "{good}: {findings:#?}");
            assert!(findings[0].starts_with(&format!("{DOCKERFILE}: has no line `RUN cargo build ")), "{findings:#?}");
        }
    }
}

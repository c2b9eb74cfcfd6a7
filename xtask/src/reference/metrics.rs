//! The page of the metrics: every metric that the sources register, with its meaning from the list here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::head;
use super::table::table;
use crate::Result;
use crate::tidy::repository::{File, Repository};

static METRIC: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r#"metrics::(?<kind>counter|gauge|histogram)!\(\s*"(?<name>\w+)"(?<labels>[^;]*?)\)\s*[.;)]"#;
    Regex::new(pattern).expect("a valid pattern")
});
static LABEL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#""(\w+)"\s*=>"#).expect("a valid pattern"));
static LABEL_LIST: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"let labels = \[(.*?)\];").expect("a valid pattern"));
static LISTED_LABEL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"\("(\w+)","#).expect("a valid pattern"));

/// What each metric means.
const MEANINGS: &[(&str, &str)] = &[
    ("grantry_audit_dropped_events_total", "audit events that were dropped, because more waited than fit into memory"),
    ("grantry_audit_events_total", "audit events, by kind and outcome ([audit events](audit-events.md))"),
    ("grantry_audit_failing", "1 while events that belong to no change cannot be written, otherwise 0. Alert above 0"),
    ("grantry_audit_waiting_events", "events that belong to no change and were not written yet"),
    ("grantry_connections_open", "open connections of clients"),
    ("grantry_connections_overdue_total", "connections that were closed because their client was too slow or idle"),
    ("grantry_connections_refused_total", "connections that were refused because of the limits on clients"),
    ("grantry_http_request_seconds", "duration of requests to the API"),
    ("grantry_http_requests_total", "requests to the API. Every relayed response has the status 200"),
    ("grantry_job_rounds_total", "rounds of background jobs"),
    ("grantry_job_seconds", "duration of a round of a background job"),
    ("grantry_pending_commits", "grants with refreshed tokens that the store has not accepted yet. Alert above 0"),
    (
        "grantry_revocations_total",
        "revocations of the background job. Those that follow a disconnect at once are audit events only",
    ),
    ("grantry_store_commits_total", "commits of the writer of the store; several writes share one under load"),
    ("grantry_store_connections_in_use", "connections to PostgreSQL that are in use for writes and long reads"),
    ("grantry_store_usable", "0 while `/readyz` responds 503 because of the store, otherwise 1"),
    ("grantry_store_waiting_writes", "writes that wait for the writer of the store"),
    ("grantry_store_writes_total", "writes of the store"),
    ("grantry_swept_total", "rows that the sweeper changed"),
];

const INTRODUCTION: &str = "\
`/metrics` returns Prometheus text. [Monitoring](../operations.md#monitoring) describes where it is served, the token, and
which metrics to alert on. A histogram has the suffixes `_bucket`, `_sum` and `_count`.

";

struct Metric {
    kind: String,
    labels: BTreeSet<String>,
}

/// The page. A metric without a meaning, and a meaning without a metric, are errors.
pub(super) fn page(repository: &Repository) -> Result<String> {
    let metrics = registered(repository)?;
    let meanings: BTreeMap<&str, &str> = MEANINGS.iter().copied().collect();
    if let Some(name) = metrics.keys().find(|name| !meanings.contains_key(name.as_str())) {
        return Err(format!("{name} has no meaning in xtask/src/reference/metrics.rs").into());
    }
    if let Some(name) = meanings.keys().find(|name| !metrics.contains_key(**name)) {
        return Err(format!("{name} is in xtask/src/reference/metrics.rs and is no metric").into());
    }
    let row = |(name, metric): (&String, &Metric)| {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        vec![format!("`{name}`"), metric.kind.clone(), labels.join(", "), meanings[name.as_str()].to_owned()]
    };
    let rows: Vec<_> = metrics.iter().map(row).collect();
    let page = head("Metrics", "the sources that register them");
    Ok(page + INTRODUCTION + &table(&["metric", "kind", "labels", "meaning"], &rows))
}

fn registered(repository: &Repository) -> Result<BTreeMap<String, Metric>> {
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    let is_below = |file: &File, folder: &str| file.path.starts_with(folder) && file.path.contains("/src/");
    let is_source = |file: &&File| file.is_a("rs") && (is_below(file, "app/") || is_below(file, "adapters-"));
    for file in repository.files.iter().filter(is_source) {
        let found: Vec<_> = METRIC.captures_iter(&file.text).collect();
        let calls = ["counter", "gauge", "histogram"].map(|kind| file.text.matches(&format!("metrics::{kind}!(")).count());
        if found.len() != calls.iter().sum::<usize>() {
            return Err(format!("{}: registers a metric in a way that is not understood", file.path).into());
        }
        for call in found {
            let metric = metrics
                .entry(call["name"].to_owned())
                .or_insert_with(|| Metric { kind: call["kind"].to_owned(), labels: BTreeSet::new() });
            metric.labels.extend(LABEL.captures_iter(&call["labels"]).map(|label| label[1].to_owned()));
            if call["labels"].contains("&labels") {
                let list = LABEL_LIST.captures(&file.text).ok_or_else(|| format!("{}: has no `labels`", file.path))?;
                metric.labels.extend(LISTED_LABEL.captures_iter(&list[1]).map(|label| label[1].to_owned()));
            }
        }
    }
    Ok(metrics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_found_with_their_labels() {
        let repository = Repository::of(&[
            (
                "app/src/a.rs",
                "metrics::counter!(\"a_total\", \"job\" => self.name, \"outcome\" => o.to_owned()).increment(1);\n\
                              metrics::counter!(\"a_total\", \"job\" => x).increment(1);",
            ),
            (
                "adapters-http/axum/src/b.rs",
                "let labels = [(\"method\", m), (\"status\", s.to_string())];\n\
                                  push((status, metrics::counter!(\"b_total\", &labels)));\nlet x =\n    metrics::histogram!(\"c_seconds\");",
            ),
            ("tests/kit/src/c.rs", "metrics::gauge!(\"d\").set(1.0);"),
        ]);
        let found = registered(&repository).unwrap();
        let labels = |name: &str| found[name].labels.iter().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a_total", "b_total", "c_seconds"]);
        assert_eq!(labels("a_total"), ["job", "outcome"]);
        assert_eq!(labels("b_total"), ["method", "status"]);
        assert_eq!(found["c_seconds"].kind, "histogram");
    }

    #[test]
    fn a_metric_without_a_meaning_and_one_that_is_not_understood_are_errors() {
        let of = |text: &str| page(&Repository::of(&[("app/src/a.rs", text)])).unwrap_err().to_string();
        assert!(of("metrics::gauge!(\"grantry_new\").set(1.0);").starts_with("grantry_new has no meaning"));
        assert!(of("").ends_with("is no metric"));
        assert!(of("metrics::gauge!(NAME).set(1.0);").ends_with("not understood"));
    }
}

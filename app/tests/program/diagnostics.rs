//! What `grantry check` reports about requests of connectors that failed while the server ran.

use grantry_testkit::provider::{Client, Endpoint, Fault, MockProvider, ScriptedResponse};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::flow::{CLIENT_SECRET, connected, endpoints};
use crate::support::{Browser, Response, Site, grantry, run};

/// A text of the provider, which must not be shown.
const CANARY: &str = "TEXT-CANARY";

fn execute(browser: &mut Browser, connector: &str) -> Response {
    let body = json!({ "params": { "method": "GET", "path": "/me" } });
    browser.post(&format!("/api/actions/connector/{connector}/_execute"), &body)
}

/// The exit code, and status and message of every finding about a connector.
fn check(site: &Site, connector: &str) -> (Option<i32>, Vec<(String, String)>) {
    let checked = run(&mut grantry(&["check", "--json", "--config", &site.config_path()]), "");
    assert!(!checked.stdout.contains(CANARY) && !checked.stdout.contains(CLIENT_SECRET), "{}", checked.stdout);
    let report: Value = serde_json::from_str(&checked.stdout).unwrap();
    let subject = format!("default/{connector}");
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["subject"] == subject.as_str());
    (checked.code, findings.map(|finding| (text(finding, "status"), text(finding, "message"))).collect())
}

fn statuses(findings: &[(String, String)]) -> Vec<&str> {
    findings.iter().map(|(status, _)| status.as_str()).collect()
}

fn assert_contains(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part} is missing from: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_reports_refused_clients_last_failures_and_deviations() {
    let provider = MockProvider::builder().start().await.unwrap();
    let site = Site::new(&format!("egress.allow = [\"127.0.0.1:{}\"]", provider.port()));
    let connector = site.install("files", endpoints(provider.base_url()), CLIENT_SECRET).await;
    let callback = format!("/api/actions/connector/_oauth_context/{}", connector.callback_id.to_text());
    let redirect_uri = format!("http://127.0.0.1:{}{callback}", site.port);
    provider.register(Client::new("client-of-files", CLIENT_SECRET).redirect_uri(redirect_uri));
    assert_eq!(statuses(&check(&site, "files").1), ["ok"], "nothing is stored yet");

    let server = site.serve();
    provider.faults().once(Endpoint::Token, Fault::with("scope", json!(["profile", "email", "files.read"])));
    let mut alice = connected(&provider, &site).await;
    let shared = json!({
        "name": "Reports", "connector_type_id": ".oauth2", "auth_mode": "shared", "config": endpoints(provider.base_url()),
        "secrets": { "clientId": "client-of-files", "clientSecret": CLIENT_SECRET },
    });
    let created = alice.post("/api/actions/connector/reports", &shared);
    assert_eq!(created.status, 200, "{created:?}");
    let refused = json!({ "error": "invalid_client", "error_description": CANARY });
    provider.faults().always(Endpoint::Token, Fault::Instead(ScriptedResponse::json(401, &refused)));
    provider.expire_access_tokens();
    let failed = execute(&mut alice, "files");
    assert_eq!(failed.status, 503, "{failed:?}");
    let id = failed.header("x-correlation-id").unwrap().to_owned();
    let failed = execute(&mut alice, "reports");
    assert_eq!(failed.status, 502, "{failed:?}");
    // The end of the server waits until the failures are stored.
    assert_eq!(server.stop(Signal::TERM).0, Some(0));

    let (code, files) = check(&site, "files");
    assert_eq!((code, statuses(&files)), (Some(1), vec!["ok", "warning", "info"]), "{files:?}");
    let failure = [
        "the last failure was at 20",
        ": refresh, code client_refused, host 127.0.0.1, HTTP status 401, OAuth error invalid_client",
        &format!("correlation id {id}; "),
    ];
    assert_contains(&files[1].1, &failure);
    assert_contains(&files[2].1, &["members of responses deviated", "were interpreted or ignored", "scope=wrong_type (20"]);
    let (_, reports) = check(&site, "reports");
    assert_eq!(statuses(&reports), ["ok", "failed", "warning"], "{reports:?}");
    assert_contains(&reports[1].1, &["the provider has refused the client since 20"]);
    assert_contains(&reports[2].1, &["client_credentials, code client_refused"]);
    let text = run(&mut grantry(&["check", "--config", &site.config_path()]), "");
    assert_contains(&text.stdout, &[&reports[1].1, &files[1].1, &files[2].1, "\n1 check failed\n"]);
    assert_contains(&text.stdout, &["failed   default/reports  ", "info     default/files  "]);

    // The next request that succeeds ends the refusal; what happened stays readable.
    provider.faults().clear(Endpoint::Token);
    let server = site.serve();
    assert_eq!(execute(&mut alice, "reports").status, 200);
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
    let (code, reports) = check(&site, "reports");
    assert_eq!((code, statuses(&reports)), (Some(0), vec!["ok", "warning"]), "{reports:?}");
}

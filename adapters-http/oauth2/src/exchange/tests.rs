//! Every built-in profile with its exchange, and the examples of the documents.

use std::fs;
use std::path::Path;

use super::*;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles")
}

fn pair(id: &str) -> (String, String) {
    let read = |name: String| fs::read_to_string(folder().join(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    (read(format!("{id}.toml")), read(format!("{id}.exchange.toml")))
}

fn ids() -> Vec<String> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut ids: Vec<String> = files
        .filter_map(|file| Some(file.strip_suffix(".toml")?.to_owned()))
        .filter(|id| !id.ends_with(".exchange"))
        .collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn every_profile_passes_its_exchange() {
    let mut failures = Vec::new();
    for id in ids() {
        let (profile, exchange) = pair(&id);
        let (profile_name, exchange_name) = (format!("{id}.toml"), format!("{id}.exchange.toml"));
        if let Err(error) = check_exchange((&profile_name, &profile), (&exchange_name, &exchange)).await {
            failures.push(error.to_string());
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A mistake in each of twelve exchange files: the text that is replaced, and a part of the reported difference.
const MISTAKES: [(&str, &str, &str, &str); 12] = [
    ("github", r#"order = ["access"]"#, r#"order = ["refresh", "access"]"#, "revocation.order"),
    ("gitlab", "access_lifetime = 7200", "access_lifetime = 3600", "access_lifetime"),
    ("slack", r#"error = "invalid-grant""#, r#"error = "client-refused""#, "token call"),
    ("salesforce", "acme.my.salesforce.com/", "evil.example/", "base_url"),
    ("notion", r#"outcome = "done""#, r#"outcome = "not-supported""#, "revocation call"),
    ("discord", r#"subject = ""#, r#"subject = "x"#, "identity"),
    ("quickbooks", r#"realmId = ""#, r#"realmId = "/"#, "base_url"),
    ("zoho", r#"callback = "profiles""#, r#"callback = "per-connector""#, "callback"),
    ("linear", "expected_scopes = [", r#"expected_scopes = ["admin", "#, "expected_scopes"),
    ("slack", "pkce = false\n", "", "code_challenge: expected Some"),
    ("github", "[authorization]\n", "[authorization]\npkce = false\n", "code_challenge: expected None"),
    ("xero", r#"response_type = "code""#, r#"response_type = "token""#, "authorization.parameters"),
];

#[tokio::test]
async fn a_mistake_in_an_exchange_file_is_reported() {
    for (id, right, wrong, reported) in MISTAKES {
        let (profile, exchange) = pair(id);
        assert!(exchange.contains(right), "{id}: {right}");
        let planted = exchange.replacen(right, wrong, 1);
        let error = check_exchange(("profile.toml", &profile), ("exchange.toml", &planted)).await.err();
        let problems = error.unwrap_or_else(|| panic!("{id}: the mistake {wrong} is not reported")).problems();
        assert!(problems.iter().any(|problem| problem.contains(reported)), "{id}: {problems:?}");
    }
}

#[tokio::test]
async fn an_incomplete_exchange_is_reported() {
    let (profile, exchange) = pair("gitlab");
    let calls = exchange.find("[[token]]").unwrap()..exchange.find("[identity]").unwrap();
    let mut without_calls = exchange.replacen(&exchange[calls], "", 1);
    without_calls.insert_str(0, "token = []\n");
    let without_identity = exchange.replace("[identity]", "[ignored]");
    let check =
        async |exchange: &str| check_exchange(("p.toml", &profile), ("e.toml", exchange)).await.unwrap_err().problems();
    let problems = check(&without_calls).await;
    for part in
        ["authorization_code that succeeds", "authorization_code that fails", "refresh_token that succeeds", "invalid-grant"]
    {
        assert!(problems.iter().any(|problem| problem.contains(part)), "{part}: {problems:?}");
    }
    let unknown = check(&without_identity).await;
    assert!(unknown[0].contains("unknown field `ignored`") && unknown[0].contains("line "), "{unknown:?}");
}

#[tokio::test]
async fn the_examples_of_the_readme_fit_together() {
    the_examples_fit_together(include_str!("../../profiles/README.md")).await;
}

#[tokio::test]
async fn the_examples_of_the_guide_fit_together() {
    the_examples_fit_together(include_str!("../../../../docs/add-a-provider.md")).await;
}

/// The first two examples of a document are a profile and its exchange.
async fn the_examples_fit_together(document: &str) {
    let mut examples = document.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let (profile, exchange) = (examples.next().unwrap(), examples.next().unwrap());
    check_exchange(("example.toml", profile), ("example.exchange.toml", exchange)).await.unwrap();
}

//! Several named connections of one user at one connector.

use grantry_domain::provider::Account;
use http::StatusCode;
use serde_json::{Value, json};

use super::test_app::{BASE, Browser, TestApp, TestResponse};

const CONNECTOR: &str = "/internal/actions/connector/drive";
const EXECUTE: &str = "/api/actions/connector/drive/_execute";

/// Connects an account under a name and returns the response of the callback.
async fn connect(app: &TestApp, browser: &mut Browser, name: &str, account: &str) -> TestResponse {
    app.provider.set_account(Some(Account { subject: account.to_owned(), label: format!("{account}@provider.example") }));
    let flow = browser.start_at(&format!("{CONNECTOR}/_start_oauth_flow"), &json!({"connection": name})).await;
    let status = browser.get(&format!("/internal/actions/oauth_flow/{}", flow.id)).await;
    assert_eq!(status.json()["connection"], name);
    browser.finish(&flow).await
}

async fn with_two_connections() -> (TestApp, Browser) {
    let app = TestApp::with_drive().await;
    let mut bob = app.signed_in("bob").await;
    for name in ["home", "work"] {
        connect(&app, &mut bob, name, name).await;
    }
    (app, bob)
}

async fn status(browser: &mut Browser) -> Value {
    browser.post_empty("/internal/actions/connectors/_me/auth_status").await.json()["drive"].clone()
}

fn names(status: &Value) -> Vec<&str> {
    let connections = status["connections"].as_array().unwrap();
    connections.iter().map(|connection| connection["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn several_connections_are_listed_and_none_is_chosen_silently() {
    let (_app, mut bob) = with_two_connections().await;
    let before = status(&mut bob).await;
    assert_eq!((names(&before), before.get("default_connection")), (vec!["home", "work"], None));
    let request = json!({"params": {"method": "GET", "path": "/"}});
    let expected = json!([
        {"name": "home", "account": "home@provider.example"},
        {"name": "work", "account": "work@provider.example"},
    ]);
    for (path, body) in [(EXECUTE.to_owned(), request.clone()), (format!("{CONNECTOR}/_oauth_disconnect"), json!({}))] {
        let refused = bob.post(&path, &body).await;
        assert_eq!((refused.status, refused.code().as_str()), (StatusCode::CONFLICT, "connection_ambiguous"), "{path}");
        assert_eq!(refused.json()["connections"], expected);
    }
    let mut named = request.clone();
    named["connection"] = json!("work");
    assert_eq!(bob.post(EXECUTE, &named).await.status, StatusCode::OK);
    named["connection"] = json!("other");
    let refused = bob.post(EXECUTE, &named).await;
    assert_eq!((refused.code().as_str(), &refused.json()["reason"]), ("authorization_required", &json!("not_connected")));
    let start = format!("{BASE}/api/actions/connector/drive/oauth/start?connection=other");
    assert_eq!(refused.json()["startUrl"], start);

    let default = format!("{CONNECTOR}/_default_connection");
    assert_eq!(bob.put(&default, &json!({"connection": "other"})).await.code(), "connection_not_found");
    assert_eq!(bob.put(&default, &json!({})).await.json()["field"], "connection");
    assert_eq!(bob.put(&default, &json!({"connection": "work"})).await.status, StatusCode::NO_CONTENT);
    let with_default = status(&mut bob).await;
    assert_eq!((&with_default["default_connection"], &with_default["connection"]["name"]), (&json!("work"), &json!("work")));
    assert_eq!(bob.post(EXECUTE, &request).await.status, StatusCode::OK);
    assert_eq!(bob.put(&default, &json!({"connection": null})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(bob.post(EXECUTE, &request).await.code(), "connection_ambiguous");
}

#[tokio::test]
async fn one_connection_is_disconnected_and_the_other_stays() {
    let (_app, mut bob) = with_two_connections().await;
    let disconnect = format!("{CONNECTOR}/_oauth_disconnect");
    for _ in 0..2 {
        assert_eq!(bob.post(&disconnect, &json!({"connection": "home"})).await.status, StatusCode::NO_CONTENT);
    }
    let request = json!({"params": {"method": "GET", "path": "/"}});
    assert_eq!(bob.post(EXECUTE, &request).await.status, StatusCode::OK, "the other one is the only one");
    let mut named = request;
    named["connection"] = json!("home");
    assert_eq!(bob.post(EXECUTE, &named).await.code(), "authorization_required");
}

#[tokio::test]
async fn an_account_is_connected_under_one_name_only() {
    let (app, mut bob) = with_two_connections().await;
    let end = connect(&app, &mut bob, "again", "work").await;
    let page = bob.get(end.location().strip_prefix(BASE).unwrap()).await;
    assert!(page.body.contains("account_already_connected"), "{}", page.body);
    let start = format!("{BASE}/api/actions/connector/drive/oauth/start?connection=again&#38;account=select");
    assert!(page.body.contains(&format!("href=\"{start}\"")), "{}", page.body);
    assert!(!names(&status(&mut bob).await).contains(&"again"));
}

#[tokio::test]
async fn malformed_connection_names_are_refused_by_field() {
    let app = TestApp::with_drive().await;
    let mut bob = app.signed_in("bob").await;
    for name in ["", "UPPER", "a b", "ä", &"x".repeat(65)] {
        for path in ["_start_oauth_flow", "_oauth_disconnect"] {
            let refused = bob.post(&format!("{CONNECTOR}/{path}"), &json!({"connection": name})).await;
            assert_eq!((refused.code().as_str(), &refused.json()["field"]), ("invalid_request", &json!("connection")));
        }
    }
    let page = bob.get("/api/actions/connector/drive/oauth/start?connection=UPPER").await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_own_status_takes_a_body_without_members() {
    const PATH: &str = "/internal/actions/connectors/_me/auth_status";
    let app = TestApp::with_drive().await;
    let mut bob = app.signed_in("bob").await;
    for body in [json!({"space": "marketing"}), json!([1])] {
        assert_eq!(bob.post(PATH, &body).await.code(), "invalid_request", "{body}");
    }
    assert_eq!(bob.post(PATH, &json!({})).await.status, StatusCode::OK);
    assert_eq!(bob.post_empty(PATH).await.status, StatusCode::OK);
}

#[tokio::test]
async fn pages_carry_the_name_of_the_connection() {
    let (app, mut bob) = with_two_connections().await;
    let path = "/api/actions/connector/drive/oauth/start?connection=third";
    let page = bob.get(path).await;
    assert_eq!(super::html::attribute(&page.body, "data-connection").as_deref(), Some("third"));
    let log_in = app.browser().get(path).await;
    assert!(log_in.location().ends_with("start%3Fconnection%3Dthird"), "{}", log_in.location());
    let home = bob.get("/").await;
    for row in ["(home)", "(work)", "data-connection=\"home\"", "start?connection=work"] {
        assert!(home.body.contains(row), "{row}\n{}", home.body);
    }
    let mut carol = app.signed_in("carol").await;
    let grants = carol.get("/internal/actions/grants").await.json();
    let mut listed: Vec<&str> =
        grants["grants"].as_array().unwrap().iter().map(|grant| grant["connection"].as_str().unwrap()).collect();
    listed.sort_unstable();
    assert_eq!(listed, ["home", "work"]);
}

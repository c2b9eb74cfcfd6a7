//! Testing a connector.

use std::time::Duration;

use grantry_domain::ports::ProviderErrorKind;
use http::StatusCode;
use serde_json::json;

use super::test_app::{BASE, TestApp};

const PATH: &str = "/internal/actions/connector/drive/_test";

#[tokio::test]
async fn an_editor_tests_a_connector() {
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
    app.provider.respond_to_exchange(Err(ProviderErrorKind::InvalidGrant));
    let response = alice.post_empty(PATH).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.body);
    let expected = json!({
        "results": [
            {"name": "settings", "ok": true, "detail": "complete"},
            {"name": "endpoints", "ok": true, "detail": "reached"},
            {"name": "client", "ok": true, "detail": "accepted"},
            {"name": "api", "detail": "not_tested"},
            {"name": "redirect_uri", "detail": "to_register"},
        ],
        "redirect_uri": format!("{BASE}/api/actions/connector/_oauth_profile_callback"),
    });
    assert_eq!(response.json(), expected);

    app.provider.respond_to_exchange(Err(ProviderErrorKind::ClientRefused));
    let refused = alice.post_empty(PATH).await;
    assert_eq!(refused.json()["results"][2], json!({"name": "client", "ok": false, "detail": "client_refused"}));
    assert!(!refused.body.contains("CANARY"), "{}", refused.body);
    let diagnostics = alice.get("/api/actions/connector/drive/diagnostics").await.json();
    assert_eq!(diagnostics, json!({"anomalies": []}), "a test is not recorded");
}

#[tokio::test]
async fn r60_only_editors_of_the_space_test_a_connector() {
    let app = TestApp::with_drive().await;
    assert_eq!(app.browser().post_empty(PATH).await.code(), "not_signed_in");
    assert_eq!(app.signed_in("bob").await.post_empty(PATH).await.code(), "forbidden");
    let mut alice = app.signed_in("alice").await;
    let other = "/internal/actions/connector/other/_test";
    assert_eq!(alice.post_empty(other).await.code(), "not_found");
    assert_eq!(app.signed_in("dave").await.post_empty(&format!("/s/marketing{PATH}")).await.code(), "not_found");
    assert_eq!(alice.post_empty(&format!("/s/marketing{PATH}")).await.code(), "forbidden");
    let mut agent = app.browser().also("authorization", "Bearer gak_runner");
    assert_eq!(agent.post_empty(PATH).await.code(), "forbidden");
    assert!(app.provider.calls().is_empty());
}

#[tokio::test]
async fn tests_of_a_user_are_limited() {
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
    app.rate.refuse(Duration::from_secs(7));
    let refused = alice.post_empty(PATH).await;
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("rate_limited", "7"));
    assert!(app.provider.calls().is_empty());
}

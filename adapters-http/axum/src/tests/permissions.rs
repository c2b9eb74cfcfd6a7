//! The permission of a caller is checked before the body of the request is read.

use http::{Method, StatusCode};
use serde_json::Value;

use super::test_app::{Browser, SAME_ORIGIN_JSON, TestApp, TestResponse};

/// Every operation with a body: its id, method and path.
fn with_body() -> Vec<(String, Method, String)> {
    let document: Value = serde_json::from_str(&crate::openapi()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation.get("requestBody").is_some() {
                let id = operation["operationId"].as_str().unwrap().replace("InSpace", "");
                let path = path.replace("{space}", "default").replace("{id}", "drive");
                operations.push((id, method.to_uppercase().parse().unwrap(), path));
            }
        }
    }
    assert!(operations.len() > 10, "{operations:?}");
    operations
}

/// What a viewer may not do.
fn is_for_others(operation: &str) -> bool {
    match operation {
        "createConnector" | "createConnectorWithId" | "updateConnector" | "accessToken" => true,
        "logIn"
        | "startFlow"
        | "cancelFlow"
        | "setDefaultConnection"
        | "disconnect"
        | "executeConnector"
        | "tryConnection" => false,
        other => panic!("{other} is not in this table"),
    }
}

async fn malformed(browser: &mut Browser, method: &Method, path: &str) -> TestResponse {
    browser.send(method.clone(), path, &SAME_ORIGIN_JSON, Some("{".to_owned())).await
}

#[tokio::test]
async fn r60_the_permission_is_checked_before_the_body_is_read() {
    let app = TestApp::with_drive().await;
    app.connector("marketing", "drive", ".example").await;
    let (mut anonymous, mut viewer, mut elsewhere) =
        (app.browser(), app.signed_in("bob").await, app.signed_in("dave").await);
    for (operation, method, path) in with_body() {
        let what = format!("{method} {path}");
        let response = malformed(&mut viewer, &method, &path).await;
        let expected = if is_for_others(&operation) { "forbidden" } else { "invalid_request" };
        assert_eq!(response.code(), expected, "{what}");

        let response = malformed(&mut anonymous, &method, &path).await;
        let expected = if operation == "logIn" { StatusCode::BAD_REQUEST } else { StatusCode::UNAUTHORIZED };
        assert_eq!(response.status, expected, "{what}");

        // Dave has no access to the other space.
        if is_for_others(&operation) && operation != "accessToken" && path.starts_with("/s/") {
            let path = path.replace("/s/default/", "/s/marketing/");
            assert_eq!(malformed(&mut elsewhere, &method, &path).await.code(), "not_found", "{path}");
        }
    }
}

#[tokio::test]
async fn r60_the_permission_of_an_agent_is_checked_before_the_body_is_read() {
    let app = TestApp::new();
    for (key, path, expected) in [
        ("gak_runner", "/internal/actions/connector/drive/_access_token", "forbidden"),
        ("gak_runner", "/s/marketing/internal/actions/connector/drive/_access_token", "not_found"),
        ("gak_fetcher", "/s/marketing/internal/actions/connector/drive/_access_token", "not_found"),
        ("gak_fetcher", "/internal/actions/connector/drive/_access_token", "invalid_request"),
        ("gak_runner", "/s/marketing/api/actions/connector/drive/_execute", "not_found"),
        ("gak_runner", "/api/actions/connector/drive/_execute", "invalid_request"),
        ("gak_runner", "/api/actions/connector/drive", "forbidden"),
    ] {
        let mut agent = app.browser().also("authorization", format!("Bearer {key}"));
        assert_eq!(malformed(&mut agent, &Method::POST, path).await.code(), expected, "{key} {path}");
    }
}

//! Trying a connection.

use grantry_domain::ports::{ApiResponse, Probe};
use grantry_testkit::doubles::fixtures::origin;
use http::StatusCode;
use serde_json::json;

use super::test_app::TestApp;

const PATH: &str = "/internal/actions/connector/drive/_try";

async fn app_with_probe() -> TestApp {
    let app = TestApp::with_drive().await;
    let url = "https://api.example/me".to_owned();
    app.profiles.offer_probe(Probe { url, origin: origin("https://api.example"), headers: Vec::new() });
    app
}

#[tokio::test]
async fn a_user_tries_a_connection_and_sees_nothing_of_the_body() {
    let app = app_with_probe().await;
    let mut bob = app.connected("bob", "drive").await;
    let headers = vec![("x-secret".to_owned(), b"HEADER-CANARY".to_vec())];
    app.resource.respond(Ok(ApiResponse { status: 418, headers, body: b"{\"token\": \"BODY-CANARY\"}".to_vec() }));
    let response = bob.post(PATH, &json!({})).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.body);
    let result = response.json();
    assert_eq!((&result["http_status"], &result["connection"]), (&json!(418), &json!("default")));
    let members: Vec<&String> = result.as_object().unwrap().keys().collect();
    assert!(members.iter().all(|name| ["http_status", "connection", "account"].contains(&name.as_str())), "{members:?}");
    assert!(!response.body.contains("CANARY") && !response.body.contains("access-"), "{}", response.body);
    assert_eq!(app.resource.requests()[0].url, "https://api.example/me");

    assert_eq!(bob.post(PATH, &json!({"connection": "default"})).await.status, StatusCode::OK);
    assert_eq!(bob.post(PATH, &json!({"connection": "Not A Name"})).await.code(), "invalid_request");
    assert_eq!(bob.post(PATH, &json!({"url": "https://api.example/other"})).await.code(), "invalid_request");
}

#[tokio::test]
async fn a_connector_reports_whether_it_can_be_tried() {
    let app = TestApp::with_drive().await;
    let mut alice = app.connected("alice", "drive").await;
    let connector = "/api/actions/connector/drive";
    assert_eq!(alice.get(connector).await.json()["can_be_tried"], false);
    let refused = alice.post(PATH, &json!({})).await;
    assert_eq!((refused.code().as_str(), &refused.json()["field"]), ("invalid_request", &json!("connector_type_id")));
    assert!(app.resource.requests().is_empty());
    let url = "https://api.example/me".to_owned();
    app.profiles.offer_probe(Probe { url, origin: origin("https://api.example"), headers: Vec::new() });
    assert_eq!(alice.get(connector).await.json()["can_be_tried"], true);
    assert_eq!(alice.get("/api/actions/connectors").await.json()[0]["can_be_tried"], true);
}

#[tokio::test]
async fn r60_only_users_try_their_own_connections() {
    let app = app_with_probe().await;
    assert_eq!(app.browser().post(PATH, &json!({})).await.code(), "not_signed_in");
    let mut agent = app.browser().also("authorization", "Bearer gak_runner");
    assert_eq!(agent.post(PATH, &json!({})).await.code(), "forbidden");
    app.connected("alice", "drive").await;
    let refused = app.signed_in("bob").await.post(PATH, &json!({})).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "authorization_required"));
    assert!(refused.json()["startUrl"].is_string());
    assert!(app.resource.requests().is_empty());
}

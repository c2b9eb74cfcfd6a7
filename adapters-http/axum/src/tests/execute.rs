//! Requests to the API of a connector, and access tokens for agents.

use grantry_domain::ports::{ApiError, ApiResponse};
use http::StatusCode;
use serde_json::json;

use super::test_app::{BASE, SAME_ORIGIN_JSON, TestApp};

const EXECUTE: &str = "/api/actions/connector/drive/_execute";
const ACCESS_TOKEN: &str = "/internal/actions/connector/drive/_access_token";

fn files() -> serde_json::Value {
    json!({"params": {"method": "get", "path": "/files", "query": {"q": "a", "n": 2}, "headers": {"accept": "application/json"}}})
}

#[tokio::test]
async fn a_user_executes_a_connector() {
    let app = TestApp::with_drive().await;
    let mut alice = app.connected("alice", "drive").await;
    app.resource.respond(Ok(ApiResponse {
        status: 404,
        headers: vec![
            ("Content-Type".to_owned(), b"application/json".to_vec()),
            ("x-a".to_owned(), b"1".to_vec()),
            ("X-A".to_owned(), b"2".to_vec()),
        ],
        body: br#"{"id": 12345678901234567890123}"#.to_vec(),
    }));
    let response = alice.post(EXECUTE, &files()).await;
    assert_eq!(response.status, StatusCode::OK, "any status of the API is 200 here: {}", response.body);
    let expected = r#"{"status":"ok","connector_id":"drive","data":{"status":404,"headers":{"content-type":"application/json","x-a":"1, 2"},"body":{"id": 12345678901234567890123}}}"#;
    assert_eq!(response.body, expected);
    let sent = &app.resource.requests()[0];
    assert_eq!(
        (sent.method.as_str(), sent.url.as_str(), sent.token.as_str()),
        ("GET", "https://api.example/files?n=2&q=a", "access-1")
    );
    assert!(!response.body.contains("access-1"));

    let act = |name: &str| {
        let mut body = files();
        body["act_as"] = json!(name);
        body
    };
    assert_eq!(alice.post(EXECUTE, &act("u_alice")).await.status, StatusCode::OK);
    assert_eq!(alice.post(EXECUTE, &act("u_bob")).await.code(), "forbidden");
}

#[tokio::test]
async fn a_body_is_sent_as_json_or_as_text() {
    let app = TestApp::with_drive().await;
    let mut alice = app.connected("alice", "drive").await;
    for body in [json!({"a": [1, "ü"]}), json!("plain ü")] {
        let response = alice.post(EXECUTE, &json!({"params": {"method": "POST", "path": "/x", "body": body}})).await;
        assert_eq!(response.status, StatusCode::OK, "{}", response.body);
    }
    // Numbers and spacing reach the API as they were sent.
    let exact = r#"{"params": {"method": "POST", "path": "/x", "body": { "n": 1.50, "big": 12345678901234567890123 }}}"#;
    let response = alice.send(http::Method::POST, EXECUTE, &SAME_ORIGIN_JSON, Some(exact.to_owned())).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.body);
    let sent: Vec<_> = app
        .resource
        .requests()
        .into_iter()
        .map(|sent| (sent.headers, String::from_utf8(sent.body.unwrap()).unwrap()))
        .collect();
    let kind = |value: &str| vec![("content-type".to_owned(), value.to_owned())];
    assert_eq!(
        sent,
        [
            (kind("application/json"), "{\"a\":[1,\"ü\"]}".to_owned()),
            (kind("text/plain; charset=utf-8"), "plain ü".to_owned()),
            (kind("application/json"), r#"{ "n": 1.50, "big": 12345678901234567890123 }"#.to_owned()),
        ]
    );
}

#[tokio::test]
async fn a_user_who_is_not_connected_gets_the_start_link() {
    let app = TestApp::with_drive().await;
    let mut bob = app.signed_in("bob").await;
    let response = bob.post(EXECUTE, &files()).await;
    assert_eq!((response.status, response.code().as_str()), (StatusCode::CONFLICT, "authorization_required"));
    assert_eq!(
        (response.json()["reason"].as_str(), response.json()["startUrl"].as_str()),
        (Some("not_connected"), Some(format!("{BASE}/api/actions/connector/drive/oauth/start").as_str()))
    );
}

#[tokio::test]
async fn a_second_401_is_final_and_failures_of_the_api_have_codes() {
    let app = TestApp::with_drive().await;
    let mut alice = app.connected("alice", "drive").await;
    for (error, code) in [
        (ApiError::Unreachable, "api_unreachable"),
        (ApiError::TooLarge, "response_too_large"),
        (ApiError::NotAllowed, "destination_refused"),
    ] {
        app.resource.respond(Err(error));
        assert_eq!(alice.post(EXECUTE, &files()).await.code(), code);
    }
    for path in ["../x", "files", "/a/../../b"] {
        let response = alice.post(EXECUTE, &json!({"params": {"method": "GET", "path": path}})).await;
        assert_eq!(
            (response.code().as_str(), response.json()["field"].as_str()),
            ("invalid_request", Some("params.path")),
            "{path}"
        );
    }
    app.resource.reject_all_tokens();
    let response = alice.post(EXECUTE, &files()).await;
    assert_eq!(
        (response.code().as_str(), response.json()["reason"].as_str()),
        ("authorization_required", Some("token_rejected"))
    );
}

#[tokio::test]
async fn an_agent_acts_for_a_named_user_in_its_spaces() {
    let app = TestApp::with_drive().await;
    app.connector("marketing", "drive", ".example").await;
    app.connected("alice", "drive").await;
    let mut agent = app.browser().also("authorization", "Bearer gak_runner");
    let act = |name: &str| {
        let mut body = files();
        body["act_as"] = json!(name);
        body
    };
    assert_eq!(agent.post(EXECUTE, &act("u_alice")).await.status, StatusCode::OK);
    assert_eq!(agent.post(EXECUTE, &files()).await.json()["field"], "act_as");
    assert_eq!(agent.post(EXECUTE, &act("u_bob")).await.code(), "authorization_required");
    assert_eq!(agent.post(&format!("/s/marketing{EXECUTE}"), &act("u_alice")).await.code(), "not_found");
    // Routes for users are closed to agents.
    assert_eq!(agent.get("/api/actions/connectors").await.code(), "forbidden");
    assert_eq!(agent.get("/internal/actions/grants").await.code(), "forbidden");
}

#[tokio::test]
async fn r44_only_permitted_agents_get_access_tokens() {
    let app = TestApp::with_drive().await;
    let mut alice = app.connected("alice", "drive").await;
    let body = json!({"user": "u_alice", "destination": "https://api.example/v1"});
    assert_eq!(alice.post(ACCESS_TOKEN, &body).await.code(), "forbidden", "not even to its owner");
    let mut runner = app.browser().also("authorization", "Bearer gak_runner");
    assert_eq!(runner.post(ACCESS_TOKEN, &body).await.code(), "forbidden");
    assert_eq!(app.browser().post(ACCESS_TOKEN, &body).await.code(), "not_signed_in");

    let mut fetcher = app.browser().also("authorization", "Bearer gak_fetcher");
    let response = fetcher.post(ACCESS_TOKEN, &body).await;
    assert_eq!(response.header("cache-control"), "no-store");
    assert_eq!(
        response.json(),
        json!({
            "access_token": "access-1",
            "token_type": "Bearer",
            "expires_at": "2026-01-01T13:00:00Z",
            "base_url": "https://api.example"
        })
    );
    let without_destination = fetcher.post(ACCESS_TOKEN, &json!({"user": "u_alice"})).await;
    assert_eq!(without_destination.json()["base_url"], "https://api.example");
    assert_eq!(fetcher.post(&format!("/s/marketing{ACCESS_TOKEN}"), &body).await.code(), "not_found");
    // Only for destinations that the user consented to.
    let elsewhere = json!({"user": "u_alice", "destination": "https://evil.example"});
    assert_eq!(fetcher.post(ACCESS_TOKEN, &elsewhere).await.code(), "destination_refused");
    for wrong in ["", "api.example", "https://u:p@api.example", "data:x"] {
        let response = fetcher.post(ACCESS_TOKEN, &json!({"user": "u_alice", "destination": wrong})).await;
        assert_eq!(response.json()["field"], "destination", "{wrong}");
    }
}

#[tokio::test]
async fn r44_no_other_response_has_a_field_for_a_token() {
    let document: serde_json::Value = serde_json::from_str(&crate::openapi()).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let with_token: Vec<&String> = schemas
        .iter()
        .filter(|(_, schema)| {
            schema["properties"]
                .as_object()
                // The URL of a token endpoint is a setting.
                .is_some_and(|fields| fields.keys().any(|name| name != "tokenUrl" && name.to_lowercase().contains("token")))
        })
        .map(|(name, _)| name)
        .collect();
    assert_eq!(with_token, ["AccessToken"]);
}

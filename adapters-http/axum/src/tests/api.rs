//! Connectors and statuses: wire shapes, roles, and what responses never contain.

use grantry_domain::connector::ConnectorKey;
use http::StatusCode;
use serde_json::{Value, json};

use super::test_app::{Browser, TestApp};

fn drive() -> Value {
    json!({
        "name": "Drive", "connector_type_id": ".example", "auth_mode": "per-user", "config": {"tenantId": "t", "b": [1, null]},
        "secrets": {"clientId": "client-9", "clientSecret": "CLIENT-SECRET-CANARY"}
    })
}

#[tokio::test]
async fn a_connector_from_creation_to_deletion() {
    let app = TestApp::new();
    let mut alice = app.signed_in("alice").await;
    let response = alice.post("/api/actions/connector/drive", &drive()).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.body);
    insta::assert_json_snapshot!("connector", response.json());
    let taken = alice.post("/api/actions/connector/drive", &drive()).await;
    assert_eq!((taken.code().as_str(), taken.json()["field"].as_str()), ("conflict", Some("id")));
    let listed = alice.get("/api/actions/connectors").await.json();
    assert_eq!(listed, json!([response.json()]));
    assert_eq!(alice.get("/api/actions/connector/drive").await.json(), response.json());

    let unnamed = alice.post("/api/actions/connector", &drive()).await.json();
    assert_eq!(unnamed["id"].as_str().unwrap().len(), 32);

    assert_eq!(alice.delete("/api/actions/connector/drive").await.status, StatusCode::NO_CONTENT);
    assert_eq!(alice.delete("/api/actions/connector/drive").await.code(), "not_found");
    assert_eq!(alice.get("/api/actions/connector/drive").await.code(), "not_found");
}

#[tokio::test]
async fn lesson_17_every_created_connector_can_be_updated_unchanged() {
    let app = TestApp::new();
    let mut alice = app.signed_in("alice").await;
    let made = alice.post("/api/actions/connector/drive", &drive()).await.json();
    let response = alice.put("/api/actions/connector/drive", &drive()).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.body);
    assert_eq!(response.json()["disconnected_users"], 0);
    assert_eq!(response.json()["config"], made["config"]);
    assert_eq!(response.json()["revision"], 2);
    // Fields that cannot change may be omitted, and secrets are kept.
    let response = alice
        .put("/api/actions/connector/drive", &json!({"name": "Renamed", "config": {"tenantId": "t", "b": [1, null]}}))
        .await;
    assert_eq!(
        (response.json()["name"].as_str(), response.json()["is_missing_secrets"].as_bool()),
        (Some("Renamed"), Some(false))
    );
    for (field, value) in [("connector_type_id", ".other"), ("auth_mode", "shared")] {
        let mut body = drive();
        body[field] = json!(value);
        let response = alice.put("/api/actions/connector/drive", &body).await;
        assert_eq!((response.code().as_str(), response.json()["field"].as_str()), ("invalid_request", Some(field)));
    }
    let mut stale = drive();
    stale["revision"] = json!(1);
    let conflict = alice.put("/api/actions/connector/drive", &stale).await;
    assert_eq!((conflict.code().as_str(), conflict.json()["field"].as_str()), ("conflict", Some("revision")));
    stale["revision"] = json!(3);
    assert_eq!(alice.put("/api/actions/connector/drive", &stale).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_connector_is_shared_only_if_the_provider_has_service_accounts() {
    let app = TestApp::new();
    app.profiles.set(r#"{"personal":true}"#, |settings| settings.client_credentials = false);
    let mut alice = app.signed_in("alice").await;
    let mut body = drive();
    body["auth_mode"] = json!("shared");
    assert_eq!(alice.post("/api/actions/connector/robot", &body).await.status, StatusCode::OK);
    body["config"] = json!({"personal": true});
    let response = alice.post("/api/actions/connector/drive", &body).await;
    assert_eq!((response.code().as_str(), response.json()["field"].as_str()), ("invalid_request", Some("auth_mode")));
    body["auth_mode"] = json!("per-user");
    assert_eq!(alice.post("/api/actions/connector/drive", &body).await.status, StatusCode::OK);
}

#[tokio::test]
async fn r52_a_dry_run_counts_the_users_that_an_edit_disconnects() {
    let app = TestApp::new();
    let mut alice = app.signed_in("alice").await;
    alice.post("/api/actions/connector/drive", &drive()).await;
    for name in ["alice", "bob"] {
        app.connected(name, "drive").await;
    }
    let mut moved = drive();
    moved["config"] = json!({"tenantId": "other"});
    app.profiles.set(r#"{"tenantId":"other"}"#, |settings| settings.base_url = Some("https://elsewhere.example".to_owned()));
    app.profiles.set(r#"{"tenantId":"other"}"#, |settings| settings.client_id = "another".to_owned());
    let response = alice.put("/api/actions/connector/drive?dry_run=true", &moved).await;
    assert_eq!(response.json(), json!({"disconnected_users": 2, "affected_users": 2}));
    assert_eq!(alice.get("/api/actions/connector/drive").await.json()["user_auth_status"], "connected");
    for unclear in ["dry_run=maybe", "dry_run=", "dry_run", "dry_run=TRUE", "dry_run=true&dry_run=true"] {
        let response = alice.put(&format!("/api/actions/connector/drive?{unclear}"), &moved).await;
        assert_eq!(response.code(), "invalid_request", "{unclear}");
    }
    assert_eq!(alice.put("/api/actions/connector/drive?dryrun=true", &moved).await.code(), "invalid_request");

    let mut without_secret = moved.clone();
    without_secret["secrets"] = json!({});
    let response = alice.put("/api/actions/connector/drive", &without_secret).await;
    assert_eq!(
        (response.code().as_str(), response.json()["field"].as_str()),
        ("invalid_request", Some("secrets.clientSecret"))
    );

    let response = alice.put("/api/actions/connector/drive", &moved).await;
    assert_eq!(
        (&response.json()["disconnected_users"], &response.json()["connection"]["status"]),
        (&json!(2), &json!("needs_reauthorization"))
    );
}

#[tokio::test]
async fn r64_a_client_secret_never_comes_back() {
    let app = TestApp::new();
    let mut alice = app.signed_in("alice").await;
    let responses = [
        alice.post("/api/actions/connector/drive", &drive()).await,
        alice.put("/api/actions/connector/drive", &drive()).await,
        alice.get("/api/actions/connector/drive").await,
        alice.get("/api/actions/connectors").await,
        alice.get("/").await,
        alice.get("/api/actions/connector/drive/oauth/start").await,
    ];
    for response in &responses {
        assert_eq!(response.status, StatusCode::OK, "{}", response.body);
        assert!(!response.body.contains("CANARY") && !response.body.contains("\"secrets\""), "{}", response.body);
    }
    // The length of the response does not depend on the secret.
    let mut longer = drive();
    longer["secrets"]["clientSecret"] = json!("x".repeat(500));
    let response = alice.put("/api/actions/connector/drive", &longer).await;
    assert_eq!(response.body.len(), responses[1].body.len());
    // The schema of a connector has no field for a secret.
    let document: Value = serde_json::from_str(&crate::openapi()).unwrap();
    let properties = document["components"]["schemas"]["Connector"]["properties"].as_object().unwrap();
    assert!(
        properties.keys().all(|name| !name.to_lowercase().contains("secrets") || name == "is_missing_secrets"),
        "{:?}",
        properties.keys()
    );
}

#[tokio::test]
async fn lesson_24_viewers_connect_but_do_not_edit() {
    let app = TestApp::with_drive().await;
    let mut bob = app.connected("bob", "drive").await;
    assert_eq!(bob.post_empty("/internal/actions/connector/drive/_oauth_disconnect").await.status, StatusCode::NO_CONTENT);
    assert_eq!(bob.post("/api/actions/connector/new", &drive()).await.code(), "forbidden");
    assert_eq!(bob.put("/api/actions/connector/drive", &drive()).await.code(), "forbidden");
    assert_eq!(bob.delete("/api/actions/connector/drive").await.code(), "forbidden");
    assert_eq!(bob.get("/internal/actions/grants").await.code(), "forbidden");
    // Without access to the space: not found at start, and an error page at the callback.
    app.connector("marketing", "mail", ".example").await;
    let mut dave = app.signed_in("dave").await;
    assert_eq!(
        dave.post("/s/marketing/internal/actions/connector/mail/_start_oauth_flow", &json!({})).await.code(),
        "not_found"
    );
    let flow = bob.start("drive").await;
    app.directory.remove_role(&super::test_app::id_of("bob"), &grantry_domain::identity::SpaceId::default_space());
    let end = bob.finish(&flow).await;
    let page = bob.get(end.location().strip_prefix(super::test_app::BASE).unwrap()).await;
    assert!(page.body.contains("permission_lost"), "{}", page.body);
}

#[tokio::test]
async fn r60_an_invisible_connector_looks_like_a_missing_one() {
    let app = TestApp::new();
    app.connector("marketing", "mail", ".example").await;
    let mut dave = app.signed_in("dave").await;
    let mut bodies = Vec::new();
    for path in [
        "/s/marketing/api/actions/connector/mail",
        "/s/marketing/api/actions/connector/none",
        "/s/nowhere/api/actions/connector/mail",
        "/api/actions/connector/mail",
        "/s/a.b/api/actions/connector/mail",
    ] {
        let response = dave.get(path).await;
        assert_eq!(response.status, StatusCode::NOT_FOUND, "{path}");
        let mut body = response.json();
        body["correlation_id"] = json!("");
        bodies.push(body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    assert_eq!(dave.get("/s/marketing/api/actions/connectors").await.code(), "not_found");
    assert_eq!(dave.post_empty("/s/marketing/internal/actions/connector/mail/_oauth_disconnect").await.code(), "not_found");
    assert_eq!(
        dave.post("/s/marketing/api/actions/connector/mail/_execute", &json!({"params": {"method": "GET", "path": "/"}}))
            .await
            .code(),
        "not_found"
    );
}

async fn three_views(browser: &mut Browser) -> [Value; 3] {
    let one = browser.get("/api/actions/connector/drive").await.json();
    let all = browser.get("/api/actions/connectors").await.json();
    let bulk = browser.post_empty("/internal/actions/connectors/_me/auth_status").await.json();
    [&one, &all[0], &bulk["drive"]]
        .map(|view| json!([view["user_auth_status"], view["connection"], view["connections"], view["default_connection"]]))
}

#[tokio::test]
async fn lesson_18_get_one_get_all_and_bulk_status_agree_in_every_state() {
    let app = TestApp::with_drive().await;
    let mut bob = app.signed_in("bob").await;
    let mut seen = vec![three_views(&mut bob).await];
    let flow = bob.start("drive").await;
    seen.push(three_views(&mut bob).await);
    bob.finish(&flow).await;
    seen.push(three_views(&mut bob).await);
    let key = ConnectorKey {
        space: grantry_domain::identity::SpaceId::default_space(),
        id: grantry_testkit::doubles::fixtures::connector_id("drive"),
    };
    app.profiles.set("{}", |settings| settings.required_scopes = grantry_domain::provider::Scopes::new(["more"]));
    seen.push(three_views(&mut bob).await);
    app.connections
        .disconnect(&grantry_domain::identity::Actor::Person(super::test_app::id_of("bob")), &key, None)
        .await
        .unwrap();
    seen.push(three_views(&mut bob).await);
    let expected = [
        ("not_connected", "not_connected"),
        ("not_connected", "connecting"),
        ("connected", "connected"),
        ("not_connected", "needs_reauthorization"),
        ("not_connected", "not_connected"),
    ];
    for (views, (user_auth_status, status)) in seen.iter().zip(expected) {
        assert!(views.windows(2).all(|pair| pair[0] == pair[1]), "{views:?}");
        assert_eq!((&views[0][0], &views[0][1]["status"]), (&json!(user_auth_status), &json!(status)));
    }
}

#[tokio::test]
async fn statuses_contain_the_pending_flow() {
    let app = TestApp::with_drive().await;
    app.provider.set_account(Some(grantry_domain::provider::Account {
        subject: "1".to_owned(),
        label: "bob@provider.example".to_owned(),
    }));
    let mut bob = app.connected("bob", "drive").await;
    bob.start("drive").await;
    let statuses = bob.post_empty("/internal/actions/connectors/_me/auth_status").await.json();
    insta::assert_json_snapshot!("auth_status", statuses, { ".drive.connection.pending_flow.flow_id" => "[flow]" });
}

#[tokio::test]
async fn connector_types_are_listed_for_users_with_a_space() {
    let app = TestApp::new();
    let types = app.signed_in("bob").await.get("/api/actions/connector_types").await;
    insta::assert_json_snapshot!("connector_types", types.json());
    assert_eq!(app.browser().get("/api/actions/connector_types").await.code(), "not_signed_in");
}

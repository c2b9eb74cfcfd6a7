//! Connectors and statuses: wire shapes, roles, and what is never told.

use grantry_domain::connector::ConnectorKey;
use http::StatusCode;
use serde_json::{Value, json};

use super::world::{Browser, World};

fn drive() -> Value {
    json!({
        "name": "Drive", "connector_type_id": ".example", "auth_mode": "per-user", "config": {"tenantId": "t", "b": [1, null]},
        "secrets": {"clientId": "client-9", "clientSecret": "CLIENT-SECRET-CANARY"}
    })
}

#[tokio::test]
async fn a_connector_from_creation_to_deletion() {
    let world = World::new();
    let mut alice = world.signed_in("alice").await;
    let answer = alice.post("/api/actions/connector/drive", &drive()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    insta::assert_json_snapshot!("connector", answer.json());
    assert_eq!(alice.post("/api/actions/connector/drive", &drive()).await.code(), "conflict");
    let listed = alice.get("/api/actions/connectors").await.json();
    assert_eq!(listed, json!([answer.json()]));
    assert_eq!(alice.get("/api/actions/connector/drive").await.json(), answer.json());

    let unnamed = alice.post("/api/actions/connector", &drive()).await.json();
    assert_eq!(unnamed["id"].as_str().unwrap().len(), 32);

    assert_eq!(alice.delete("/api/actions/connector/drive").await.status, StatusCode::NO_CONTENT);
    assert_eq!(alice.delete("/api/actions/connector/drive").await.code(), "not_found");
    assert_eq!(alice.get("/api/actions/connector/drive").await.code(), "not_found");
}

#[tokio::test]
async fn lesson_17_whatever_was_created_can_be_updated_unchanged() {
    let world = World::new();
    let mut alice = world.signed_in("alice").await;
    let made = alice.post("/api/actions/connector/drive", &drive()).await.json();
    let answer = alice.put("/api/actions/connector/drive", &drive()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.json()["disconnected_users"], 0);
    assert_eq!(answer.json()["config"], made["config"]);
    assert_eq!(answer.json()["revision"], 2);
    // What cannot change may be left out, and secrets are kept.
    let answer = alice
        .put("/api/actions/connector/drive", &json!({"name": "Renamed", "config": {"tenantId": "t", "b": [1, null]}}))
        .await;
    assert_eq!(
        (answer.json()["name"].as_str(), answer.json()["is_missing_secrets"].as_bool()),
        (Some("Renamed"), Some(false))
    );
    for (field, value) in [("connector_type_id", ".other"), ("auth_mode", "shared")] {
        let mut body = drive();
        body[field] = json!(value);
        let answer = alice.put("/api/actions/connector/drive", &body).await;
        assert_eq!((answer.code().as_str(), answer.json()["field"].as_str()), ("invalid_request", Some(field)));
    }
    let mut stale = drive();
    stale["revision"] = json!(1);
    assert_eq!(alice.put("/api/actions/connector/drive", &stale).await.code(), "conflict");
    stale["revision"] = json!(3);
    assert_eq!(alice.put("/api/actions/connector/drive", &stale).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_connector_is_shared_only_where_the_provider_knows_service_accounts() {
    let world = World::new();
    world.profiles.set(r#"{"personal":true}"#, |settings| settings.client_credentials = false);
    let mut alice = world.signed_in("alice").await;
    let mut body = drive();
    body["auth_mode"] = json!("shared");
    assert_eq!(alice.post("/api/actions/connector/robot", &body).await.status, StatusCode::OK);
    body["config"] = json!({"personal": true});
    let answer = alice.post("/api/actions/connector/drive", &body).await;
    assert_eq!((answer.code().as_str(), answer.json()["field"].as_str()), ("invalid_request", Some("auth_mode")));
    body["auth_mode"] = json!("per-user");
    assert_eq!(alice.post("/api/actions/connector/drive", &body).await.status, StatusCode::OK);
}

#[tokio::test]
async fn r52_an_edit_says_beforehand_how_many_people_it_disconnects() {
    let world = World::new();
    let mut alice = world.signed_in("alice").await;
    alice.post("/api/actions/connector/drive", &drive()).await;
    for name in ["alice", "bob"] {
        world.connected(name, "drive").await;
    }
    let mut moved = drive();
    moved["config"] = json!({"tenantId": "other"});
    world.profiles.set(r#"{"tenantId":"other"}"#, |settings| settings.base_url = "https://elsewhere.example".to_owned());
    world.profiles.set(r#"{"tenantId":"other"}"#, |settings| settings.client_id = "another".to_owned());
    let answer = alice.put("/api/actions/connector/drive?dry_run=true", &moved).await;
    assert_eq!(answer.json(), json!({"disconnected_users": 2}));
    assert_eq!(alice.get("/api/actions/connector/drive").await.json()["user_auth_status"], "connected");
    assert_eq!(alice.put("/api/actions/connector/drive?dry_run=maybe", &moved).await.code(), "invalid_request");
    assert_eq!(alice.put("/api/actions/connector/drive?dryrun=true", &moved).await.code(), "invalid_request");

    let mut without_secret = moved.clone();
    without_secret["secrets"] = json!({});
    let answer = alice.put("/api/actions/connector/drive", &without_secret).await;
    assert_eq!((answer.code().as_str(), answer.json()["field"].as_str()), ("invalid_request", Some("secrets.clientSecret")));

    let answer = alice.put("/api/actions/connector/drive", &moved).await;
    assert_eq!(
        (&answer.json()["disconnected_users"], &answer.json()["user_auth_status"]),
        (&json!(2), &json!("needs_reauthorization"))
    );
}

#[tokio::test]
async fn r64_a_client_secret_never_comes_back() {
    let world = World::new();
    let mut alice = world.signed_in("alice").await;
    let answers = [
        alice.post("/api/actions/connector/drive", &drive()).await,
        alice.put("/api/actions/connector/drive", &drive()).await,
        alice.get("/api/actions/connector/drive").await,
        alice.get("/api/actions/connectors").await,
        alice.get("/").await,
        alice.get("/api/actions/connector/drive/oauth/start").await,
    ];
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert!(!answer.body.contains("CANARY") && !answer.body.contains("\"secrets\""), "{}", answer.body);
    }
    // Nor does its length: another secret, the same answer.
    let mut longer = drive();
    longer["secrets"]["clientSecret"] = json!("x".repeat(500));
    let answer = alice.put("/api/actions/connector/drive", &longer).await;
    assert_eq!(answer.body.len(), answers[1].body.len());
    // The document has no field of an answer that could hold one.
    let document: Value = serde_json::from_str(&crate::openapi()).unwrap();
    let shown = document["components"]["schemas"]["Connector"]["properties"].as_object().unwrap();
    assert!(
        shown.keys().all(|name| !name.to_lowercase().contains("secrets") || name == "is_missing_secrets"),
        "{:?}",
        shown.keys()
    );
}

#[tokio::test]
async fn lesson_24_viewers_connect_themselves_and_edit_nothing() {
    let world = World::new();
    world.connector("default", "drive", ".example").await;
    let mut bob = world.connected("bob", "drive").await;
    assert_eq!(bob.post_nothing("/internal/actions/connector/drive/_oauth_disconnect").await.status, StatusCode::NO_CONTENT);
    assert_eq!(bob.post("/api/actions/connector/new", &drive()).await.code(), "forbidden");
    assert_eq!(bob.put("/api/actions/connector/drive", &drive()).await.code(), "forbidden");
    assert_eq!(bob.delete("/api/actions/connector/drive").await.code(), "forbidden");
    assert_eq!(bob.get("/internal/actions/grants").await.code(), "forbidden");
    // Without the feature: nothing here, at start and at the callback.
    world.connector("marketing", "mail", ".example").await;
    let mut dave = world.signed_in("dave").await;
    assert_eq!(
        dave.post("/s/marketing/internal/actions/connector/mail/_start_oauth_flow", &json!({})).await.code(),
        "not_found"
    );
    let flow = bob.start("drive").await;
    world.directory.expel(&super::world::id_of("bob"), &grantry_domain::identity::SpaceId::default_space());
    let end = bob.finish(&flow).await;
    let page = bob.get(end.location().strip_prefix(super::world::BASE).unwrap()).await;
    assert!(page.body.contains("permission_lost"), "{}", page.body);
}

#[tokio::test]
async fn r60_what_may_not_be_seen_looks_like_what_is_not_there() {
    let world = World::new();
    world.connector("marketing", "mail", ".example").await;
    let mut dave = world.signed_in("dave").await;
    let mut bodies = Vec::new();
    for path in [
        "/s/marketing/api/actions/connector/mail",
        "/s/marketing/api/actions/connector/none",
        "/s/nowhere/api/actions/connector/mail",
        "/api/actions/connector/mail",
        "/s/a.b/api/actions/connector/mail",
    ] {
        let answer = dave.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        let mut body = answer.json();
        body["correlation_id"] = json!("");
        bodies.push(body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    assert_eq!(dave.get("/s/marketing/api/actions/connectors").await.code(), "not_found");
    assert_eq!(
        dave.post_nothing("/s/marketing/internal/actions/connector/mail/_oauth_disconnect").await.code(),
        "not_found"
    );
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
    let bulk = browser.post_nothing("/internal/actions/connectors/_me/auth_status").await.json();
    [one["user_auth_status"].clone(), all[0]["user_auth_status"].clone(), bulk["drive"]["user_auth_status"].clone()]
}

#[tokio::test]
async fn lesson_18_get_one_get_all_and_bulk_status_agree_in_every_state() {
    let world = World::new();
    world.connector("default", "drive", ".example").await;
    let mut bob = world.signed_in("bob").await;
    let mut seen = vec![three_views(&mut bob).await];
    let flow = bob.start("drive").await;
    seen.push(three_views(&mut bob).await);
    bob.finish(&flow).await;
    seen.push(three_views(&mut bob).await);
    let key = ConnectorKey {
        space: grantry_domain::identity::SpaceId::default_space(),
        id: grantry_testkit::doubles::fixtures::connector_id("drive"),
    };
    world.profiles.set("{}", |settings| settings.required_scopes = grantry_domain::provider::Scopes::new(["more"]));
    seen.push(three_views(&mut bob).await);
    world.connections.disconnect(&grantry_domain::identity::Actor::Person(super::world::id_of("bob")), &key).await.unwrap();
    seen.push(three_views(&mut bob).await);
    let expected = ["not_connected", "connecting", "connected", "needs_reauthorization", "not_connected"];
    for (views, expected) in seen.iter().zip(expected) {
        assert!(views.iter().all(|view| view == expected), "{views:?} should be {expected}");
    }
}

#[tokio::test]
async fn statuses_tell_the_attempt_under_way_and_the_note() {
    let world = World::new();
    world.connector("default", "drive", ".example").await;
    world.provider.set_account(Some(grantry_domain::provider::Account {
        subject: "1".to_owned(),
        label: "bob@provider.example".to_owned(),
    }));
    let mut bob = world.connected("bob", "drive").await;
    bob.start("drive").await;
    let statuses = bob.post_nothing("/internal/actions/connectors/_me/auth_status").await.json();
    insta::assert_json_snapshot!("auth_status", statuses, { ".drive.pending_flow.flow_id" => "[flow]" });
}

#[tokio::test]
async fn connector_types_are_told_to_people_with_a_space() {
    let world = World::new();
    let types = world.signed_in("bob").await.get("/api/actions/connector_types").await;
    insta::assert_json_snapshot!("connector_types", types.json());
    assert_eq!(world.browser().get("/api/actions/connector_types").await.code(), "not_signed_in");
}

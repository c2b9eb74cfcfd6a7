//! Requests of front ends that were written for the earlier API, and the members that they read.

use grantry_domain::ports::Clock;
use grantry_domain::time::Timestamp;
use http::StatusCode;
use serde_json::{Value, json};

use super::html;
use super::test_app::{BASE, Browser, Options, TestApp, example_type};

const DRIVE: &str = "/api/actions/connector/drive";

/// The body of the create form: every setting is a secret.
fn form() -> Value {
    json!({
        "name": "Drive",
        "connector_type_id": ".oauth2",
        "config": {},
        "secrets": {
            "authType": "oauth_authorization_code",
            "clientId": "client-9",
            "clientSecret": "CLIENT-SECRET-CANARY",
            "authorizationUrl": "https://as.example/authorize",
            "tokenUrl": "https://as.example/token",
            "scope": "read write",
            "useBasicAuth": false,
        },
    })
}

/// What the form becomes.
fn config() -> Value {
    json!({
        "authType": "oauth_authorization_code",
        "authorizationUrl": "https://as.example/authorize",
        "tokenUrl": "https://as.example/token",
        "scope": "read write",
        "useBasicAuth": false,
    })
}

async fn created(body: &Value) -> (TestApp, Browser, Value) {
    let app = TestApp::new();
    let mut alice = app.signed_in("alice").await;
    let response = alice.post(DRIVE, body).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.body);
    let json = response.json();
    (app, alice, json)
}

/// Refuses the body, and returns field and detail.
async fn refusal(browser: &mut Browser, body: &Value) -> (String, String) {
    let response = browser.post("/api/actions/connector/refused", body).await;
    assert_eq!((response.status.as_u16(), response.code().as_str()), (400, "invalid_request"), "{body}");
    assert!(!response.body.contains("CANARY"), "{}", response.body);
    let text = |name: &str| response.json()[name].as_str().unwrap_or_default().to_owned();
    (text("field"), text("detail"))
}

#[tokio::test]
async fn settings_that_are_sent_as_secrets_move_to_the_config() {
    let (_app, mut alice, made) = created(&form()).await;
    assert_eq!(made["config"], config());
    assert_eq!((&made["auth_mode"], &made["is_missing_secrets"]), (&json!("per-user"), &json!(false)));
    assert!(!made.to_string().contains("CANARY"));
    assert_eq!(alice.get(DRIVE).await.json()["config"], config());
    // Optional members may be absent or null.
    let mut body = form();
    body["secrets"]["useBasicAuth"] = Value::Null;
    body["secrets"].as_object_mut().unwrap().remove("scope");
    body["secrets"].as_object_mut().unwrap().remove("authType");
    let made = alice.post("/api/actions/connector", &body).await.json();
    assert_eq!(
        made["config"],
        json!({
            "authType": "oauth_authorization_code", "authorizationUrl": "https://as.example/authorize",
            "tokenUrl": "https://as.example/token"
        })
    );
}

#[tokio::test]
async fn a_setting_may_be_sent_twice_with_one_value_only() {
    let app = TestApp::new();
    let mut alice = app.signed_in("alice").await;
    for (name, same, other) in [
        ("tokenUrl", json!("https://as.example/token"), json!("https://evil.example/token")),
        ("authorizationUrl", json!("https://as.example/authorize"), json!("")),
        ("scope", json!("read write"), json!(["read"])),
        ("useBasicAuth", json!(false), json!(true)),
    ] {
        let mut body = form();
        body["config"][name] = other;
        let (field, detail) = refusal(&mut alice, &body).await;
        assert_eq!((field, detail), (format!("secrets.{name}"), format!("secrets.{name}: differs from config.{name}")));
        for agreeing in [same, Value::Null] {
            body["config"][name] = agreeing;
            let response = alice.post("/api/actions/connector", &body).await;
            assert_eq!((response.status, &response.json()["config"]), (StatusCode::OK, &config()), "{name}");
        }
    }
}

#[tokio::test]
async fn other_names_and_types_of_secrets_are_refused_as_before() {
    let app = TestApp::new();
    let mut alice = app.signed_in("alice").await;
    for (name, value, field) in [
        ("baseUrl", json!("https://api.example"), "secrets.baseUrl"),
        ("token", json!("CANARY"), "secrets.token"),
        ("AuthType", json!("oauth_authorization_code"), "secrets.AuthType"),
        ("clientAuth", json!("post"), "secrets.clientAuth"),
        ("authType", json!("basic"), "secrets.authType"),
        ("authType", json!(1), "secrets.authType"),
        ("tokenUrl", json!(["https://as.example"]), "secrets.tokenUrl"),
        ("useBasicAuth", json!("true"), "secrets.useBasicAuth"),
        ("clientId", json!(""), "secrets.clientId"),
    ] {
        let mut body = form();
        body["secrets"][name] = value;
        assert_eq!(refusal(&mut alice, &body).await.0, field);
    }
}

#[tokio::test]
async fn auth_type_is_the_mode_by_another_name() {
    let app = TestApp::new();
    let mut alice = app.signed_in("alice").await;
    let (person, service) = ("oauth_authorization_code", "oauth_client_credentials");
    // Mode, type in config, type in secrets; the resulting mode, or the field that contradicts.
    let cases = [
        (None, None, None, Ok("per-user")),
        (None, Some(person), None, Ok("per-user")),
        (None, None, Some(service), Ok("shared")),
        (None, Some(service), None, Ok("shared")),
        (Some("shared"), Some(service), Some(service), Ok("shared")),
        (Some("per-user"), Some(person), Some(person), Ok("per-user")),
        (Some("shared"), Some(person), None, Err("config.authType")),
        (Some("per-user"), Some(service), None, Err("config.authType")),
        (Some("per-user"), None, Some(service), Err("secrets.authType")),
        (None, Some(person), Some(service), Err("config.authType")),
        (None, Some("bearer"), None, Err("config.authType")),
    ];
    for (mode, config, secrets, expected) in cases {
        let mut body = json!({"name": "Drive", "connector_type_id": ".example", "config": {"tenantId": "t"}, "secrets": {}});
        for (part, name, value) in
            [("", "auth_mode", mode), ("config", "authType", config), ("secrets", "authType", secrets)]
        {
            let place = if part.is_empty() { &mut body } else { &mut body[part] };
            if let Some(value) = value {
                place[name] = json!(value);
            }
        }
        match expected {
            Ok(mode) => {
                let created = alice.post("/api/actions/connector", &body).await.json();
                let kind = if mode == "shared" { service } else { person };
                assert_eq!(
                    (&created["auth_mode"], &created["config"]),
                    (&json!(mode), &json!({"authType": kind, "tenantId": "t"}))
                );
            }
            Err(field) => assert_eq!(refusal(&mut alice, &body).await.0, field, "{body}"),
        }
    }
}

#[tokio::test]
async fn lesson_17_a_returned_connector_and_a_sent_form_can_be_sent_again_unchanged() {
    let (app, mut alice, made) = created(&form()).await;
    app.connected("bob", "drive").await;
    let mut returned = json!({});
    for name in ["name", "connector_type_id", "auth_mode", "config", "revision"] {
        returned[name] = made[name].clone();
    }
    for (revision, body) in [(2, &returned), (3, &form())] {
        let response = alice.put(DRIVE, body).await;
        assert_eq!(response.status, StatusCode::OK, "{}", response.body);
        let edited = response.json();
        assert_eq!((&edited["config"], &edited["revision"]), (&config(), &json!(revision)));
        assert_eq!((&edited["disconnected_users"], &edited["is_missing_secrets"]), (&json!(0), &json!(false)));
    }
}

#[tokio::test]
async fn an_edit_keeps_the_settings_that_the_form_does_not_send() {
    let (_app, mut alice, _) = created(&form()).await;
    let mut full = config();
    for (name, value) in
        [("baseUrl", "https://api.example"), ("revocationUrl", "https://as.example/revoke"), ("clientAuth", "post")]
    {
        full[name] = json!(value);
    }
    assert_eq!(alice.put(DRIVE, &json!({"name": "Drive", "config": full})).await.status, StatusCode::OK);
    let edit = async |alice: &mut Browser, body: Value| {
        let response = alice.put(DRIVE, &body).await;
        assert_eq!(response.status, StatusCode::OK, "{}", response.body);
        response.json()["config"].clone()
    };
    // Only a new name: absent secrets are kept.
    for secrets in [json!(null), json!({}), json!({"clientId": "client-9"}), json!({"authType": "oauth_authorization_code"})]
    {
        assert_eq!(edit(&mut alice, json!({"name": "Renamed", "config": {}, "secrets": secrets})).await, full, "{secrets}");
    }
    assert_eq!(edit(&mut alice, json!({"name": "D", "config": {"authType": "oauth_authorization_code"}})).await, full);
    // One setting replaces one setting.
    full["scope"] = json!("read");
    assert_eq!(edit(&mut alice, json!({"name": "D", "config": {}, "secrets": {"scope": "read"}})).await, full);
    full.as_object_mut().unwrap().remove("scope");
    assert_eq!(edit(&mut alice, json!({"name": "D", "config": {}, "secrets": {"scope": ""}})).await, full);
    // The client authentication has two names, and the newer value counts.
    full.as_object_mut().unwrap().remove("clientAuth");
    full["useBasicAuth"] = json!(true);
    assert_eq!(edit(&mut alice, json!({"name": "D", "config": {}, "secrets": {"useBasicAuth": true}})).await, full);
    // Settings of one provider are not kept for another.
    let moved = json!({"name": "D", "config": {}, "secrets": {"tokenUrl": "https://other.example/token"}});
    let expected = json!({
        "authType": "oauth_authorization_code", "authorizationUrl": "https://as.example/authorize",
        "tokenUrl": "https://other.example/token"
    });
    assert_eq!(edit(&mut alice, moved).await, expected);
    // A complete config replaces everything.
    let config = json!({"issuer": "https://as.example", "baseUrl": "https://api.example"});
    let mut returned = config.clone();
    returned["authType"] = json!("oauth_authorization_code");
    assert_eq!(edit(&mut alice, json!({"name": "D", "config": config})).await, returned);
}

#[tokio::test]
async fn an_edit_cannot_change_the_mode_by_auth_type() {
    let (_app, mut alice, _) = created(&form()).await;
    let mut body = form();
    body["secrets"]["authType"] = json!("oauth_client_credentials");
    let response = alice.put(DRIVE, &body).await;
    assert_eq!((response.code().as_str(), response.json()["field"].as_str()), ("invalid_request", Some("secrets.authType")));
    let body = json!({"name": "D", "config": {"authType": "oauth_client_credentials"}});
    let response = alice.put(DRIVE, &body).await;
    assert_eq!(response.json()["field"], "config.authType");
    let body = json!({"name": "D", "auth_mode": "shared", "config": {"authType": "oauth_client_credentials"}});
    assert_eq!(alice.put(DRIVE, &body).await.json()["field"], "auth_mode");
}

#[tokio::test]
async fn a_list_of_the_earlier_api_shows_the_right_button() {
    let (app, mut alice, _) = created(&form()).await;
    let mut service = form();
    service["secrets"]["authType"] = json!("oauth_client_credentials");
    alice.post("/api/actions/connector/robot", &service).await;
    let flow = alice.start("drive").await;
    let uri = alice.get(DRIVE).await.json()["redirect_uri"].as_str().unwrap().strip_prefix(BASE).unwrap().to_owned();
    let statuses = async |browser: &mut Browser| {
        let list = browser.get("/api/actions/connectors").await.json();
        let entry = |id: &str| list.as_array().unwrap().iter().find(|entry| entry["id"] == id).cloned().unwrap();
        (entry("drive")["user_auth_status"].clone(), entry("robot")["user_auth_status"].clone())
    };
    assert_eq!(statuses(&mut alice).await, (json!("not_connected"), json!("not_applicable")), "a flow is waiting");
    alice.arrive(&format!("{uri}?code=c&state={}", flow.state)).await;
    assert_eq!(statuses(&mut alice).await.0, "connected");
    // A grant that has ended.
    let mut moved = form();
    moved["secrets"]["tokenUrl"] = json!("https://as.example/token/v2");
    app.profiles.set(
        &json!({
            "authorizationUrl": "https://as.example/authorize", "scope": "read write",
            "tokenUrl": "https://as.example/token/v2", "useBasicAuth": false
        })
        .to_string(),
        |settings| settings.client_id = "another".to_owned(),
    );
    assert_eq!(alice.put(DRIVE, &moved).await.json()["disconnected_users"], 1);
    assert_eq!(statuses(&mut alice).await.0, "not_connected");
    assert_eq!(alice.get(DRIVE).await.json()["connection"]["status"], "needs_reauthorization");
}

#[tokio::test]
async fn lists_have_the_members_and_paths_of_the_earlier_api() {
    let app = TestApp::new();
    app.connector("marketing", "mail", ".example").await;
    let mut bob = app.signed_in("bob").await;
    let types = bob.get("/api/actions/connector_types").await.json();
    for (name, value) in [
        ("enabled", json!(true)),
        ("enabled_in_config", json!(true)),
        ("enabled_in_license", json!(true)),
        ("minimum_license_required", json!("basic")),
        ("supported_feature_ids", json!(["workflows"])),
        ("is_system_action_type", json!(false)),
        ("is_deprecated", json!(false)),
        ("source", json!("spec")),
    ] {
        assert_eq!(types[0][name], value, "{name}");
    }
    let list = bob.get("/s/marketing/api/actions/connectors").await.json();
    for (name, value) in [
        ("is_preconfigured", json!(false)),
        ("is_deprecated", json!(false)),
        ("is_system_action", json!(false)),
        ("is_connector_type_deprecated", json!(false)),
        ("referenced_by_count", json!(0)),
    ] {
        assert_eq!(list[0][name], value, "{name}");
    }
    for space in ["", "/s/default", "/s/marketing"] {
        for root in ["api", "internal"] {
            let listed = bob.get(&format!("{space}/{root}/actions/connector_types")).await;
            assert_eq!((listed.status, listed.json()), (StatusCode::OK, types.clone()), "{space} {root}");
        }
        let public = bob.get(&format!("{space}/api/actions/connectors")).await.json();
        assert_eq!(bob.get(&format!("{space}/internal/actions/connectors")).await.json(), public, "{space}");
    }
    let mut dave = app.signed_in("dave").await;
    for path in ["connectors", "connector_types"] {
        for space in ["marketing", "nowhere", "a.b"] {
            for root in ["api", "internal"] {
                let response = dave.get(&format!("/s/{space}/{root}/actions/{path}")).await;
                assert_eq!(response.code(), "not_found", "{space} {root} {path}");
            }
        }
        assert_eq!(app.browser().get(&format!("/internal/actions/{path}")).await.code(), "not_signed_in");
    }
}

#[tokio::test]
async fn a_type_is_deprecated_from_its_sunset_on() {
    let at = TestApp::new().clock.now().as_millis();
    for (offset, expected) in [(1, false), (0, true), (-1, true)] {
        let sunset = Some(Timestamp::from_millis(at + offset));
        let kind = crate::ConnectorType { sunset, ..example_type() };
        let app = TestApp::with(Options { types: vec![kind], ..Options::default() });
        app.connector("default", "drive", ".example").await;
        let mut bob = app.signed_in("bob").await;
        assert_eq!(bob.get("/api/actions/connector_types").await.json()[0]["is_deprecated"], expected);
        assert_eq!(bob.get(DRIVE).await.json()["is_connector_type_deprecated"], expected);
    }
}

#[tokio::test]
async fn r23_a_space_in_the_path_of_a_callback_is_ignored() {
    let app = TestApp::new();
    for (space, id, profile) in
        [("default", "drive", ".example"), ("marketing", "drive", ".example"), ("marketing", "own", ".oauth2")]
    {
        app.connector(space, id, profile).await;
    }
    let mut alice = app.signed_in("alice").await;
    for prefix in ["/s/default", "/s/marketing", "/s/nowhere"] {
        let flow = alice.start_at("/s/marketing/internal/actions/connector/drive/_start_oauth_flow", &json!({})).await;
        let end = alice
            .arrive(&format!("{prefix}/api/actions/connector/_oauth_profile_callback?code=c&state={}", flow.state))
            .await;
        assert!(end.location().ends_with(&format!("_oauth_callback_result/{}", flow.id)), "{}", end.location());
        let own = alice.get("/s/marketing/api/actions/connector/own").await.json();
        let path = own["redirect_uri"].as_str().unwrap().strip_prefix(BASE).unwrap();
        let flow = alice.start_at("/s/marketing/internal/actions/connector/own/_start_oauth_flow", &json!({})).await;
        let wrong = alice
            .clone()
            .arrive(&format!("{prefix}/api/actions/connector/_oauth_profile_callback?code=c&state={}", flow.state))
            .await;
        assert!(wrong.location().contains(&format!("/{}?", flow.id)), "the callback of the connector is still required");
        let flow = alice.start_at("/s/marketing/internal/actions/connector/own/_start_oauth_flow", &json!({})).await;
        alice.arrive(&format!("{prefix}{path}?code=c&state={}", flow.state)).await;
        for (space, id, expected) in
            [("", "drive", "not_connected"), ("/s/marketing", "drive", "connected"), ("/s/marketing", "own", "connected")]
        {
            let connector = alice.get(&format!("{space}/api/actions/connector/{id}")).await.json();
            assert_eq!(connector["user_auth_status"], expected, "{prefix} {space} {id}");
            if expected == "connected" {
                alice.post_empty(&format!("{space}/internal/actions/connector/{id}/_oauth_disconnect")).await;
            }
        }
    }
}

#[tokio::test]
async fn the_result_page_announces_space_and_status() {
    let app = TestApp::with_drive().await;
    app.connector("marketing", "drive", ".example").await;
    let mut alice = app.signed_in("alice").await;
    for (prefix, space) in [("", "default"), ("/s/marketing", "marketing")] {
        for (query, status, code, error) in
            [("code=c", "success", "200", ""), ("error=access_denied", "error", "403", "access_denied")]
        {
            let start = format!("{prefix}/internal/actions/connector/drive/_start_oauth_flow");
            let flow = alice.start_at(&start, &json!({})).await;
            let end = alice.callback(&format!("{query}&state={}", flow.state)).await;
            let page = alice.get(end.location().strip_prefix(BASE).unwrap()).await;
            for (name, value) in [
                ("data-flow-id", flow.id.as_str()),
                ("data-connector-id", "drive"),
                ("data-space-id", space),
                ("data-status", status),
                ("data-status-code", code),
                ("data-error", error),
            ] {
                assert_eq!(html::attribute(&page.body, name).as_deref(), Some(value), "{name}");
            }
        }
    }
}

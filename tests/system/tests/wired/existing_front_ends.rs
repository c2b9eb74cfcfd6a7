//! Requests of front ends that were written for the earlier API, with real profiles and a real flow.

use grantry_system_tests::paths::{ConnectorPath, Draft};
use grantry_system_tests::test_app::{DRIVE, MARKETING_DRIVE, TestApp, account_of};
use grantry_testkit::provider::Client;
use reqwest::Method;
use serde_json::{Value, json};

const FORM: ConnectorPath = ConnectorPath::of("form");

/// What the create form sends: the settings of the client as secrets, and no other setting.
fn form(provider: &str) -> Value {
    json!({
        "name": "From a form",
        "connector_type_id": ".oauth2",
        "config": {},
        "secrets": {
            "authType": "oauth_authorization_code",
            "clientId": "demo",
            "clientSecret": "demo-secret",
            "authorizationUrl": format!("{provider}/authorize"),
            "tokenUrl": format!("{provider}/token"),
            "scope": "files.read",
            "useBasicAuth": false,
        },
    })
}

#[tokio::test]
async fn a_connector_of_the_create_form_connects_and_runs() {
    let app = TestApp::new().await;
    for connector in [FORM, FORM.in_other_space("marketing")] {
        let body = form(app.provider.base_url());
        let made = app.create(connector, &Draft { body: body.clone() }).await;
        assert_eq!(made["config"]["authType"], "oauth_authorization_code");
        assert_eq!(made["config"]["tokenUrl"], body["secrets"]["tokenUrl"]);
        let redirect_uri = made["redirect_uri"].as_str().unwrap();
        let client = Client::new("demo", "demo-secret").redirect_uri(redirect_uri);
        app.provider.register(client.redirect_uri(app.deployment.shared_callback()));

        let mut alice = app.connected("alice", connector).await;
        let exchange = app.provider.ledger().exchanges().last().copied().cloned().unwrap();
        assert_eq!(exchange.param("client_secret"), Some("demo-secret"), "no basic authentication");
        // The form has no URL of the API: tokens are used at the origin of the token URL.
        assert_eq!(account_of(&alice.execute(connector, "/api/me").await), "alice@example.test");

        // Saving the form again, or what was returned, ends no grant.
        let returned = json!({ "name": "Renamed", "config": made["config"] });
        for body in [body, json!({ "name": "Renamed", "config": {}, "secrets": {} }), returned] {
            let edited = app.edit(connector, &Draft { body }).await;
            assert_eq!((edited.status, &edited.json()["disconnected_users"]), (200, &json!(0)), "{}", edited.text());
            assert_eq!(edited.json()["config"], made["config"]);
        }
        assert_eq!(alice.status_name(connector).await, "connected");
    }
}

#[tokio::test]
async fn the_form_of_a_built_in_profile_may_repeat_its_endpoints() {
    let app = TestApp::new().await;
    let mut carol = app.browser("carol").await;
    let github = |token: &str| {
        let mut body = form("https://github.com");
        body["connector_type_id"] = json!(".github");
        body["secrets"]["authorizationUrl"] = json!("https://github.com/login/oauth/authorize");
        body["secrets"]["tokenUrl"] = json!(token);
        body["secrets"]["scope"] = json!("repo");
        body
    };
    let made = carol.post("/api/actions/connector", github("https://github.com/login/oauth/access_token")).await;
    assert_eq!(made.status, 200, "{}", made.text());
    assert_eq!(made.json()["redirect_uri"], app.deployment.profile_callback(), "endpoints of the operator");
    assert_eq!(made.json()["consent"]["approved"], true);
    let refused = carol.post("/api/actions/connector", github("https://evil.example/token")).await;
    assert_eq!(
        (refused.outcome(), refused.json()["field"].as_str()),
        ((400, "invalid_request".to_owned()), Some("config.tokenUrl"))
    );
}

#[tokio::test]
async fn a_space_in_front_of_the_callback_is_ignored_and_a_fragment_is_kept() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let public = app.deployment.settings.public.clone();
    for prefix in ["/s/default", "/s/marketing", "/s/nowhere"] {
        let flow = alice.start_with(MARKETING_DRIVE, json!({ "returnUrl": format!("{public}/app#/connectors") })).await;
        let callback = app.provider.approve(&flow.authorization_url, "alice").await.unwrap().to_string();
        let prefixed = callback.replacen(&public, &format!("{public}{prefix}"), 1);
        let response = alice.open_callback(&prefixed).await;
        let query = "oauth_authorization=success&connector_id=drive&status_code=200";
        assert_eq!(response.location(), format!("{public}/app?{query}#/connectors"), "{}", response.full_text());
        assert_eq!(alice.status_name(MARKETING_DRIVE).await, "connected");
        assert_eq!(alice.status_name(DRIVE).await, "not_connected");
        alice.disconnect(MARKETING_DRIVE).await;
    }
}

#[tokio::test]
async fn a_cancel_by_state_removes_the_cookie_of_the_flow() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let flow = alice.start(DRIVE).await;
    assert!(alice.flow_cookie(&flow.id).is_some());
    let response = alice.post(&DRIVE.internal("/_oauth_cancel"), json!({ "state": flow.state })).await;
    assert_eq!(response.status, 204, "{}", response.text());
    assert!(alice.flow_cookie(&flow.id).is_none());
    assert_eq!(alice.flow_result(DRIVE, &flow.id).await.0, "cancelled");
}

#[tokio::test]
async fn connector_lists_have_aliases_in_every_space() {
    let app = TestApp::new().await;
    let mut bob = app.browser("bob").await;
    for list in ["connectors", "connector_types"] {
        for space in ["", "/s/marketing"] {
            let public = bob.get(&format!("{space}/api/actions/{list}")).await;
            let internal = bob.call(Method::GET, &format!("{space}/internal/actions/{list}"), None).await;
            assert_eq!((public.status, public.json()), (internal.status, internal.json()), "{space} {list}");
            assert!(public.json().as_array().is_some_and(|list| !list.is_empty()), "{}", public.text());
        }
    }
    let types = bob.get("/s/marketing/api/actions/connector_types").await.json();
    assert!(types.as_array().unwrap().iter().all(|kind| kind["enabled"] == true && kind["is_deprecated"] == false));
}

//! Several named connections of one user at one connector.

use grantry_system_tests::browser::{Browser, FetchSite, Response};
use grantry_system_tests::paths::ConnectorPath;
use grantry_system_tests::test_app::{DRIVE, MARKETING_DRIVE, TestApp, account_of};
use grantry_system_tests::users::AGENT_KEY;
use grantry_testkit::provider::GrantEnd;
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::{assert_all_revoked, assert_failed};

/// The accounts of alice's two connections.
const HOME_ACCOUNT: &str = "bob@example.test";
const WORK_ACCOUNT: &str = "alice@example.test";

/// Alice's browser, with the connections `home` and `work` to two accounts of the provider.
async fn with_two_connections(app: &TestApp) -> Browser {
    let mut alice = app.browser("alice").await;
    app.connect_named(&mut alice, DRIVE, "work", "alice").await;
    app.connect_named(&mut alice, DRIVE, "home", "bob").await;
    alice
}

async fn names_of(browser: &mut Browser, connector: ConnectorPath) -> Vec<String> {
    let status = browser.status(connector).await;
    let listed = status["connections"].as_array().cloned().unwrap_or_else(|| vec![status["connection"].clone()]);
    listed.iter().map(|connection| connection["name"].as_str().unwrap().to_owned()).collect()
}

/// Requests alice's access token as the agent `workflows`.
async fn issue(app: &TestApp, connection: Option<&str>) -> Response {
    let mut agent = app.anonymous_browser();
    let mut body = json!({ "user": "u_alice", "destination": app.provider.base_url() });
    if let Some(name) = connection {
        body["connection"] = json!(name);
    }
    let request = agent.request(Method::POST, &DRIVE.internal("/_access_token"));
    agent.send(request.bearer_auth(AGENT_KEY).json(&body)).await
}

/// Checks that a request without a name is refused, with the names and accounts of both connections.
#[track_caller]
fn assert_ambiguous(what: &str, response: &Response) {
    assert_eq!(response.outcome(), (409, "connection_ambiguous".to_owned()), "{what}: {}", response.text());
    let mut connections = response.json()["connections"].as_array().cloned().unwrap();
    connections.sort_by_key(|connection| connection["name"].to_string());
    let expected = json!([
        { "name": "home", "account": HOME_ACCOUNT },
        { "name": "work", "account": WORK_ACCOUNT },
    ]);
    assert_eq!(Value::Array(connections), expected, "{what}");
}

#[tokio::test]
async fn two_connections_of_one_user_use_two_accounts() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    for (name, account) in [("work", "alice"), ("home", "bob")] {
        let (flow, callback) = app.consent_named(&mut alice, DRIVE, name, account).await;
        let pending = alice.connection_named(DRIVE, name).await;
        assert_eq!(pending["status"], "connecting", "{pending}");
        assert_eq!(pending["pending_flow"]["flow_id"], flow.id, "{pending}");
        alice.open_callback(&callback).await;
        let body = alice.flow(DRIVE, &flow.id).await.json();
        assert_eq!((&body["status"], &body["connection"]), (&json!("authorized"), &json!(name)), "{body}");
    }
    assert_eq!(names_of(&mut alice, DRIVE).await, ["home", "work"]);
    for (name, account) in [("home", HOME_ACCOUNT), ("work", WORK_ACCOUNT)] {
        let connection = alice.connection_named(DRIVE, name).await;
        assert_eq!((&connection["status"], &connection["account"]), (&json!("connected"), &json!(account)));
        assert_eq!(account_of(&alice.execute_named(DRIVE, name, "/me").await), account);
    }
    assert_eq!(names_of(&mut alice, MARKETING_DRIVE).await, ["default"], "the other space has no connection");
    assert_eq!(app.live_grants().len(), 2);
}

#[tokio::test]
async fn each_connection_is_refreshed_separately() {
    let app = TestApp::new().await;
    let mut alice = with_two_connections(&app).await;
    for round in 1..=3 {
        app.expire_access_tokens();
        assert_eq!(account_of(&alice.execute_named(DRIVE, "work", "/me").await), WORK_ACCOUNT);
        assert_eq!(app.provider.ledger().refreshes().len(), 2 * round - 1, "only the used connection is refreshed");
        assert_eq!(account_of(&alice.execute_named(DRIVE, "home", "/me").await), HOME_ACCOUNT);
        assert_eq!(app.provider.ledger().refreshes().len(), 2 * round);
    }
}

#[tokio::test]
async fn with_two_connections_a_request_must_name_one_unless_a_default_is_set() {
    let app = TestApp::new().await;
    let mut alice = with_two_connections(&app).await;
    app.provider.clear_ledger();
    assert_ambiguous("execute", &alice.execute(DRIVE, "/me").await);
    assert_ambiguous("access token", &issue(&app, None).await);
    assert_ambiguous("disconnect", &alice.disconnect(DRIVE).await);
    assert!(app.provider.ledger().is_empty(), "no request reaches the provider");
    assert_eq!(alice.status(DRIVE).await.get("default_connection"), None, "the first connection is not the default");

    let unknown = alice.set_default_connection(DRIVE, Some("lab")).await;
    assert_eq!(unknown.outcome(), (404, "connection_not_found".to_owned()));
    assert_ambiguous("after an unknown default", &alice.execute(DRIVE, "/me").await);

    for (name, account) in [("work", WORK_ACCOUNT), ("home", HOME_ACCOUNT)] {
        assert_eq!(alice.set_default_connection(DRIVE, Some(name)).await.status, 204);
        let status = alice.status(DRIVE).await;
        assert_eq!(status["default_connection"], name);
        assert_eq!((&status["connection"]["name"], &status["connection"]["account"]), (&json!(name), &json!(account)));
        assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), account);
        let issued = issue(&app, None).await.json();
        assert_eq!(issued["access_token"], app.last_access_token(), "{name}");
        let other = issue(&app, Some(if name == "work" { "home" } else { "work" })).await.json();
        assert!(app.provider.accepts_access_token(other["access_token"].as_str().unwrap()));
        assert_ne!(other["access_token"], issued["access_token"], "a named connection takes precedence over the default");
    }

    assert_eq!(alice.set_default_connection(DRIVE, None).await.status, 204);
    assert_eq!(alice.status(DRIVE).await.get("default_connection"), None);
    assert_ambiguous("without a default", &alice.execute(DRIVE, "/me").await);

    // The default of a user does not affect other users.
    assert_eq!(alice.set_default_connection(DRIVE, Some("work")).await.status, 204);
    let mut bob = app.connected("bob", DRIVE).await;
    assert_eq!(account_of(&bob.execute(DRIVE, "/me").await), "bob@example.test");
    assert_eq!(bob.set_default_connection(DRIVE, Some("work")).await.code(), "connection_not_found");
}

#[tokio::test]
async fn a_disconnect_ends_the_named_connection_and_keeps_the_other() {
    let app = TestApp::new().await;
    let mut alice = with_two_connections(&app).await;
    assert_eq!(alice.disconnect_named(DRIVE, "lab").await.status, 204, "an unknown name changes nothing");
    assert_eq!(names_of(&mut alice, DRIVE).await, ["home", "work"]);

    assert_eq!(alice.disconnect_named(DRIVE, "work").await.status, 204);
    app.host.drain().await;
    app.host.connections.revoke_due().await.unwrap();
    let ends: Vec<_> = app.provider.grants().into_iter().map(|grant| grant.ended).collect();
    assert_eq!(ends, [Some(GrantEnd::Revoked), None]);
    assert_eq!(names_of(&mut alice, DRIVE).await, ["home"]);
    assert_eq!(account_of(&alice.execute_named(DRIVE, "home", "/me").await), HOME_ACCOUNT);
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), HOME_ACCOUNT, "the only connection needs no name");

    for response in [alice.execute_named(DRIVE, "work", "/me").await, issue(&app, Some("work")).await] {
        assert_eq!(response.outcome(), (409, "authorization_required".to_owned()), "{}", response.text());
        let body = response.json();
        assert_eq!(body["reason"], "not_connected");
        let start = Url::parse(body["startUrl"].as_str().unwrap()).unwrap();
        assert_eq!((start.path(), start.query()), (DRIVE.public("/oauth/start").as_str(), Some("connection=work")));
    }

    // The start link leads to the same connection again.
    app.connect_named(&mut alice, DRIVE, "work", "alice").await;
    assert_eq!(account_of(&alice.execute_named(DRIVE, "work", "/me").await), WORK_ACCOUNT);
    for name in ["work", "home"] {
        assert_eq!(alice.disconnect_named(DRIVE, name).await.status, 204);
    }
    assert_all_revoked(&app).await;
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
}

#[tokio::test]
async fn a_disconnect_without_a_name_ends_the_default_connection_or_the_only_one() {
    let app = TestApp::new().await;
    let mut alice = with_two_connections(&app).await;
    assert_eq!(alice.set_default_connection(DRIVE, Some("work")).await.status, 204);
    assert_eq!(alice.disconnect(DRIVE).await.status, 204);
    assert_eq!(alice.connection_named(DRIVE, "home").await["status"], "connected");
    assert_ne!(alice.connection_named(DRIVE, "work").await["status"], "connected");
    app.host.drain().await;
    app.host.connections.revoke_due().await.unwrap();
    assert_eq!(alice.status(DRIVE).await.get("default_connection"), None, "the default connection has ended");
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), HOME_ACCOUNT);
    assert_eq!(alice.disconnect(DRIVE).await.status, 204);
    assert_all_revoked(&app).await;
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
}

#[tokio::test]
async fn an_ended_default_connection_is_not_replaced_by_another_one() {
    let app = TestApp::new().await;
    let mut alice = with_two_connections(&app).await;
    assert_eq!(alice.set_default_connection(DRIVE, Some("work")).await.status, 204);
    app.provider.withdraw("alice");
    app.expire_access_tokens();
    for attempt in ["the attempt that ends the grant", "the next attempt"] {
        let response = alice.execute(DRIVE, "/me").await;
        assert_eq!(response.outcome(), (409, "authorization_required".to_owned()), "{attempt}: {}", response.text());
        assert_eq!(response.json()["reason"], "refresh_rejected", "{attempt}");
        assert!(response.json()["startUrl"].as_str().unwrap().ends_with("?connection=work"), "{}", response.text());
    }
    let ended = ("needs_reauthorization".to_owned(), "refresh_rejected".to_owned());
    assert_eq!(alice.status_and_reason(DRIVE).await, ended);
    assert_eq!(alice.disconnect(DRIVE).await.status, 204, "ends the default connection");
    assert_eq!(names_of(&mut alice, DRIVE).await, ["home"]);
    assert_eq!(account_of(&alice.execute_named(DRIVE, "home", "/me").await), HOME_ACCOUNT);
}

#[tokio::test]
async fn an_account_cannot_be_connected_under_two_names() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    app.connect_named(&mut alice, DRIVE, "work", "alice").await;

    let (flow, callback) = app.consent_named(&mut alice, DRIVE, "home", "alice").await;
    let response = alice.open_callback(&callback).await;
    assert_eq!(response.status, 303, "{}", response.full_text());
    assert_failed(&mut alice, DRIVE, &flow, "account_already_connected").await;
    let page = alice.open(response.location(), FetchSite::SameOrigin).await;
    assert!(page.text().contains("data-error=\"account_already_connected\""), "{}", page.text());
    assert!(page.text().contains("connection=home"), "the page offers to try again: {}", page.text());

    let body = json!({ "connection": "home", "returnUrl": "/app", "allowAccountChange": true });
    let flow = alice.start_with(DRIVE, body).await;
    let callback = app.provider.approve(&flow.authorization_url, "alice").await.unwrap();
    let response = alice.open_callback(callback.as_str()).await;
    let parameters: Vec<_> = Url::parse(response.location()).unwrap().query_pairs().into_owned().collect();
    for expected in [("oauth_authorization", "error"), ("error", "account_already_connected"), ("status_code", "409")] {
        assert!(parameters.contains(&(expected.0.to_owned(), expected.1.to_owned())), "{parameters:?}");
    }

    assert_eq!(names_of(&mut alice, DRIVE).await, ["work"]);
    app.host.drain().await;
    app.host.connections.revoke_due().await.unwrap();
    assert_eq!(app.live_grants().len(), 1, "the tokens of the refused flows are revoked");
    assert_eq!(account_of(&alice.execute_named(DRIVE, "work", "/me").await), WORK_ACCOUNT);

    // The same account is allowed for a reconnect, for another user, at another connector, and after a disconnect.
    app.connect_named(&mut alice, DRIVE, "work", "alice").await;
    let mut bob = app.browser("bob").await;
    app.connect_named(&mut bob, DRIVE, "home", "alice").await;
    app.connect_named(&mut alice, MARKETING_DRIVE, "home", "alice").await;
    assert_eq!(alice.disconnect_named(DRIVE, "work").await.status, 204);
    app.connect_named(&mut alice, DRIVE, "home", "alice").await;
}

#[tokio::test]
async fn a_flow_supersedes_only_pending_flows_of_its_connection() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (replaced, _) = app.consent_named(&mut alice, DRIVE, "work", "alice").await;
    let (home, home_callback) = app.consent_named(&mut alice, DRIVE, "home", "bob").await;
    let (work, work_callback) = app.consent_named(&mut alice, DRIVE, "work", "alice").await;
    assert_eq!(alice.flow_result(DRIVE, &replaced.id).await.0, "cancelled");
    for (flow, callback) in [(&home, &home_callback), (&work, &work_callback)] {
        assert_eq!(alice.flow_result(DRIVE, &flow.id).await.0, "awaiting");
        alice.open_callback(callback).await;
        assert_eq!(alice.flow_result(DRIVE, &flow.id).await.0, "authorized");
    }
    assert_eq!(account_of(&alice.execute_named(DRIVE, "home", "/me").await), HOME_ACCOUNT);
    assert_eq!(account_of(&alice.execute_named(DRIVE, "work", "/me").await), WORK_ACCOUNT);
}

#[tokio::test]
async fn a_reconnect_changes_only_its_connection() {
    let app = TestApp::new().await;
    let mut alice = with_two_connections(&app).await;
    let (_, callback) = app.consent_named(&mut alice, DRIVE, "work", "alice").await;
    assert_eq!(alice.connection_named(DRIVE, "work").await["reconnecting"], true);
    assert_eq!(alice.connection_named(DRIVE, "home").await.get("reconnecting"), None);
    alice.open_callback(&callback).await;
    app.host.drain().await;
    app.host.connections.revoke_due().await.unwrap();
    let live: Vec<_> = app.live_grants().into_iter().filter_map(|grant| grant.username).collect();
    assert_eq!(live, ["bob", "alice"]);
    assert_eq!(account_of(&alice.execute_named(DRIVE, "work", "/me").await), WORK_ACCOUNT);
}

#[tokio::test]
async fn the_list_of_grants_and_the_audit_log_contain_the_names() {
    let app = TestApp::new().await;
    let mut alice = with_two_connections(&app).await;
    let mut carol = app.browser("carol").await;
    let page = carol.get("/internal/actions/grants?user=u_alice").await.json();
    let listed = |page: &Value| -> Vec<(String, String, String)> {
        let text = |grant: &Value, name: &str| grant[name].as_str().unwrap_or_default().to_owned();
        let mut grants: Vec<_> = page["grants"].as_array().unwrap().clone();
        grants.sort_by_key(|grant| grant["connection"].to_string());
        grants.iter().map(|grant| (text(grant, "connection"), text(grant, "status"), text(grant, "account"))).collect()
    };
    let row = |name: &str, status: &str, account: &str| (name.to_owned(), status.to_owned(), account.to_owned());
    let connected = [row("home", "connected", HOME_ACCOUNT), row("work", "connected", WORK_ACCOUNT)];
    assert_eq!(listed(&page), connected);

    // An administrator revokes one of them.
    let work = page["grants"].as_array().unwrap().iter().find(|grant| grant["connection"] == "work").unwrap();
    let path = format!("/internal/actions/grants/{}", work["grantId"].as_str().unwrap());
    assert_eq!(carol.call(Method::DELETE, &path, None).await.status, 204);
    let page = carol.get("/internal/actions/grants?user=u_alice").await.json();
    let statuses: Vec<_> = listed(&page).into_iter().map(|(name, status, _)| (name, status)).collect();
    let expected = [("home", "connected"), ("work", "revoked")];
    assert_eq!(statuses, expected.map(|(name, status)| (name.to_owned(), status.to_owned())));
    assert_eq!(account_of(&alice.execute_named(DRIVE, "home", "/me").await), HOME_ACCOUNT);
    assert_eq!(alice.execute_named(DRIVE, "work", "/me").await.json()["reason"], "admin");

    app.host.connections.flush_audit().await.unwrap();
    app.host.connections.deliver_events().await.unwrap();
    let events = app.host.sink.events();
    for (kind, name) in [
        ("flow_started", "work"),
        ("connected", "home"),
        ("connected", "work"),
        ("access_token_issued", "home"),
        ("grant_terminated", "work"),
    ] {
        let found = events.iter().any(|event| {
            event.kind.as_str() == kind && event.connection.as_ref().is_some_and(|connection| connection.as_str() == name)
        });
        assert!(found, "{kind} of {name}: {events:?}");
    }
}

#[tokio::test]
async fn a_deprovisioned_user_loses_all_connections() {
    let app = TestApp::new().await;
    let mut alice = with_two_connections(&app).await;
    let response = app.browser("carol").await.call(Method::DELETE, "/internal/actions/users/u_alice/grants", None).await;
    assert_eq!((response.status, &response.json()["revoked"]), (200, &json!(2)), "{}", response.text());
    assert_all_revoked(&app).await;
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
}

#[tokio::test]
async fn an_invalid_connection_name_is_refused() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    let long = "x".repeat(65);
    for name in ["", "Work", "two words", "a/b", "ä", "a\u{0}", long.as_str()] {
        let params = json!({ "method": "GET", "path": "/me" });
        let responses = [
            alice.try_start(DRIVE, json!({ "connection": name })).await,
            alice.post(&DRIVE.public("/_execute"), json!({ "params": params, "connection": name })).await,
            alice.disconnect_named(DRIVE, name).await,
            alice.set_default_connection(DRIVE, Some(name)).await,
            issue(&app, Some(name)).await,
        ];
        for response in responses {
            assert_eq!(response.outcome(), (400, "invalid_request".to_owned()), "{name:?}: {}", response.text());
            assert_eq!(response.json()["field"], "connection", "{name:?}: {}", response.text());
        }
    }
    assert_eq!(names_of(&mut alice, DRIVE).await, ["default"]);
    for name in ["a", "0", "a.b_c-d", &"x".repeat(64)] {
        assert_eq!(alice.try_start(DRIVE, json!({ "connection": name })).await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn a_user_without_a_name_uses_the_connection_default() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    assert_eq!(names_of(&mut alice, DRIVE).await, ["default"]);
    assert_eq!(alice.status(DRIVE).await.get("connections"), None, "a single connection is not repeated in a list");
    for response in [alice.execute(DRIVE, "/me").await, alice.execute_named(DRIVE, "default", "/me").await] {
        assert_eq!(account_of(&response), WORK_ACCOUNT);
    }
    assert_eq!(alice.disconnect_named(DRIVE, "default").await.status, 204);
    assert_all_revoked(&app).await;
}

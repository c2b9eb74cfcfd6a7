//! The main path as users see it: connect, use, refresh, disconnect and reconnect, in two spaces.

use grantry_system_tests::browser::{FetchSite, status_name};
use grantry_system_tests::paths::ConnectorPath;
use grantry_system_tests::test_app::{DRIVE, MARKETING_DRIVE, TestApp, account_of};
use grantry_system_tests::users::AGENT_KEY;
use grantry_testkit::provider::{Endpoint, Fault, GrantEnd, MockProvider};
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::{assert_all_revoked, assert_failed, callback_calls};

#[tokio::test]
async fn two_users_connect_in_two_spaces_and_use_their_own_accounts() {
    let app = TestApp::new().await;
    // Every user has a different account in each space. The API returns the account of the token.
    let accounts = [
        ("alice", DRIVE, "alice"),
        ("bob", DRIVE, "bob"),
        ("alice", MARKETING_DRIVE, "bob"),
        ("bob", MARKETING_DRIVE, "alice"),
    ];
    for (user, connector, account) in accounts {
        let mut browser = app.browser(user).await;
        assert_eq!(browser.status_name(connector).await, "not_connected");
        app.connect(&mut browser, connector, account).await;
        assert_eq!(browser.status_name(connector).await, "connected");
        assert_eq!(browser.connection(connector).await["account"], format!("{account}@example.test"));
    }
    for (user, connector, account) in accounts {
        let response = app.browser(user).await.execute(connector, "/me").await;
        assert_eq!(account_of(&response), format!("{account}@example.test"));
    }
    let grants = app.provider.grants();
    assert_eq!(grants.len(), 4);
    assert!(grants.iter().all(|grant| grant.ended.is_none()));
}

#[tokio::test]
async fn r23_lesson_03_the_shared_callback_leads_to_the_space_of_the_flow_and_no_other() {
    let app = TestApp::new().await;
    let mut bob = app.browser("bob").await;
    let (flow, callback) = app.consent(&mut bob, MARKETING_DRIVE, "bob").await;
    assert!(callback.starts_with(&app.deployment.shared_callback()), "no space in {callback}");
    bob.open_callback(&callback).await;
    assert_eq!(bob.status_name(MARKETING_DRIVE).await, "connected");
    assert_eq!(bob.status_name(DRIVE).await, "not_connected");
    assert_eq!(bob.execute(DRIVE, "/me").await.code(), "authorization_required");
    assert_eq!(bob.flow(DRIVE, &flow.id).await.code(), "not_found", "the flow does not exist in another space");
}

#[tokio::test]
async fn r34_the_result_page_shows_the_flow_and_neither_code_nor_state() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    let redirect = alice.open_callback(&callback).await;
    assert_eq!(redirect.status, 303);
    let code = query(&callback, "code").unwrap();
    for leak in [code.as_str(), flow.state.as_str()] {
        assert!(!redirect.full_text().contains(leak), "{}", redirect.full_text());
    }
    let location = redirect.location().to_owned();
    let page = alice.open(&location, FetchSite::SameOrigin).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains(&flow.id));
    assert!(!page.text().contains(&code) && !page.text().contains(&flow.state));
    // The page is only for the user who started the flow.
    assert_ne!(app.browser("bob").await.open(&location, FetchSite::SameOrigin).await.status, 200);
    assert!(alice.flow_cookie(&flow.id).is_none(), "the flow cookie is deleted");
}

#[tokio::test]
async fn an_expired_access_token_is_refreshed_when_it_is_used() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    account_of(&alice.execute(DRIVE, "/me").await);
    let before = app.last_access_token();
    assert_eq!(app.provider.ledger().refreshes().len(), 0);

    app.expire_access_tokens();
    assert!(!app.provider.accepts_access_token(&before));
    assert_eq!(alice.status_name(DRIVE).await, "connected", "an expired access token alone does not change the status");
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    assert_ne!(app.last_access_token(), before);
    assert_eq!(app.provider.ledger().refreshes().len(), 1);

    account_of(&alice.execute(DRIVE, "/me").await);
    assert_eq!(app.provider.ledger().refreshes().len(), 1, "the new token is used until it expires");
    app.host.connections.deliver_events().await.unwrap();
    let kinds: Vec<_> = app.host.sink.events().iter().map(|event| event.kind.as_str()).collect();
    assert!(kinds.contains(&"connected") && kinds.contains(&"refreshed"), "{kinds:?}");
}

#[tokio::test]
async fn lesson_19_a_disconnect_deletes_the_tokens_and_revokes_them_at_the_provider() {
    let app = TestApp::new().await;
    let (mut alice, mut bob) = (app.connected("alice", DRIVE).await, app.connected("bob", DRIVE).await);
    account_of(&alice.execute(DRIVE, "/me").await);
    let token = app.last_access_token();

    assert_eq!(alice.disconnect(DRIVE).await.status, 204);
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
    let refused = alice.execute(DRIVE, "/me").await;
    assert_eq!(refused.outcome(), (409, "authorization_required".to_owned()));
    assert!(refused.json()["startUrl"].as_str().unwrap().ends_with("/oauth/start"), "{}", refused.text());

    let ledger = app.provider.until(|ledger| ledger.revocations().len() == 2).await;
    let hints: Vec<_> = ledger.revocations().iter().filter_map(|call| call.param("token_type_hint")).collect();
    assert_eq!(hints, ["refresh_token", "access_token"], "the refresh token is revoked first");
    assert!(!app.provider.accepts_access_token(&token));
    app.host.drain().await;
    assert_eq!(alice.disconnect(DRIVE).await.status, 204, "a second disconnect changes nothing");
    app.host.drain().await;
    assert_eq!(app.provider.ledger().revocations().len(), 2);
    // Bob's grant is not affected.
    assert_eq!(account_of(&bob.execute(DRIVE, "/me").await), "bob@example.test");

    app.connect(&mut alice, DRIVE, "alice").await;
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
}

#[tokio::test]
async fn r50_lesson_19_a_disconnect_does_not_wait_for_an_unavailable_provider_which_is_notified_later() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    app.provider.faults().once(Endpoint::Revocation, Fault::unavailable(60));
    assert_eq!(alice.disconnect(DRIVE).await.status, 204);
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
    // The failure for one kind of token does not prevent the request for the other.
    app.provider.until(|ledger| ledger.revocations().len() == 2).await;
    app.host.drain().await;
    assert_eq!(alice.provider_note(DRIVE).await, "revocation_pending");

    app.host.connections.revoke_due().await.unwrap();
    assert_eq!(app.provider.ledger().revocations().len(), 2, "`Retry-After` is respected");
    app.advance(std::time::Duration::from_secs(61));
    assert_all_revoked(&app).await;
    assert_eq!(alice.provider_note(DRIVE).await, Value::Null, "the provider has confirmed the revocation");
}

#[tokio::test]
async fn r35_a_reconnect_to_another_account_requires_consent_to_the_change() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    let (flow, callback) = app.consent(&mut alice, DRIVE, "bob").await;
    alice.open_callback(&callback).await;
    assert_failed(&mut alice, DRIVE, &flow, "account_mismatch").await;
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test", "the old grant is unchanged");

    let flow = alice.start_with(DRIVE, json!({ "allowAccountChange": true })).await;
    let callback = app.provider.approve(&flow.authorization_url, "bob").await.unwrap();
    alice.open_callback(callback.as_str()).await;
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "bob@example.test");
    app.host.drain().await;
    app.host.connections.revoke_due().await.unwrap();
    let live = app.live_grants();
    assert_eq!(live.len(), 1, "neither the refused nor the superseded tokens are valid: {live:?}");
}

#[tokio::test]
async fn r27_a_reconnect_supersedes_the_old_grant_in_one_step() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    let (_, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    let status = alice.status(DRIVE).await;
    let connection = &status["connection"];
    assert_eq!((status_name(&status).as_str(), &connection["reconnecting"]), ("connected", &json!(true)));
    assert!(connection["pending_flow"]["expires_at"].is_string(), "{status}");
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test", "usable during the reconnect");
    alice.open_callback(&callback).await;
    app.host.connections.revoke_due().await.unwrap();
    let ends: Vec<_> = app.provider.grants().into_iter().map(|grant| grant.ended).collect();
    assert_eq!(ends, [Some(GrantEnd::Revoked), None]);
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
}

#[tokio::test]
async fn r33_with_a_return_url_the_callback_redirects_to_it() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let public = app.deployment.settings.public.clone();
    for return_url in ["/app?tab=2".to_owned(), format!("{public}/app?tab=2")] {
        let flow = alice.start_with(DRIVE, json!({ "returnUrl": return_url })).await;
        let callback = app.provider.approve(&flow.authorization_url, "alice").await.unwrap();
        let response = alice.open_callback(callback.as_str()).await;
        let expected = format!("{public}/app?tab=2&oauth_authorization=success&connector_id=drive&status_code=200");
        assert_eq!((response.status, response.location()), (303, expected.as_str()));
    }
    let flow = alice.start_with(DRIVE, json!({ "returnUrl": "/app" })).await;
    let callback = app.provider.deny(&flow.authorization_url, "alice").await.unwrap();
    let response = alice.open_callback(callback.as_str()).await;
    assert_eq!(query(response.location(), "oauth_authorization").as_deref(), Some("error"));
    assert_eq!(query(response.location(), "error").as_deref(), Some("access_denied"));
    assert_eq!(query(response.location(), "status_code").as_deref(), Some("403"));
    assert_eq!(query(response.location(), "state"), None);

    for url in
        ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/a/../..//evil.example"]
    {
        let refused = alice.try_start(DRIVE, json!({ "returnUrl": url })).await;
        assert_eq!(refused.outcome(), (400, "return_url_refused".to_owned()), "{url}");
    }
}

#[tokio::test]
async fn a_denied_consent_stores_nothing_and_keeps_an_old_grant() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    for before in ["not_connected", "connected"] {
        let flow = alice.start(DRIVE).await;
        let callback = app.provider.deny(&flow.authorization_url, "alice").await.unwrap();
        let exchanges = app.provider.ledger().exchanges().len();
        alice.open_callback(callback.as_str()).await;
        assert_failed(&mut alice, DRIVE, &flow, "access_denied").await;
        assert_eq!(app.provider.ledger().exchanges().len(), exchanges);
        assert_eq!(alice.status_name(DRIVE).await, before);
        if before == "not_connected" {
            app.connect(&mut alice, DRIVE, "alice").await;
        }
    }
}

#[tokio::test]
async fn lesson_06_a_cancelled_flow_cannot_be_completed() {
    let app = TestApp::new().await;
    let (mut alice, mut bob) = (app.browser("alice").await, app.browser("bob").await);
    let cancel = DRIVE.internal("/_oauth_cancel");
    for by_state in [true, false] {
        let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
        let which = if by_state { json!({ "state": flow.state }) } else { json!({ "flowId": flow.id }) };
        assert_eq!(bob.post(&cancel, which.clone()).await.outcome(), (403, "forbidden".to_owned()));
        let calls = callback_calls(&app.provider.ledger());
        assert_eq!(alice.post(&cancel, which.clone()).await.status, 204);
        assert_eq!(alice.post(&cancel, which).await.status, 204, "a second cancellation changes nothing");
        let response = alice.open_callback(&callback).await;
        assert_ne!(response.status, 200, "{}", response.full_text());
        assert_eq!(alice.flow_result(DRIVE, &flow.id).await.0, "cancelled");
        assert_eq!(alice.status_name(DRIVE).await, "not_connected");
        assert_eq!(callback_calls(&app.provider.ledger()), calls);
    }
}

#[tokio::test]
async fn an_unfinished_flow_expires_and_a_newer_one_supersedes_it() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (old, old_callback) = app.consent(&mut alice, DRIVE, "alice").await;
    assert_eq!(alice.status_name(DRIVE).await, "connecting");
    let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    alice.open_callback(&old_callback).await;
    assert_eq!(alice.flow_result(DRIVE, &old.id).await.0, "cancelled");

    app.deployment.clock().advance(std::time::Duration::from_mins(11)).unwrap();
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
    let response = alice.open_callback(&callback).await;
    let page = alice.get(response.location()).await;
    assert_eq!(page.page_code(), "flow_expired", "{}", page.full_text());
    assert_eq!(alice.flow_result(DRIVE, &flow.id).await, ("expired".to_owned(), "flow_expired".to_owned()));
    assert_eq!(callback_calls(&app.provider.ledger()), 0);
    let swept = app.host.connections.sweep(|_| {}).await.unwrap();
    assert_eq!(swept.timed_out, 1);
    assert_eq!(alice.flow_result(DRIVE, &flow.id).await.0, "expired", "the same status after the sweep");
}

#[tokio::test]
async fn lesson_04_unknown_parameters_at_the_callback_are_ignored() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (_, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    let callback = format!("{callback}&scope=x&authuser=0&hd=example.test&prompt=consent&session_state=abc");
    alice.open_callback(&callback).await;
    assert_eq!(alice.status_name(DRIVE).await, "connected");
}

#[tokio::test]
async fn lesson_18_every_route_returns_the_same_status() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    for expected in ["not_connected", "connecting", "connected", "needs_reauthorization"] {
        match expected {
            "connecting" => drop(alice.start(DRIVE).await),
            "connected" => drop(app.connect(&mut alice, DRIVE, "alice").await),
            "needs_reauthorization" => {
                app.provider.withdraw("alice");
                app.expire_access_tokens();
                assert_eq!(alice.execute(DRIVE, "/me").await.code(), "authorization_required");
            }
            _ => {}
        }
        let one = alice.get(&DRIVE.public("")).await.json();
        let all = alice.get("/api/actions/connectors").await.json();
        let mine = alice.status(DRIVE).await;
        for status in [&one, &all[0], &mine] {
            assert_eq!(status_name(status), expected);
            for member in ["user_auth_status", "connection", "connections", "default_connection"] {
                assert_eq!(status[member], mine[member], "{member}");
            }
        }
    }
}

#[tokio::test]
async fn r05_r43_r44_an_agent_acts_for_the_named_user_and_never_connects_one() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    let mut agent = app.anonymous_browser();
    let as_agent = |request: reqwest::RequestBuilder| request.header("authorization", format!("Bearer {AGENT_KEY}"));

    let me = json!({ "method": "GET", "path": "/me" });
    let run = |user: &str, connector: ConnectorPath| {
        let body = json!({ "params": me, "act_as": user });
        as_agent(agent.request(Method::POST, &connector.public("/_execute"))).json(&body)
    };
    let (for_alice, for_bob, other_space) = (run("u_alice", DRIVE), run("u_bob", DRIVE), run("u_alice", MARKETING_DRIVE));
    assert_eq!(account_of(&agent.send(for_alice).await), "alice@example.test");
    assert_eq!(agent.send(for_bob).await.outcome(), (409, "authorization_required".to_owned()));
    assert_eq!(agent.send(other_space).await.outcome(), (404, "not_found".to_owned()));
    let unnamed = as_agent(agent.request(Method::POST, &DRIVE.public("/_execute"))).json(&json!({ "params": me }));
    assert_eq!(agent.send(unnamed).await.outcome(), (400, "invalid_request".to_owned()), "an agent must name a user");

    let token = |destination: String| {
        let body = json!({ "user": "u_alice", "destination": destination });
        as_agent(agent.request(Method::POST, &DRIVE.internal("/_access_token"))).json(&body)
    };
    let (good, bad) = (token(app.provider.url("/api")), token("https://evil.example".to_owned()));
    let issued = agent.send(good).await;
    assert_eq!(issued.header("cache-control"), "no-store");
    assert!(app.provider.accepts_access_token(issued.json()["access_token"].as_str().unwrap()));
    assert_eq!(agent.send(bad).await.outcome(), (403, "destination_refused".to_owned()));

    for path in [DRIVE.internal("/_start_oauth_flow"), DRIVE.internal("/_oauth_disconnect")] {
        let request = as_agent(agent.request(Method::POST, &path)).json(&json!({}));
        assert_eq!(agent.send(request).await.outcome(), (403, "forbidden".to_owned()), "{path}");
    }
    let flow = alice.start(DRIVE).await;
    let callback = app.provider.approve(&flow.authorization_url, "alice").await.unwrap();
    let completing = as_agent(alice.navigation(Method::GET, callback.as_str(), FetchSite::CrossSite));
    let exchanges = app.provider.ledger().exchanges().len();
    agent.send(completing).await;
    assert_eq!(app.provider.ledger().exchanges().len(), exchanges);
}

#[tokio::test]
async fn r45_after_a_disconnect_no_node_issues_a_token() {
    let app = TestApp::new().await;
    let second = app.deployment.host().await.unwrap();
    let mut alice = app.connected("alice", DRIVE).await;
    let mut other_node = alice.at(second.address);
    account_of(&other_node.execute(DRIVE, "/me").await);
    assert_eq!(alice.disconnect(DRIVE).await.status, 204);
    assert_eq!(other_node.execute(DRIVE, "/me").await.code(), "authorization_required");
}

#[tokio::test]
async fn without_a_refresh_token_the_status_reports_the_expired_access_token() {
    let builder = MockProvider::builder().refresh_tokens(grantry_testkit::provider::RefreshTokens::Never);
    let app = TestApp::with(builder, |_| {}).await;
    let mut alice = app.connected("alice", DRIVE).await;
    account_of(&alice.execute(DRIVE, "/me").await);
    app.expire_access_tokens();
    let expired = ("needs_reauthorization".to_owned(), "access_token_expired".to_owned());
    assert_eq!(alice.status_and_reason(DRIVE).await, expired);
    assert_eq!(alice.execute(DRIVE, "/me").await.json()["reason"], "access_token_expired");
}

/// A parameter of a URL's query.
fn query(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

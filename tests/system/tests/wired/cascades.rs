//! Effects on grants: edits and deletions of connectors, users who lose access, and time.

use std::time::Duration;

use grantry_domain::identity::Role;
use grantry_domain::ports::UserStatus;
use grantry_system_tests::paths::{ConnectorPath, Draft};
use grantry_system_tests::test_app::{DRIVE, MARKETING_DRIVE, TestApp, account_of};
use grantry_system_tests::users::{space, user};
use grantry_testkit::provider::{Client, Endpoint, Fault, GrantEnd, MockProvider};
use reqwest::Method;
use serde_json::json;

use crate::assert_all_revoked;

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn lesson_16_an_edit_of_name_secret_or_scope_keeps_all_grants() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    let mut renamed = app.draft().without_secrets();
    renamed.body["name"] = json!("Another name");
    let response = app.edit(DRIVE, &renamed).await;
    assert_eq!((response.status, &response.json()["disconnected_users"]), (200, &json!(0)));
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");

    // The client secret is replaced at the provider and in the connector. The next refresh uses the new one.
    app.provider.register(Client::new("demo", "rotated").redirect_uri(app.deployment.shared_callback()));
    assert_eq!(app.edit(DRIVE, &app.draft().client("demo", "rotated")).await.status, 200);
    app.expire_access_tokens();
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");

    let wider = app.draft().without_secrets().config("scope", "openid files.read offline_access files.write");
    let response = app.edit(DRIVE, &wider).await;
    assert_eq!(response.json()["disconnected_users"], 0, "{}", response.text());
    assert_eq!(response.json()["affected_users"], 0);
    assert_eq!(alice.status_name(DRIVE).await, "connected", "a scope that is only requested blocks nothing");
    assert_eq!(alice.connection(DRIVE).await["missing_scopes"], json!(["files.write"]));
    let response = app.edit(DRIVE, &wider.config("requiredScopes", "files.write")).await;
    assert_eq!((&response.json()["disconnected_users"], &response.json()["affected_users"]), (&json!(0), &json!(1)));
    let insufficient = ("needs_reauthorization".to_owned(), "insufficient_scope".to_owned());
    assert_eq!(alice.status_and_reason(DRIVE).await, insufficient);
    app.edit(DRIVE, &app.draft().without_secrets()).await;
    assert_eq!(alice.status_name(DRIVE).await, "connected", "the grant did not end");
    assert!(app.provider.ledger().revocations().is_empty());
}

#[tokio::test]
async fn r42_r52_lesson_16_a_security_relevant_edit_ends_grants_and_revokes_at_the_old_endpoint() {
    let mut app = TestApp::new().await;
    let other = MockProvider::builder().start().await.unwrap();
    app.allow(other.port()).await;
    let (mut alice, mut bob) = (app.connected("alice", DRIVE).await, app.connected("bob", DRIVE).await);
    let mut marketing = app.connected("alice", MARKETING_DRIVE).await;
    account_of(&alice.execute(DRIVE, "/me").await);

    let edited = Draft::issuer(other.base_url(), &other.url("/api"));
    let refused = app.edit(DRIVE, &edited.clone().without_secrets()).await;
    assert_eq!(refused.outcome(), (400, "invalid_request".to_owned()));
    assert!(refused.json()["detail"].as_str().unwrap().contains("clientSecret"), "the secret must be sent again");
    assert_eq!(alice.status_name(DRIVE).await, "connected");

    let dry = app.browser("carol").await.call(Method::PUT, &DRIVE.public("?dry_run=true"), Some(edited.body.clone())).await;
    assert_eq!(dry.json(), json!({ "disconnected_users": 2, "affected_users": 2 }));
    assert_eq!(alice.status_name(DRIVE).await, "connected", "a dry run changes nothing");

    let response = app.edit(DRIVE, &edited).await;
    assert_eq!((response.status, &response.json()["disconnected_users"]), (200, &json!(2)), "{}", response.text());
    for browser in [&mut alice, &mut bob] {
        let changed = ("needs_reauthorization".to_owned(), "connector_changed".to_owned());
        assert_eq!(browser.status_and_reason(DRIVE).await, changed);
        assert_eq!(browser.execute(DRIVE, "/me").await.json()["reason"], "connector_changed");
    }
    app.host.drain().await;
    app.host.connections.revoke_due().await.unwrap();
    assert_eq!(app.provider.ledger().revocations().len(), 4, "at the endpoint that the users consented to");
    assert!(other.ledger().back_channel().is_empty(), "no token of the old grants reached the new provider");
    assert_eq!(app.live_grants().len(), 1, "the connector with the same id in the other space is not affected");
    assert_eq!(account_of(&marketing.execute(MARKETING_DRIVE, "/me").await), "alice@example.test");
}

#[tokio::test]
async fn r43_r52_an_edit_of_the_base_url_ends_grants_before_a_token_is_sent_there() {
    let mut app = TestApp::new().await;
    let other = MockProvider::builder().start().await.unwrap();
    app.allow(other.port()).await;
    let mut alice = app.connected("alice", DRIVE).await;
    let edited = Draft::issuer(app.provider.base_url(), &other.url("/api"));
    assert_eq!(app.edit(DRIVE, &edited).await.status, 200);
    assert_eq!(alice.execute(DRIVE, "/me").await.json()["reason"], "connector_changed");
    assert!(other.ledger().is_empty());
}

#[tokio::test]
async fn r54_a_connector_that_is_created_again_has_no_old_grants() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    app.delete(DRIVE).await;
    assert_eq!(alice.execute(DRIVE, "/me").await.outcome(), (404, "not_found".to_owned()));
    app.create(DRIVE, &app.draft()).await;
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
    assert_eq!(alice.execute(DRIVE, "/me").await.json()["reason"], "not_connected");
    alice.open_callback(&callback).await;
    assert_eq!(alice.status_name(DRIVE).await, "not_connected", "a flow of the old connector cannot be completed");
    assert_ne!(alice.flow_result(DRIVE, &flow.id).await.0, "authorized");
    assert_all_revoked(&app).await;
}

#[tokio::test]
async fn lesson_20_a_failed_revocation_does_not_block_the_others_of_a_deletion() {
    let app = TestApp::new().await;
    for name in ["alice", "bob"] {
        app.connected(name, DRIVE).await;
    }
    // One of the revocations is refused for good.
    app.provider.faults().once(Endpoint::Revocation, Fault::oauth_error("unsupported_token_type"));
    app.delete(DRIVE).await;
    app.host.drain().await;
    for _ in 0..4 {
        app.advance(Duration::from_hours(2));
        app.host.connections.revoke_due().await.unwrap();
    }
    assert!(app.live_grants().len() <= 1, "{:?}", app.live_grants());
    let swept = app.host.connections.sweep(|_| {}).await.unwrap();
    assert!(!swept.more);
}

#[tokio::test]
async fn r53_a_user_without_access_loses_all_grants_at_the_next_reconciliation() {
    let app = TestApp::new().await;
    let directory = app.deployment.users.directory.clone();
    let (mut alice, mut bob) = (app.connected("alice", DRIVE).await, app.connected("bob", DRIVE).await);
    app.connected("alice", MARKETING_DRIVE).await;

    // No token is issued from now on. The next reconciliation ends and revokes the grants.
    directory.remove_role(&user("bob"), &space("default"));
    assert_eq!(bob.execute(DRIVE, "/me").await.status, 404);
    directory.set_user(&user("alice"), UserStatus::Disabled);
    assert_ne!(alice.execute(DRIVE, "/me").await.status, 200);
    let found = app.host.connections.reconcile().await.unwrap();
    assert_eq!(found.ended, 3);
    assert_all_revoked(&app).await;

    // A user who is enabled again has to connect again.
    directory.set_user(&user("alice"), UserStatus::Active);
    directory.set_role(&user("bob"), &space("default"), Role::Viewer);
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
    app.connect(&mut alice, DRIVE, "alice").await;
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");

    // While the directory is unavailable, no grant ends and no access is allowed.
    directory.set_unavailable(true);
    let found = app.host.connections.reconcile().await.unwrap();
    assert_eq!((found.ended, found.unanswered), (0, found.checked));
    assert_ne!(alice.execute(DRIVE, "/me").await.status, 200);
    directory.set_unavailable(false);
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
}

#[tokio::test]
async fn r55_lesson_30_a_grant_is_revoked_after_ninety_days_without_use() {
    let app = TestApp::new().await;
    let (mut alice, bob) = (app.connected("alice", DRIVE).await, app.connected("bob", DRIVE).await);
    drop(bob);
    for day in 1..=91 {
        app.advance(DAY);
        if day % 10 == 0 {
            alice.log_in("alice").await;
            assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
            app.host.connections.flush_audit().await.unwrap();
        }
        let swept = app.host.connections.sweep(|_| {}).await.unwrap();
        if day < 90 {
            assert_eq!(swept.unused, 0, "day {day}");
        }
    }
    app.host.drain().await;
    app.host.connections.revoke_due().await.unwrap();
    let users: Vec<_> = app.live_grants().into_iter().filter_map(|grant| grant.username).collect();
    assert_eq!(users, ["alice"]);
    let mut bob = app.browser("bob").await;
    assert_eq!(bob.status_name(DRIVE).await, "not_connected");
}

#[tokio::test]
async fn lesson_17_a_created_connector_can_be_saved_again_unchanged() {
    let app = TestApp::new().await;
    let drafts = [
        app.draft(),
        Draft::with_endpoints(app.provider.base_url()),
        Draft::with_endpoints(app.provider.base_url())
            .config("extraAuthorizationParameters", json!({ "prompt": "consent" }))
            .config("clientAuth", "post")
            .config("scopeSeparator", ",")
            .config("destinations", json!([app.provider.base_url()])),
    ];
    for (index, draft) in drafts.into_iter().enumerate() {
        let connector = ConnectorPath::of(["one", "two", "three"][index]);
        let created = app.create(connector, &draft).await;
        let same = json!({
            "name": created["name"], "connector_type_id": created["connector_type_id"],
            "auth_mode": created["auth_mode"], "config": created["config"], "revision": created["revision"],
        });
        let response = app.browser("carol").await.call(Method::PUT, &connector.public(""), Some(same)).await;
        assert_eq!(response.status, 200, "{}", response.text());
        let saved = response.json();
        for member in ["config", "redirect_uri", "name", "is_missing_secrets", "created_at"] {
            assert_eq!(saved[member], created[member], "{member}");
        }
        assert_eq!(saved["is_missing_secrets"], false);
        let stale = json!({ "name": "x", "config": created["config"], "revision": created["revision"] });
        let response = app.browser("carol").await.call(Method::PUT, &connector.public(""), Some(stale)).await;
        assert_eq!(response.outcome(), (409, "conflict".to_owned()));
    }
}

#[tokio::test]
async fn lesson_23_a_shared_connector_uses_no_grant_and_a_grant_is_never_shared() {
    let app = TestApp::new().await;
    let connector = ConnectorPath::of("service");
    let mut draft = Draft::with_endpoints(app.provider.base_url());
    draft.body["auth_mode"] = json!("shared");
    app.create(connector, &draft).await;
    let mut alice = app.connected("alice", DRIVE).await;
    assert_eq!(alice.status_name(connector).await, "not_applicable");
    assert_eq!(alice.try_start(connector, json!({})).await.status, 400);
    let response = alice.execute(connector, "/me").await;
    assert_eq!(response.json()["data"]["body"]["user"], json!(null), "the client's account: {}", response.text());
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    let mut bob = app.browser("bob").await;
    assert_eq!(bob.execute(DRIVE, "/me").await.code(), "authorization_required", "there is no fallback to another token");
    let ledger = app.provider.ledger();
    assert_eq!(ledger.token_requests("client_credentials").len(), 1);
}

#[tokio::test]
async fn r66_r70_lesson_25_a_host_that_is_not_allowed_any_more_gets_no_request() {
    let mut app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    let (flow, callback) = app.consent(&mut alice, MARKETING_DRIVE, "alice").await;
    // The operator removes the provider from the allowed hosts and restarts the node.
    let allowed = std::mem::take(&mut app.deployment.settings.egress);
    app.restart().await;
    alice.move_to(app.host.address);
    app.provider.clear_ledger();
    assert_ne!(alice.try_start(DRIVE, json!({})).await.status, 200, "at start");
    alice.open_callback(&callback).await;
    assert_eq!(alice.flow_result(MARKETING_DRIVE, &flow.id).await.0, "failed", "at the exchange");
    assert_ne!(alice.execute(DRIVE, "/me").await.status, 200, "at the API");
    app.expire_access_tokens();
    assert_ne!(alice.execute(DRIVE, "/me").await.status, 200, "at a refresh");
    assert_eq!(alice.disconnect(DRIVE).await.status, 204);
    app.host.drain().await;
    assert!(app.provider.ledger().is_empty(), "at the revocation");

    // The provider is allowed again, and the pending revocations complete.
    app.deployment.settings.egress = allowed;
    app.restart().await;
    app.advance(Duration::from_mins(20));
    app.host.connections.revoke_due().await.unwrap();
    assert_eq!(app.provider.grants()[0].ended, Some(GrantEnd::Revoked));
}

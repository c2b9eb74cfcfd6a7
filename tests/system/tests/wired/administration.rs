//! What administrators do with users and grants, over real sockets.

use grantry_system_tests::browser::{Browser, Response};
use grantry_system_tests::test_app::{DRIVE, MARKETING_DRIVE, TestApp};
use reqwest::Method;
use serde_json::{Value, json};

use crate::assert_all_revoked;

const USERS: &str = "/internal/actions/users";
const GRANTS: &str = "/internal/actions/grants";

async fn deprovision(admin: &mut Browser, user: &str) -> Response {
    admin.call(Method::DELETE, &format!("{USERS}/{user}/grants"), None).await
}

async fn row_of(admin: &mut Browser, user: &str) -> Value {
    admin.get(&format!("{GRANTS}?user={user}")).await.json()["grants"][0].clone()
}

#[tokio::test]
async fn r53_a_deprovisioned_user_does_not_reach_the_provider_until_reinstated() {
    let app = TestApp::new().await;
    let mut bob = app.connected("bob", DRIVE).await;
    app.connected("bob", MARKETING_DRIVE).await;
    let mut carol = app.browser("carol").await;
    let details = carol.get(&format!("{USERS}/u_bob")).await.json();
    assert_eq!((&details["grants"], &details["former_grants"], &details["flows"]), (&json!(2), &json!(0), &json!(0)));
    let spaces: Vec<_> = details["connections"].as_array().unwrap().iter().map(|open| open["space_id"].clone()).collect();
    assert_eq!(spaces, ["default", "marketing"]);
    assert_eq!(details["connections"][0]["account"], "bob@example.test");
    assert_eq!(deprovision(&mut carol, "u_bob").await.json(), json!({"revoked": 2, "queued": 2}));
    assert_all_revoked(&app).await;

    app.provider.clear_ledger();
    let refused = bob.post(&DRIVE.internal("/_start_oauth_flow"), json!({})).await;
    assert_eq!(refused.outcome(), (403, "user_deprovisioned".to_owned()));
    for path in [DRIVE.public("/oauth/start"), DRIVE.in_space("/connect/drive")] {
        let page = bob.get(&path).await;
        assert_eq!((page.status, page.page_code().as_str()), (403, "user_deprovisioned"), "{path}");
        assert!(page.text().contains("An administrator removed your access"), "{path}");
    }
    assert!(app.provider.ledger().is_empty(), "no request reaches the provider");

    let listed = carol.get(USERS).await.json();
    let bob_listed = listed.as_array().unwrap().iter().find(|user| user["id"] == "u_bob").cloned().unwrap();
    assert!(bob_listed["deprovisioned_at"].is_string(), "{bob_listed}");
    assert_eq!(carol.post(&format!("{USERS}/u_bob/_reinstate"), json!({})).await.status, 204);
    let response = app.connect(&mut bob, DRIVE, "bob").await;
    assert_eq!(response.status, 303, "{}", response.full_text());
    assert_eq!(bob.status_name(DRIVE).await, "connected");
}

#[tokio::test]
async fn an_unknown_user_is_not_found_and_can_connect_later() {
    let app = TestApp::new().await;
    let mut carol = app.browser("carol").await;
    for id in ["dave", "u_dvae", "u_DAVE"] {
        assert_eq!(deprovision(&mut carol, id).await.outcome(), (404, "not_found".to_owned()), "{id}");
    }
    assert_eq!(deprovision(&mut carol, "u_alice").await.json(), json!({"revoked": 0, "queued": 0}));
    let mut dave = app.browser("dave").await;
    app.connect(&mut dave, DRIVE, "alice").await;
    assert_eq!(dave.status_name(DRIVE).await, "connected");
}

#[tokio::test]
async fn ended_rows_report_who_ended_them_and_a_grant_that_needs_consent_is_revoked() {
    let app = TestApp::new().await;
    let mut carol = app.browser("carol").await;
    let mut bob = app.connected("bob", DRIVE).await;
    assert_eq!(row_of(&mut carol, "u_bob").await.get("endedBy"), None);
    bob.disconnect(DRIVE).await;
    let row = row_of(&mut carol, "u_bob").await;
    assert_eq!(
        (&row["endedBy"], &row["reason"], &row["status"]),
        (&json!("u_bob"), &json!("disconnected"), &json!("not_connected"))
    );

    let mut alice = app.connected("alice", DRIVE).await;
    let grant = row_of(&mut carol, "u_alice").await["grantId"].as_str().unwrap().to_owned();
    assert_eq!(carol.call(Method::DELETE, &format!("{GRANTS}/{grant}"), None).await.status, 204);
    let row = row_of(&mut carol, "u_alice").await;
    assert_eq!((&row["endedBy"], &row["status"]), (&json!("u_carol"), &json!("revoked")), "{row}");
    assert!(row["endedAt"].is_string(), "{row}");
    assert_eq!(alice.status_name(DRIVE).await, "needs_reauthorization");
    assert_all_revoked(&app).await;

    // The provider ends a grant.
    app.connect(&mut alice, DRIVE, "alice").await;
    app.provider.withdraw("alice");
    app.expire_access_tokens();
    alice.execute(DRIVE, "/me").await;
    let row = row_of(&mut carol, "u_alice").await;
    assert_eq!((&row["endedBy"], &row["reason"]), (&json!("system"), &json!("refresh_rejected")), "{row}");
    assert_eq!((&row["status"], &row["revocable"]), (&json!("needs_reauthorization"), &json!(false)), "{row}");
}

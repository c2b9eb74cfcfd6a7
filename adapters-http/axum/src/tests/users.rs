//! Users, for administrators of every space.

use http::StatusCode;
use serde_json::json;

use super::test_app::TestApp;

const USERS: &str = "/internal/actions/users";
const START: &str = "/internal/actions/connector/drive/_start_oauth_flow";

#[tokio::test]
async fn only_an_admin_of_every_space_lists_deprovisions_and_reinstates() {
    let app = TestApp::with_drive().await;
    let mut bob = app.connected("bob", "drive").await;
    let (user, grants) = (format!("{USERS}/u_bob"), format!("{USERS}/u_bob/grants"));
    let reinstate = format!("{USERS}/u_bob/_reinstate");
    // Dave is an admin of one space, without access to the other.
    for (name, code) in [("alice", "forbidden"), ("bob", "forbidden"), ("dave", "not_found")] {
        let mut browser = app.signed_in(name).await;
        assert_eq!(browser.get(USERS).await.code(), code, "{name}");
        assert_eq!(browser.get(&user).await.code(), code, "{name}");
        assert_eq!(browser.delete(&grants).await.code(), code, "{name}");
        assert_eq!(browser.post_empty(&reinstate).await.code(), code, "{name}");
    }
    let mut carol = app.signed_in("carol").await;
    assert_eq!(
        carol.get(&user).await.json(),
        json!({
            "id": "u_bob", "disabled": false, "grants": 1, "former_grants": 0, "flows": 0,
            "connections": [{"space_id": "default", "connector_id": "drive", "connector_name": "Connector drive",
                "connection": "default", "state": "grant"}]
        })
    );
    assert_eq!(carol.delete(&grants).await.json(), json!({"revoked": 1, "queued": 1}));
    assert_eq!(carol.delete(&grants).await.json(), json!({"revoked": 0, "queued": 0}));
    app.tasks.finished().await;
    let listed = carol.get(USERS).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 4);
    assert_eq!(listed[0], json!({"id": "u_alice", "disabled": false}));
    assert!(listed[1]["deprovisioned_at"].is_string(), "{listed}");
    let status = bob.post_empty("/internal/actions/connectors/_me/auth_status").await.json();
    assert_eq!(status["drive"]["user_auth_status"], "not_connected");
    let row = carol.get("/internal/actions/grants").await.json()["grants"][0].clone();
    assert_eq!((&row["reason"], &row["endedBy"]), (&json!("user_removed"), &json!("u_carol")));
    for _ in 0..2 {
        assert_eq!(carol.post_empty(&reinstate).await.status, StatusCode::NO_CONTENT);
    }
    assert_eq!(carol.get(USERS).await.json()[1], json!({"id": "u_bob", "disabled": false}));
}

#[tokio::test]
async fn an_unknown_user_is_not_found_and_not_reserved() {
    let app = TestApp::with_drive().await;
    let mut carol = app.signed_in("carol").await;
    for id in ["u_bbo", "bob", "u_BOB", "u_bob%20"] {
        assert_eq!(carol.delete(&format!("{USERS}/{id}/grants")).await.code(), "not_found", "{id}");
        assert_eq!(carol.get(&format!("{USERS}/{id}")).await.code(), "not_found", "{id}");
        assert_eq!(carol.post_empty(&format!("{USERS}/{id}/_reinstate")).await.code(), "not_found", "{id}");
    }
    let listed = carol.get(USERS).await.json();
    assert!(listed.as_array().unwrap().iter().all(|user| user.get("deprovisioned_at").is_none()), "{listed}");
}

#[tokio::test]
async fn a_deprovisioned_user_is_refused_before_the_provider_with_the_reason() {
    let app = TestApp::with_drive().await;
    let mut bob = app.signed_in("bob").await;
    let waiting = bob.start("drive").await;
    app.signed_in("carol").await.delete(&format!("{USERS}/u_bob/grants")).await;
    let calls = app.provider.calls().len();
    let refused = bob.post(START, &json!({})).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "user_deprovisioned"));
    for path in [
        "/api/actions/connector/drive/oauth/start".to_owned(),
        "/connect/drive".to_owned(),
        format!("/connect/drive?flow={}", waiting.id),
    ] {
        let page = bob.get(&path).await;
        assert_eq!((page.status, page.location()), (StatusCode::FORBIDDEN, ""), "{path}");
        assert!(page.body.contains("An administrator removed your access"), "{path}: {}", page.body);
        assert!(page.body.contains("user_deprovisioned"), "{path}");
    }
    let flow = bob.get(&format!("/internal/actions/oauth_flow/{}", waiting.id)).await.json();
    assert_eq!((&flow["status"], &flow["code"]), (&json!("failed"), &json!("user_deprovisioned")));
    let late = bob.finish(&waiting).await;
    let page = bob.get(late.location().strip_prefix(super::test_app::BASE).unwrap()).await;
    assert!(page.body.contains("user_deprovisioned"), "{}", page.body);
    assert_eq!(app.provider.calls().len(), calls, "no request to the provider");
    app.signed_in("carol").await.post_empty(&format!("{USERS}/u_bob/_reinstate")).await;
    assert_eq!(bob.post(START, &json!({})).await.status, StatusCode::OK);
}

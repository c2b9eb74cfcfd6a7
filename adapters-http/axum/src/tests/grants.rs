//! Grants of all users, for administrators.

use http::StatusCode;
use serde_json::json;

use super::test_app::TestApp;

const GRANTS: &str = "/internal/actions/grants";

#[tokio::test]
async fn an_admin_lists_and_revokes_and_never_sees_a_token() {
    let app = TestApp::new();
    app.connector("default", "drive", ".example").await;
    app.connector("marketing", "drive", ".example").await;
    let mut bob = app.connected("bob", "drive").await;
    app.connected("alice", "drive").await;
    let mut carol = app.signed_in("carol").await;
    let page = carol.get(GRANTS).await;
    insta::assert_json_snapshot!("grants", page.json(), { ".grants[].grantId" => "[grant]" });
    assert!(!page.body.contains("access-") && !page.body.contains("refresh-"));
    for (query, count) in [
        ("user=u_bob", 1),
        ("user=u_unknown", 0),
        ("connector=drive", 2),
        ("connector=other", 0),
        ("status=connected", 2),
        ("status=not_connected", 0),
    ] {
        let page = carol.get(&format!("{GRANTS}?{query}")).await.json();
        assert_eq!(page["grants"].as_array().unwrap().len(), count, "{query}");
    }
    for query in ["status=odd", "cursor=odd", "connector=a%2Fb", "odd=1"] {
        assert_eq!(carol.get(&format!("{GRANTS}?{query}")).await.code(), "invalid_request", "{query}");
    }
    assert_eq!(carol.get(&format!("/s/marketing{GRANTS}")).await.json(), json!({"grants": []}));

    let grant = carol.get(&format!("{GRANTS}?user=u_bob")).await.json()["grants"][0]["grantId"].as_str().unwrap().to_owned();
    let path = format!("{GRANTS}/{grant}");
    assert_eq!(bob.delete(&path).await.code(), "forbidden");
    assert_eq!(carol.delete(&format!("/s/marketing{path}")).await.code(), "not_found", "another space's grant");
    assert_eq!(carol.delete(&format!("{GRANTS}/{}", "A".repeat(32))).await.code(), "not_found");
    assert_eq!(carol.delete(&path).await.status, StatusCode::NO_CONTENT);
    let status = bob.post_empty("/internal/actions/connectors/_me/auth_status").await.json();
    assert_eq!(
        (&status["drive"]["connection"]["status"], &status["drive"]["connection"]["reason"]),
        (&json!("needs_reauthorization"), &json!("admin"))
    );
    for (status, count) in [("connected", 1), ("needs_reauthorization", 1), ("not_connected", 0)] {
        let page = carol.get(&format!("{GRANTS}?status={status}")).await.json();
        assert_eq!(page["grants"].as_array().unwrap().len(), count, "{status}");
    }
    let listed = carol.get(&format!("{GRANTS}?user=u_bob")).await.json();
    assert_eq!(
        (&listed["grants"][0]["status"], &listed["grants"][0]["reason"]),
        (&json!("needs_reauthorization"), &json!("admin"))
    );
}

#[tokio::test]
async fn deprovisioning_requires_an_admin_of_every_space() {
    let app = TestApp::new();
    app.connector("default", "drive", ".example").await;
    let mut bob = app.connected("bob", "drive").await;
    let path = "/internal/actions/users/u_bob/grants";
    for name in ["alice", "bob"] {
        assert_eq!(app.signed_in(name).await.delete(path).await.code(), "forbidden", "{name}");
    }
    // An admin of one space without access to the other.
    assert_eq!(app.signed_in("dave").await.delete(path).await.code(), "not_found");
    let done = app.signed_in("carol").await.delete(path).await;
    assert_eq!(done.json(), json!({"revoked": 1, "queued": 1}));
    assert_eq!(app.signed_in("carol").await.delete(path).await.json(), json!({"revoked": 0, "queued": 0}));
    app.tasks.finished().await;
    let status = bob.post_empty("/internal/actions/connectors/_me/auth_status").await.json();
    assert_eq!(status["drive"]["user_auth_status"], "not_connected");
}

#[tokio::test]
async fn grants_are_listed_in_pages() {
    let app = TestApp::new();
    for n in 0..52 {
        app.connector("default", &format!("c{n}"), ".example").await;
    }
    let mut bob = app.signed_in("bob").await;
    for n in 0..52 {
        app.clock.advance(std::time::Duration::from_millis(3));
        let flow = bob.start(&format!("c{n}")).await;
        bob.finish(&flow).await;
    }
    let mut carol = app.signed_in("carol").await;
    let first = carol.get(GRANTS).await.json();
    let second = carol.get(&format!("{GRANTS}?cursor={}", first["nextCursor"].as_str().unwrap())).await.json();
    let ids = |page: &serde_json::Value| {
        page["grants"]
            .as_array()
            .unwrap()
            .iter()
            .map(|grant| grant["connectorId"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let all: std::collections::BTreeSet<String> = ids(&first).into_iter().chain(ids(&second)).collect();
    assert_eq!((ids(&first).len(), all.len(), second.get("nextCursor")), (50, 52, None));
}

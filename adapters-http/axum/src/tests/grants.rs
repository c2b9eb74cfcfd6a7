//! Grants of all users, for administrators.

use http::StatusCode;
use serde_json::json;

use super::test_app::TestApp;

const GRANTS: &str = "/internal/actions/grants";

#[tokio::test]
async fn an_admin_lists_and_revokes_and_never_sees_a_token() {
    let app = TestApp::with_drive().await;
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
    for (status, count) in [("connected", 1), ("revoked", 1), ("needs_reauthorization", 0), ("not_connected", 0)] {
        let page = carol.get(&format!("{GRANTS}?status={status}")).await.json();
        assert_eq!(page["grants"].as_array().unwrap().len(), count, "{status}");
    }
    let listed = carol.get(&format!("{GRANTS}?user=u_bob")).await.json();
    assert_eq!(
        (&listed["grants"][0]["status"], &listed["grants"][0]["reason"], &listed["grants"][0]["endedBy"]),
        (&json!("revoked"), &json!("admin"), &json!("u_carol"))
    );
    assert!(listed["grants"][0]["endedAt"].is_string());
    app.tasks.finished().await;
    let listed = carol.get(&format!("{GRANTS}?user=u_bob")).await.json();
    assert_eq!(listed["grants"][0]["revocable"], false, "its tokens are revoked");
}

#[tokio::test]
async fn a_live_grant_that_needs_consent_is_revoked_and_an_expired_one_ended_by_the_system() {
    let app = TestApp::with_drive().await;
    app.connected("bob", "drive").await;
    let mut carol = app.signed_in("carol").await;
    let scopes = grantry_domain::provider::Scopes::new(["read", "write", "admin"]);
    app.profiles.set("{}", move |settings| settings.required_scopes = scopes.clone());
    let row = carol.get(GRANTS).await.json()["grants"][0].clone();
    assert_eq!((&row["status"], &row["revocable"]), (&json!("needs_reauthorization"), &json!(true)), "{row}");
    assert_eq!((row.get("endedBy"), row.get("endedAt")), (None, None), "{row}");
    let path = format!("{GRANTS}/{}", row["grantId"].as_str().unwrap());
    assert_eq!(carol.delete(&path).await.status, StatusCode::NO_CONTENT);
    let row = carol.get(GRANTS).await.json()["grants"][0].clone();
    assert_eq!((&row["status"], &row["endedBy"]), (&json!("revoked"), &json!("u_carol")), "{row}");

    app.profiles.set("{}", |settings| settings.required_scopes = grantry_domain::provider::Scopes::default());
    let unrefreshable = grantry_testkit::doubles::tokens("access-9", None);
    app.provider.respond_to_exchange(Ok(unrefreshable));
    app.connected("alice", "drive").await;
    app.clock.advance(std::time::Duration::from_hours(2));
    app.connections.sweep(|_| {}).await.unwrap();
    let mut carol = app.signed_in("carol").await;
    let row = carol.get(&format!("{GRANTS}?user=u_alice")).await.json()["grants"][0].clone();
    assert_eq!((&row["status"], &row["endedBy"]), (&json!("needs_reauthorization"), &json!("system")), "{row}");
    assert_eq!((&row["reason"], &row["revocable"]), (&json!("access_token_expired"), &json!(false)), "{row}");
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

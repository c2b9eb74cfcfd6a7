//! Starting, launching, watching and cancelling a flow.

use std::time::Duration;

use grantry_domain::secret::Secret;
use grantry_testkit::doubles::Operation;
use http::{Method, StatusCode};
use serde_json::json;

use super::test_app::{BASE, Headers, TestApp};

const SUCCESS: &str = "oauth_authorization=success&connector_id=drive&status_code=200";
const START: &str = "/internal/actions/connector/drive/_start_oauth_flow";

#[tokio::test]
async fn a_flow_from_click_to_result() {
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
    let response = alice.post(START, &json!({})).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.body);
    let body = response.json();
    let flow = body["flowId"].as_str().unwrap().to_owned();
    insta::assert_json_snapshot!("started_flow", body, {
        ".authorizationUrl" => "[url]", ".state" => "[state]", ".flowId" => "[flow]"
    });
    assert!(body["authorizationUrl"].as_str().unwrap().starts_with("https://as.example/authorize?state="));

    let response = alice.get(&format!("/internal/actions/oauth_flow/{flow}")).await;
    insta::assert_json_snapshot!("awaiting_flow", response.json(), { ".flowId" => "[flow]" });

    let response = alice.callback(&format!("code=CODE-CANARY&state={}", body["state"].as_str().unwrap())).await;
    assert_eq!(response.status, StatusCode::SEE_OTHER);
    assert_eq!(response.location(), format!("{BASE}/api/actions/connector/_oauth_callback_result/{flow}"));
    let response = alice.get(&format!("/api/actions/connector/_oauth_callback_result/{flow}")).await;
    assert_eq!(response.status, StatusCode::OK);
    assert!(response.body.contains("Your account is connected."), "{}", response.body);

    let response = alice.get(&format!("/internal/actions/oauth_flow/{flow}")).await;
    assert_eq!(response.json()["status"], "authorized");
    let statuses = alice.post_empty("/internal/actions/connectors/_me/auth_status").await;
    assert_eq!(statuses.json()["drive"]["user_auth_status"], "connected");
}

#[tokio::test]
async fn r03_start_sets_the_flow_cookie_which_outlives_the_flow_by_an_hour() {
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
    let response = alice.post(START, &json!({})).await;
    let flow = response.json()["flowId"].as_str().unwrap().to_owned();
    let cookie = response.set_cookies.iter().find(|cookie| cookie.starts_with("grantry_flow_")).unwrap();
    let (name, attributes) = cookie.split_once('=').unwrap();
    let (value, attributes) = attributes.split_once("; ").unwrap();
    assert_eq!(name, format!("grantry_flow_8080_{flow}"));
    assert_eq!(value.len(), 43, "32 random bytes");
    assert_eq!(attributes, "Path=/; Max-Age=4200; HttpOnly; SameSite=Lax");
    assert!(!response.body.contains(value), "scripts never see it");
}

#[tokio::test]
async fn r04_only_a_json_post_starts_a_flow() {
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
    let json = ("content-type", "application/json");
    let same = ("sec-fetch-site", "same-origin");
    let attempts: [(Method, Headers, Option<&str>, u16); 9] = [
        (Method::GET, &[], None, 405),
        (Method::HEAD, &[], None, 405),
        (Method::POST, &[json, ("sec-fetch-site", "cross-site")], Some("{}"), 403),
        (Method::POST, &[json, ("sec-fetch-site", "same-site")], Some("{}"), 403),
        (Method::POST, &[json, ("origin", "https://evil.example")], Some("{}"), 403),
        (Method::POST, &[("content-type", "application/x-www-form-urlencoded"), same], Some("returnUrl=/"), 415),
        (Method::POST, &[("content-type", "text/plain"), same], Some("{}"), 415),
        (Method::POST, &[same], Some("{}"), 415),
        (Method::POST, &[same], None, 415),
    ];
    for (method, headers, body, expected) in attempts {
        let response = alice.send(method.clone(), START, headers, body.map(str::to_owned)).await;
        assert_eq!(response.status.as_u16(), expected, "{method} {headers:?}");
    }
    for path in ["/api/actions/connector/drive/oauth/start", "/connect/drive"] {
        for purpose in ["", "prefetch;prerender"] {
            let response = alice.also("sec-purpose", purpose).get(path).await;
            assert_eq!(response.status, StatusCode::OK, "{path}");
        }
    }
    assert_eq!(app.provider.count(Operation::Resolve), 0, "no flow was started");
    assert_eq!(alice.post(START, &json!({})).await.status, StatusCode::OK);
    assert_eq!(app.provider.count(Operation::Resolve), 1);
}

#[tokio::test]
async fn r05_agents_never_start_or_finish_a_flow() {
    let app = TestApp::with_drive().await;
    let mut agent = app.browser().also("authorization", "Bearer gak_fetcher");
    assert_eq!(agent.post(START, &json!({})).await.code(), "forbidden");
    assert_eq!(agent.callback("code=c&state=s").await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        agent.post("/internal/actions/connector/drive/_oauth_cancel", &json!({"state": "x"})).await.code(),
        "forbidden"
    );
    assert_eq!(agent.post_empty("/internal/actions/connector/drive/_oauth_disconnect").await.code(), "forbidden");
    assert_eq!(app.provider.calls().len(), 0);
}

#[tokio::test]
async fn r17_the_launch_page_redirects_only_the_user_and_browser_of_the_flow() {
    let app = TestApp::with_drive().await;
    let (mut alice, mut bob) = (app.signed_in("alice").await, app.signed_in("bob").await);
    let mut elsewhere = app.signed_in("alice").await;
    let flow = alice.start("drive").await;
    let path = format!("/connect/drive?flow={}", flow.id);
    let there = alice.get(&path).await;
    assert_eq!(there.status, StatusCode::SEE_OTHER);
    assert!(there.location().starts_with("https://as.example/authorize?state="));
    assert!(there.location().contains(&flow.state));

    let refused = [
        (bob.get(&path).await, 404),
        (elsewhere.get(&path).await, 403),
        (alice.get(&format!("/s/marketing{path}")).await, 404),
        (alice.get("/connect/drive?flow=nonsense").await, 404),
        (alice.get(&format!("{path}&flow={}", flow.id)).await, 400),
    ];
    for (position, (response, status)) in refused.iter().enumerate() {
        assert_eq!((response.status.as_u16(), response.location()), (*status, ""), "case {position}");
        assert!(!response.body.contains(&flow.state));
    }
    let response = app.browser().get(&path).await;
    assert_eq!(
        response.location(),
        format!("{BASE}/login?next=%2Fconnect%2Fdrive"),
        "the log-in URL does not contain the flow"
    );

    alice.finish(&flow).await;
    assert_eq!(alice.get(&path).await.location(), "", "a finished flow does not redirect");
}

#[tokio::test]
async fn r63_an_authorization_url_that_is_not_https_is_refused() {
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
    for url in ["javascript:alert(1)", "http://as.example/authorize", "data:text/html,x", ""] {
        app.provider.respond_to_authorization_url(Ok(Secret::from_text(url)));
        let response = alice.post(START, &json!({})).await;
        assert_eq!((response.code().as_str(), response.set_cookies.len()), ("provider_misconfigured", 0), "{url}");
        let flow = alice.start("drive").await;
        app.provider.respond_to_authorization_url(Ok(Secret::from_text(url)));
        let response = alice.get(&format!("/connect/drive?flow={}", flow.id)).await;
        assert_eq!((response.status, response.location()), (StatusCode::BAD_GATEWAY, ""), "{url}");
    }
}

#[tokio::test]
async fn r33_a_return_url_must_be_on_this_origin() {
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
    for refused in
        ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/a/../..//evil.example", ""]
    {
        let response = alice.post(START, &json!({"returnUrl": refused})).await;
        assert_eq!((response.status.as_u16(), response.code().as_str()), (400, "return_url_refused"), "{refused}");
    }
    assert_eq!(app.provider.calls().len(), 0);
    let flow = alice.start_at(START, &json!({"returnUrl": format!("{BASE}/app/x?tab=1#/list")})).await;
    let response = alice.finish(&flow).await;
    assert_eq!(response.location(), format!("{BASE}/app/x?tab=1&{SUCCESS}#/list"));
    let flow = alice.start_at(START, &json!({"returnUrl": "/app#/connectors?tab=1"})).await;
    assert_eq!(alice.finish(&flow).await.location(), format!("{BASE}/app?{SUCCESS}#/connectors?tab=1"));
    // The result of a failure contains a code and no text of the provider.
    let flow = alice.start_at(START, &json!({"returnUrl": "/app"})).await;
    let response = alice.callback(&format!("error=access_denied&error_description=%3Cb%3E&state={}", flow.state)).await;
    let expected = "/app?oauth_authorization=error&connector_id=drive&error=access_denied&status_code=403";
    assert_eq!(response.location(), format!("{BASE}{expected}"));
}

#[tokio::test]
async fn r34_the_flow_cookie_is_removed_after_the_callback_and_at_log_out() {
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
    let flow_cookies =
        |browser: &super::test_app::Browser| browser.cookies.keys().filter(|name| name.starts_with("grantry_flow_")).count();

    let flow = alice.start("drive").await;
    assert_eq!(flow_cookies(&alice), 1);
    alice.finish(&flow).await;
    assert_eq!(flow_cookies(&alice), 0, "success");

    let flow = alice.start("drive").await;
    alice.callback(&format!("error=server_error&state={}", flow.state)).await;
    assert_eq!(flow_cookies(&alice), 0, "failure");

    for by_state in [false, true] {
        let flow = alice.start("drive").await;
        let body = if by_state { json!({"state": flow.state}) } else { json!({"flowId": flow.id}) };
        assert_eq!(flow_cookies(&alice), 1);
        alice.post("/internal/actions/connector/drive/_oauth_cancel", &body).await;
        assert_eq!(flow_cookies(&alice), 0, "cancel {body}");
    }

    alice.start("drive").await;
    alice.delete("/api/session").await;
    let left: Vec<_> = alice.cookies.keys().collect();
    assert_eq!(left, ["grantry_device_8080"], "log-out: the browser stays known");
}

#[tokio::test]
async fn a_late_callback_shows_how_the_flow_ended_and_links_to_the_connectors() {
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
    let cancelled = alice.start("drive").await;
    alice.post("/internal/actions/connector/drive/_oauth_cancel", &json!({"flowId": cancelled.id})).await;
    let replaced = alice.start("drive").await;
    let expired = alice.start("drive").await;
    app.clock.advance(Duration::from_mins(11));
    let cases = [
        (&cancelled, "<h1>Cancelled</h1>"),
        (&replaced, "<h1>Cancelled</h1>"),
        (&expired, "<h1>This attempt has expired</h1>"),
    ];
    for swept in [false, true] {
        for (flow, heading) in cases {
            for attempt in ["first", "repeated"] {
                let response = alice.finish(flow).await;
                let page_of_flow = format!("{BASE}/api/actions/connector/_oauth_callback_result/{}", flow.id);
                // Only an expired flow fails by this callback.
                let id = format!("?correlation_id={}", response.header("x-correlation-id"));
                let query = if flow.id == expired.id { id.as_str() } else { "" };
                assert_eq!(response.location(), format!("{page_of_flow}{query}"));
                let page = alice.get(response.location().strip_prefix(BASE).unwrap()).await;
                assert!(page.body.contains(heading), "{attempt}, swept: {swept}: {}", page.body);
                let back = format!("href=\"{BASE}/api/actions/connector/drive/oauth/start\"");
                assert!(page.body.contains(&back), "{attempt}, swept: {swept}: {}", page.body);
            }
        }
        app.connections.sweep(|_| {}).await.unwrap();
    }
    // The user is checked first, also of a flow that has ended. Without its cookie, an ended flow has nothing left to protect.
    let (mut elsewhere, mut bob) = (app.signed_in("alice").await, app.signed_in("bob").await);
    for flow in [&cancelled, &replaced, &expired] {
        assert!(elsewhere.finish(flow).await.location().ends_with(&format!("/{}", flow.id)));
        assert!(bob.finish(flow).await.location().contains("/user_mismatch?"));
    }
    assert_eq!(app.provider.count(Operation::Exchange), 0);
}

#[tokio::test]
async fn r34_a_browser_holds_a_bounded_number_of_flow_cookies() {
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
    for _ in 0..24 {
        app.clock.advance(Duration::from_millis(5));
        alice.start("drive").await;
    }
    assert_eq!(alice.cookies.keys().filter(|name| name.starts_with("grantry_flow_")).count(), 20);
}

#[tokio::test]
async fn lesson_06_cancel_then_complete_is_refused_and_cancel_is_idempotent() {
    let app = TestApp::with_drive().await;
    let (mut alice, mut bob) = (app.signed_in("alice").await, app.signed_in("bob").await);
    let cancel = "/internal/actions/connector/drive/_oauth_cancel";
    let flow = alice.start("drive").await;
    assert_eq!(bob.post(cancel, &json!({"flowId": flow.id})).await.code(), "forbidden");
    assert_eq!(bob.post(cancel, &json!({"state": flow.state})).await.code(), "forbidden");
    for _ in 0..2 {
        assert_eq!(alice.clone().post(cancel, &json!({"flowId": flow.id})).await.status, StatusCode::NO_CONTENT);
    }
    let response = alice.finish(&flow).await;
    assert!(response.location().ends_with(&flow.id), "{}", response.location());
    assert_eq!(app.provider.count(Operation::Exchange), 0);
    let status = alice.get(&format!("/internal/actions/oauth_flow/{}", flow.id)).await;
    assert_eq!(status.json()["status"], "cancelled");
    for wrong in [json!({}), json!({"flowId": flow.id, "state": flow.state}), json!({"flowId": "x"})] {
        assert_eq!(alice.post(cancel, &wrong).await.code(), "invalid_request");
    }
    // An unknown flow counts as cancelled if the connector exists.
    let unknown = json!({"flowId": "A".repeat(32)});
    assert_eq!(alice.post(cancel, &unknown).await.status, StatusCode::NO_CONTENT);
    for nowhere in ["/internal/actions/connector/none", "/s/nowhere/internal/actions/connector/drive"] {
        assert_eq!(alice.post(&format!("{nowhere}/_oauth_cancel"), &unknown).await.code(), "not_found", "{nowhere}");
    }
}

#[tokio::test]
async fn r60_a_foreign_flow_and_a_missing_one_look_the_same() {
    let app = TestApp::with_drive().await;
    let (mut alice, mut bob) = (app.signed_in("alice").await, app.signed_in("bob").await);
    let flow = alice.start("drive").await;
    let missing = "A".repeat(32);
    let mut bodies = Vec::new();
    for path in [
        format!("/internal/actions/oauth_flow/{}", flow.id),
        format!("/internal/actions/oauth_flow/{missing}"),
        "/internal/actions/oauth_flow/nonsense".to_owned(),
        format!("/s/marketing/internal/actions/oauth_flow/{}", flow.id),
        format!("/s/nowhere/internal/actions/oauth_flow/{}", flow.id),
    ] {
        let response = bob.get(&path).await;
        assert_eq!(response.status, StatusCode::NOT_FOUND, "{path}");
        let mut body = response.json();
        body["correlation_id"] = json!("");
        bodies.push(body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    // Its user sees it only in its space.
    assert_eq!(
        alice.get(&format!("/s/marketing/internal/actions/oauth_flow/{}", flow.id)).await.status,
        StatusCode::NOT_FOUND
    );
}

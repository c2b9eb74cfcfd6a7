//! Starting, launching, watching and giving up a flow.

use std::time::Duration;

use grantry_domain::secret::Secret;
use grantry_testkit::doubles::Operation;
use http::{Method, StatusCode};
use serde_json::json;

use super::world::{BASE, Headers, World};

const START: &str = "/internal/actions/connector/drive/_start_oauth_flow";

async fn world() -> World {
    let world = World::new();
    world.connector("default", "drive", ".example").await;
    world
}

#[tokio::test]
async fn a_flow_from_click_to_result() {
    let world = world().await;
    let mut alice = world.signed_in("alice").await;
    let answer = alice.post(START, &json!({})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let body = answer.json();
    let flow = body["flowId"].as_str().unwrap().to_owned();
    insta::assert_json_snapshot!("started_flow", body, {
        ".authorizationUrl" => "[url]", ".state" => "[state]", ".flowId" => "[flow]"
    });
    assert!(body["authorizationUrl"].as_str().unwrap().starts_with("https://as.example/authorize?state="));

    let answer = alice.get(&format!("/internal/actions/oauth_flow/{flow}")).await;
    insta::assert_json_snapshot!("awaiting_flow", answer.json(), { ".flowId" => "[flow]" });

    let answer = alice.callback(&format!("code=CODE-CANARY&state={}", body["state"].as_str().unwrap())).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.location(), format!("{BASE}/api/actions/connector/_oauth_callback_result/{flow}"));
    let answer = alice.get(&format!("/api/actions/connector/_oauth_callback_result/{flow}")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body.contains("Your account is connected."), "{}", answer.body);

    let answer = alice.get(&format!("/internal/actions/oauth_flow/{flow}")).await;
    assert_eq!(answer.json()["status"], "authorized");
    let statuses = alice.post_nothing("/internal/actions/connectors/_me/auth_status").await;
    assert_eq!(statuses.json()["drive"]["user_auth_status"], "connected");
}

#[tokio::test]
async fn r03_start_sets_the_flow_cookie_for_the_life_of_the_flow() {
    let world = world().await;
    let mut alice = world.signed_in("alice").await;
    let answer = alice.post(START, &json!({})).await;
    let flow = answer.json()["flowId"].as_str().unwrap().to_owned();
    let cookie = answer.set_cookies.iter().find(|cookie| cookie.starts_with("grantry_flow_")).unwrap();
    let (name, attributes) = cookie.split_once('=').unwrap();
    let (value, attributes) = attributes.split_once("; ").unwrap();
    assert_eq!(name, format!("grantry_flow_8080_{flow}"));
    assert_eq!(value.len(), 43, "32 random bytes");
    assert_eq!(attributes, "Path=/; Max-Age=600; HttpOnly; SameSite=Lax");
    assert!(!answer.body.contains(value), "scripts never see it");
}

#[tokio::test]
async fn r04_only_a_json_post_starts_a_flow() {
    let world = world().await;
    let mut alice = world.signed_in("alice").await;
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
        let answer = alice.send(method.clone(), START, headers, body.map(str::to_owned)).await;
        assert_eq!(answer.status.as_u16(), expected, "{method} {headers:?}");
    }
    for path in ["/api/actions/connector/drive/oauth/start", "/connect/drive"] {
        for purpose in ["", "prefetch;prerender"] {
            let answer = alice.also("sec-purpose", purpose).get(path).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}");
        }
    }
    assert_eq!(world.provider.count(Operation::Resolve), 0, "no flow was begun");
    assert_eq!(alice.post(START, &json!({})).await.status, StatusCode::OK);
    assert_eq!(world.provider.count(Operation::Resolve), 1);
}

#[tokio::test]
async fn r05_agents_never_start_or_finish_a_flow() {
    let world = world().await;
    let mut agent = world.browser().also("authorization", "Bearer gak_fetcher");
    assert_eq!(agent.post(START, &json!({})).await.code(), "forbidden");
    assert_eq!(agent.callback("code=c&state=s").await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        agent.post("/internal/actions/connector/drive/_oauth_cancel", &json!({"state": "x"})).await.code(),
        "forbidden"
    );
    assert_eq!(agent.post_nothing("/internal/actions/connector/drive/_oauth_disconnect").await.code(), "forbidden");
    assert_eq!(world.provider.calls().len(), 0);
}

#[tokio::test]
async fn r17_the_launch_page_sends_only_the_starter_in_the_right_browser() {
    let world = world().await;
    let (mut alice, mut bob) = (world.signed_in("alice").await, world.signed_in("bob").await);
    let mut elsewhere = world.signed_in("alice").await;
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
    for (position, (answer, status)) in refused.iter().enumerate() {
        assert_eq!((answer.status.as_u16(), answer.location()), (*status, ""), "case {position}");
        assert!(!answer.body.contains(&flow.state));
    }
    let answer = world.browser().get(&path).await;
    assert_eq!(answer.location(), format!("{BASE}/login?next=%2Fconnect%2Fdrive"), "the flow is not handed to the log-in");

    alice.finish(&flow).await;
    assert_eq!(alice.get(&path).await.location(), "", "a finished flow leads nowhere");
}

#[tokio::test]
async fn r63_a_provider_that_is_no_web_address_is_refused_before_any_browser_goes_there() {
    let world = world().await;
    let mut alice = world.signed_in("alice").await;
    for url in ["javascript:alert(1)", "http://as.example/authorize", "data:text/html,x", ""] {
        world.provider.answer_authorization_url(Ok(Secret::from_text(url)));
        let answer = alice.post(START, &json!({})).await;
        assert_eq!((answer.code().as_str(), answer.set_cookies.len()), ("provider_misconfigured", 0), "{url}");
        let flow = alice.start("drive").await;
        world.provider.answer_authorization_url(Ok(Secret::from_text(url)));
        let answer = alice.get(&format!("/connect/drive?flow={}", flow.id)).await;
        assert_eq!((answer.status, answer.location()), (StatusCode::BAD_GATEWAY, ""), "{url}");
    }
}

#[tokio::test]
async fn r33_a_return_url_must_lie_on_this_origin() {
    let world = world().await;
    let mut alice = world.signed_in("alice").await;
    for refused in
        ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/a/../..//evil.example", ""]
    {
        let answer = alice.post(START, &json!({"returnUrl": refused})).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "return_url_refused"), "{refused}");
    }
    assert_eq!(world.provider.calls().len(), 0);
    let flow = alice.start_at(START, &json!({"returnUrl": format!("{BASE}/app/x?tab=1")})).await;
    let answer = alice.finish(&flow).await;
    assert_eq!(answer.location(), format!("{BASE}/app/x?tab=1&oauth_authorization=success&connector_id=drive"));
    // A failure says what went wrong, in our words.
    let flow = alice.start_at(START, &json!({"returnUrl": "/app"})).await;
    let answer = alice.callback(&format!("error=access_denied&error_description=%3Cb%3E&state={}", flow.state)).await;
    let expected = "/app?oauth_authorization=error&connector_id=drive&error=access_denied&status_code=403";
    assert_eq!(answer.location(), format!("{BASE}{expected}"));
}

#[tokio::test]
async fn r34_the_flow_cookie_goes_when_the_flow_is_over() {
    let world = world().await;
    let mut alice = world.signed_in("alice").await;
    let held =
        |browser: &super::world::Browser| browser.cookies.keys().filter(|name| name.starts_with("grantry_flow_")).count();

    let flow = alice.start("drive").await;
    assert_eq!(held(&alice), 1);
    alice.finish(&flow).await;
    assert_eq!(held(&alice), 0, "success");

    let flow = alice.start("drive").await;
    alice.callback(&format!("error=server_error&state={}", flow.state)).await;
    assert_eq!(held(&alice), 0, "failure");

    let flow = alice.start("drive").await;
    world.clock.advance(Duration::from_mins(11));
    alice.finish(&flow).await;
    assert_eq!(held(&alice), 0, "expiry");

    let flow = alice.start("drive").await;
    alice.post("/internal/actions/connector/drive/_oauth_cancel", &json!({"flowId": flow.id})).await;
    assert_eq!(held(&alice), 0, "cancel");

    alice.start("drive").await;
    alice.delete("/api/session").await;
    assert_eq!(alice.cookies.len(), 0, "log-out");
}

#[tokio::test]
async fn r34_a_browser_holds_a_bounded_number_of_flow_cookies() {
    let world = world().await;
    let mut alice = world.signed_in("alice").await;
    for _ in 0..14 {
        world.clock.advance(Duration::from_millis(5));
        alice.start("drive").await;
    }
    assert_eq!(alice.cookies.keys().filter(|name| name.starts_with("grantry_flow_")).count(), 10);
}

#[tokio::test]
async fn lesson_06_cancel_then_complete_is_refused_and_cancel_is_idempotent() {
    let world = world().await;
    let (mut alice, mut bob) = (world.signed_in("alice").await, world.signed_in("bob").await);
    let cancel = "/internal/actions/connector/drive/_oauth_cancel";
    let flow = alice.start("drive").await;
    assert_eq!(bob.post(cancel, &json!({"flowId": flow.id})).await.code(), "forbidden");
    assert_eq!(bob.post(cancel, &json!({"state": flow.state})).await.code(), "forbidden");
    for _ in 0..2 {
        assert_eq!(alice.clone().post(cancel, &json!({"flowId": flow.id})).await.status, StatusCode::NO_CONTENT);
    }
    let answer = alice.finish(&flow).await;
    assert!(answer.location().ends_with("/flow_already_used"), "{}", answer.location());
    assert_eq!(world.provider.count(Operation::Exchange), 0);
    let status = alice.get(&format!("/internal/actions/oauth_flow/{}", flow.id)).await;
    assert_eq!(status.json()["status"], "cancelled");
    for wrong in [json!({}), json!({"flowId": flow.id, "state": flow.state}), json!({"flowId": "x"})] {
        assert_eq!(alice.post(cancel, &wrong).await.code(), "invalid_request");
    }
    // A flow that nobody knows is as good as cancelled, at a connector that there is.
    let unknown = json!({"flowId": "A".repeat(32)});
    assert_eq!(alice.post(cancel, &unknown).await.status, StatusCode::NO_CONTENT);
    for nowhere in ["/internal/actions/connector/none", "/s/nowhere/internal/actions/connector/drive"] {
        assert_eq!(alice.post(&format!("{nowhere}/_oauth_cancel"), &unknown).await.code(), "not_found", "{nowhere}");
    }
}

#[tokio::test]
async fn r60_a_foreign_flow_and_a_missing_one_look_the_same() {
    let world = world().await;
    let (mut alice, mut bob) = (world.signed_in("alice").await, world.signed_in("bob").await);
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
        let answer = bob.get(&path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        let mut body = answer.json();
        body["correlation_id"] = json!("");
        bodies.push(body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    // Its own starter sees it only in its own space.
    assert_eq!(
        alice.get(&format!("/s/marketing/internal/actions/oauth_flow/{}", flow.id)).await.status,
        StatusCode::NOT_FOUND
    );
}

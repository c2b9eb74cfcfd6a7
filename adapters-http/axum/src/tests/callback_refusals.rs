//! Callbacks that are refused: no call to the provider, and the flow is not consumed.

use std::time::Duration;

use grantry_testkit::doubles::Operation;
use http::{Method, StatusCode};
use serde_json::json;

use super::html;
use super::test_app::{BASE, Browser, Headers, Options, StartedFlow, TestApp};

struct Fixture {
    app: TestApp,
    alice: Browser,
    flow: StartedFlow,
}

impl Fixture {
    async fn new() -> Self {
        let app = TestApp::with_drive().await;
        let mut alice = app.signed_in("alice").await;
        let flow = alice.start("drive").await;
        Self { app, alice, flow }
    }

    fn query(&self) -> String {
        format!("code=CODE-CANARY&state={}", self.flow.state)
    }

    /// The flow is not consumed: its user can still finish it, and only then is a code exchanged.
    async fn then_it_can_be_finished(mut self) {
        assert_eq!(self.app.provider.count(Operation::Exchange), 0);
        let response = self.alice.finish(&self.flow).await;
        assert!(response.location().ends_with(&self.flow.id), "{}", response.location());
        assert_eq!(self.app.provider.count(Operation::Exchange), 1);
    }
}

fn end_of(location: &str) -> &str {
    assert!(location.starts_with(&format!("{BASE}/api/actions/connector/_oauth_callback_result/")), "{location}");
    let (page, id) = location.split_once("?correlation_id=").expect("the id of the callback");
    assert_eq!(id.len(), 16, "{location}");
    page.rsplit('/').next().unwrap()
}

#[tokio::test]
async fn lesson_02_another_users_browser_is_refused_and_the_flow_stays() {
    let fixture = Fixture::new().await;
    let mut bob = fixture.app.signed_in("bob").await;
    // With the starter's cookie and without it.
    for cookies in [
        bob.cookies.clone(),
        fixture.alice.cookies.iter().chain(&bob.cookies).map(|(n, v)| (n.clone(), v.clone())).collect(),
    ] {
        let session = bob.cookies.get("grantry_session_8080").unwrap().clone();
        bob.cookies = cookies;
        bob.cookies.insert("grantry_session_8080".to_owned(), session);
        let response = bob.callback(&fixture.query()).await;
        assert_eq!(end_of(response.location()), "user_mismatch");
    }
    fixture.then_it_can_be_finished().await;
}

#[tokio::test]
async fn r03_the_same_user_in_another_browser_is_refused_and_the_flow_stays() {
    let fixture = Fixture::new().await;
    let mut elsewhere = fixture.app.signed_in("alice").await;
    assert_eq!(end_of(elsewhere.callback(&fixture.query()).await.location()), "browser_mismatch");
    // Another flow's cookie does not help, nor this one's name with another value.
    fixture.app.connector("default", "mail", ".example").await;
    elsewhere.start("mail").await;
    elsewhere.cookies.insert(format!("grantry_flow_8080_{}", fixture.flow.id), "A".repeat(43));
    assert_eq!(end_of(elsewhere.callback(&fixture.query()).await.location()), "browser_mismatch");
    fixture.then_it_can_be_finished().await;
}

#[tokio::test]
async fn r22_without_a_session_the_flow_stays_and_the_log_in_url_has_no_secret() {
    let mut fixture = Fixture::new().await;
    let session = fixture.alice.cookies.remove("grantry_session_8080").unwrap();
    let response = fixture.alice.callback(&fixture.query()).await;
    assert_eq!((response.status, response.location()), (StatusCode::UNAUTHORIZED, ""));
    assert!(response.body.contains("Sign in"), "{}", response.body);
    assert!(!response.body.contains("CODE-CANARY") && !response.body.contains(&fixture.flow.state));
    let log_in = super::html::attribute(
        &response.body.replace("<link rel=\"stylesheet\" href", "<link rel=\"stylesheet\" data-href"),
        "href",
    );
    assert_eq!(log_in.unwrap(), format!("{BASE}/login?next=%2F"));
    // After signing in again as the same user in the same browser, the flow can be finished.
    fixture.alice.cookies.insert("grantry_session_8080".to_owned(), session);
    fixture.then_it_can_be_finished().await;
}

#[tokio::test]
async fn r21_frames_prefetches_and_other_methods_do_not_consume_the_flow() {
    let mut fixture = Fixture::new().await;
    let path = format!("/api/actions/connector/_oauth_profile_callback?{}", fixture.query());
    let probes: [(Method, Headers, u16); 9] = [
        (Method::HEAD, &[], 405),
        (Method::OPTIONS, &[], 405),
        (Method::POST, &[("sec-fetch-site", "same-origin")], 405),
        (Method::GET, &[("sec-fetch-dest", "iframe")], 403),
        (Method::GET, &[("sec-fetch-dest", "image")], 403),
        (Method::GET, &[("sec-fetch-dest", "empty")], 403),
        (Method::GET, &[("sec-purpose", "prefetch")], 403),
        (Method::GET, &[("purpose", "prefetch"), ("sec-fetch-dest", "document")], 403),
        (Method::GET, &[("x-moz", "prefetch")], 403),
    ];
    for (method, headers, status) in probes {
        let response = fixture.alice.send(method.clone(), &path, headers, None).await;
        assert_eq!(response.status.as_u16(), status, "{method} {headers:?}");
    }
    fixture.then_it_can_be_finished().await;
}

#[tokio::test]
async fn r21_malformed_parameters_do_not_consume_the_flow() {
    let mut fixture = Fixture::new().await;
    let state = fixture.flow.state.clone();
    for query in [
        format!("code=c&state={state}&state={state}"),
        format!("code=c&code=d&state={state}"),
        format!("code=c&error=access_denied&state={state}"),
        format!("code=c&state[]={state}"),
        format!("state={state}"),
        "code=c".to_owned(),
        format!("code=%00&state={state}"),
    ] {
        let response = fixture.alice.callback(&query).await;
        assert_eq!(end_of(response.location()), "invalid_request", "{query}");
    }
    fixture.then_it_can_be_finished().await;
}

#[tokio::test]
async fn r03_unknown_states_are_refused_without_a_provider_call() {
    let mut fixture = Fixture::new().await;
    let mut off_by_one_bit = fixture.flow.state.clone().into_bytes();
    off_by_one_bit[5] ^= 1;
    for state in [String::from_utf8(off_by_one_bit).unwrap(), "x".to_owned(), "A".repeat(43)] {
        assert_eq!(end_of(fixture.alice.callback(&format!("code=c&state={state}")).await.location()), "flow_not_found");
    }
    fixture.then_it_can_be_finished().await;
}

#[tokio::test]
async fn lesson_05_errors_without_a_flow_are_not_reflected() {
    let mut fixture = Fixture::new().await;
    let response = fixture
        .alice
        .callback(
            "error=%3Cscript%3E&error_description=%3Cscript%3EMARKUP&error_uri=https%3A%2F%2Fevil.example&state=unknown",
        )
        .await;
    assert_eq!(end_of(response.location()), "flow_not_found");
    let page = fixture.alice.get(response.location().strip_prefix(BASE).unwrap()).await;
    assert!(!page.body.contains("MARKUP") && !page.body.contains("evil.example"));
    fixture.then_it_can_be_finished().await;
}

#[tokio::test]
async fn r24_an_error_response_of_another_user_does_not_end_the_flow() {
    let fixture = Fixture::new().await;
    let mut bob = fixture.app.signed_in("bob").await;
    let response = bob.callback(&format!("error=access_denied&state={}", fixture.flow.state)).await;
    assert_eq!(end_of(response.location()), "user_mismatch");
    fixture.then_it_can_be_finished().await;
}

#[tokio::test]
async fn only_the_user_of_a_flow_learns_that_it_is_expired_or_used() {
    let mut fixture = Fixture::new().await;
    let copy = fixture.alice.clone();
    fixture.app.clock.advance(Duration::from_mins(11));
    let response = fixture.alice.finish(&fixture.flow).await;
    assert_eq!(end_of(response.location()), fixture.flow.id, "the page of the flow");
    let mut bob = fixture.app.signed_in("bob").await;
    assert_eq!(end_of(bob.callback(&fixture.query()).await.location()), "user_mismatch");

    let mut again = copy;
    let flow = again.start("drive").await;
    let with_cookie = again.clone();
    again.finish(&flow).await;
    assert_eq!(end_of(with_cookie.clone().finish(&flow).await.location()), "flow_already_used");
    assert_eq!(end_of(again.clone().finish(&flow).await.location()), "flow_already_used", "without the cookie");
    let mut bob = fixture.app.signed_in("bob").await;
    let query = format!("code=c&state={}", flow.state);
    assert_eq!(end_of(bob.callback(&query).await.location()), "user_mismatch");
}

#[tokio::test]
async fn r59_a_callback_without_a_session_is_limited_before_it_is_parsed() {
    let mut fixture = Fixture::new().await;
    fixture.app.rate.refuse(Duration::from_secs(30));
    let response = fixture.app.browser().callback(&fixture.query()).await;
    assert_eq!((response.status, response.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "30"));
    assert!(response.body.contains("Too many attempts") && !response.body.contains("CODE-CANARY"));
    fixture.app.rate.refuse(Duration::from_secs(30));
    let response = fixture.alice.callback("code=c&state=unknown").await;
    assert_eq!((response.status, response.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "30"));
    fixture.then_it_can_be_finished().await;
}

#[tokio::test]
async fn r24_a_denial_ends_the_flow_and_has_a_page() {
    let mut fixture = Fixture::new().await;
    let response = fixture.alice.callback(&format!("error=access_denied&state={}", fixture.flow.state)).await;
    let page = fixture.alice.get(response.location().strip_prefix(BASE).unwrap()).await;
    assert!(page.body.contains("Access was denied"));
    let status = fixture.alice.get(&format!("/internal/actions/oauth_flow/{}", fixture.flow.id)).await;
    assert_eq!((&status.json()["status"], &status.json()["code"]), (&json!("failed"), &json!("access_denied")));
}

#[tokio::test]
async fn r24_requests_that_name_no_flow_do_not_use_up_the_limit_of_an_error_without_state() {
    let app = TestApp::new();
    app.connector("default", "custom", ".oauth2").await;
    let mut alice = app.signed_in("alice").await;
    let connector = alice.get("/api/actions/connector/custom").await;
    let own = connector.json()["redirect_uri"].as_str().unwrap().strip_prefix(BASE).unwrap().to_owned();
    let flow = alice.start_at("/internal/actions/connector/custom/_start_oauth_flow", &json!({})).await;
    let mut other_browser = app.signed_in("alice").await;
    app.rate.refuse(Duration::from_secs(30));
    let response = other_browser.arrive(&format!("{own}?error=access_denied")).await;
    assert_eq!(response.status, StatusCode::TOO_MANY_REQUESTS, "it names no flow");
    app.rate.refuse(Duration::from_secs(30));
    let response = alice.arrive(&format!("{own}?error=access_denied")).await;
    assert_eq!(end_of(response.location()), flow.id);
}

#[tokio::test]
async fn r24_an_error_without_state_ends_only_the_flow_of_its_path_user_and_browser() {
    let app = TestApp::new();
    app.connector("default", "custom", ".oauth2").await;
    app.connector("default", "other", ".oauth2").await;
    let mut alice = app.signed_in("alice").await;
    let path_of = |response: super::test_app::TestResponse| {
        response.json()["redirect_uri"].as_str().unwrap().strip_prefix(BASE).unwrap().to_owned()
    };
    let own = path_of(alice.get("/api/actions/connector/custom").await);
    let foreign = path_of(alice.get("/api/actions/connector/other").await);
    let start = "/internal/actions/connector/custom/_start_oauth_flow";
    for (query, code) in [("error=access_denied", "access_denied"), ("error=server_error&state=", "provider_error")] {
        let flow = alice.start_at(start, &json!({})).await;
        let mut bob = app.signed_in("bob").await;
        assert_eq!(end_of(bob.arrive(&format!("{own}?{query}")).await.location()), code, "no flow of this user");
        assert_eq!(end_of(alice.arrive(&format!("{foreign}?{query}")).await.location()), code, "no flow of this path");
        assert_eq!(end_of(alice.callback(query).await.location()), "invalid_request", "the shared path");
        let status = alice.get(&format!("/internal/actions/oauth_flow/{}", flow.id)).await;
        assert_eq!(status.json()["status"], "awaiting", "{query}");

        assert_eq!(end_of(alice.arrive(&format!("{own}?{query}")).await.location()), flow.id, "{query}");
        let status = alice.get(&format!("/internal/actions/oauth_flow/{}", flow.id)).await;
        assert_eq!((&status.json()["status"], &status.json()["code"]), (&json!("failed"), &json!(code)), "{query}");
    }
    assert_eq!(app.provider.count(Operation::Exchange), 0);
}

#[tokio::test]
async fn r03_a_host_whose_session_is_not_sent_from_other_sites_gets_the_callback_again() {
    let app = TestApp::with(Options { external_log_in: true, ..Options::default() });
    app.connector("default", "drive", ".example").await;
    let mut browser = app.browser();
    let path = "/api/actions/connector/_oauth_profile_callback?code=CODE-CANARY&state=STATE-CANARY";
    let page = browser.arrive(path).await;
    assert_eq!((page.status, html::attribute(&page.body, "data-status").as_deref()), (StatusCode::OK, Some("continue")));
    assert_eq!((page.header("cache-control"), page.header("referrer-policy")), ("no-store", "no-referrer"));
    assert!(!page.body.contains("CANARY") && page.body.contains("href=\"\""), "{}", page.body);
    // It was not counted, and a request of this site, or one that does not name its site, has the usual response.
    for site in [&[("sec-fetch-site", "same-origin")][..], &[("sec-fetch-site", "none")], &[]] {
        let refused = browser.send(Method::GET, path, site, None).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{site:?}");
    }
    assert_eq!(app.provider.count(Operation::Exchange), 0);
    // This server's own session cookie is sent from other sites.
    let app = TestApp::with_drive().await;
    assert_eq!(app.browser().arrive(path).await.status, StatusCode::UNAUTHORIZED);
}

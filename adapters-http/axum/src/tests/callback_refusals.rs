//! The callback when it finishes nothing: zero provider calls, nothing consumed.

use std::time::Duration;

use grantry_testkit::doubles::Operation;
use http::{Method, StatusCode};
use serde_json::json;

use super::world::{BASE, Browser, Headers, StartedFlow, World};

struct Scene {
    world: World,
    alice: Browser,
    flow: StartedFlow,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        world.connector("default", "drive", ".example").await;
        let mut alice = world.signed_in("alice").await;
        let flow = alice.start("drive").await;
        Self { world, alice, flow }
    }

    fn query(&self) -> String {
        format!("code=CODE-CANARY&state={}", self.flow.state)
    }

    /// Nothing was consumed: the starter can still finish, and only then is a code exchanged.
    async fn then_it_can_be_finished(mut self) {
        assert_eq!(self.world.provider.count(Operation::Exchange), 0);
        let answer = self.alice.finish(&self.flow).await;
        assert!(answer.location().ends_with(&self.flow.id), "{}", answer.location());
        assert_eq!(self.world.provider.count(Operation::Exchange), 1);
    }
}

fn end_of(location: &str) -> &str {
    assert!(location.starts_with(&format!("{BASE}/api/actions/connector/_oauth_callback_result/")), "{location}");
    location.rsplit('/').next().unwrap()
}

#[tokio::test]
async fn lesson_02_another_users_browser_is_refused_and_the_flow_stays() {
    let scene = Scene::new().await;
    let mut bob = scene.world.signed_in("bob").await;
    // With the starter's cookie and without it.
    for cookies in
        [bob.cookies.clone(), scene.alice.cookies.iter().chain(&bob.cookies).map(|(n, v)| (n.clone(), v.clone())).collect()]
    {
        let session = bob.cookies.get("grantry_session_8080").unwrap().clone();
        bob.cookies = cookies;
        bob.cookies.insert("grantry_session_8080".to_owned(), session);
        let answer = bob.callback(&scene.query()).await;
        assert_eq!(end_of(answer.location()), "user_mismatch");
    }
    scene.then_it_can_be_finished().await;
}

#[tokio::test]
async fn r03_the_same_user_in_another_browser_is_refused_and_the_flow_stays() {
    let scene = Scene::new().await;
    let mut elsewhere = scene.world.signed_in("alice").await;
    assert_eq!(end_of(elsewhere.callback(&scene.query()).await.location()), "browser_mismatch");
    // Another flow's cookie does not help, nor this one's name with another value.
    scene.world.connector("default", "mail", ".example").await;
    elsewhere.start("mail").await;
    elsewhere.cookies.insert(format!("grantry_flow_8080_{}", scene.flow.id), "A".repeat(43));
    assert_eq!(end_of(elsewhere.callback(&scene.query()).await.location()), "browser_mismatch");
    scene.then_it_can_be_finished().await;
}

#[tokio::test]
async fn r22_without_a_session_nothing_is_consumed_and_nothing_secret_goes_to_the_log_in() {
    let mut scene = Scene::new().await;
    let session = scene.alice.cookies.remove("grantry_session_8080").unwrap();
    let answer = scene.alice.callback(&scene.query()).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::UNAUTHORIZED, ""));
    assert!(answer.body.contains("Sign in"), "{}", answer.body);
    assert!(!answer.body.contains("CODE-CANARY") && !answer.body.contains(&scene.flow.state));
    let log_in = super::html::attribute(
        &answer.body.replace("<link rel=\"stylesheet\" href", "<link rel=\"stylesheet\" data-href"),
        "href",
    );
    assert_eq!(log_in.unwrap(), format!("{BASE}/login?next=%2F"));
    // Threat 21: signed in again as the same user in the same browser, it goes on.
    scene.alice.cookies.insert("grantry_session_8080".to_owned(), session);
    scene.then_it_can_be_finished().await;
}

#[tokio::test]
async fn r21_frames_prefetches_and_other_methods_consume_nothing() {
    let mut scene = Scene::new().await;
    let path = format!("/api/actions/connector/_oauth_callback?{}", scene.query());
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
        let answer = scene.alice.send(method.clone(), &path, headers, None).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {headers:?}");
    }
    scene.then_it_can_be_finished().await;
}

#[tokio::test]
async fn r21_malformed_parameters_consume_nothing() {
    let mut scene = Scene::new().await;
    let state = scene.flow.state.clone();
    for query in [
        format!("code=c&state={state}&state={state}"),
        format!("code=c&code=d&state={state}"),
        format!("code=c&error=access_denied&state={state}"),
        format!("code=c&state[]={state}"),
        format!("state={state}"),
        "code=c".to_owned(),
        format!("code=%00&state={state}"),
    ] {
        let answer = scene.alice.callback(&query).await;
        assert_eq!(end_of(answer.location()), "invalid_request", "{query}");
    }
    scene.then_it_can_be_finished().await;
}

#[tokio::test]
async fn r03_unknown_states_are_refused_without_a_provider_call() {
    let mut scene = Scene::new().await;
    let mut off_by_one_bit = scene.flow.state.clone().into_bytes();
    off_by_one_bit[5] ^= 1;
    for state in [String::from_utf8(off_by_one_bit).unwrap(), "x".to_owned(), "A".repeat(43)] {
        assert_eq!(end_of(scene.alice.callback(&format!("code=c&state={state}")).await.location()), "flow_not_found");
    }
    scene.then_it_can_be_finished().await;
}

#[tokio::test]
async fn lesson_05_errors_without_a_flow_reflect_nothing() {
    let mut scene = Scene::new().await;
    let answer = scene
        .alice
        .callback(
            "error=%3Cscript%3E&error_description=%3Cscript%3EMARKUP&error_uri=https%3A%2F%2Fevil.example&state=unknown",
        )
        .await;
    assert_eq!(end_of(answer.location()), "flow_not_found");
    let page = scene.alice.get(answer.location().strip_prefix(BASE).unwrap()).await;
    assert!(!page.body.contains("MARKUP") && !page.body.contains("evil.example"));
    scene.then_it_can_be_finished().await;
}

#[tokio::test]
async fn r24_an_error_response_without_its_binding_changes_nothing() {
    let scene = Scene::new().await;
    let mut bob = scene.world.signed_in("bob").await;
    let answer = bob.callback(&format!("error=access_denied&state={}", scene.flow.state)).await;
    assert_eq!(end_of(answer.location()), "user_mismatch");
    scene.then_it_can_be_finished().await;
}

#[tokio::test]
async fn an_expired_or_used_flow_says_so_to_its_own_browser_alone() {
    let mut scene = Scene::new().await;
    let copy = scene.alice.clone();
    scene.world.clock.advance(Duration::from_mins(11));
    let answer = scene.alice.finish(&scene.flow).await;
    assert_eq!(end_of(answer.location()), "flow_expired");
    let mut bob = scene.world.signed_in("bob").await;
    assert_eq!(end_of(bob.callback(&scene.query()).await.location()), "user_mismatch");

    let mut again = copy;
    let flow = again.start("drive").await;
    let with_cookie = again.clone();
    again.finish(&flow).await;
    assert_eq!(end_of(with_cookie.clone().finish(&flow).await.location()), "flow_already_used");
}

#[tokio::test]
async fn r59_the_callback_is_limited_before_anything_is_looked_at() {
    let mut scene = Scene::new().await;
    scene.world.rate.refuse(Duration::from_secs(30));
    let answer = scene.alice.callback(&scene.query()).await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "30"));
    assert!(answer.body.contains("Too many attempts") && !answer.body.contains("CODE-CANARY"));
    scene.then_it_can_be_finished().await;
}

#[tokio::test]
async fn r24_a_denial_ends_the_flow_with_a_page_of_its_own() {
    let mut scene = Scene::new().await;
    let answer = scene.alice.callback(&format!("error=access_denied&state={}", scene.flow.state)).await;
    let page = scene.alice.get(answer.location().strip_prefix(BASE).unwrap()).await;
    assert!(page.body.contains("Access was not given"));
    let status = scene.alice.get(&format!("/internal/actions/oauth_flow/{}", scene.flow.id)).await;
    assert_eq!((&status.json()["status"], &status.json()["code"]), (&json!("failed"), &json!("access_denied")));
}

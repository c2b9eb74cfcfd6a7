//! The callback when it finishes something.

use grantry_domain::ports::{AuthorizationStore, ProviderError};
use grantry_testkit::doubles::{Call, Operation, fixtures};
use http::StatusCode;
use serde_json::json;

use super::html;
use super::world::{BASE, World, id_of};

#[tokio::test]
async fn lesson_03_one_callback_for_all_spaces_and_the_grant_lands_where_it_was_started() {
    let world = World::new();
    world.connector("default", "drive", ".example").await;
    world.connector("marketing", "drive", ".example").await;
    let mut alice = world.signed_in("alice").await;
    let flow = alice.start_at("/s/marketing/internal/actions/connector/drive/_start_oauth_flow", &json!({})).await;
    // R23: no space in the URL, and the sealed one counts.
    alice.finish(&flow).await;
    for (space, expected) in [("marketing", "connected"), ("default", "not_connected")] {
        let rows = world.store.statuses(&fixtures::space(space), None, &id_of("alice")).await.unwrap();
        assert_eq!(rows[0].grant.is_some(), expected == "connected", "{space}");
        let prefix = if space == "default" { "" } else { "/s/marketing" };
        let statuses = alice.post_nothing(&format!("{prefix}/internal/actions/connectors/_me/auth_status")).await;
        assert_eq!(statuses.json()["drive"]["user_auth_status"], expected);
    }
}

#[tokio::test]
async fn r29_the_browser_ends_without_code_and_state() {
    let world = World::new();
    world.connector("default", "drive", ".example").await;
    let mut alice = world.signed_in("alice").await;
    let flow = alice.start("drive").await;
    let query = format!("code=CODE-CANARY&state={}", flow.state);
    for query in [query.clone(), query, "code=CODE-CANARY&state=unknown".to_owned(), "code=CODE-CANARY".to_owned()] {
        let answer = alice.callback(&query).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert_eq!((answer.header("cache-control"), answer.header("referrer-policy")), ("no-store", "no-referrer"));
        let location = answer.location().to_owned();
        assert!(!location.contains("CODE-CANARY") && !location.contains(&flow.state), "{location}");
        let page = alice.get(location.strip_prefix(BASE).unwrap()).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(!page.body.contains("CODE-CANARY") && !page.body.contains(&flow.state));
        // Nothing is fetched from elsewhere.
        for (name, attributes) in html::tags(&page.body) {
            for (key, value) in attributes {
                if key == "src" || (key == "href" && name == "link") {
                    assert!(value.starts_with(BASE), "{value}");
                }
            }
        }
    }
    assert_eq!(world.provider.count(Operation::Exchange), 1);
}

#[tokio::test]
async fn lesson_01_two_callbacks_at_once_make_one_exchange_and_one_success() {
    let world = World::new();
    world.connector("default", "drive", ".example").await;
    let mut alice = world.signed_in("alice").await;
    let flow = alice.start("drive").await;
    let (mut left, mut right) = (alice.clone(), alice.clone());
    let (one, other) = tokio::join!(left.finish(&flow), right.finish(&flow));
    let mut ends: Vec<&str> = [&one, &other].iter().map(|answer| answer.location().rsplit('/').next().unwrap()).collect();
    ends.sort_by_key(|end| *end != "flow_already_used");
    assert_eq!(ends, ["flow_already_used", flow.id.as_str()]);
    assert_eq!(world.provider.count(Operation::Exchange), 1);
}

#[tokio::test]
async fn lesson_07_a_failed_exchange_ends_the_flow_and_keeps_the_grant() {
    let world = World::new();
    world.connector("default", "drive", ".example").await;
    let mut alice = world.connected("alice", "drive").await;
    let flow = alice.start("drive").await;
    world.provider.answer_exchange(Err(ProviderError::InvalidGrant));
    let mut with_cookie = alice.clone();
    let answer = alice.finish(&flow).await;
    let page = alice.get(answer.location().strip_prefix(BASE).unwrap()).await;
    assert!(page.body.contains("exchange_failed") && page.body.contains("Try again"), "{}", page.body);
    assert_eq!(html::attribute(&page.body, "data-status").as_deref(), Some("error"));
    let statuses = alice.post_nothing("/internal/actions/connectors/_me/auth_status").await;
    assert_eq!(statuses.json()["drive"]["user_auth_status"], "connected");
    assert!(with_cookie.finish(&flow).await.location().ends_with("/flow_already_used"));
}

#[tokio::test]
async fn r08_hand_written_endpoints_have_their_own_callback_and_only_it_finishes() {
    let world = World::new();
    world.connector("default", "custom", ".oauth2").await;
    world.connector("default", "other", ".oauth2").await;
    let mut alice = world.signed_in("alice").await;
    let uri_of = |answer: super::world::Answer| answer.json()["redirect_uri"].as_str().unwrap().to_owned();
    let own = uri_of(alice.get("/api/actions/connector/custom").await);
    let foreign = uri_of(alice.get("/api/actions/connector/other").await);
    assert!(own.starts_with(&format!("{BASE}/api/actions/connector/_oauth_callback/")) && own != foreign);
    let shared = format!("{BASE}/api/actions/connector/_oauth_callback");
    for (uri, expected) in [(&shared, "callback_mismatch"), (&foreign, "callback_mismatch"), (&own, "success")] {
        let flow =
            alice.start_at("/internal/actions/connector/custom/_start_oauth_flow", &json!({"returnUrl": "/app"})).await;
        let answer = alice.arrive(&format!("{}?code=c&state={}", uri.strip_prefix(BASE).unwrap(), flow.state)).await;
        assert!(answer.location().contains(&format!("={expected}")), "{}", answer.location());
    }
    assert_eq!(world.provider.count(Operation::Exchange), 1);
    // A callback id that is none is nothing.
    assert_eq!(
        alice.arrive("/api/actions/connector/_oauth_callback/nonsense?code=c&state=s").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn r07_the_redirect_uri_is_the_same_under_any_host_header() {
    let world =
        World::with(super::world::Options { more_hosts: vec!["internal.example:9".to_owned()], ..Default::default() });
    world.connector("default", "drive", ".example").await;
    let alice = world.signed_in("alice").await;
    let shared = format!("{BASE}/api/actions/connector/_oauth_callback");
    for host in [super::world::HOST, "internal.example:9"] {
        let mut browser =
            alice.also("host", host).also("x-forwarded-host", "evil.example").also("x-forwarded-proto", "https");
        assert_eq!(browser.get("/api/actions/connector/drive").await.json()["redirect_uri"], shared);
        browser.start("drive").await;
    }
    let mut uris = Vec::new();
    for call in world.provider.calls() {
        if let Call::Resolve { redirect_uri } = call {
            uris.push(redirect_uri);
        }
    }
    assert_eq!(uris, [shared.clone(), shared]);
    assert_eq!(alice.also("host", "evil.example").get("/api/actions/connector/drive").await.code(), "wrong_host");
}

#[tokio::test]
async fn lesson_04_extra_parameters_are_accepted_and_a_wrong_iss_is_refused() {
    let world = World::new();
    world.connector("default", "drive", ".example").await;
    world.profiles.set("{}", |settings| settings.issuer = Some("https://as.example".to_owned()));
    let mut alice = world.signed_in("alice").await;
    let start = "/internal/actions/connector/drive/_start_oauth_flow";
    for (issuer, expected) in
        [("https://evil.example", "error=issuer_mismatch"), ("https://as.example", "oauth_authorization=success")]
    {
        let flow = alice.start_at(start, &json!({"returnUrl": "/app"})).await;
        let query = format!("code=c&state={}&scope=a&authuser=0&hd=x&prompt=none&session_state=1&iss={issuer}", flow.state);
        let answer = alice.callback(&query).await;
        assert!(answer.location().contains(expected), "{}", answer.location());
    }
    assert_eq!(world.provider.count(Operation::Exchange), 1);
}

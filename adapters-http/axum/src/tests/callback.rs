//! Callbacks that finish a flow.

use grantry_domain::ports::{AuthorizationQueries, ProviderErrorKind};
use grantry_testkit::doubles::{Call, Operation, fixtures};
use http::StatusCode;
use serde_json::json;

use super::html;
use super::test_app::{BASE, TestApp, id_of};

#[tokio::test]
async fn lesson_03_one_callback_for_all_spaces_and_the_grant_is_in_the_space_of_its_start() {
    let app = TestApp::with_drive().await;
    app.connector("marketing", "drive", ".example").await;
    let mut alice = app.signed_in("alice").await;
    let flow = alice.start_at("/s/marketing/internal/actions/connector/drive/_start_oauth_flow", &json!({})).await;
    // The URL has no space; the space of the flow is sealed in its state.
    alice.finish(&flow).await;
    for (space, expected) in [("marketing", "connected"), ("default", "not_connected")] {
        let rows = app.store.statuses(&fixtures::space(space), None, &id_of("alice")).await.unwrap();
        assert_eq!(rows[0].connections.iter().any(|row| row.grant.is_some()), expected == "connected", "{space}");
        let prefix = if space == "default" { "" } else { "/s/marketing" };
        let statuses = alice.post_empty(&format!("{prefix}/internal/actions/connectors/_me/auth_status")).await;
        assert_eq!(statuses.json()["drive"]["user_auth_status"], expected);
    }
}

#[tokio::test]
async fn r29_the_browser_ends_without_code_and_state() {
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
    let flow = alice.start("drive").await;
    let query = format!("code=CODE-CANARY&state={}", flow.state);
    for query in [query.clone(), query, "code=CODE-CANARY&state=unknown".to_owned(), "code=CODE-CANARY".to_owned()] {
        let response = alice.callback(&query).await;
        assert_eq!(response.status, StatusCode::SEE_OTHER);
        assert_eq!((response.header("cache-control"), response.header("referrer-policy")), ("no-store", "no-referrer"));
        let location = response.location().to_owned();
        assert!(!location.contains("CODE-CANARY") && !location.contains(&flow.state), "{location}");
        let page = alice.get(location.strip_prefix(BASE).unwrap()).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(!page.body.contains("CODE-CANARY") && !page.body.contains(&flow.state));
        // All resources are on the public origin.
        for (name, attributes) in html::tags(&page.body) {
            for (key, value) in attributes {
                if key == "src" || (key == "href" && name == "link") {
                    assert!(value.starts_with(BASE), "{value}");
                }
            }
        }
    }
    assert_eq!(app.provider.count(Operation::Exchange), 1);
}

#[tokio::test]
async fn lesson_01_two_callbacks_at_once_make_one_exchange_and_one_success() {
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
    let flow = alice.start("drive").await;
    let (mut left, mut right) = (alice.clone(), alice.clone());
    let (one, other) = tokio::join!(left.finish(&flow), right.finish(&flow));
    let mut ends: Vec<&str> =
        [&one, &other].iter().map(|response| response.location().rsplit('/').next().unwrap()).collect();
    for end in &mut ends {
        *end = end.split('?').next().unwrap();
    }
    ends.sort_by_key(|end| *end != "flow_already_used");
    assert_eq!(ends, ["flow_already_used", flow.id.as_str()]);
    assert_eq!(app.provider.count(Operation::Exchange), 1);
}

#[tokio::test]
async fn lesson_07_a_failed_exchange_ends_the_flow_and_keeps_the_grant() {
    let app = TestApp::with_drive().await;
    let mut alice = app.connected("alice", "drive").await;
    let flow = alice.start("drive").await;
    app.provider.respond_to_exchange(Err(ProviderErrorKind::InvalidGrant));
    let mut with_cookie = alice.clone();
    let response = alice.finish(&flow).await;
    let page = alice.get(response.location().strip_prefix(BASE).unwrap()).await;
    let reference = format!("exchange_failed · {}", response.header("x-correlation-id"));
    assert!(page.body.contains(&reference) && page.body.contains("Try again"), "{}", page.body);
    assert_eq!(html::attribute(&page.body, "data-status").as_deref(), Some("error"));
    let statuses = alice.post_empty("/internal/actions/connectors/_me/auth_status").await;
    assert_eq!(statuses.json()["drive"]["user_auth_status"], "connected");
    assert!(with_cookie.finish(&flow).await.location().ends_with(&flow.id), "the page of the flow, with its failure");
}

#[tokio::test]
async fn r08_user_endpoints_have_a_separate_callback_and_only_it_finishes() {
    let app = TestApp::new();
    app.connector("default", "custom", ".oauth2").await;
    app.connector("default", "other", ".oauth2").await;
    let mut alice = app.signed_in("alice").await;
    let uri_of = |response: super::test_app::TestResponse| response.json()["redirect_uri"].as_str().unwrap().to_owned();
    let own = uri_of(alice.get("/api/actions/connector/custom").await);
    let foreign = uri_of(alice.get("/api/actions/connector/other").await);
    assert!(own.starts_with(&format!("{BASE}/api/actions/connector/_oauth_context/")) && own != foreign);
    let shared = format!("{BASE}/api/actions/connector/_oauth_profile_callback");
    for (uri, expected) in [(&shared, "callback_mismatch"), (&foreign, "callback_mismatch"), (&own, "success")] {
        let flow =
            alice.start_at("/internal/actions/connector/custom/_start_oauth_flow", &json!({"returnUrl": "/app"})).await;
        let response = alice.arrive(&format!("{}?code=c&state={}", uri.strip_prefix(BASE).unwrap(), flow.state)).await;
        assert!(response.location().contains(&format!("={expected}")), "{}", response.location());
    }
    assert_eq!(app.provider.count(Operation::Exchange), 1);
    // A malformed callback id is not found, and neither is any path below a callback.
    let id = own.rsplit_once('/').unwrap().1.to_owned();
    let flow = alice.start_at("/internal/actions/connector/custom/_start_oauth_flow", &json!({})).await;
    for prefix in ["", "/s/marketing"] {
        let of_connectors = format!("{prefix}/api/actions/connector");
        for path in [
            "_oauth_context/nonsense".to_owned(),
            "_oauth_context".to_owned(),
            "_oauth_context/".to_owned(),
            format!("_oauth_context/{id}/"),
            format!("_oauth_context/{id}/{id}"),
            format!("_oauth_callback/{id}"),
            format!("_oauth_callback/_oauth_context/{id}"),
            "_oauth_callback/".to_owned(),
        ] {
            let response = alice.arrive(&format!("{of_connectors}/{path}?code=c&state={}", flow.state)).await;
            assert_eq!(response.status, StatusCode::NOT_FOUND, "{prefix} {path}");
        }
    }
    assert_eq!(app.provider.count(Operation::Exchange), 1);
}

#[tokio::test]
async fn r07_the_redirect_uri_is_the_same_under_any_host_header() {
    let app = TestApp::with(super::test_app::Options {
        additional_hosts: vec!["internal.example:9".to_owned()],
        ..Default::default()
    });
    app.connector("default", "drive", ".example").await;
    let alice = app.signed_in("alice").await;
    let shared = format!("{BASE}/api/actions/connector/_oauth_profile_callback");
    for host in [super::test_app::HOST, "internal.example:9"] {
        let mut browser =
            alice.also("host", host).also("x-forwarded-host", "evil.example").also("x-forwarded-proto", "https");
        assert_eq!(browser.get("/api/actions/connector/drive").await.json()["redirect_uri"], shared);
        browser.start("drive").await;
    }
    let mut uris = Vec::new();
    for call in app.provider.calls() {
        if let Call::Resolve { redirect_uri } = call {
            uris.push(redirect_uri);
        }
    }
    assert_eq!(uris, [shared.clone(), shared]);
    assert_eq!(alice.also("host", "evil.example").get("/api/actions/connector/drive").await.code(), "wrong_host");
}

#[tokio::test]
async fn lesson_04_extra_parameters_are_accepted_and_a_wrong_iss_is_refused() {
    let app = TestApp::new();
    app.profiles.set("{}", |settings| settings.issuer = Some("https://as.example".to_owned()));
    app.connector("default", "drive", ".example").await;
    let mut alice = app.signed_in("alice").await;
    let start = "/internal/actions/connector/drive/_start_oauth_flow";
    for (issuer, expected) in
        [("https://evil.example", "error=issuer_mismatch"), ("https://as.example", "oauth_authorization=success")]
    {
        let flow = alice.start_at(start, &json!({"returnUrl": "/app"})).await;
        let query = format!("code=c&state={}&scope=a&authuser=0&hd=x&prompt=none&session_state=1&iss={issuer}", flow.state);
        let response = alice.callback(&query).await;
        assert!(response.location().contains(expected), "{}", response.location());
    }
    assert_eq!(app.provider.count(Operation::Exchange), 1);
}

#[tokio::test]
async fn r19_the_version_of_the_consent_binds_a_start_to_what_was_shown() {
    let app = TestApp::new();
    app.connector("default", "drive", ".example").await;
    let mut alice = app.signed_in("alice").await;
    let start = "/internal/actions/connector/drive/_start_oauth_flow";
    let version = alice.get("/api/actions/connector/drive").await.json()["consent"]["version"].as_str().unwrap().to_owned();
    let page = alice.get("/api/actions/connector/drive/oauth/start").await;
    assert!(page.body.contains(&format!("data-consent=\"{version}\"")));
    alice.start_at(start, &json!({"consentVersion": version})).await;

    app.profiles.set("{}", |settings| {
        settings.endpoints.as_mut().unwrap().token = "https://evil.example/token".to_owned();
    });
    let refused = alice.post(start, &json!({"consentVersion": version})).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "connector_changed"));
    for bad in ["", "x", &version[1..]] {
        let refused = alice.post(start, &json!({"consentVersion": bad})).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "invalid_request"), "{bad}");
    }
}

//! A flow is completed only by the user who started it, in the browser that started it, and once.

use grantry_system_tests::browser::{Browser, FetchSite, unknown_value};
use grantry_system_tests::paths::ConnectorPath;
use grantry_system_tests::test_app::{DRIVE, TestApp, account_of};
use grantry_testkit::provider::{Endpoint, Fault, QueryEdit};
use reqwest::Method;
use serde_json::json;
use url::Url;

use crate::{assert_failed, assert_refused, assert_usable, callback_calls};

#[tokio::test]
async fn r03_r80_lesson_02_another_user_can_neither_complete_nor_consume_a_flow() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;

    // Bob opens alice's callback URL, first with his cookies, then with alice's flow cookie too.
    let mut bob = app.browser("bob").await;
    assert_refused(&bob.open_callback(&callback).await, "user_mismatch");
    let (name, value) = alice.flow_cookie(&flow.id).unwrap();
    bob.cookies.insert(name.to_owned(), value.to_owned());
    assert_refused(&bob.open_callback(&callback).await, "user_mismatch");

    assert_eq!(callback_calls(&app.provider.ledger()), 0);
    assert_eq!(bob.status_name(DRIVE).await, "not_connected");
    app.host.connections.deliver_events().await.unwrap();
    let mismatches = app.host.sink.events().into_iter().filter(|event| event.kind.as_str() == "binding_mismatch");
    assert_eq!(mismatches.count(), 2, "both attempts are in the audit log");
    assert_usable(&mut alice, DRIVE, &callback).await;
}

#[tokio::test]
async fn r03_another_browser_of_the_same_user_cannot_complete_a_flow() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (_, callback) = app.consent(&mut alice, DRIVE, "alice").await;

    let mut other_browser = app.browser("alice").await;
    assert_refused(&other_browser.open_callback(&callback).await, "browser_mismatch");
    // The cookie of another flow does not help.
    let other = other_browser.start(DRIVE.in_other_space("marketing")).await;
    assert!(other_browser.flow_cookie(&other.id).is_some());
    assert_refused(&other_browser.open_callback(&callback).await, "browser_mismatch");

    assert_eq!(callback_calls(&app.provider.ledger()), 0);
    assert_usable(&mut alice, DRIVE, &callback).await;
}

#[tokio::test]
async fn r01_r20_an_unknown_state_matches_no_flow() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    let mut off_by_one = flow.state.clone().into_bytes();
    off_by_one[20] = if off_by_one[20] == b'A' { b'B' } else { b'A' };
    let states =
        [unknown_value(1), flow.state.to_uppercase(), format!("{}A", flow.state), String::from_utf8(off_by_one).unwrap()];
    for state in states {
        let response = alice.open_callback(&with(&callback, "state", &state)).await;
        assert_refused(&response, "flow_not_found");
        assert!(!response.full_text().contains(&state));
    }
    assert_refused(&alice.open_callback(&with(&callback, "state", "")).await, "invalid_request");
    assert_eq!(callback_calls(&app.provider.ledger()), 0);
    assert_usable(&mut alice, DRIVE, &callback).await;
}

#[tokio::test]
async fn r20_r29_a_callback_works_once() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let before = alice.clone();
    let (_, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    let mut with_cookie = alice.clone();
    alice.open_callback(&callback).await;
    // The back button, where the flow cookie is deleted; a second tab that still has it; and a tab from before the flow.
    for mut again in [alice.clone(), with_cookie.clone(), before] {
        let response = again.open_callback(&callback).await;
        assert_ne!(response.page_code(), "", "{}", response.full_text());
    }
    assert_refused(&with_cookie.open_callback(&callback).await, "flow_already_used");
    assert_eq!(app.provider.ledger().exchanges().len(), 1);
    assert_eq!(alice.status_name(DRIVE).await, "connected");
}

#[tokio::test]
async fn r21_only_a_top_level_get_consumes_a_flow() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (_, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    let navigation = |browser: &Browser, method| browser.navigation(method, &callback, FetchSite::CrossSite);

    let mut probes = Vec::new();
    for method in [Method::HEAD, Method::OPTIONS, Method::POST, Method::PUT] {
        probes.push(navigation(&alice, method));
    }
    for purpose in ["prefetch", "prefetch;prerender"] {
        probes.push(navigation(&alice, Method::GET).header("sec-purpose", purpose));
    }
    for dest in ["iframe", "image", "script", "empty", "object"] {
        let request = alice.request(Method::GET, &callback);
        probes.push(request.header("sec-fetch-site", "cross-site").header("sec-fetch-dest", dest));
    }
    for probe in probes {
        let response = alice.send(probe).await;
        assert!(response.status >= 400, "{}", response.full_text());
        assert!(alice.cookies.keys().any(|name| name.contains("_flow_")), "the cookie is kept");
    }
    assert_eq!(callback_calls(&app.provider.ledger()), 0);
    assert_usable(&mut alice, DRIVE, &callback).await;
}

#[tokio::test]
async fn r21_duplicate_and_contradictory_parameters_are_refused() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    let targets = [
        format!("{callback}&state={}", flow.state),
        format!("{callback}&state={}", unknown_value(3)),
        format!("{callback}&code=another"),
        format!("{callback}&error=access_denied"),
        format!("{callback}&state[]={}", flow.state),
        with(&callback, "code", ""),
        with(&callback, "code", "a\r\nb"),
    ];
    for target in targets {
        assert_refused(&alice.open_callback(&target).await, "invalid_request");
    }
    assert_eq!(callback_calls(&app.provider.ledger()), 0);
    assert_usable(&mut alice, DRIVE, &callback).await;
}

#[tokio::test]
async fn r22_without_a_session_the_flow_is_not_consumed_and_the_code_is_not_passed_on() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    alice.delete_cookies("_session");
    let response = alice.open_callback(&callback).await;
    assert_refused(&response, "not_signed_in");
    let code = parameter(&callback, "code");
    assert!(
        !response.full_text().contains(&code) && !response.full_text().contains(&flow.state),
        "{}",
        response.full_text()
    );
    assert_eq!(callback_calls(&app.provider.ledger()), 0);
    // After a log-in in the same browser, the same user can complete the flow.
    alice.log_in("alice").await;
    assert_usable(&mut alice, DRIVE, &callback).await;
}

#[tokio::test]
async fn r03_r34_a_changed_session_cannot_complete_a_flow() {
    let app = TestApp::new().await;

    // A log-out deletes the flow cookie too, so that a new log-in cannot complete the flow.
    let mut alice = app.browser("alice").await;
    let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    assert_eq!(alice.log_out().await.status, 204);
    assert!(alice.flow_cookie(&flow.id).is_none());
    assert_refused(&alice.open_callback(&callback).await, "not_signed_in");
    alice.log_in("alice").await;
    assert_refused(&alice.open_callback(&callback).await, "browser_mismatch");

    // Another user logs in in the same browser, without a log-out before.
    let (_, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    alice.log_in("bob").await;
    assert_refused(&alice.open_callback(&callback).await, "user_mismatch");
    assert_eq!(alice.status_name(DRIVE).await, "not_connected", "bob did not get alice's grant");

    // The session was ended elsewhere; the browser still has its cookie.
    let mut alice = app.browser("alice").await;
    let (_, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    let mut copy = alice.clone();
    copy.log_out().await;
    assert_refused(&alice.open_callback(&callback).await, "not_signed_in");
    assert_eq!(callback_calls(&app.provider.ledger()), 0);
}

#[tokio::test]
async fn r24_a_forged_error_response_changes_nothing() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    let forged = format!("{}?error=access_denied&state={}", app.deployment.shared_callback(), flow.state);
    let calls = callback_calls(&app.provider.ledger());
    let (mut bob, mut no_cookie) = (app.browser("bob").await, app.browser("alice").await);
    assert_refused(&bob.open_callback(&forged).await, "user_mismatch");
    assert_refused(&no_cookie.open_callback(&forged).await, "browser_mismatch");
    assert_refused(&app.anonymous_browser().open_callback(&forged).await, "not_signed_in");
    assert_eq!(callback_calls(&app.provider.ledger()), calls);
    assert_eq!(alice.connection(DRIVE).await["reconnecting"], true, "the flow is still pending");
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    assert_usable(&mut alice, DRIVE, &callback).await;
}

#[tokio::test]
async fn r31_lesson_05_texts_of_the_provider_are_never_shown() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let markup = "<script>alert(1)</script>";
    let texts = [("error_description", markup), ("error_uri", "javascript:alert(1)"), ("error", "<img src=x onerror=1>")];
    for (name, text) in texts {
        app.provider.faults().once(Endpoint::Consent, Fault::EditRedirect(QueryEdit::Set(name.to_owned(), text.to_owned())));
        let flow = alice.start(DRIVE).await;
        let callback = app.provider.deny(&flow.authorization_url, "alice").await.unwrap();
        let response = alice.open_callback(callback.as_str()).await;
        assert!(!response.full_text().contains(text), "{}", response.full_text());
        let location = response.location().to_owned();
        let page = alice.open(&location, FetchSite::SameOrigin).await;
        for part in [text, "alert(1)", "onerror"] {
            assert!(!page.text().contains(part), "{name}: {}", page.text());
        }
    }
    // The page for an unknown flow does not contain them either.
    let target = format!("{}?error={markup}&error_description={markup}&state=x", app.deployment.shared_callback());
    let response = alice.open_callback(&target.replace('<', "%3C").replace('>', "%3E")).await;
    assert_refused(&response, "flow_not_found");
    assert!(!response.full_text().contains("alert"), "{}", response.full_text());
}

#[tokio::test]
async fn r02_a_stolen_code_cannot_be_exchanged_in_another_flow() {
    let app = TestApp::new().await;
    // Alice has bob's code and uses it in her flow.
    let mut bob = app.browser("bob").await;
    let (_, callback_of_bob) = app.consent(&mut bob, DRIVE, "bob").await;
    let mut alice = app.browser("alice").await;
    let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    let stolen = parameter(&callback_of_bob, "code");
    alice.open_callback(&with(&callback, "code", &stolen)).await;
    assert_failed(&mut alice, DRIVE, &flow, "exchange_failed").await;
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
    let requests = app.provider.ledger();
    assert!(requests.authorization_requests().iter().all(|call| call.param("code_challenge_method") == Some("S256")));
}

#[tokio::test]
async fn r18_an_eleventh_pending_flow_is_refused() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let draft = app.draft();
    let ids = ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11"];
    for (index, id) in ids.into_iter().enumerate() {
        let connector = ConnectorPath::of(id);
        app.create(connector, &draft).await;
        let response = alice.try_start(connector, json!({})).await;
        if index < 10 {
            assert_eq!(response.status, 200, "{id}: {}", response.text());
        } else {
            assert_eq!(response.outcome(), (429, "rate_limited".to_owned()));
            assert!(response.headers.contains_key("retry-after"));
        }
    }
    let cookies = alice.cookies.keys().filter(|name| name.contains("_flow_")).count();
    assert_eq!(cookies, 10);
    assert_eq!(app.browser("bob").await.try_start(DRIVE, json!({})).await.status, 200, "other users are not limited");
}

#[tokio::test]
async fn r04_only_a_same_origin_post_starts_a_flow() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let path = DRIVE.internal("/_start_oauth_flow");
    let post = |browser: &Browser| browser.request(Method::POST, &path);
    let probes = [
        post(&alice).header("sec-fetch-site", "cross-site").header("origin", "https://evil.example").json(&json!({})),
        post(&alice).header("sec-fetch-site", "same-site").json(&json!({})),
        post(&alice).header("origin", "null").json(&json!({})),
        alice.fetch(Method::POST, &path).form(&[("returnUrl", "/")]),
        alice.fetch(Method::POST, &path).header("content-type", "text/plain").body("{}"),
        alice.fetch(Method::POST, &path),
        alice.navigation(Method::GET, &path, FetchSite::CrossSite),
        alice.navigation(Method::GET, &DRIVE.public("/oauth/start"), FetchSite::CrossSite),
        alice.navigation(Method::GET, &DRIVE.public("/oauth/start"), FetchSite::None).header("sec-purpose", "prefetch"),
        alice.request(Method::HEAD, &DRIVE.public("/oauth/start")),
    ];
    for probe in probes {
        alice.send(probe).await;
        assert_eq!(alice.status_name(DRIVE).await, "not_connected", "no flow was started");
    }
    assert_eq!(app.provider.ledger().authorization_requests().len(), 0);
    alice.start(DRIVE).await;
    assert_eq!(alice.status_name(DRIVE).await, "connecting");
}

/// The callback URL with another value of one parameter.
fn with(callback: &str, name: &str, value: &str) -> String {
    let mut url = Url::parse(callback).unwrap();
    let others: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair(name, value);
    url.into()
}

fn parameter(callback: &str, name: &str) -> String {
    let url = Url::parse(callback).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap()
}

//! Callbacks that arrive after their attempt was cancelled, was replaced or has expired.

use std::time::Duration;

use grantry_system_tests::browser::{Browser, Response};
use grantry_system_tests::test_app::{DRIVE, TestApp};
use serde_json::json;

use crate::{assert_refused, callback_calls};

/// Opens a callback and the page that it redirects to.
async fn open(browser: &mut Browser, callback: &str) -> Response {
    let response = browser.open_callback(callback).await;
    assert_eq!(response.status, 303, "{}", response.full_text());
    assert!(!response.location().contains("code="), "{}", response.location());
    browser.get(response.location()).await
}

async fn cancel(browser: &mut Browser, flow: &str) -> Response {
    browser.post(&DRIVE.internal("/_oauth_cancel"), json!({ "flowId": flow })).await
}

#[tokio::test]
async fn a_late_callback_of_a_cancelled_attempt_leads_to_its_page_with_the_way_back() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    assert_eq!(cancel(&mut alice, &flow.id).await.status, 204);
    // The user returns from the provider twice, for example by the Back button.
    for _ in 0..2 {
        let page = open(&mut alice, &callback).await;
        assert!(page.text().contains("<h1>Cancelled</h1>"), "{}", page.text());
        assert!(page.text().contains("/api/actions/connector/drive/oauth/start"), "{}", page.text());
    }
    assert_eq!(alice.flow_result(DRIVE, &flow.id).await.0, "cancelled");
    assert_eq!(callback_calls(&app.provider.ledger()), 0, "the code is not sent");
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
}

#[tokio::test]
async fn a_late_callback_of_an_expired_attempt_leads_to_its_page_for_an_hour() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    for minutes in [10, 58] {
        app.deployment.clock().advance(Duration::from_mins(minutes)).unwrap();
        app.host.connections.sweep(|_| {}).await.unwrap();
        let page = open(&mut alice, &callback).await;
        assert!(page.text().contains("<h1>This attempt has expired</h1>"), "{}", page.text());
        assert!(page.text().contains("/api/actions/connector/drive/oauth/start"), "{}", page.text());
    }
    assert_eq!(alice.flow_result(DRIVE, &flow.id).await, ("expired".to_owned(), "flow_expired".to_owned()));
    assert_eq!(callback_calls(&app.provider.ledger()), 0);
}

#[tokio::test]
async fn r03_another_user_is_refused_as_such_also_after_the_end_of_the_attempt() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (cancelled, cancelled_callback) = app.consent(&mut alice, DRIVE, "alice").await;
    cancel(&mut alice, &cancelled.id).await;
    let (_, expired_callback) = app.consent(&mut alice, DRIVE, "alice").await;
    app.deployment.clock().advance(Duration::from_mins(11)).unwrap();
    let (mut elsewhere, mut bob) = (app.browser("alice").await, app.browser("bob").await);
    for callback in [&cancelled_callback, &expired_callback] {
        assert_refused(&bob.open_callback(callback).await, "user_mismatch");
    }
    // The cookie of a cancelled attempt is removed, and nothing is left to protect from its user.
    assert!(open(&mut elsewhere, &cancelled_callback).await.text().contains("<h1>Cancelled</h1>"));
    assert!(open(&mut elsewhere, &expired_callback).await.text().contains("<h1>This attempt has expired</h1>"));
    let mut stolen = bob.clone();
    stolen
        .cookies
        .extend(alice.cookies.iter().filter(|(name, _)| name.contains("_flow_")).map(|(n, v)| (n.clone(), v.clone())));
    assert_refused(&stolen.open_callback(&cancelled_callback).await, "user_mismatch");
    assert_eq!(callback_calls(&app.provider.ledger()), 0);
}

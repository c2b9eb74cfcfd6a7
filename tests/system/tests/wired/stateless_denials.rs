//! Denials without `state` at the callback of one connector.

use grantry_domain::authorization::AuthorizationId;
use grantry_domain::identity::Actor;
use grantry_domain::ports::AuthorizationStore;
use grantry_system_tests::browser::Browser;
use grantry_system_tests::paths::{ConnectorPath, Draft};
use grantry_system_tests::test_app::TestApp;
use grantry_testkit::provider::{Endpoint, Fault};

use crate::{assert_failed, assert_refused};

const OWN: ConnectorPath = ConnectorPath::of("own-callback");
/// Most flow cookies of one browser.
const MOST: u8 = 20;

/// Adds flow cookies until the browser has this number of them.
fn fill_up(browser: &mut Browser, flow: &str, number: u8) {
    let own = browser.flow_cookie(flow).unwrap().0.to_owned();
    let prefix = own.strip_suffix(flow).unwrap();
    for number in 1..number {
        let id = AuthorizationId::from_bytes([number; 24]);
        browser.cookies.insert(format!("{prefix}{id}"), "x".to_owned());
    }
}

#[tokio::test]
async fn r24_a_denial_without_state_is_recorded_as_an_end_by_its_user() {
    let app = TestApp::new().await;
    app.create_with_endpoints(OWN, &Draft::with_endpoints(app.provider.base_url()), &app.provider).await;
    let mut alice = app.browser("alice").await;
    let flow = alice.start(OWN).await;
    app.provider.faults().once(Endpoint::Consent, Fault::stateless());
    let callback: String = app.provider.deny(&flow.authorization_url, "alice").await.unwrap().into();

    // More cookies than a browser keeps name no single flow.
    fill_up(&mut alice, &flow.id, MOST + 1);
    assert_refused(&alice.open_callback(&callback).await, "access_denied");
    assert_eq!(alice.flow_result(OWN, &flow.id).await.0, "awaiting");

    alice.cookies.retain(|_, value| value != "x");
    fill_up(&mut alice, &flow.id, MOST);
    assert_eq!(alice.open_callback(&callback).await.status, 303);
    assert_failed(&mut alice, OWN, &flow, "access_denied").await;
    let id = AuthorizationId::parse(&flow.id).unwrap();
    let stored = AuthorizationStore::find(&*app.host.store, id).await.unwrap().unwrap().value;
    assert_eq!(stored.termination().unwrap().by, Actor::Person(stored.owner().user.clone()));
}

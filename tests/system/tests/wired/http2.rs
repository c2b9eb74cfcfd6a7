//! Browsers that use HTTP/2 and send one field per cookie (RFC 9113 §8.2.3).

use grantry_system_tests::browser::Browser;
use grantry_system_tests::test_app::{DRIVE, TestApp};
use grantry_testkit::provider::{Client, MockProvider};
use reqwest::{Response, Version};

/// A public base URL without a port, so that the client can be connected to the port of the node.
const PUBLIC: &str = "http://localhost";

async fn at_localhost() -> TestApp {
    let app = TestApp::with(MockProvider::builder(), |settings| PUBLIC.clone_into(&mut settings.public)).await;
    app.provider.register(Client::new("demo", "demo-secret").redirect_uri(app.deployment.shared_callback()));
    app
}

/// Opens a page over HTTP/2, as the redirect of a provider does.
async fn open(app: &TestApp, url: &str, fields: impl IntoIterator<Item = (&'static str, String)>) -> Response {
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().resolve("localhost", app.host.address);
    let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let navigation = client.get(url).header("sec-fetch-dest", "document").header("accept", "text/html");
    let request = fields.into_iter().fold(navigation, |request, (name, value)| request.header(name, value));
    let response = request.send().await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    response
}

/// One field per cookie: `others` cookies of other applications, then those of the browser.
fn crumbs(browser: &Browser, others: usize) -> Vec<(&'static str, String)> {
    let others = (0..others).map(|number| format!("other_{number:03}={}", "x".repeat(20)));
    let own = browser.cookies.iter().map(|(name, value)| format!("{name}={value}"));
    others.chain(own).map(|cookie| ("cookie", cookie)).collect()
}

#[tokio::test]
async fn r58_cookies_in_separate_fields_count_as_one_field() {
    let app = at_localhost().await;
    let mut alice = app.browser("alice").await;
    let (_, callback) = app.consent(&mut alice, DRIVE, "alice").await;

    let fields = (0..64).map(|number| ("x-other", number.to_string()));
    assert_eq!(open(&app, PUBLIC, fields).await.status(), 431, "other fields count separately");
    // Session and flow are in the last fields.
    assert_eq!(open(&app, &callback, crumbs(&alice, 100)).await.status(), 303);
    assert_eq!(alice.status_name(DRIVE).await, "connected");
}

//! Callbacks with codes of every length that the limit on URLs leaves.

use grantry_system_tests::test_app::{DRIVE, TestApp};
use grantry_testkit::provider::MockProvider;
use reqwest::Method;

/// Longest path with query.
const LIMIT: usize = 8 * 1024;

#[tokio::test]
async fn r21_a_code_can_have_every_length_that_the_limit_on_urls_leaves() {
    let app = TestApp::with(MockProvider::builder().code_length(7500), |_| {}).await;
    let mut alice = app.browser("alice").await;
    let (_, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    // The provider adds another parameter.
    let length = callback.len() - app.deployment.settings.public.len() + "&extra=".len();
    let callback = format!("{callback}&extra={}", "x".repeat(LIMIT - length));

    let longer = format!("{callback}x");
    let page = alice.open_callback(&longer).await;
    assert_eq!((page.status, page.header("content-type")), (414, "text/html; charset=utf-8"));
    assert!(page.text().contains("The link is too long"), "{}", page.text());
    let request = alice.fetch(Method::GET, &longer);
    assert_eq!(alice.send(request).await.outcome(), (414, "url_too_long".to_owned()));

    assert_eq!(alice.open_callback(&callback).await.status, 303);
    assert_eq!(alice.status_name(DRIVE).await, "connected");
    assert_eq!(app.provider.ledger().exchanges()[0].param("code").map(str::len), Some(7500));
}

//! Serving a built console.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::test_app::{Options, TestApp, plain_asset};
use crate::host::{ConsoleAsset, ConsoleAssets};

struct Built;

impl ConsoleAssets for Built {
    fn get(&self, path: &str) -> Option<ConsoleAsset> {
        let (content, content_type, immutable) = match path {
            "index.html" => ("<!doctype html>console", "text/html; charset=utf-8", false),
            "connect.html" => ("<!doctype html>launch", "text/html; charset=utf-8", false),
            "assets/index-1a2b.js" => ("console()", "text/javascript; charset=utf-8", true),
            "icon.svg" => ("<svg/>", "image/svg+xml; charset=utf-8", false),
            _ => return None,
        };
        Some(ConsoleAsset { immutable, ..plain_asset(content, content_type) })
    }
}

fn test_app() -> TestApp {
    TestApp::with(Options { console: Some(Arc::new(Built)), ..Options::default() })
}

#[tokio::test]
async fn the_console_is_served_at_the_root_of_every_space() {
    let app = test_app();
    let mut browser = app.browser();
    for (path, content) in [
        ("/", "console"),
        ("/s/marketing/", "console"),
        ("/connect/drive", "launch"),
        ("/s/marketing/connect/drive", "launch"),
    ] {
        let page = browser.get(path).await;
        assert_eq!(
            (page.status, page.body.as_str()),
            (StatusCode::OK, format!("<!doctype html>{content}").as_str()),
            "{path}"
        );
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        let policy = page.header("content-security-policy");
        assert!(policy.contains("script-src 'self'") && policy.contains("require-trusted-types-for 'script'"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    }
    assert_eq!(browser.get("/index.html").await.status, StatusCode::NOT_FOUND, "pages only where they belong");
}

#[tokio::test]
async fn files_with_a_hash_in_their_name_are_immutable_and_others_are_revalidated() {
    let app = test_app();
    let mut browser = app.browser();
    let script = browser.get("/assets/index-1a2b.js").await;
    assert_eq!((script.body.as_str(), script.header("cache-control")), ("console()", "public, max-age=31536000, immutable"));
    assert_eq!(script.header("x-content-type-options"), "nosniff");
    let icon = browser.get("/icon.svg").await;
    assert_eq!((icon.header("cache-control"), icon.header("etag")), ("public, no-cache", "\"e6\""));
    let known = browser.send(Method::GET, "/icon.svg", &[("if-none-match", "\"e6\"")], None).await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    assert_eq!(browser.get("/assets/none.js").await.code(), "not_found");
    let post = browser.send(Method::POST, "/icon.svg", &[("sec-fetch-site", "same-origin")], None).await;
    assert_eq!(post.code(), "method_not_allowed");
}

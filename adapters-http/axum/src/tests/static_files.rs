//! Files of the console in several encodings.

use std::sync::Arc;

use axum::body::Bytes;
use http::{Method, StatusCode};

use super::test_app::{Browser, Options, TestApp, TestResponse};
use crate::host::{ConsoleAsset, ConsoleAssets};

struct Built;

impl ConsoleAssets for Built {
    fn get(&self, path: &str) -> Option<ConsoleAsset> {
        let compressed = |content| Some(Bytes::from_static(content));
        let (brotli, gzip, content_type) = match path {
            "assets/both.js" => (compressed(b"as br"), compressed(b"as gzip"), "text/javascript; charset=utf-8"),
            "assets/gzip.js" => (None, compressed(b"as gzip"), "text/javascript; charset=utf-8"),
            "assets/photo.png" => (None, None, "image/png"),
            _ => return None,
        };
        let content = Bytes::from_static(b"plain");
        Some(ConsoleAsset { content, brotli, gzip, content_type, etag: "e1".to_owned(), immutable: true })
    }
}

fn browser() -> Browser {
    TestApp::with(Options { console: Some(Arc::new(Built)), ..Options::default() }).browser()
}

async fn get(browser: &mut Browser, path: &str, accept: &str) -> TestResponse {
    browser.send(Method::GET, path, &[("accept-encoding", accept)], None).await
}

#[tokio::test]
async fn a_script_is_served_in_the_preferred_encoding_that_exists() {
    let mut browser = browser();
    for (path, accept, encoding, body, etag) in [
        ("/assets/both.js", "identity", "", "plain", "\"e1\""),
        ("/assets/both.js", "gzip, deflate", "gzip", "as gzip", "\"e1-gzip\""),
        ("/assets/both.js", "gzip, deflate, br, zstd", "br", "as br", "\"e1-br\""),
        ("/assets/both.js", "br;q=0.1, gzip;q=0", "br", "as br", "\"e1-br\""),
        ("/assets/gzip.js", "gzip;q=0.5, br", "gzip", "as gzip", "\"e1-gzip\""),
        ("/assets/gzip.js", "br", "", "plain", "\"e1\""),
    ] {
        let response = get(&mut browser, path, accept).await;
        assert_eq!((response.header("content-encoding"), response.body.as_str()), (encoding, body), "{path} {accept}");
        assert_eq!((response.header("etag"), response.header("vary")), (etag, "accept-encoding"), "{path} {accept}");
        assert_eq!(response.header("content-type"), "text/javascript; charset=utf-8");
        assert_eq!(response.header("cache-control"), "public, max-age=31536000, immutable");
    }
    let unnamed = browser.send(Method::GET, "/assets/both.js", &[], None).await;
    assert_eq!((unnamed.header("content-encoding"), unnamed.header("vary")), ("", "accept-encoding"));
    let image = get(&mut browser, "/assets/photo.png", "br, gzip").await;
    assert_eq!((image.header("content-encoding"), image.header("vary")), ("", ""));
}

#[tokio::test]
async fn a_known_representation_is_not_sent_again_and_another_one_is() {
    let mut browser = browser();
    let path = "/assets/both.js";
    let etag = get(&mut browser, path, "br").await.header("etag").to_owned();
    let mut conditional = async |accept: &str, known: &str| {
        let headers = [("accept-encoding", accept), ("if-none-match", known)];
        let response = browser.send(Method::GET, path, &headers, None).await;
        assert_eq!(response.header("vary"), "accept-encoding");
        (response.status, response.bytes.len())
    };
    for known in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        assert_eq!(conditional("br", &known).await, (StatusCode::NOT_MODIFIED, 0), "{known}");
    }
    for (accept, known) in [("gzip", etag.as_str()), ("identity", &etag), ("br", "\"other\"")] {
        assert_eq!(conditional(accept, known).await.0, StatusCode::OK, "{accept} {known}");
    }
}

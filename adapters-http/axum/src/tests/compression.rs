//! Compressed files of the console and of the pages.

use std::borrow::Cow;
use std::io::Read;
use std::sync::Arc;

use http::{Method, StatusCode};

use super::test_app::{Browser, Options, TestApp, TestResponse};
use crate::host::{ConsoleAsset, ConsoleAssets};

struct Built;

fn script() -> String {
    let lines = (0..2000).map(|number| format!("export function part{number}(x) {{ return x + {number}; }}"));
    lines.collect::<Vec<_>>().join("\n")
}

impl ConsoleAssets for Built {
    fn get(&self, path: &str) -> Option<ConsoleAsset> {
        let (content, content_type) = match path {
            "assets/index-1a2b.js" => (script().into_bytes(), "text/javascript; charset=utf-8"),
            "assets/small-1a2b.js" => (b"small()".to_vec(), "text/javascript; charset=utf-8"),
            "assets/photo-1a2b.png" => (vec![0; 4096], "image/png"),
            _ => return None,
        };
        Some(ConsoleAsset { etag: format!("e{}", content.len()), bytes: Cow::Owned(content), content_type, immutable: true })
    }
}

fn browser() -> Browser {
    TestApp::with(Options { console: Some(Arc::new(Built)), ..Options::default() }).browser()
}

async fn get(browser: &mut Browser, path: &str, accept: &str) -> TestResponse {
    browser.send(Method::GET, path, &[("accept-encoding", accept)], None).await
}

fn decoded(response: &TestResponse) -> Vec<u8> {
    let mut plain = Vec::new();
    match response.header("content-encoding") {
        "br" => drop(brotli::Decompressor::new(&*response.bytes, 4096).read_to_end(&mut plain).unwrap()),
        "gzip" => drop(flate2::read::GzDecoder::new(&*response.bytes).read_to_end(&mut plain).unwrap()),
        other => {
            assert_eq!(other, "");
            plain.clone_from(&response.bytes);
        }
    }
    plain
}

#[tokio::test]
async fn a_script_is_served_in_the_preferred_encoding_with_identical_content() {
    let mut browser = browser();
    let path = "/assets/index-1a2b.js";
    let plain = get(&mut browser, path, "identity").await;
    assert_eq!((plain.body.as_str(), plain.header("content-encoding")), (script().as_str(), ""));
    let mut etags = vec![plain.header("etag").to_owned()];
    let mut sizes = vec![plain.bytes.len()];
    for (accept, encoding) in [("gzip, deflate", "gzip"), ("gzip, deflate, br, zstd", "br"), ("br;q=0.1, gzip;q=0", "br")] {
        let response = get(&mut browser, path, accept).await;
        assert_eq!(response.header("content-encoding"), encoding, "{accept}");
        assert_eq!(decoded(&response), plain.bytes, "{accept}");
        assert_eq!(response.header("content-type"), "text/javascript; charset=utf-8");
        assert_eq!(response.header("cache-control"), "public, max-age=31536000, immutable");
        etags.push(response.header("etag").to_owned());
        sizes.push(response.bytes.len());
    }
    assert!(sizes[1] * 4 < sizes[0] && sizes[2] < sizes[1], "{sizes:?}");
    let etag = |suffix: &str| format!("\"e{}{suffix}\"", script().len());
    assert_eq!(etags, [etag(""), etag("-gzip"), etag("-br"), etag("-br")]);
    for accept in ["identity", "gzip", "br"] {
        assert_eq!(get(&mut browser, path, accept).await.header("vary"), "accept-encoding", "{accept}");
    }
    let unnamed = browser.send(Method::GET, path, &[], None).await;
    assert_eq!((unnamed.header("content-encoding"), unnamed.header("vary")), ("", "accept-encoding"));
}

#[tokio::test]
async fn a_known_representation_is_not_sent_again_and_another_one_is() {
    let mut browser = browser();
    let path = "/assets/index-1a2b.js";
    let etag = get(&mut browser, path, "br").await.header("etag").to_owned();
    let mut conditional = async |accept: &str, known: &str| {
        let headers = [("accept-encoding", accept), ("if-none-match", known)];
        let response = browser.send(Method::GET, path, &headers, None).await;
        (response.status, response.bytes.len())
    };
    for known in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        assert_eq!(conditional("br", &known).await, (StatusCode::NOT_MODIFIED, 0), "{known}");
    }
    for (accept, known) in [("gzip", etag.as_str()), ("identity", &etag), ("br", "\"other\"")] {
        assert_eq!(conditional(accept, known).await.0, StatusCode::OK, "{accept} {known}");
    }
}

#[tokio::test]
async fn small_files_and_images_are_sent_as_they_are() {
    let mut browser = browser();
    for path in ["/assets/small-1a2b.js", "/assets/photo-1a2b.png"] {
        let response = get(&mut browser, path, "br, gzip").await;
        assert_eq!((response.header("content-encoding"), response.header("vary")), ("", ""), "{path}");
    }
}

#[tokio::test]
async fn the_style_sheet_of_the_pages_is_compressed() {
    let app = TestApp::new();
    let mut browser = app.browser();
    let url = "/api/actions/connector/_oauth_callback_style";
    let (plain, small) = (get(&mut browser, url, "identity").await, get(&mut browser, url, "br").await);
    assert!(small.bytes.len() * 2 < plain.bytes.len(), "{} of {}", small.bytes.len(), plain.bytes.len());
    assert_eq!(decoded(&small), plain.bytes);
}

//! Exact limits of requests: n passes, n + 1 does not.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::StreamExt;
use http::{Method, Request, StatusCode};
use serde_json::json;

use super::test_app::{HOST, Options, SAME_ORIGIN_JSON, TestApp};
use crate::host::Limits;

#[tokio::test]
async fn r58_the_url_is_bounded() {
    let app = TestApp::new();
    let mut browser = app.browser();
    let of_length = |length: usize| format!("/livez?{}", "a".repeat(length - "/livez?".len()));
    assert_eq!(browser.get(&of_length(8192)).await.status, StatusCode::OK);
    let refused = browser.get(&of_length(8193)).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (414, "url_too_long"));
    let page = browser.also("accept", "text/html").get(&of_length(8193)).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (414, "text/html; charset=utf-8"));
    assert!(page.body.contains("The link is too long"), "{}", page.body);
}

#[tokio::test]
async fn r58_header_fields_are_bounded_in_number_and_size() {
    let app = TestApp::new();
    let request = |fields: usize, bytes: usize| {
        let mut request = Request::get("/livez").header("host", HOST).body(Body::empty()).unwrap();
        for n in 1..fields {
            request.headers_mut().append("x", format!("{}", n % 10).parse().unwrap());
        }
        let present: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if bytes > 0 {
            request.headers_mut().append("y", "z".repeat(bytes - present - 1).parse().unwrap());
        }
        request
    };
    let mut browser = app.browser();
    assert_eq!(browser.exchange(request(64, 0)).await.status, StatusCode::OK);
    let refused = browser.exchange(request(65, 0)).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (431, "headers_too_large"));
    assert_eq!(browser.exchange(request(3, 32 * 1024)).await.status, StatusCode::OK);
    let refused = browser.exchange(request(3, 32 * 1024 + 1)).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (431, "headers_too_large"));
    // Cookies in separate fields count as the one field that they are joined to.
    let with_cookies = |last: usize| {
        let mut request = request(63, 0);
        let present: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        for _ in 0..100 {
            request.headers_mut().append("cookie", "other=1".parse().unwrap());
        }
        let length = last - present - "cookie".len() - 100 * "other=1; ".len();
        request.headers_mut().append("cookie", "c".repeat(length).parse().unwrap());
        request
    };
    assert_eq!(browser.exchange(with_cookies(32 * 1024)).await.status, StatusCode::OK);
    assert_eq!(browser.exchange(with_cookies(32 * 1024 + 1)).await.code(), "headers_too_large");
    // A browser that asked for a page gets one.
    let mut for_page = request(3, 32 * 1024 + 1);
    for_page.headers_mut().insert("accept", "text/html,application/xhtml+xml".parse().unwrap());
    let page = browser.exchange(for_page).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (431, "text/html; charset=utf-8"));
    assert!(page.body.contains("Too many cookies") && page.body.contains("headers_too_large · "), "{}", page.body);
}

#[tokio::test]
async fn r58_bodies_are_bounded_with_and_without_an_announced_length() {
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
    let padded = |length: usize| format!("{{{}}}", " ".repeat(length - 2));
    let cancel = "/internal/actions/connector/drive/_oauth_cancel";
    let execute = "/api/actions/connector/drive/_execute";
    for (path, limit) in [(cancel, 64 * 1024), (execute, 1024 * 1024)] {
        let response = alice.send(Method::POST, path, &SAME_ORIGIN_JSON, Some(padded(limit))).await;
        assert_eq!(response.code(), "invalid_request", "a body within the limit is parsed: {path}");
        let response = alice.send(Method::POST, path, &SAME_ORIGIN_JSON, Some(padded(limit + 1))).await;
        assert_eq!((response.status.as_u16(), response.code().as_str()), (413, "payload_too_large"), "{path}");
        // In chunks, without an announced length.
        let pieces =
            futures_util::stream::iter(vec![Bytes::from(padded(limit)), Bytes::from(" ")]).map(Ok::<_, std::io::Error>);
        let mut request = Request::post(path)
            .header("host", HOST)
            .header("content-type", "application/json")
            .body(Body::from_stream(pieces))
            .unwrap();
        let cookies: Vec<String> = alice.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request.headers_mut().insert("cookie", cookies.join("; ").parse().unwrap());
        assert_eq!(alice.exchange(request).await.code(), "payload_too_large", "{path}");
    }
}

#[tokio::test]
async fn r58_a_body_that_does_not_arrive_is_refused() {
    let limits = Limits { read_deadline: Duration::from_millis(20), ..Limits::default() };
    let app = TestApp::with(Options { limits, ..Options::default() });
    let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let request =
        Request::post("/api/session").header("host", HOST).header("content-type", "application/json").body(never).unwrap();
    let response = app.browser().exchange(request).await;
    assert_eq!(response.code(), "invalid_request");
}

#[tokio::test]
async fn r58_refusals_of_a_body_name_the_field() {
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
    let path = "/api/actions/connector/new";
    let good = json!({"name": "N", "connector_type_id": ".example", "config": {}});
    let changed = |name: &str, value: serde_json::Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let deep = (0..16).fold(json!(1), |inner, _| json!([inner]));
    let cases = [
        (json!([]), "body"),
        (changed("nmae", json!("CANARY")), "nmae"),
        (changed("name", json!(7)), "name"),
        (changed("name", json!(" ")), "name"),
        (changed("connector_type_id", json!("CANARY")), "connector_type_id"),
        (changed("auth_mode", json!("CANARY")), "auth_mode"),
        (changed("config", json!("CANARY")), "config"),
        (changed("config", json!({"long": "x".repeat(17 * 1024)})), "config"),
        (changed("secrets", json!({"clientSecert": "CANARY"})), "secrets.clientSecert"),
        (changed("secrets", json!({"clientSecret": 5})), "secrets.clientSecret"),
        (changed("secrets", json!({"clientSecret": ""})), "secrets.clientSecret"),
        (changed("secrets", json!({"clientSecret": "pasted\n"})), "secrets.clientSecret"),
        (changed("secrets", json!({"clientSecret": " pasted"})), "secrets.clientSecret"),
        (changed("secrets", json!({"clientSecret": "x".repeat(4097)})), "secrets.clientSecret"),
        (changed("name", json!("a\u{202e}b")), "name"),
        (changed("name", json!("\u{200b}")), "name"),
        (changed("config", deep), "body"),
    ];
    for (body, field) in cases {
        let response = alice.post(path, &body).await;
        assert_eq!(
            (response.code().as_str(), response.json()["field"].as_str().unwrap()),
            ("invalid_request", field),
            "{}",
            response.body
        );
        assert!(!response.body.contains("CANARY"), "{}", response.body);
    }
    for text in ["{", "", "nul", "{\"name\": \"CANARY", "\u{feff}{}", "{\"a\":1,\"a\":2}"] {
        let response = alice.send(Method::POST, path, &SAME_ORIGIN_JSON, Some(text.to_owned())).await;
        assert_eq!(response.code(), "invalid_request", "{text}");
        assert!(!response.body.contains("CANARY"), "{}", response.body);
    }
    assert_eq!(alice.post("/api/actions/connector/a%20b", &good).await.json()["field"], "id");
    assert_eq!(alice.get("/internal/actions/grants?cursor=x&cursor=y").await.code(), "invalid_request");
    assert_eq!(alice.post(path, &good).await.status, StatusCode::OK);
}

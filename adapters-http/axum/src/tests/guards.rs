//! Checks of every request and headers of every response.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::test_app::{BASE, HOST, Options, TestApp, TestResponse};

#[tokio::test]
async fn r57_only_allowed_hosts_are_served() {
    let app = TestApp::with(Options { additional_hosts: vec!["Health.internal:9090".to_owned()], ..Options::default() });
    for (host, status) in [
        (HOST, 200),
        ("health.INTERNAL:9090", 200),
        ("127.0.0.1", 421),
        ("127.0.0.1:8081", 421),
        ("localhost:8080", 421),
        ("evil.example", 421),
        ("127.0.0.1:8080.evil.example", 421),
        ("", 421),
    ] {
        let response = app.browser().also("host", host).get("/openapi.json").await;
        assert_eq!(response.status.as_u16(), status, "{host:?}");
    }
    assert_eq!(app.browser().also("host", "evil.example").get("/nowhere").await.code(), "wrong_host");
    // A host in the request target must be allowed as well.
    let mut browser = app.browser();
    assert_eq!(browser.send(Method::GET, "http://evil.example/openapi.json", &[], None).await.code(), "wrong_host");
    assert_eq!(browser.send(Method::GET, &format!("http://{HOST}/openapi.json"), &[], None).await.status, StatusCode::OK);
    // No host at all, and two of them.
    let bare = || http::Request::get("/openapi.json").body(axum::body::Body::empty()).unwrap();
    assert_eq!(browser.exchange(bare()).await.code(), "wrong_host");
    let mut two = bare();
    two.headers_mut().append("host", HOST.parse().unwrap());
    two.headers_mut().append("host", HOST.parse().unwrap());
    assert_eq!(browser.exchange(two).await.code(), "wrong_host");
}

#[tokio::test]
async fn health_and_metrics_respond_under_any_host() {
    let app = TestApp::new();
    for path in ["/livez", "/readyz", "/metrics"] {
        for host in ["10.244.1.7:8080", "localhost", "evil.example", "[fd00::1]:8080", ""] {
            assert_eq!(app.browser().also("host", host).get(path).await.status, StatusCode::OK, "{path} {host}");
        }
        let bare = http::Request::get(path).body(axum::body::Body::empty()).unwrap();
        assert_eq!(app.browser().exchange(bare).await.status, StatusCode::OK, "{path}");
    }
    let elsewhere = TestApp::with(Options { serves_operations: false, ..Options::default() });
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(elsewhere.browser().get(path).await.code(), "not_found", "{path}");
    }
    assert_eq!(elsewhere.browser().get("/openapi.json").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_operations_router_has_no_other_route() {
    use tower::ServiceExt as _;

    struct Stopping;

    #[async_trait::async_trait]
    impl crate::host::Readiness for Stopping {
        async fn check(&self) -> Result<(), &'static str> {
            Err("shutting down")
        }
    }

    let router = crate::operations_router(
        std::sync::Arc::new(Stopping),
        std::sync::Arc::new(|| "a 1\n".to_owned()),
        crate::MetricsAccess::Open,
    );
    let get = async |path: &str| {
        let request = http::Request::get(path).body(axum::body::Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    assert_eq!(get("/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(get("/readyz").await, (503, "not ready: shutting down\n".to_owned()));
    assert_eq!(get("/metrics").await, (200, "a 1\n".to_owned()));
    assert_eq!(get("/openapi.json").await.0, 404);
}

#[tokio::test]
async fn metrics_need_their_bearer_token() {
    let with = |access| TestApp::with(Options { metrics_access: access, ..Options::default() });
    assert_eq!(with(crate::MetricsAccess::Closed).browser().get("/metrics").await.code(), "not_found");
    let app = with(crate::MetricsAccess::bearer("right-token"));
    assert_eq!(app.browser().also("authorization", "Bearer right-token").get("/metrics").await.status, StatusCode::OK);
    assert_eq!(app.browser().also("authorization", "bearer right-token").get("/metrics").await.status, StatusCode::OK);
    for credentials in
        ["", "Bearer", "Bearer ", "Bearer right-toke", "Bearer right-token2", "Basic right-token", "right-token"]
    {
        let refused = app.browser().also("authorization", credentials).get("/metrics").await;
        assert_eq!((refused.status, refused.code().as_str()), (StatusCode::UNAUTHORIZED, "not_signed_in"), "{credentials}");
        assert_eq!(refused.header("www-authenticate"), "Bearer", "{credentials}");
        assert!(!refused.body.contains("no metrics"), "{credentials}");
    }
    let refused = app.browser().get("/metrics").await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (StatusCode::UNAUTHORIZED, "Bearer"));
    assert_eq!(app.browser().get("/livez").await.status, StatusCode::OK, "probes need no token");
}

/// A proxy that sends another name of this server as `Host` still passes the origin of the page.
#[tokio::test]
async fn r56_the_public_origin_is_accepted_under_an_additional_host() {
    const PATH: &str = "/internal/actions/connector/drive/_oauth_disconnect";
    let app = TestApp::with(Options {
        public: "https://connect.example:443",
        additional_hosts: vec!["grantry:8080".to_owned()],
        ..Options::default()
    });
    for (origin, code) in [
        ("https://connect.example", "not_signed_in"),
        ("http://connect.example", "forbidden"),
        ("https://connect.example.evil.example", "forbidden"),
    ] {
        let mut anonymous = app.browser().also("host", "grantry:8080").also("origin", origin);
        assert_eq!(anonymous.send(Method::POST, PATH, &[], None).await.code(), code, "{origin}");
    }
}

/// Every state-changing route of the `OpenAPI` document, with a path that reaches its handler.
fn state_changes() -> Vec<(Method, String)> {
    let document: Value = serde_json::from_str(&crate::openapi()).unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let mut path = path.clone();
        for (parameter, value) in [
            ("{id}", "drive"),
            ("{space}", "marketing"),
            ("{user}", "u_bob"),
            ("{grantId}", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ] {
            path = path.replace(parameter, value);
        }
        for method in ["post", "put", "delete"] {
            if item.get(method).is_some() {
                assert!(!path.contains('{'), "a value for {path}");
                routes.push((method.to_uppercase().parse().unwrap(), path.clone()));
            }
        }
    }
    assert!(routes.len() > 20, "{routes:?}");
    routes
}

#[tokio::test]
async fn r56_state_changes_come_from_the_public_origin_or_from_no_browser() {
    let app = TestApp::with_drive().await;
    let mut carol = app.signed_in("carol").await;
    let foreign: [&[(&str, &str)]; 9] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "cross-site"), ("origin", BASE)],
        &[("origin", "null")],
        &[("origin", "https://evil.example")],
        &[("origin", "http://127.0.0.1:8081")],
        &[("origin", "http://127.0.0.1:8080.evil.example")],
        &[("origin", "")],
    ];
    for (method, path) in state_changes() {
        for headers in foreign {
            let with_type: Vec<_> = headers
                .iter()
                .copied()
                .chain([("content-type", "application/json"), ("kbn-xsrf", "1"), ("x-grantry-request", "1")])
                .collect();
            let response = carol.send(method.clone(), &path, &with_type, Some("{}".to_owned())).await;
            assert_eq!(
                (response.status, response.code().as_str()),
                (StatusCode::FORBIDDEN, "forbidden"),
                "{method} {path} {headers:?}"
            );
        }
        for kind in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", ""]
        {
            let headers = [("sec-fetch-site", "same-origin"), ("content-type", kind)];
            let response = carol.send(method.clone(), &path, &headers, Some("{}".to_owned())).await;
            assert_eq!(response.code(), "unsupported_media_type", "{method} {path} {kind}");
        }
    }
    // No request changed any state.
    assert_eq!(carol.get("/api/actions/connectors").await.json().as_array().unwrap().len(), 1);
    let accepted: [&[(&str, &str)]; 4] = [
        &[("sec-fetch-site", "same-origin")],
        &[("origin", BASE)],
        &[("origin", "http://127.0.0.1:8080"), ("kbn-xsrf", "x")],
        &[],
    ];
    for headers in accepted {
        let response = carol.send(Method::POST, "/internal/actions/connector/drive/_oauth_disconnect", headers, None).await;
        assert_eq!(response.status, StatusCode::NO_CONTENT, "{headers:?}");
    }
}

/// A page of the same host over plain http may be injected by a network attacker.
#[tokio::test]
async fn r56_the_scheme_is_part_of_the_origin() {
    const PATH: &str = "/internal/actions/connector/drive/_oauth_disconnect";
    let app = TestApp::with(Options { public: "https://connect.example", ..Options::default() });
    for (origin, code) in [
        ("http://connect.example", "forbidden"),
        ("connect.example", "forbidden"),
        ("https://connect.example", "not_signed_in"),
    ] {
        let mut anonymous = app.browser().also("host", "connect.example").also("origin", origin);
        let response = anonymous.send(Method::POST, PATH, &[], None).await;
        assert_eq!(response.code(), code, "{origin}");
    }
    let plain = TestApp::new();
    let mut anonymous = plain.browser().also("origin", "https://127.0.0.1:8080");
    assert_eq!(anonymous.send(Method::POST, PATH, &[], None).await.code(), "forbidden");
}

#[tokio::test]
async fn r56_no_get_changes_state_and_no_cors_header_is_sent() {
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await.also("origin", "https://evil.example");
    for (_, path) in state_changes() {
        for method in [Method::GET, Method::OPTIONS] {
            let headers = [("access-control-request-method", "POST"), ("sec-fetch-site", "cross-site")];
            let response = alice.send(method, &path, &headers, None).await;
            assert!(response.headers.keys().all(|name| !name.as_str().starts_with("access-control-")), "{path}");
        }
    }
    assert_eq!(alice.send(Method::OPTIONS, "/api/session", &[], None).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

async fn one_of_each_kind(app: &TestApp) -> Vec<(&'static str, TestResponse)> {
    let mut alice = app.signed_in("alice").await;
    let flow = alice.start("drive").await;
    let login = app.browser().get("/login").await;
    vec![
        ("json", alice.get("/api/actions/connectors").await),
        ("no content", alice.post_empty("/internal/actions/connector/drive/_oauth_disconnect").await),
        ("problem", alice.get("/api/actions/connector/missing").await),
        ("no route", alice.get("/nowhere").await),
        ("no method", alice.send(Method::PATCH, "/api/session", &[("sec-fetch-site", "same-origin")], None).await),
        ("wrong host", alice.also("host", "evil.example").get("/").await),
        ("redirect", alice.finish(&flow).await),
        ("page", alice.get("/api/actions/connector/drive/oauth/start").await),
        ("log-in", login),
        ("health", alice.get("/livez").await),
        ("metrics", alice.get("/metrics").await),
        ("document", alice.get("/openapi.json").await),
    ]
}

#[tokio::test]
async fn r62_every_response_has_the_security_headers() {
    let app = TestApp::with_drive().await;
    for (kind, response) in one_of_each_kind(&app).await {
        assert!(response.header("content-security-policy").contains("frame-ancestors 'none'"), "{kind}");
        assert!(response.header("content-security-policy").starts_with("default-src 'none'; "), "{kind}");
        let expected = [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("strict-transport-security", ""),
        ];
        for (name, value) in expected {
            assert_eq!(response.header(name), value, "{kind} {name}");
        }
        if !response.body.is_empty() {
            let content_type = response.header("content-type");
            assert!(content_type.contains("json") || content_type.contains("charset=utf-8"), "{kind} {content_type}");
        }
    }
}

#[tokio::test]
async fn r62_https_sends_hsts() {
    let app = TestApp::with(Options { public: "https://connect.example/oauth", ..Options::default() });
    let response = app.browser().also("host", "CONNECT.example:443").get("/livez").await;
    assert_eq!(response.status, StatusCode::OK);
    assert!(response.header("strict-transport-security").starts_with("max-age="));
}

#[tokio::test]
async fn r61_errors_contain_only_a_code_and_a_correlation_id() {
    let app = TestApp::new();
    let mut alice = app.signed_in("alice").await;
    let response = alice.get("/api/actions/connector/missing").await;
    let mut body = response.json();
    assert_eq!(body["correlation_id"], response.header("x-correlation-id"));
    assert_eq!(body["correlation_id"].as_str().unwrap().len(), 16);
    body["correlation_id"] = Value::String("[id]".to_owned());
    insta::assert_json_snapshot!("problem", body);
    let other = alice.get("/api/actions/connector/missing").await;
    assert_ne!(other.header("x-correlation-id"), response.header("x-correlation-id"));
}

#[tokio::test]
async fn r61_errors_of_dependencies_do_not_show_their_text() {
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
    app.directory.set_unavailable(true);
    assert_eq!(alice.get("/api/actions/connectors").await.code(), "directory_unavailable");
    app.directory.set_unavailable(false);
    for (error, code) in [
        (grantry_domain::ports::ProviderErrorKind::NoResponse, "provider_unavailable"),
        (grantry_domain::ports::ProviderErrorKind::BadMetadata, "provider_misconfigured"),
    ] {
        app.provider.respond_to_resolve(Err(error));
        let response = alice.post("/internal/actions/connector/drive/_start_oauth_flow", &json!({})).await;
        assert_eq!(response.code(), code);
    }
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems_too() {
    let app = TestApp::new();
    let mut alice = app.signed_in("alice").await;
    for path in ["/nowhere", "/api/actions", "/s/default/api/session", "//", "/index.html"] {
        assert_eq!(alice.get(path).await.code(), "not_found", "{path}");
    }
    let response =
        alice.send(Method::PATCH, "/api/actions/connector/drive", &[("sec-fetch-site", "same-origin")], None).await;
    assert_eq!(response.code(), "method_not_allowed");
    assert!(response.header("allow").contains("PUT"), "{}", response.header("allow"));
}

#[tokio::test]
async fn a_panic_becomes_a_response() {
    let app = TestApp::with(Options { console: Some(std::sync::Arc::new(Panics)), ..Options::default() });
    let response = app.browser().get("/anything.js").await;
    assert_eq!((response.status, response.code().as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "internal"));
    assert!(!response.body.contains("PANIC-CANARY"));
    assert_eq!(response.header("x-content-type-options"), "nosniff");
}

struct Panics;

impl crate::host::ConsoleAssets for Panics {
    fn get(&self, _: &str) -> Option<crate::host::ConsoleAsset> {
        panic!("PANIC-CANARY")
    }
}

//! What every request passes and every response carries.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::world::{Answer, BASE, HOST, Options, World};

#[tokio::test]
async fn r57_only_allowed_hosts_are_answered() {
    let world = World::with(Options { more_hosts: vec!["Health.internal:9090".to_owned()], ..Options::default() });
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
        let answer = world.browser().also("host", host).get("/livez").await;
        assert_eq!(answer.status.as_u16(), status, "{host:?}");
    }
    assert_eq!(world.browser().also("host", "evil.example").get("/nowhere").await.code(), "wrong_host");
    // A host in the target counts like the header, and both must be ours.
    let mut browser = world.browser();
    assert_eq!(browser.send(Method::GET, "http://evil.example/livez", &[], None).await.code(), "wrong_host");
    assert_eq!(browser.send(Method::GET, &format!("http://{HOST}/livez"), &[], None).await.status, StatusCode::OK);
    // No host at all, and two of them.
    let bare = || http::Request::get("/livez").body(axum::body::Body::empty()).unwrap();
    assert_eq!(browser.exchange(bare()).await.code(), "wrong_host");
    let mut two = bare();
    two.headers_mut().append("host", HOST.parse().unwrap());
    two.headers_mut().append("host", HOST.parse().unwrap());
    assert_eq!(browser.exchange(two).await.code(), "wrong_host");
}

/// Every state-changing route, with a path that reaches its handler.
const CHANGES: [(&str, &str); 10] = [
    ("POST", "/api/actions/connector"),
    ("POST", "/api/actions/connector/new"),
    ("PUT", "/api/actions/connector/drive"),
    ("DELETE", "/api/actions/connector/drive"),
    ("POST", "/internal/actions/connector/drive/_start_oauth_flow"),
    ("POST", "/internal/actions/connector/drive/_oauth_cancel"),
    ("POST", "/internal/actions/connector/drive/_oauth_disconnect"),
    ("POST", "/api/actions/connector/drive/_execute"),
    ("POST", "/api/session"),
    ("DELETE", "/api/session"),
];

#[tokio::test]
async fn r56_state_changes_come_from_our_own_pages_or_from_no_browser() {
    let world = World::new();
    world.connector("default", "drive", ".example").await;
    let mut carol = world.signed_in("carol").await;
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
    for (method, path) in CHANGES {
        let method: Method = method.parse().unwrap();
        for headers in foreign {
            let with_type: Vec<_> = headers
                .iter()
                .copied()
                .chain([("content-type", "application/json"), ("kbn-xsrf", "1"), ("x-grantry-request", "1")])
                .collect();
            let answer = carol.send(method.clone(), path, &with_type, Some("{}".to_owned())).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (StatusCode::FORBIDDEN, "forbidden"),
                "{method} {path} {headers:?}"
            );
        }
        for kind in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", ""]
        {
            let headers = [("sec-fetch-site", "same-origin"), ("content-type", kind)];
            let answer = carol.send(method.clone(), path, &headers, Some("{}".to_owned())).await;
            assert_eq!(answer.code(), "unsupported_media_type", "{method} {path} {kind}");
        }
    }
    // Nothing of that changed anything.
    assert_eq!(carol.get("/api/actions/connectors").await.json().as_array().unwrap().len(), 1);
    let ours: [&[(&str, &str)]; 4] = [
        &[("sec-fetch-site", "same-origin")],
        &[("origin", BASE)],
        &[("origin", "http://127.0.0.1:8080"), ("kbn-xsrf", "x")],
        &[],
    ];
    for headers in ours {
        let answer = carol.send(Method::POST, "/internal/actions/connector/drive/_oauth_disconnect", headers, None).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{headers:?}");
    }
}

/// A page of the same name over plain http may be anybody's who sits on the line.
#[tokio::test]
async fn r56_the_scheme_is_part_of_the_origin() {
    const PATH: &str = "/internal/actions/connector/drive/_oauth_disconnect";
    let world = World::with(Options { public: "https://connect.example", ..Options::default() });
    for (origin, code) in [
        ("http://connect.example", "forbidden"),
        ("connect.example", "forbidden"),
        ("https://connect.example", "not_signed_in"),
    ] {
        let mut nobody = world.browser().also("host", "connect.example").also("origin", origin);
        let answer = nobody.send(Method::POST, PATH, &[], None).await;
        assert_eq!(answer.code(), code, "{origin}");
    }
    let plain = World::new();
    let mut nobody = plain.browser().also("origin", "https://127.0.0.1:8080");
    assert_eq!(nobody.send(Method::POST, PATH, &[], None).await.code(), "forbidden");
}

#[tokio::test]
async fn r56_no_get_changes_anything_and_no_cors_header_is_ever_sent() {
    let world = World::new();
    world.connector("default", "drive", ".example").await;
    let mut alice = world.signed_in("alice").await.also("origin", "https://evil.example");
    for (_, path) in CHANGES {
        for method in [Method::GET, Method::OPTIONS] {
            let headers = [("access-control-request-method", "POST"), ("sec-fetch-site", "cross-site")];
            let answer = alice.send(method, path, &headers, None).await;
            assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")), "{path}");
        }
    }
    assert_eq!(alice.send(Method::OPTIONS, "/api/session", &[], None).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

async fn one_of_each_kind(world: &World) -> Vec<(&'static str, Answer)> {
    let mut alice = world.signed_in("alice").await;
    let flow = alice.start("drive").await;
    let login = world.browser().get("/login").await;
    vec![
        ("json", alice.get("/api/actions/connectors").await),
        ("no content", alice.post_nothing("/internal/actions/connector/drive/_oauth_disconnect").await),
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
async fn r62_every_response_carries_its_headers() {
    let world = World::new();
    world.connector("default", "drive", ".example").await;
    for (kind, answer) in one_of_each_kind(&world).await {
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{kind}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'; "), "{kind}");
        let expected = [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("strict-transport-security", ""),
        ];
        for (name, value) in expected {
            assert_eq!(answer.header(name), value, "{kind} {name}");
        }
        if !answer.body.is_empty() {
            let content_type = answer.header("content-type");
            assert!(content_type.contains("json") || content_type.contains("charset=utf-8"), "{kind} {content_type}");
        }
    }
}

#[tokio::test]
async fn r62_https_says_so() {
    let world = World::with(Options { public: "https://connect.example/oauth", ..Options::default() });
    let answer = world.browser().also("host", "CONNECT.example:443").get("/livez").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.header("strict-transport-security").starts_with("max-age="));
}

#[tokio::test]
async fn r61_errors_say_a_code_and_a_correlation_id_and_nothing_else() {
    let world = World::new();
    let mut alice = world.signed_in("alice").await;
    let answer = alice.get("/api/actions/connector/missing").await;
    let mut body = answer.json();
    assert_eq!(body["correlation_id"], answer.header("x-correlation-id"));
    assert_eq!(body["correlation_id"].as_str().unwrap().len(), 16);
    body["correlation_id"] = Value::String("[id]".to_owned());
    insta::assert_json_snapshot!("problem", body);
    let other = alice.get("/api/actions/connector/missing").await;
    assert_ne!(other.header("x-correlation-id"), answer.header("x-correlation-id"));
}

#[tokio::test]
async fn r61_faults_behind_us_show_nothing_of_themselves() {
    let world = World::new();
    world.connector("default", "drive", ".example").await;
    let mut alice = world.signed_in("alice").await;
    world.directory.go_down(true);
    assert_eq!(alice.get("/api/actions/connectors").await.code(), "forbidden", "R06: errors mean deny");
    world.directory.go_down(false);
    for (error, code) in [
        (grantry_domain::ports::ProviderError::NoResponse, "provider_unavailable"),
        (grantry_domain::ports::ProviderError::BadMetadata, "provider_misconfigured"),
    ] {
        world.provider.answer_resolve(Err(error));
        let answer = alice.post("/internal/actions/connector/drive/_start_oauth_flow", &json!({})).await;
        assert_eq!(answer.code(), code);
    }
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems_too() {
    let world = World::new();
    let mut alice = world.signed_in("alice").await;
    for path in ["/nowhere", "/api/actions", "/s/default/api/session", "//", "/index.html"] {
        assert_eq!(alice.get(path).await.code(), "not_found", "{path}");
    }
    let answer = alice.send(Method::PATCH, "/api/actions/connector/drive", &[("sec-fetch-site", "same-origin")], None).await;
    assert_eq!(answer.code(), "method_not_allowed");
    assert!(answer.header("allow").contains("PUT"), "{}", answer.header("allow"));
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let world = World::with(Options { console: Some(std::sync::Arc::new(Panics)), ..Options::default() });
    let answer = world.browser().get("/anything.js").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "internal"));
    assert!(!answer.body.contains("PANIC-CANARY"));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

struct Panics;

impl crate::state::ConsoleAssets for Panics {
    fn get(&self, _: &str) -> Option<crate::state::ConsoleAsset> {
        panic!("PANIC-CANARY")
    }
}

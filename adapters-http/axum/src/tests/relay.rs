//! Requests that are relayed to the API of a connector.

use axum::body::Body;
use grantry_domain::ports::{ApiError, ApiResponse};
use http::{Method, Request, StatusCode, header};

use super::test_app::{BASE, Browser, HOST, TestApp, TestResponse};

const RELAY: &str = "/api/actions/connector/drive/_relay";
const SAME_ORIGIN: (&str, &str) = ("sec-fetch-site", "same-origin");

async fn get(browser: &mut Browser, path: &str, fields: &[(&str, &str)]) -> TestResponse {
    let fields: Vec<_> = fields.iter().copied().chain([SAME_ORIGIN]).collect();
    browser.send(Method::GET, &format!("{RELAY}{path}"), &fields, None).await
}

#[tokio::test]
async fn method_path_query_fields_and_body_reach_the_api_as_they_are() {
    let app = TestApp::with_drive().await;
    let mut alice = app.connected("alice", "drive").await;
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "POST"] {
        let method = Method::try_from(method).unwrap();
        let body = (method != Method::GET).then(|| "a=b".to_owned());
        let fields = [SAME_ORIGIN, ("content-type", "application/x-www-form-urlencoded"), ("x-a", "1")];
        let path = format!("{RELAY}/a%20b/%C3%A4//c?x=1&x=%2F&y");
        let response = alice.send(method.clone(), &path, &fields, body.clone()).await;
        assert_eq!((response.status, response.body.as_str()), (StatusCode::OK, "{}"), "{method}");
        let sent = app.resource.requests().pop().unwrap();
        assert_eq!(sent.method, method.as_str());
        assert_eq!(sent.url, "https://api.example/a%20b/%C3%A4//c?x=1&x=%2F&y");
        assert_eq!((sent.body, sent.token.as_str()), (body.map(String::into_bytes), "access-1"));
        let kind = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
        assert_eq!(sent.headers, [kind, ("x-a".to_owned(), "1".to_owned())]);
    }
}

#[tokio::test]
async fn credentials_and_fields_about_this_server_do_not_reach_the_api() {
    let app = TestApp::with_drive().await;
    app.connected("alice", "drive").await;
    let mut agent = app.browser().also("authorization", "Bearer gak_runner");
    let fields = [
        ("x-grantry-user", "u_alice"),
        ("x-grantry-connection", "default"),
        ("origin", BASE),
        ("referer", BASE),
        ("cookie", "grantry_session=CANARY"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-user", "alice"),
        ("forwarded", "for=203.0.113.9"),
        ("via", "1.1 proxy"),
        ("proxy-authorization", "Basic CANARY"),
        ("x-auth-request-access-token", "CANARY"),
        ("x-amzn-oidc-data", "CANARY"),
        ("remote-user", "alice"),
        ("te", "trailers"),
        ("expect", "100-continue"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABk"),
        ("accept", "text/plain"),
        ("if-none-match", "\"1\""),
    ];
    assert_eq!(get(&mut agent, "/files", &fields).await.status, StatusCode::OK);
    let sent = app.resource.requests().pop().unwrap().headers;
    let names: Vec<_> = sent.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["accept", "if-none-match"]);
}

#[tokio::test]
async fn fields_of_a_response_do_not_act_on_the_origin_of_this_server() {
    let app = TestApp::with_drive().await;
    let mut alice = app.connected("alice", "drive").await;
    let field = |(name, value): (&str, &str)| (name.to_owned(), value.as_bytes().to_vec());
    let headers = [
        ("Content-Type", "text/html"),
        ("ETag", "\"1\""),
        ("Link", "<https://api.example/2>; rel=next"),
        ("Clear-Site-Data", "\"*\""),
        ("Access-Control-Allow-Origin", "*"),
        ("Strict-Transport-Security", "max-age=0"),
        ("Content-Security-Policy", "default-src *"),
        ("Cache-Control", "public"),
        ("WWW-Authenticate", "Basic"),
        ("Refresh", "0;url=/"),
        ("X-Accel-Redirect", "/internal"),
        ("X-Accel-Buffering", "yes"),
        ("X-Sendfile", "/etc/passwd"),
        ("X-LIGHTTPD-Send-File", "/etc/passwd"),
        ("CDN-Cache-Control", "max-age=60"),
        ("Cloudflare-CDN-Cache-Control", "max-age=60"),
        ("Surrogate-Control", "max-age=60"),
        ("Service-Worker-Allowed", "/"),
        ("Cross-Origin-Opener-Policy", "unsafe-none"),
        ("X-Grantry-Response", "forged"),
    ];
    app.resource.respond(Ok(ApiResponse {
        status: 404,
        headers: headers.into_iter().map(field).collect(),
        body: b"<p>".to_vec(),
    }));
    let response = get(&mut alice, "/files", &[]).await;
    assert_eq!((response.status, response.body.as_str()), (StatusCode::NOT_FOUND, "<p>"));
    let mut names: Vec<_> = response.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "cache-control",
            "content-security-policy",
            "content-type",
            "cross-origin-opener-policy",
            "cross-origin-resource-policy",
            "etag",
            "link",
            "referrer-policy",
            "x-accel-buffering",
            "x-content-type-options",
            "x-correlation-id",
            "x-grantry-response",
        ]
    );
    assert!(response.header("content-security-policy").starts_with("sandbox; default-src 'none'"));
    assert_eq!((response.header("cache-control"), response.header("x-grantry-response")), ("no-store", "api"));
    assert_eq!((response.header("cross-origin-opener-policy"), response.header("x-accel-buffering")), ("same-origin", "no"));
}

#[tokio::test]
async fn a_redirect_is_returned_unless_it_leads_to_this_server() {
    let app = TestApp::with_drive().await;
    let mut alice = app.connected("alice", "drive").await;
    let own = format!("{BASE}/log-out");
    for (location, is_passed) in
        [("https://api.example/2", true), ("https://elsewhere.example/", true), (own.as_str(), false)]
    {
        let headers = vec![("location".to_owned(), location.as_bytes().to_vec())];
        app.resource.respond(Ok(ApiResponse { status: 302, headers, body: Vec::new() }));
        let response = get(&mut alice, "/files", &[]).await;
        assert_eq!(response.status, StatusCode::FOUND);
        let passed = response.headers.get(header::LOCATION).map(|value| value.to_str().unwrap());
        assert_eq!(passed, is_passed.then_some(location));
    }
    assert_eq!(app.resource.requests().len(), 3, "no redirect is followed");
}

#[tokio::test]
async fn only_pages_of_this_origin_relay_with_a_session() {
    let app = TestApp::with_drive().await;
    let mut alice = app.connected("alice", "drive").await;
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::POST] {
        for fields in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[],
        ] {
            let refused = alice.send(method.clone(), &format!("{RELAY}/files"), fields, None).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{method} {fields:?}");
        }
    }
    assert!(app.resource.requests().is_empty());
    let allowed = alice.send(Method::GET, &format!("{RELAY}/files"), &[("origin", BASE)], None).await;
    assert_eq!(allowed.status, StatusCode::OK);
}

#[tokio::test]
async fn a_browser_uses_the_content_of_an_api_as_data_only() {
    let app = TestApp::with_drive().await;
    let mut alice = app.connected("alice", "drive").await;
    for destination in ["document", "iframe", "script", "serviceworker", "worker", "style", "object", "manifest"] {
        let refused = get(&mut alice, "/files", &[("sec-fetch-dest", destination)]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{destination}");
    }
    assert!(app.resource.requests().is_empty());
    for destination in ["empty", "image", "audio", "video"] {
        let relayed = get(&mut alice, "/files", &[("sec-fetch-dest", destination)]).await;
        assert_eq!(relayed.status, StatusCode::OK, "{destination}");
    }
}

#[tokio::test]
async fn the_base_url_of_the_api_is_relayed_with_and_without_a_slash() {
    let app = TestApp::with_drive().await;
    let mut alice = app.connected("alice", "drive").await;
    for (path, expected) in [("", "/"), ("/", "/"), ("?a=b", "/?a=b"), ("/?a=b", "/?a=b")] {
        assert_eq!(get(&mut alice, path, &[]).await.status, StatusCode::OK, "{path}");
        let sent = app.resource.requests().pop().unwrap();
        assert_eq!(sent.url, format!("https://api.example{expected}"), "{path}");
    }
}

#[tokio::test]
async fn an_agent_relays_for_a_named_user_in_its_spaces() {
    let app = TestApp::with_drive().await;
    app.connector("marketing", "drive", ".example").await;
    let mut alice = app.connected("alice", "drive").await;
    let mut agent = app.browser().also("authorization", "Bearer gak_runner");
    let path = format!("{RELAY}/files");
    let mut send = async |path: &str, fields: &[(&str, &str)]| agent.send(Method::GET, path, fields, None).await;
    assert_eq!(send(&path, &[("x-grantry-user", "u_alice")]).await.status, StatusCode::OK);
    assert_eq!(send(&path, &[]).await.json()["field"], "x-grantry-user");
    assert_eq!(send(&path, &[("x-grantry-user", "")]).await.json()["field"], "x-grantry-user");
    let odd = [("x-grantry-user", "u_alice"), ("x-grantry-connection", "ä b")];
    assert_eq!(send(&path, &odd).await.json()["field"], "x-grantry-connection");
    let required = send(&path, &[("x-grantry-user", "u_bob")]).await;
    assert_eq!((required.status, required.code().as_str()), (StatusCode::CONFLICT, "authorization_required"));
    assert!(required.headers.get("x-grantry-response").is_none(), "a response of this server has no mark");
    assert_eq!(send(&format!("/s/marketing{path}"), &[("x-grantry-user", "u_alice")]).await.code(), "not_found");
    // A user acts for themselves, in the space of the path.
    assert_eq!(get(&mut alice, "/files", &[("x-grantry-user", "u_bob")]).await.code(), "forbidden");
    assert_eq!(get(&mut alice, "/files", &[("x-grantry-user", "u_alice")]).await.status, StatusCode::OK);
    assert_eq!(app.browser().send(Method::GET, &path, &[SAME_ORIGIN], None).await.code(), "not_signed_in");
    let before = app.resource.requests().len();
    let elsewhere = alice.send(Method::GET, &format!("/s/marketing{path}"), &[SAME_ORIGIN], None).await;
    assert_ne!(elsewhere.status, StatusCode::OK, "the grant is one of the other space");
    assert_eq!(app.resource.requests().len(), before);
}

#[tokio::test]
async fn what_cannot_be_relayed_is_refused_by_name() {
    let app = TestApp::with_drive().await;
    let mut alice = app.connected("alice", "drive").await;
    let websocket = [("connection", "Upgrade"), ("upgrade", "WebSocket"), ("sec-websocket-version", "13")];
    let refused = get(&mut alice, "/socket", &websocket).await;
    assert_eq!((refused.code().as_str(), refused.json()["field"].as_str()), ("invalid_request", Some("upgrade")));
    assert!(refused.json()["detail"].as_str().unwrap().contains("websocket"), "{}", refused.body);
    for path in ["/../x", "/a/%2e%2e/b", "/a%2f..%2fb"] {
        let refused = get(&mut alice, path, &[]).await;
        assert_eq!((refused.code().as_str(), refused.json()["field"].as_str()), ("invalid_request", Some("path")), "{path}");
    }
    let trace = alice.send(Method::TRACE, &format!("{RELAY}/files"), &[SAME_ORIGIN], None).await;
    assert_eq!(trace.json()["field"], "method");
    assert!(app.resource.requests().is_empty());
    for (error, code) in [(ApiError::Unreachable, "api_unreachable"), (ApiError::NotAllowed, "destination_refused")] {
        app.resource.respond(Err(error));
        assert_eq!(get(&mut alice, "/files", &[]).await.code(), code);
    }
    app.resource.reject_all_tokens();
    assert_eq!(get(&mut alice, "/files", &[]).await.json()["reason"], "token_rejected");
}

#[tokio::test]
async fn a_body_is_relayed_without_a_limit_of_this_server() {
    let app = TestApp::with_drive().await;
    let mut alice = app.connected("alice", "drive").await;
    let length = 3 * 1024 * 1024;
    let request = Request::builder()
        .method(Method::PUT)
        .uri(format!("{RELAY}/files"))
        .header(header::HOST, HOST)
        .header(SAME_ORIGIN.0, SAME_ORIGIN.1)
        .header(
            header::COOKIE,
            alice.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; "),
        )
        .body(Body::from(vec![b'x'; length]))
        .unwrap();
    assert_eq!(alice.exchange(request).await.status, StatusCode::OK);
    assert_eq!(app.resource.requests().pop().unwrap().body.unwrap().len(), length);
}

//! Invalid requests: a typed error that names the field and contains no value, and no change of the database.

use grantry_system_tests::browser::{Browser, FetchSite, Response};
use grantry_system_tests::paths::{ConnectorPath, Draft};
use grantry_system_tests::test_app::{DRIVE, TestApp};
use grantry_testkit::provider::{Endpoint, Fault, MockProvider};
use reqwest::{Method, RequestBuilder};
use rusqlite::Connection;
use serde_json::json;

/// A value that no response may contain.
const CANARY: &str = "canary-value-of-a-request";

/// The database without sessions, audit events and days of last use, as one text.
fn database_content(app: &TestApp) -> String {
    let database = Connection::open(app.deployment.database()).unwrap();
    let mut all = String::new();
    for table in ["connectors", "client_secrets", "authorizations", "default_connections", "unclaimed_tokens", "tombstones"]
    {
        let mut rows = database.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).unwrap();
        let columns = rows.column_count();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                all = format!("{all}{:?}|", row.get_ref(column).unwrap());
            }
            all.push('\n');
        }
    }
    all
}

/// Checks that the response is a problem with this code and does not contain the canary.
#[track_caller]
fn assert_problem(what: &str, response: &Response, status: u16, code: &str) {
    assert_eq!(response.outcome(), (status, code.to_owned()), "{what}: {}", response.full_text());
    assert_eq!(response.header("content-type"), "application/problem+json", "{what}");
    assert!(response.json()["correlation_id"].is_string(), "{what}");
    assert!(!response.full_text().contains(CANARY), "{what}: {}", response.full_text());
}

fn put(browser: &Browser, body: &str) -> RequestBuilder {
    browser.fetch(Method::PUT, &DRIVE.public("")).header("content-type", "application/json").body(body.to_owned())
}

#[tokio::test]
async fn r58_an_invalid_body_is_refused_with_the_name_of_the_field() {
    let app = TestApp::new().await;
    let mut carol = app.browser("carol").await;
    let before = database_content(&app);
    let config = json!({ "issuer": app.provider.base_url(), "baseUrl": app.provider.url("/api") });
    let with = |name: &str, value: serde_json::Value| {
        let mut body = json!({ "name": "x", "config": config });
        body[name] = value;
        body.to_string()
    };
    let with_setting = |name: &str, value: serde_json::Value| {
        let mut config = config.clone();
        config[name] = value;
        json!({ "name": "x", "config": config }).to_string()
    };
    let deep = format!("{{\"name\":\"x\",\"config\":{}{}}}", "{\"a\":".repeat(17), "1".to_owned() + &"}".repeat(17));
    let cases = [
        ("not JSON", "{\"name\":".to_owned() + CANARY, "body"),
        ("a list", "[]".to_owned(), "body"),
        ("truncated", "{\"name\":\"x\"".to_owned(), "body"),
        ("deep", deep, "body"),
        ("a duplicate", format!("{{\"name\":\"{CANARY}\",\"name\":\"b\",\"config\":{{}}}}"), "name"),
        ("an unknown field", with("nmae", json!(CANARY)), "nmae"),
        ("an unknown setting", with_setting("tokenURL", json!(CANARY)), "tokenURL"),
        ("an unknown secret", with("secrets", json!({ "client_secret": CANARY })), "client_secret"),
        ("a number in place of a text", with("name", json!(7)), "name"),
        ("an empty name", with("name", json!("")), "name"),
        ("a name with a control character", with("name", json!(format!("{CANARY}\u{0}"))), "name"),
        ("a name of 201 characters", with("name", json!("x".repeat(201))), "name"),
        ("no settings", json!({ "name": "x" }).to_string(), "config"),
        ("settings of another JSON type", with("config", json!([CANARY])), "config"),
        ("another type", with("connector_type_id", json!(".github")), "connector_type_id"),
        ("an unknown type", with("connector_type_id", json!(CANARY)), "connector_type_id"),
        ("another mode", with("auth_mode", json!("shared")), "auth_mode"),
        ("an unknown mode", with("auth_mode", json!(CANARY)), "auth_mode"),
        ("an empty secret", with("secrets", json!({ "clientSecret": "" })), "clientSecret"),
        (
            "an authentication method that is not supported",
            with_setting("clientAuth", json!("private_key_jwt")),
            "clientAuth",
        ),
        ("a reserved parameter", with_setting("extraAuthorizationParameters", json!({ "state": CANARY })), "state"),
        ("PKCE off", with_setting("pkce", json!("off")), "pkce"),
        ("a revision that is no number", with("revision", json!(CANARY)), "revision"),
    ];
    for (what, body, field) in cases {
        let request = put(&carol, &body);
        let response = carol.send(request).await;
        assert_problem(what, &response, 400, "invalid_request");
        assert!(response.json()["detail"].as_str().unwrap().contains(field), "{what}: {}", response.text());
    }
    assert_eq!(database_content(&app), before);
}

#[tokio::test]
async fn r58_r56_an_invalid_request_is_refused_before_its_body_is_parsed() {
    let app = TestApp::new().await;
    let mut carol = app.browser("carol").await;
    let before = database_content(&app);
    let start = DRIVE.internal("/_start_oauth_flow");
    let body_of = |size: usize| format!("{{\"returnUrl\":\"{}\"}}", "x".repeat(size));
    let many = (0..70).fold(carol.fetch(Method::POST, &start).json(&json!({})), |request, index| {
        request.header(format!("x-{index}"), CANARY)
    });
    let cases = [
        (
            "too large",
            carol.fetch(Method::POST, &start).header("content-type", "application/json").body(body_of(70_000)),
            413,
            "payload_too_large",
        ),
        (
            "another type",
            carol.fetch(Method::POST, &start).header("content-type", "text/plain").body(CANARY),
            415,
            "unsupported_media_type",
        ),
        ("a form", carol.fetch(Method::POST, &start).form(&[("a", CANARY)]), 415, "unsupported_media_type"),
        ("no type", carol.fetch(Method::POST, &start).body("{}"), 415, "unsupported_media_type"),
        (
            "another host",
            carol.request(Method::POST, &start).header("host", "evil.example").json(&json!({})),
            421,
            "wrong_host",
        ),
        (
            "another site",
            carol.request(Method::POST, &start).header("sec-fetch-site", "cross-site").json(&json!({})),
            403,
            "forbidden",
        ),
        (
            "another origin",
            carol.request(Method::POST, &start).header("origin", "http://evil.example").json(&json!({})),
            403,
            "forbidden",
        ),
        ("another method", carol.fetch(Method::PATCH, &start).json(&json!({})), 405, "method_not_allowed"),
        ("a long URL", carol.fetch(Method::GET, &format!("/api/session?x={}", "y".repeat(9_000))), 414, "url_too_long"),
        ("many header fields", many, 431, "headers_too_large"),
        (
            "long header fields",
            carol.fetch(Method::GET, "/api/session").header("x-long", "z".repeat(33_000)),
            431,
            "headers_too_large",
        ),
    ];
    for (what, request, status, code) in cases {
        let response = carol.send(request).await;
        assert_problem(what, &response, status, code);
        let cors = response.headers.keys().any(|name| name.as_str().starts_with("access-control-"));
        assert!(!cors, "{what}: CORS headers");
        assert!(response.header("content-security-policy").contains("frame-ancestors 'none'"), "{what}");
    }
    assert_eq!(database_content(&app), before);
    // A body of exactly the limit is accepted.
    let largest = "{}".to_owned() + &" ".repeat(64 * 1024 - 2);
    let request = carol.fetch(Method::POST, &start).header("content-type", "application/json").body(largest);
    assert_eq!(carol.send(request).await.status, 200);
}

#[tokio::test]
async fn r60_missing_and_inaccessible_resources_get_the_same_response() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    let flow = alice.start(DRIVE).await;
    // Dave has access to `default` and not to `marketing`; the space `nowhere` does not exist.
    let mut dave = app.browser("dave").await;
    let hidden = DRIVE.in_other_space("marketing");
    let nowhere = DRIVE.in_other_space("nowhere");
    let missing = ConnectorPath::of("missing");
    let before = database_content(&app);
    let mut bodies = Vec::new();
    for connector in [hidden, nowhere, missing] {
        for (method, path) in [
            (Method::GET, connector.public("")),
            (Method::POST, connector.internal("/_start_oauth_flow")),
            (Method::POST, connector.internal("/_oauth_disconnect")),
            (Method::POST, connector.public("/_execute")),
        ] {
            let body =
                if path.ends_with("_execute") { json!({ "params": { "method": "GET", "path": "/me" } }) } else { json!({}) };
            let response = dave.call(method, &path, Some(body)).await;
            assert_problem(&path, &response, 404, "not_found");
            let mut body = response.json();
            body["correlation_id"].take();
            bodies.push(body);
        }
    }
    for (what, id) in [("another user's flow", flow.id.clone()), ("an unknown flow", "0".repeat(48))] {
        let response = dave.flow(DRIVE, &id).await;
        assert_problem(what, &response, 404, "not_found");
        let mut body = response.json();
        body["correlation_id"].take();
        bodies.push(body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    assert_problem("a list of another space", &dave.get("/s/marketing/api/actions/connectors").await, 404, "not_found");
    assert_eq!(database_content(&app), before);
}

#[tokio::test]
async fn lesson_24_a_viewer_cannot_edit_connectors() {
    let app = TestApp::new().await;
    let mut bob = app.browser("bob").await;
    let before = database_content(&app);
    let draft = app.draft();
    for (method, path, body) in [
        (Method::PUT, DRIVE.public(""), Some(draft.body.clone())),
        (Method::POST, ConnectorPath::of("new").public(""), Some(draft.body.clone())),
        (Method::POST, "/api/actions/connector".to_owned(), Some(draft.body.clone())),
        (Method::DELETE, DRIVE.public(""), None),
    ] {
        let response = bob.call(method, &path, body).await;
        assert_problem(&path, &response, 403, "forbidden");
    }
    // Alice is an editor in `default` and a viewer in `marketing`.
    let marketing = DRIVE.in_other_space("marketing");
    let response = app.browser("alice").await.call(Method::DELETE, &marketing.public(""), None).await;
    assert_problem("alice in marketing", &response, 403, "forbidden");
    assert_eq!(database_content(&app), before);
    app.connect(&mut bob, DRIVE, "bob").await;
    assert_eq!(bob.status_name(DRIVE).await, "connected", "a viewer may connect and disconnect");
    assert_eq!(bob.disconnect(DRIVE).await.status, 204);

    let mut anonymous = app.anonymous_browser();
    assert_problem("no session", &anonymous.get("/api/actions/connectors").await, 401, "not_signed_in");
    let wrong = anonymous.post("/api/session", json!({ "username": "alice", "password": CANARY })).await;
    assert_problem("a wrong password", &wrong, 401, "not_signed_in");
    anonymous.cookies.insert("grantry_session".to_owned(), CANARY.to_owned());
    assert_problem("an unknown session", &anonymous.get("/api/actions/connectors").await, 401, "not_signed_in");
}

#[tokio::test]
async fn an_invalid_execution_does_not_reach_the_api() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    let run = |params: serde_json::Value| json!({ "params": params });
    let port = app.provider.port();
    let cases = [
        (run(json!({ "method": "TRACE", "path": "/me" })), 400, "invalid_request"),
        (run(json!({ "method": "GET" })), 400, "invalid_request"),
        (run(json!({ "method": "GET", "path": "/me", "headers": { "authorization": CANARY } })), 400, "invalid_request"),
        (run(json!({ "method": "GET", "path": "/me", "headers": { "cookie": CANARY } })), 400, "invalid_request"),
        (run(json!({ "method": "GET", "path": "/me", "headers": { "host": "evil.example" } })), 400, "invalid_request"),
        (
            run(json!({ "method": "GET", "path": "/me", "headers": { "x": format!("a\r\nb: {CANARY}") } })),
            400,
            "invalid_request",
        ),
        (run(json!({ "method": "GET", "path": "/me", "more": CANARY })), 400, "invalid_request"),
        (json!({ "params": { "method": "GET", "path": "/me" }, "act_as": "u_bob" }), 403, "forbidden"),
        (run(json!({ "method": "GET", "path": "//evil.example/me" })), 400, "invalid_request"),
        (run(json!({ "method": "GET", "path": "https://evil.example/me" })), 400, "invalid_request"),
        (run(json!({ "method": "GET", "path": format!("http://127.0.0.1:{port}/token") })), 400, "invalid_request"),
        (run(json!({ "method": "GET", "path": "/../userinfo" })), 400, "invalid_request"),
        (run(json!({ "method": "GET", "path": "/%2e%2e/userinfo" })), 400, "invalid_request"),
        (run(json!({ "method": "GET", "path": "/me\\..\\userinfo" })), 400, "invalid_request"),
    ];
    app.provider.clear_ledger();
    for (body, status, code) in cases {
        let response = alice.post(&DRIVE.public("/_execute"), body.clone()).await;
        assert_problem(&body.to_string(), &response, status, code);
    }
    assert!(app.provider.ledger().is_empty());
}

#[tokio::test]
async fn an_execution_sends_the_request_without_the_users_credentials() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    let params = json!({
        "method": "POST", "path": "/echo/a b", "query": { "q": "1 & 2" },
        "headers": { "x-mine": "yes" }, "body": { "deep": [1, "zwei", null] },
    });
    let response = alice.post(&DRIVE.public("/_execute"), json!({ "params": params })).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let echoed = &response.json()["data"]["body"];
    assert_eq!(echoed["method"], "POST");
    assert_eq!(echoed["query"], json!([["q", "1 & 2"]]));
    assert_eq!(echoed["body"], json!({ "deep": [1, "zwei", null] }));
    assert_eq!(echoed["headers"]["x-mine"], "yes");
    assert_eq!(echoed["headers"].get("cookie"), None, "cookies of the user are not sent");
    assert_eq!(echoed["user"], "alice@example.test");
    // A response of the API with any status is a success here.
    for status in [204, 404, 418, 500] {
        app.provider.faults().once(Endpoint::Api, Fault::status(status));
        let response = alice.execute(DRIVE, "/me").await;
        assert_eq!((response.status, &response.json()["data"]["status"]), (200, &json!(status)));
    }
    app.provider.faults().once(Endpoint::Api, Fault::EndlessBody);
    assert_eq!(alice.execute(DRIVE, "/me").await.outcome(), (502, "response_too_large".to_owned()));
    app.provider.faults().once(Endpoint::Api, Fault::DropResponse);
    assert_eq!(alice.execute(DRIVE, "/me").await.outcome(), (502, "api_unreachable".to_owned()));
}

#[tokio::test]
async fn r07_r57_the_redirect_uri_does_not_depend_on_request_headers() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let probes = [
        alice
            .fetch(Method::POST, &DRIVE.internal("/_start_oauth_flow"))
            .header("x-forwarded-host", "evil.example")
            .json(&json!({})),
        alice
            .fetch(Method::POST, &DRIVE.internal("/_start_oauth_flow"))
            .header("forwarded", "host=evil.example;proto=https")
            .json(&json!({})),
        alice
            .fetch(Method::POST, &DRIVE.internal("/_start_oauth_flow"))
            .header("x-forwarded-proto", "https")
            .json(&json!({})),
    ];
    for probe in probes {
        let response = alice.send(probe).await;
        let url = url::Url::parse(response.json()["authorizationUrl"].as_str().unwrap()).unwrap();
        let redirect_uri = url.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap().1.into_owned();
        assert_eq!(redirect_uri, app.deployment.shared_callback());
    }
    for host in ["evil.example", "127.0.0.1", "localhost"] {
        let request = alice.navigation(Method::GET, "/", FetchSite::None).header("host", host);
        assert_eq!(alice.send(request).await.outcome(), (421, "wrong_host".to_owned()), "{host}");
    }
}

#[tokio::test]
async fn r66_r69_r70_lesson_25_a_connector_with_a_forbidden_address_is_not_saved() {
    let app = TestApp::new().await;
    let mut carol = app.browser("carol").await;
    let before = database_content(&app);
    let good = app.provider.base_url().to_owned();
    let other = app.provider.port() ^ 1;
    let bad = [
        "http://example.com/token".to_owned(),
        format!("http://127.0.0.1:{other}/token"),
        format!("https://127.0.0.1:{other}/token"),
        "https://169.254.169.254/token".to_owned(),
        "https://10.0.0.1/token".to_owned(),
        "https://[::1]/token".to_owned(),
        "https://[::ffff:127.0.0.1]/token".to_owned(),
        "https://2130706433/token".to_owned(),
        "https://0x7f.1/token".to_owned(),
        "https://localhost/token".to_owned(),
        "https://example.com:8443/token".to_owned(),
        "https://user:secret@example.com/token".to_owned(),
        "https://example.com/token#x".to_owned(),
        "https://example.com./token".to_owned(),
        "https:example.com/token".to_owned(),
        "HTTPS://example.com/token".to_owned(),
        "javascript:alert(1)".to_owned(),
        "data:text/html,x".to_owned(),
        "file:///etc/passwd".to_owned(),
        String::from("//example.com/token"),
    ];
    for name in ["authorizationUrl", "tokenUrl", "revocationUrl", "userinfoUrl", "baseUrl"] {
        for url in &bad {
            let draft = Draft::with_endpoints(&good).config(name, url.clone());
            let response = carol.post(&ConnectorPath::of("new").public(""), draft.body).await;
            assert_eq!(response.status, 400, "{name} = {url}: {}", response.text());
            assert!(["invalid_request", "host_not_allowed"].contains(&response.code().as_str()), "{}", response.text());
            assert!(response.json()["detail"].as_str().unwrap().contains(name), "{name} = {url}: {}", response.text());
        }
    }
    assert_eq!(database_content(&app), before);
}

#[tokio::test]
async fn r59_too_many_requests_are_refused_with_a_retry_after() {
    let app = TestApp::with(MockProvider::builder(), |settings| settings.generous_rates = false).await;
    let mut alice = app.browser("alice").await;
    let mut bob = app.browser("bob").await;
    // Twenty starts in ten minutes.
    let mut responses = Vec::new();
    for _ in 0..21 {
        responses.push(alice.try_start(DRIVE, json!({})).await);
    }
    let last = responses.pop().unwrap();
    assert!(responses.iter().all(|response| response.status == 200));
    assert_problem("start", &last, 429, "rate_limited");
    assert!(last.header("retry-after").parse::<u64>().unwrap() > 0);
    assert_eq!(bob.try_start(DRIVE, json!({})).await.status, 200, "other users are not limited");

    // Forty disconnects; forty callbacks.
    let mut codes: Vec<_> = Vec::new();
    for _ in 0..41 {
        codes.push(alice.disconnect(DRIVE).await.status);
    }
    assert_eq!((codes[39], codes[40]), (204, 429));
    let callback = format!("{}?code=c&state=s", app.deployment.shared_callback());
    let mut codes: Vec<_> = Vec::new();
    for _ in 0..41 {
        codes.push(bob.open_callback(&callback).await.page_code());
    }
    assert_eq!((codes[39].as_str(), codes[40].as_str()), ("flow_not_found", "rate_limited"));
    // Log-ins are counted by name and by address, whether they succeed or not.
    let mut last = None;
    for _ in 0..21 {
        last = Some(app.anonymous_browser().post("/api/session", json!({ "username": "dave", "password": CANARY })).await);
    }
    assert_problem("log-in", &last.unwrap(), 429, "rate_limited");
}

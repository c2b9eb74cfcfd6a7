//! Requests that are wrong: a typed error that names the field, no change of state, no secret in it.

use grantry_system_tests::browser::{Answer, Browser, From};
use grantry_system_tests::place::{Draft, Place};
use grantry_system_tests::world::{DRIVE, World};
use reqwest::{Method, RequestBuilder};
use rusqlite::Connection;
use serde_json::json;

const CANARY: &str = "canary-that-nobody-may-repeat";

/// Everything but sessions and notes of hand-outs, as one text.
fn state(world: &World) -> String {
    let database = Connection::open(world.deployment.database()).unwrap();
    let mut all = String::new();
    for table in ["connectors", "client_secrets", "authorizations", "orphans", "tombstones"] {
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

/// A problem with this code that repeats nothing.
#[track_caller]
fn assert_problem(what: &str, answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.outcome(), (status, code.to_owned()), "{what}: {}", answer.everything());
    assert_eq!(answer.header("content-type"), "application/problem+json", "{what}");
    assert!(answer.json()["correlation_id"].is_string(), "{what}");
    assert!(!answer.everything().contains(CANARY), "{what}: {}", answer.everything());
}

fn put(browser: &Browser, body: &str) -> RequestBuilder {
    browser.fetch(Method::PUT, &DRIVE.public("")).header("content-type", "application/json").body(body.to_owned())
}

#[tokio::test]
async fn r58_bodies_that_are_wrong_are_refused_by_name() {
    let world = World::new().await;
    let mut carol = world.browser("carol").await;
    let before = state(&world);
    let config = json!({ "issuer": world.provider.base_url(), "baseUrl": world.provider.url("/api") });
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
        ("cut", "{\"name\":\"x\"".to_owned(), "body"),
        ("deep", deep, "body"),
        ("doubled", format!("{{\"name\":\"{CANARY}\",\"name\":\"b\",\"config\":{{}}}}"), "name"),
        ("unknown", with("nmae", json!(CANARY)), "nmae"),
        ("unknown setting", with_setting("tokenURL", json!(CANARY)), "tokenURL"),
        ("unknown secret", with("secrets", json!({ "client_secret": CANARY })), "client_secret"),
        ("a number for a text", with("name", json!(7)), "name"),
        ("an empty name", with("name", json!("")), "name"),
        ("a name with a control character", with("name", json!(format!("{CANARY}\u{0}"))), "name"),
        ("a name of 201 characters", with("name", json!("x".repeat(201))), "name"),
        ("no settings", json!({ "name": "x" }).to_string(), "config"),
        ("settings of another kind", with("config", json!([CANARY])), "config"),
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
        let answer = carol.send(request).await;
        assert_problem(what, &answer, 400, "invalid_request");
        assert!(answer.json()["detail"].as_str().unwrap().contains(field), "{what}: {}", answer.text());
    }
    assert_eq!(state(&world), before);
}

#[tokio::test]
async fn r58_r56_requests_that_are_wrong_before_anybody_reads_them() {
    let world = World::new().await;
    let mut carol = world.browser("carol").await;
    let before = state(&world);
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
        ("a long URL", carol.fetch(Method::GET, &format!("/api/session?x={}", "y".repeat(9_000))), 400, "invalid_request"),
        ("many header fields", many, 400, "invalid_request"),
        (
            "long header fields",
            carol.fetch(Method::GET, "/api/session").header("x-long", "z".repeat(17_000)),
            400,
            "invalid_request",
        ),
    ];
    for (what, request, status, code) in cases {
        let answer = carol.send(request).await;
        assert_problem(what, &answer, status, code);
        let cors = answer.headers.keys().any(|name| name.as_str().starts_with("access-control-"));
        assert!(!cors, "{what}: R56");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{what}: R62");
    }
    assert_eq!(state(&world), before);
    // A body of exactly the limit is read.
    let largest = "{}".to_owned() + &" ".repeat(64 * 1024 - 2);
    let request = carol.fetch(Method::POST, &start).header("content-type", "application/json").body(largest);
    assert_eq!(carol.send(request).await.status, 200);
}

#[tokio::test]
async fn r60_what_is_missing_and_what_is_somebody_elses_look_the_same() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    let flow = alice.start(DRIVE).await;
    // Dave may see `default` and nothing of `marketing`; the space `nowhere` does not exist.
    let mut dave = world.browser("dave").await;
    let hidden = DRIVE.in_other_space("marketing");
    let nowhere = DRIVE.in_other_space("nowhere");
    let missing = Place::of("missing");
    let before = state(&world);
    let mut shapes = Vec::new();
    for place in [hidden, nowhere, missing] {
        for (method, path) in [
            (Method::GET, place.public("")),
            (Method::POST, place.internal("/_start_oauth_flow")),
            (Method::POST, place.internal("/_oauth_disconnect")),
            (Method::POST, place.public("/_execute")),
        ] {
            let body =
                if path.ends_with("_execute") { json!({ "params": { "method": "GET", "path": "/me" } }) } else { json!({}) };
            let answer = dave.call(method, &path, Some(body)).await;
            assert_problem(&path, &answer, 404, "not_found");
            let mut told = answer.json();
            told["correlation_id"].take();
            shapes.push(told);
        }
    }
    for (what, id) in [("another person's flow", flow.id.clone()), ("no flow", "0".repeat(48))] {
        let answer = dave.flow(DRIVE, &id).await;
        assert_problem(what, &answer, 404, "not_found");
        let mut told = answer.json();
        told["correlation_id"].take();
        shapes.push(told);
    }
    assert!(shapes.windows(2).all(|pair| pair[0] == pair[1]), "{shapes:?}");
    assert_problem("a list of another space", &dave.get("/s/marketing/api/actions/connectors").await, 404, "not_found");
    assert_eq!(state(&world), before);
}

#[tokio::test]
async fn lesson_24_roles_decide_and_a_viewer_cannot_edit() {
    let world = World::new().await;
    let mut bob = world.browser("bob").await;
    let before = state(&world);
    let draft = Draft::issuer(world.provider.base_url(), &world.provider.url("/api"));
    for (method, path, body) in [
        (Method::PUT, DRIVE.public(""), Some(draft.body.clone())),
        (Method::POST, Place::of("new").public(""), Some(draft.body.clone())),
        (Method::POST, "/api/actions/connector".to_owned(), Some(draft.body.clone())),
        (Method::DELETE, DRIVE.public(""), None),
    ] {
        let answer = bob.call(method, &path, body).await;
        assert_problem(&path, &answer, 403, "forbidden");
    }
    // An editor here is a viewer there.
    let elsewhere = DRIVE.in_other_space("marketing");
    let answer = world.browser("alice").await.call(Method::DELETE, &elsewhere.public(""), None).await;
    assert_problem("alice in marketing", &answer, 403, "forbidden");
    assert_eq!(state(&world), before);
    world.connect(&mut bob, DRIVE, "bob").await;
    assert_eq!(bob.status_name(DRIVE).await, "connected", "a viewer connects and disconnects himself");
    assert_eq!(bob.disconnect(DRIVE).await.status, 204);

    let mut stranger = world.stranger();
    assert_problem("nobody", &stranger.get("/api/actions/connectors").await, 401, "not_signed_in");
    let wrong = stranger.post("/api/session", json!({ "username": "alice", "password": CANARY })).await;
    assert_problem("a wrong password", &wrong, 401, "not_signed_in");
    stranger.cookies.insert("grantry_session".to_owned(), CANARY.to_owned());
    assert_problem("a made-up session", &stranger.get("/api/actions/connectors").await, 401, "not_signed_in");
}

#[tokio::test]
async fn executions_that_are_wrong_reach_no_api() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    let run = |params: serde_json::Value| json!({ "params": params });
    let port = world.provider.port();
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
    world.provider.clear_ledger();
    for (body, status, code) in cases {
        let answer = alice.post(&DRIVE.public("/_execute"), body.clone()).await;
        assert_problem(&body.to_string(), &answer, status, code);
    }
    assert!(world.provider.ledger().is_empty());
}

#[tokio::test]
async fn an_execution_brings_everything_but_credentials() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    let params = json!({
        "method": "POST", "path": "/echo/a b", "query": { "q": "1 & 2" },
        "headers": { "x-mine": "yes" }, "body": { "deep": [1, "zwei", null] },
    });
    let answer = alice.post(&DRIVE.public("/_execute"), json!({ "params": params })).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let echoed = &answer.json()["data"]["body"];
    assert_eq!(echoed["method"], "POST");
    assert_eq!(echoed["query"], json!([["q", "1 & 2"]]));
    assert_eq!(echoed["body"], json!({ "deep": [1, "zwei", null] }));
    assert_eq!(echoed["headers"]["x-mine"], "yes");
    assert_eq!(echoed["headers"].get("cookie"), None, "the person's own cookies stay here");
    assert_eq!(echoed["user"], "alice@example.test");
    // Whatever the API says is its answer, not ours.
    for status in [204, 404, 418, 500] {
        world
            .provider
            .faults()
            .once(grantry_testkit::provider::Endpoint::Api, grantry_testkit::provider::Fault::status(status));
        let answer = alice.execute(DRIVE, "/me").await;
        assert_eq!((answer.status, &answer.json()["data"]["status"]), (200, &json!(status)));
    }
    world.provider.faults().once(grantry_testkit::provider::Endpoint::Api, grantry_testkit::provider::Fault::EndlessBody);
    assert_eq!(alice.execute(DRIVE, "/me").await.outcome(), (502, "response_too_large".to_owned()));
    world.provider.faults().once(grantry_testkit::provider::Endpoint::Api, grantry_testkit::provider::Fault::DropAnswer);
    assert_eq!(alice.execute(DRIVE, "/me").await.outcome(), (502, "api_unreachable".to_owned()));
}

#[tokio::test]
async fn r07_r57_the_redirect_uri_is_the_same_whatever_a_request_claims() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
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
        let answer = alice.send(probe).await;
        let url = url::Url::parse(answer.json()["authorizationUrl"].as_str().unwrap()).unwrap();
        let redirect_uri = url.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap().1.into_owned();
        assert_eq!(redirect_uri, world.deployment.shared_callback());
    }
    for host in ["evil.example", "127.0.0.1", "localhost"] {
        let request = alice.navigation(Method::GET, "/", From::Nowhere).header("host", host);
        assert_eq!(alice.send(request).await.outcome(), (421, "wrong_host".to_owned()), "{host}");
    }
}

#[tokio::test]
async fn r66_r69_r70_lesson_25_addresses_that_are_not_allowed_are_refused_when_they_are_saved() {
    let world = World::new().await;
    let mut carol = world.browser("carol").await;
    let before = state(&world);
    let good = world.provider.base_url().to_owned();
    let other = world.provider.port() ^ 1;
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
            let draft = Draft::pinned(&good).config(name, url.clone());
            let answer = carol.post(&Place::of("new").public(""), draft.body).await;
            assert_eq!(answer.status, 400, "{name} = {url}: {}", answer.text());
            assert!(["invalid_request", "host_not_allowed"].contains(&answer.code().as_str()), "{}", answer.text());
            assert!(answer.json()["detail"].as_str().unwrap().contains(name), "{name} = {url}: {}", answer.text());
        }
    }
    assert_eq!(state(&world), before);
}

#[tokio::test]
async fn r59_whoever_asks_too_often_is_told_when_to_come_back() {
    let world = World::with(grantry_testkit::provider::MockProvider::builder(), |settings| settings.generous = false).await;
    let mut alice = world.browser("alice").await;
    let mut bob = world.browser("bob").await;
    // Twenty starts in ten minutes.
    let mut answers = Vec::new();
    for _ in 0..21 {
        answers.push(alice.try_start(DRIVE, json!({})).await);
    }
    let last = answers.pop().unwrap();
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_problem("start", &last, 429, "rate_limited");
    assert!(last.header("retry-after").parse::<u64>().unwrap() > 0);
    assert_eq!(bob.try_start(DRIVE, json!({})).await.status, 200, "others are not held up");

    // Forty disconnects; forty callbacks.
    let mut codes: Vec<_> = Vec::new();
    for _ in 0..41 {
        codes.push(alice.disconnect(DRIVE).await.status);
    }
    assert_eq!((codes[39], codes[40]), (204, 429));
    let callback = format!("{}?code=c&state=s", world.deployment.shared_callback());
    let mut codes: Vec<_> = Vec::new();
    for _ in 0..41 {
        codes.push(bob.come_back(&callback).await.page_code());
    }
    assert_eq!((codes[39].as_str(), codes[40].as_str()), ("flow_not_found", "rate_limited"));
    // Log-ins are counted by name and by address, wrong ones and right ones.
    let mut last = None;
    for _ in 0..21 {
        last = Some(world.stranger().post("/api/session", json!({ "username": "dave", "password": CANARY })).await);
    }
    assert_problem("log-in", &last.unwrap(), 429, "rate_limited");
}

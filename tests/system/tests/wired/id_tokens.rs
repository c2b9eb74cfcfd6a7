//! ID tokens label a connection. Only one that proves another consent ends the flow (OIDC Core §3.1.3.7).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_system_tests::test_app::{DRIVE, TestApp, account_of};
use grantry_testkit::provider::{Endpoint, Fault, ScriptedResponse};
use serde_json::{Value, json};

use crate::{assert_all_revoked, assert_failed};

/// The token response with its ID token changed: header, claims and signature, of which the first two are decoded.
fn id_token(change: impl Fn([String; 3]) -> [String; 3] + Send + Sync + 'static) -> Fault {
    Fault::transform(move |response: ScriptedResponse| {
        let mut body: Value = serde_json::from_slice(&response.body).unwrap();
        let parts: Vec<&str> = body["id_token"].as_str().unwrap().split('.').collect();
        let decoded = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        let [header, claims, signature] = change([decoded(parts[0]), decoded(parts[1]), parts[2].to_owned()]);
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        body["id_token"] = json!(format!("{header}.{claims}.{signature}"));
        ScriptedResponse::json(response.status, &body)
    })
}

fn with_header(header: &'static str) -> Fault {
    id_token(move |[_, claims, signature]| [header.to_owned(), claims, signature])
}

/// A member at the start of the claims, besides the others.
fn with_claim(claim: &'static str) -> Fault {
    id_token(move |[header, claims, signature]| [header, format!("{{{claim},{}", &claims[1..]), signature])
}

fn with_value(name: &'static str, value: Value) -> Fault {
    id_token(move |[header, claims, signature]| [header, with_member(&claims, name, &value), signature])
}

fn with_member(claims: &str, name: &str, value: &Value) -> String {
    let mut claims: Value = serde_json::from_str(claims).unwrap();
    claims[name] = value.clone();
    claims.to_string()
}

/// Connects, and checks that there is no account and that this anomaly is recorded.
async fn assert_no_account(app: &TestApp, anomaly: &str, context: &str) {
    let mut alice = app.browser("alice").await;
    let before = app.host.sink.events().len();
    let response = app.connect(&mut alice, DRIVE, "alice").await;
    assert!(!response.location().contains('?'), "{context}: {}", response.location());
    let connection = alice.connection(DRIVE).await;
    assert_eq!((&connection["status"], connection.get("account")), (&json!("connected"), None), "{context}");
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test", "{context}");
    app.host.connections.deliver_events().await.unwrap();
    let events = app.host.sink.events();
    let found = events[before..].iter().filter(|event| event.kind.as_str() == "token_response_anomaly");
    let details: Vec<_> = found.flat_map(|event| &event.details).map(|detail| detail.as_str().to_owned()).collect();
    assert_eq!(details, [anomaly], "{context}");
    app.host.drain().await;
    let shown = alice.get(&DRIVE.public("/diagnostics")).await.json();
    let newest = &shown["anomalies"][0];
    let newest = format!("{}={}", newest["member"].as_str().unwrap(), newest["kind"].as_str().unwrap());
    assert_eq!(newest, anomaly, "{context}: {shown}");
    let failure = shown.get("last_failure");
    assert_eq!(failure.is_some(), anomaly == "id_token=keys_unavailable", "{context}: {shown}");
    if let Some(failure) = failure {
        assert_eq!((&failure["operation"], &failure["endpoint_host"]), (&json!("userinfo"), &json!("127.0.0.1")), "{shown}");
        assert!(failure["hint"].is_string() && failure["correlation_id"].is_string(), "{context}: {shown}");
    }
}

#[tokio::test]
async fn r35_an_id_token_that_cannot_be_used_gives_no_account_and_keeps_the_tokens() {
    let app = TestApp::new().await;
    app.provider.faults().always(Endpoint::Userinfo, Fault::status(500));
    for (fault, kind) in [
        (with_claim(r#""sub":"admin""#), "not_readable"),
        (with_claim(r#""x":1,"x":2"#), "not_readable"),
        (id_token(|[header, _, signature]| [header, "[]".to_owned(), signature]), "not_readable"),
        (id_token(|[header, _, signature]| [header, "\u{1}".to_owned(), signature]), "not_readable"),
        (with_header(r#"{"alg":"ES256","alg":"none"}"#), "not_readable"),
        (with_header(r#"{"alg":"ES256","x":1,"x":2}"#), "not_readable"),
        (with_header(r#"{"alg":["ES256"]}"#), "not_readable"),
        (with_header("x"), "not_readable"),
        (with_header(r#"{"alg":"none"}"#), "unsupported"),
        (with_header(r#"{"alg":"HS256"}"#), "unsupported"),
        (with_header(r#"{"alg":"ES256K"}"#), "unsupported"),
        (with_header("{}"), "unsupported"),
        (with_header(r#"{"alg":"ES256","kid":"other"}"#), "unverified"),
        (with_header(r#"{"alg":"RS256"}"#), "unverified"),
        (with_value("exp", json!("soon")), "not_readable"),
        (with_value("iss", Value::Null), "not_readable"),
        (Fault::with("id_token", json!("x.y.z")), "not_readable"),
        (Fault::with("id_token", json!("..")), "not_readable"),
        (Fault::with("id_token", json!("x.y")), "unsupported"),
        (Fault::with("id_token", json!("a.b.c.d.e")), "unsupported"),
    ] {
        app.provider.faults().once(Endpoint::Token, fault.clone());
        assert_no_account(&app, &format!("id_token={kind}"), &format!("{kind}: {fault:?}")).await;
    }
}

#[tokio::test]
async fn r35_without_a_key_set_an_id_token_gives_no_account_and_keeps_the_tokens() {
    let app = TestApp::new().await;
    app.provider.faults().always(Endpoint::Userinfo, Fault::status(500));
    for (fault, kind) in [
        (Fault::Replace(ScriptedResponse::json(200, &json!({ "keys": [] }))), "unverified"),
        (Fault::Replace(ScriptedResponse::json(200, &json!({ "keys": [{ "kty": "oct", "k": "AAAA" }, 7] }))), "unverified"),
        (Fault::status(404), "keys_unavailable"),
        (Fault::status(500), "keys_unavailable"),
        (Fault::unavailable(30), "keys_unavailable"),
        (Fault::DropRequest, "keys_unavailable"),
        (Fault::redirect("http://127.0.0.1:1/"), "keys_unavailable"),
        (Fault::not_json(), "keys_unavailable"),
        (Fault::Replace(ScriptedResponse::json(200, &json!({}))), "keys_unavailable"),
        (Fault::Replace(ScriptedResponse::json(200, &json!({ "keys": {} }))), "keys_unavailable"),
        (Fault::duplicate("keys", json!([])), "keys_unavailable"),
    ] {
        app.provider.faults().always(Endpoint::Jwks, fault.clone());
        assert_no_account(&app, &format!("id_token={kind}"), &format!("{fault:?}")).await;
        app.provider.faults().clear(Endpoint::Jwks);
    }
    app.provider.faults().clear(Endpoint::Userinfo);
    app.provider.faults().once(Endpoint::Jwks, Fault::status(500));
    let mut alice = app.browser("alice").await;
    app.connect(&mut alice, DRIVE, "alice").await;
    assert_eq!(alice.connection(DRIVE).await["account"], "alice@example.test", "from userinfo");
}

#[tokio::test]
async fn r35_an_id_token_of_another_consent_ends_the_flow() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    for fault in [
        with_value("iss", json!("https://other.example")),
        with_value("aud", json!("other")),
        with_value("aud", json!(["other", "another"])),
        with_value("azp", json!("other")),
        with_value("nonce", json!("other")),
        with_value("nonce", Value::Null),
        with_value("exp", json!(1)),
        with_value("sub", json!("admin")),
        id_token(|[header, claims, _]| [header, claims, String::new()]),
        id_token(|[header, claims, _]| [header, claims, "AAAA".to_owned()]),
        id_token(|[_, claims, _]| {
            [r#"{"alg":"none"}"#.to_owned(), with_member(&claims, "nonce", &json!("other")), String::new()]
        }),
    ] {
        let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
        app.provider.faults().once(Endpoint::Token, fault);
        alice.open_callback(&callback).await;
        assert_failed(&mut alice, DRIVE, &flow, "exchange_failed").await;
        assert_all_revoked(&app).await;
    }
}

/// An account that the provider does not give this time can be another one.
#[tokio::test]
async fn r35_a_known_account_is_not_replaced_by_one_that_the_provider_does_not_give() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    app.provider.faults().always(Endpoint::Userinfo, Fault::status(500));
    for user in ["alice", "bob"] {
        let (flow, callback) = app.consent(&mut alice, DRIVE, user).await;
        app.provider.faults().once(Endpoint::Token, with_header(r#"{"alg":"none"}"#));
        alice.open_callback(&callback).await;
        assert_failed(&mut alice, DRIVE, &flow, "account_mismatch").await;
        let kept = alice.connection(DRIVE).await;
        assert_eq!((&kept["status"], &kept["account"]), (&json!("connected"), &json!("alice@example.test")), "{user}");
        assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test", "{user}");
    }
    app.connect(&mut alice, DRIVE, "alice").await;
    assert_eq!(alice.connection(DRIVE).await["account"], "alice@example.test");
    let (flow, callback) = app.consent(&mut alice, DRIVE, "bob").await;
    alice.open_callback(&callback).await;
    assert_failed(&mut alice, DRIVE, &flow, "account_mismatch").await;
}

//! Providers that deviate from the standards in ways that occur in use: their tokens are used, and the deviation is recorded.

use std::time::Duration;

use grantry_system_tests::browser::Browser;
use grantry_system_tests::paths::{ConnectorPath, Draft};
use grantry_system_tests::test_app::{DRIVE, TestApp, account_of};
use grantry_system_tests::users::AGENT_KEY;
use grantry_testkit::provider::{Call, Endpoint, Fault, MockProvider, RefreshTokens, ScriptedResponse, User};
use reqwest::Method;
use serde_json::json;

use crate::diagnostics::{failures_of, last_failure, start_log};
use crate::{assert_failed, assert_refused};

/// A connector whose endpoints an editor entered.
const ODD: ConnectorPath = ConnectorPath::of("odd");
/// Several gigabytes of blanks would fit into a bomb; this is more than the limit of a token response.
const BOMB: usize = 8 * 1024 * 1024;

/// Odd responses with usable tokens, and the details of their audit event.
fn odd() -> Vec<(Fault, &'static str)> {
    let long_type = "x".repeat(30 * 1024);
    vec![
        (Fault::with_status(201), ""),
        (Fault::with_status(202), ""),
        (Fault::with_status(203), ""),
        (Fault::with("id_token", json!("")), "id_token=empty"),
        (Fault::with("id_token", json!(null)), "id_token=empty"),
        (Fault::with("id_token", json!(["x"])), "id_token=wrong_type"),
        (Fault::with("scope", json!(["openid", "files.read", "offline_access"])), "scope=wrong_type"),
        (Fault::with("scope", json!({ "read": true })), "scope=wrong_type"),
        (Fault::with("scope", json!(null)), "scope=empty"),
        (Fault::with("refresh_token_expires_in", json!("never")), "refresh_token_expires_in=not_readable"),
        (Fault::with("refresh_token_expires_in", json!([])), "refresh_token_expires_in=wrong_type"),
        (Fault::written("expires_in", "3e2"), "expires_in=not_integer"),
        (Fault::with("expires_in", json!("300")), "expires_in=wrong_type"),
        (Fault::with("expires_in", json!("300.0")), "expires_in=not_integer"),
        (Fault::with("expires_in", json!(null)), "expires_in=empty"),
        (Fault::with("expires_in", json!("five minutes")), "expires_in=not_readable"),
        (Fault::with("expires_in", json!(true)), "expires_in=wrong_type"),
        (Fault::with("expires_in", json!(0)), "expires_in=out_of_range"),
        (Fault::with("expires_in", json!(-300)), "expires_in=out_of_range"),
        (Fault::duplicate("x_vendor", json!(1)), ""),
        (
            Fault::Several(vec![Fault::with("x_vendor", json!(1)), Fault::duplicate("x_vendor", json!(2))]),
            "x_vendor=repeated",
        ),
        (Fault::duplicate("expires_in", json!(1)), "expires_in=repeated"),
        (Fault::written("x_name", b"\"M\xfcller\"".to_vec()), "body=not_text"),
        (Fault::written("x_name", br#""\ud800""#.to_vec()), ""),
        (Fault::written("x_deep", format!("{}1{}", "[".repeat(300), "]".repeat(300))), ""),
        (Fault::with("x_long", json!(long_type)), ""),
        (Fault::huge_body(70_000), ""),
        (Fault::byte_order_mark(), "body=byte_order_mark"),
        (Fault::with("error", json!("none")), "error=unsupported"),
        (
            Fault::Several(vec![Fault::with("error", json!("none")), Fault::duplicate("error", json!("invalid_grant"))]),
            "error=repeated",
        ),
        (Fault::gzip(), ""),
        (Fault::deflate(true), ""),
        (Fault::deflate(false), ""),
        (Fault::without("token_type"), "token_type=missing"),
        (Fault::with("token_type", json!("")), "token_type=missing"),
    ]
}

/// The details of the anomaly events since the last call.
async fn details(app: &TestApp, seen: &mut usize) -> String {
    app.host.connections.deliver_events().await.unwrap();
    let events = app.host.sink.events();
    let new = events.iter().skip(std::mem::replace(seen, events.len()));
    let anomalies = new.filter(|event| event.kind.as_str() == "token_response_anomaly");
    anomalies.flat_map(|event| event.details.iter().map(|detail| detail.as_str().to_owned())).collect::<Vec<_>>().join(" ")
}

/// An app with a connector that has these settings, in addition to its endpoints.
async fn with_settings(
    provider: grantry_testkit::provider::MockProviderBuilder,
    settings: &[(&str, serde_json::Value)],
) -> TestApp {
    let app = TestApp::with(provider, |_| {}).await;
    let draft = settings
        .iter()
        .fold(Draft::with_endpoints(app.provider.base_url()), |draft, (name, value)| draft.config(name, value.clone()));
    app.create_with_endpoints(ODD, &draft, &app.provider).await;
    app
}

async fn text_of_page(browser: &mut Browser, response: &grantry_system_tests::browser::Response) -> String {
    let location = response.location().to_owned();
    browser.open(&location, grantry_system_tests::browser::FetchSite::CrossSite).await.text()
}

#[tokio::test]
async fn r28_odd_responses_to_exchange_and_refresh_keep_the_tokens_and_are_recorded() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let mut seen = 0;
    for (round, (fault, found)) in odd().into_iter().enumerate() {
        app.provider.faults().once(Endpoint::Token, fault.clone());
        let page = app.connect(&mut alice, DRIVE, "alice").await;
        assert!(text_of_page(&mut alice, &page).await.contains("Connected"), "{fault:?}");
        assert_eq!(alice.status_name(DRIVE).await, "connected", "{fault:?}");
        let recorded = details(&app, &mut seen).await;
        assert!(if found.is_empty() { recorded.is_empty() } else { recorded.contains(found) }, "{fault:?}: {recorded}");
        assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test", "{fault:?}");

        // The provider rotates strictly: a response that is thrown away would end the grant.
        let refreshes = app.provider.ledger().refreshes().len();
        app.advance(Duration::from_mins(61));
        if round % 8 == 7 {
            alice.log_in("alice").await;
        }
        app.provider.faults().once(Endpoint::Token, fault.clone());
        assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test", "{fault:?} at a refresh");
        assert_eq!(app.provider.ledger().refreshes().len(), refreshes + 1, "{fault:?}");
        assert_eq!(alice.status_name(DRIVE).await, "connected", "{fault:?}");
        let recorded = details(&app, &mut seen).await;
        assert!(found.starts_with("id_token") || recorded.contains(found), "{fault:?} at a refresh: {recorded}");
    }
    let refused = |call: &&Call| call.endpoint == Endpoint::Token && call.status.is_none_or(|status| status >= 400);
    assert_eq!(app.provider.ledger().iter().filter(refused).count(), 0);
    assert!(app.provider.ledger().back_channel().iter().all(|call| call.header("accept-encoding") == Some("identity")));
}

#[tokio::test]
async fn r28_an_empty_refresh_token_in_a_refresh_keeps_the_present_one() {
    let provider = MockProvider::builder().rotation(grantry_testkit::provider::Rotation::None);
    let app = TestApp::with(provider, |_| {}).await;
    let mut alice = app.connected("alice", DRIVE).await;
    for value in [json!(""), json!(null), json!(7)] {
        app.expire_access_tokens();
        app.provider.faults().once(Endpoint::Token, Fault::with("refresh_token", value.clone()));
        assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test", "{value}");
        assert_eq!(alice.status_name(DRIVE).await, "connected", "{value}");
    }
    assert_eq!(app.provider.ledger().refreshes().len(), 3);
}

#[tokio::test]
async fn r28_members_that_decide_about_the_tokens_stay_strict() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    for fault in [
        Fault::duplicate("access_token", json!("second")),
        Fault::duplicate("token_type", json!("Bearer")),
        Fault::duplicate("refresh_token", json!("second")),
        Fault::with("token_type", json!("mac")),
        Fault::with("access_token", json!("x".repeat(24 * 1024 + 1))),
        Fault::written("access_token", b"\"at\xff\"".to_vec()),
        Fault::gzip_bomb(BOMB),
        Fault::with("error", json!("invalid_grant")),
    ] {
        let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
        app.provider.faults().once(Endpoint::Token, fault.clone());
        alice.open_callback(&callback).await;
        assert_failed(&mut alice, DRIVE, &flow, "exchange_failed").await;
        assert_eq!(alice.status_name(DRIVE).await, "not_connected", "{fault:?}");
    }
}

#[tokio::test]
async fn r28_long_tokens_are_stored_sent_and_issued() {
    let length = 24 * 1024;
    let app = TestApp::with(MockProvider::builder().token_length(length), |_| {}).await;
    let mut alice = app.connected("alice", DRIVE).await;
    for refreshes in 0..2 {
        assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
        assert_eq!(app.last_access_token().len(), length);
        assert_eq!(app.provider.ledger().refreshes().len(), refreshes);
        app.expire_access_tokens();
    }
    let mut agent = app.anonymous_browser();
    let body = json!({ "user": "u_alice", "destination": app.provider.base_url() });
    let request = agent.request(Method::POST, &DRIVE.internal("/_access_token")).bearer_auth(AGENT_KEY).json(&body);
    let issued = agent.send(request).await.json();
    assert_eq!(issued["access_token"].as_str().map(str::len), Some(length), "{}", issued["code"]);
    assert_eq!(app.provider.ledger().refreshes().last().unwrap().param("refresh_token").map(str::len), Some(length));
}

#[tokio::test]
async fn r28_a_long_id_token_identifies_the_account() {
    let user = User::new("alice", "alice-pw").name(&"A".repeat(600 * 1024));
    let app = TestApp::with(MockProvider::builder().users([user]), |_| {}).await;
    let mut alice = app.connected("alice", DRIVE).await;
    assert_eq!(alice.connection(DRIVE).await["account"], "alice@example.test");
    assert!(app.provider.ledger().at(Endpoint::Userinfo).is_empty(), "the ID token is read");
    app.expire_access_tokens();
    assert_eq!(alice.execute(DRIVE, "/echo").await.status, 200);
    assert_eq!(app.provider.ledger().refreshes().len(), 1);
}

#[tokio::test]
async fn r28_every_other_response_is_decoded_as_well() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    for fault in [Fault::gzip(), Fault::deflate(true), Fault::deflate(false), Fault::byte_order_mark()] {
        app.provider.faults().once(Endpoint::Token, Fault::without("id_token"));
        app.provider.faults().once(Endpoint::Userinfo, fault.clone());
        app.connect(&mut alice, DRIVE, "alice").await;
        assert_eq!(alice.connection(DRIVE).await["account"], "alice@example.test", "userinfo: {fault:?}");
    }
    for fault in [Fault::gzip(), Fault::deflate(true), Fault::deflate(false)] {
        app.provider.faults().once(Endpoint::Api, fault.clone());
        let response = alice.execute(DRIVE, "/me").await;
        assert_eq!(account_of(&response), "alice@example.test", "API: {fault:?}");
        assert_eq!(response.json()["data"]["headers"].get("content-encoding"), None);
    }
    app.provider.faults().once(Endpoint::Api, Fault::gzip_bomb(BOMB));
    assert_eq!(alice.execute(DRIVE, "/me").await.code(), "response_too_large");

    let odd = MockProvider::builder().start().await.unwrap();
    let mut app = app;
    app.allow(odd.port()).await;
    odd.faults().once(Endpoint::Metadata, Fault::gzip());
    let mut alice = app.browser("alice").await;
    app.create(ODD, &Draft::issuer(odd.base_url(), &odd.url("/api"))).await;
    alice.start(ODD).await;
    assert_eq!(odd.ledger().at(Endpoint::Metadata).len(), 1);
}

#[tokio::test]
async fn r28_a_token_type_is_required_only_to_be_bearer_or_dpop() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    app.provider.faults().once(Endpoint::Token, Fault::with("token_type", json!("DPoP")));
    app.connect(&mut alice, DRIVE, "alice").await;
    assert_eq!(details(&app, &mut 0).await, "token_type=unsupported");
    for kind in [json!("mac"), json!("N_A"), json!(7), json!(["Bearer"])] {
        let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
        app.provider.faults().once(Endpoint::Token, Fault::with("token_type", kind));
        alice.open_callback(&callback).await;
        assert_failed(&mut alice, DRIVE, &flow, "exchange_failed").await;
    }
}

#[tokio::test]
async fn r28_zero_as_lifetime_without_a_refresh_token_agrees_on_page_and_status() {
    for never in [false, true] {
        let provider = MockProvider::builder().refresh_tokens(RefreshTokens::Never);
        let app = with_settings(provider, &[("zeroExpiresMeansNever", json!(never))]).await;
        let mut alice = app.browser("alice").await;
        app.provider.faults().once(Endpoint::Token, Fault::with("expires_in", json!(0)));
        let response = app.connect(&mut alice, ODD, "alice").await;
        assert!(text_of_page(&mut alice, &response).await.contains("Your account is connected"), "{never}");
        assert_eq!(alice.status_name(ODD).await, "connected", "{never}");
        assert_eq!(account_of(&alice.execute(ODD, "/me").await), "alice@example.test", "{never}");
        app.advance(Duration::from_hours(24 * 60));
        alice.log_in("alice").await;
        let expected = if never { "connected" } else { "needs_reauthorization" };
        assert_eq!(alice.status_name(ODD).await, expected, "after the assumed lifetime");
    }
}

#[tokio::test]
async fn r12_blanks_in_authorization_urls_are_percent_20() {
    let extra = json!({ "prompt": "select account" });
    let settings = [("scope", json!("files.read files.write")), ("extraAuthorizationParameters", extra)];
    let app = with_settings(MockProvider::builder(), &settings).await;
    let mut alice = app.browser("alice").await;
    let url = alice.start(ODD).await.authorization_url;
    assert!(url.contains("scope=files.read%20files.write") && url.contains("prompt=select%20account"), "{url}");
    assert!(!url.contains('+'), "{url}");
}

#[tokio::test]
async fn r15_resource_and_scope_are_sent_where_the_connector_sets_them() {
    let resources = json!(["https://api.example/", "urn:second"]);
    let settings = [("resource", resources), ("sendScopeOnRefresh", json!(true))];
    let app = with_settings(MockProvider::builder(), &settings).await;
    let mut alice = app.connected("alice", ODD).await;
    app.expire_access_tokens();
    assert_eq!(account_of(&alice.execute(ODD, "/me").await), "alice@example.test");
    let ledger = app.provider.ledger();
    let requests = [ledger.authorization_requests(), ledger.exchanges(), ledger.refreshes()];
    for call in requests.map(|calls| calls[0].clone()) {
        let fields = call.form.iter().chain(&call.query).filter(|(name, _)| name == "resource");
        let sent: Vec<_> = fields.map(|(_, value)| value.as_str()).collect();
        assert_eq!(sent, ["https://api.example/", "urn:second"], "{:?}", call.endpoint);
    }
    assert_eq!(ledger.refreshes()[0].param("scope"), Some("files.read"));
    assert_eq!(ledger.exchanges()[0].param("scope"), None);

    // The consent was for these resources.
    let other = Draft::with_endpoints(app.provider.base_url()).config("resource", "urn:other");
    assert_eq!(app.edit(ODD, &other).await.status, 200);
    let changed = ("needs_reauthorization".to_owned(), "connector_changed".to_owned());
    assert_eq!(alice.status_and_reason(ODD).await, changed);
}

#[tokio::test]
async fn r21_a_long_code_is_exchanged() {
    for length in [4500, 7000] {
        let app = TestApp::with(MockProvider::builder().code_length(length), |_| {}).await;
        app.connected("alice", DRIVE).await;
        assert_eq!(app.provider.ledger().exchanges()[0].param("code").map(str::len), Some(length));
    }
}

#[tokio::test]
async fn r24_a_denial_without_state_ends_the_flow_that_cookie_user_and_path_name() {
    let app = with_settings(MockProvider::builder(), &[]).await;
    let mut alice = app.browser("alice").await;
    let flow = alice.start(ODD).await;
    app.provider.faults().once(Endpoint::Consent, Fault::stateless());
    let callback: String = app.provider.deny(&flow.authorization_url, "alice").await.unwrap().into();
    assert!(callback.contains("error=access_denied") && !callback.contains("state="), "{callback}");

    // Another user, another browser, and the shared path end nothing.
    let mut bob = app.browser("bob").await;
    bob.cookies
        .extend(alice.cookies.iter().filter(|(name, _)| name.contains("_flow_")).map(|(n, v)| (n.clone(), v.clone())));
    let mut elsewhere = app.browser("alice").await;
    for browser in [&mut bob, &mut elsewhere] {
        assert_refused(&browser.open_callback(&callback).await, "access_denied");
    }
    let shared = format!("{}?error=access_denied", app.deployment.shared_callback());
    assert_refused(&alice.open_callback(&shared).await, "invalid_request");
    assert_eq!(alice.flow_result(ODD, &flow.id).await.0, "awaiting");

    let response = alice.open_callback(&callback).await;
    let page = text_of_page(&mut alice, &response).await;
    assert!(page.contains("Access was denied"), "{page}");
    assert_failed(&mut alice, ODD, &flow, "access_denied").await;
    assert_eq!(alice.status_name(ODD).await, "not_connected");
    assert!(alice.flow_cookie(&flow.id).is_none());
    assert!(app.provider.ledger().exchanges().is_empty());
}

#[tokio::test]
async fn r24_a_denial_without_state_ends_no_flow_if_two_are_pending() {
    let app = with_settings(MockProvider::builder(), &[]).await;
    let mut alice = app.browser("alice").await;
    let (first, second) = (alice.start(ODD).await, alice.start_named(ODD, "work").await);
    app.provider.faults().once(Endpoint::Consent, Fault::stateless());
    let callback: String = app.provider.deny(&first.authorization_url, "alice").await.unwrap().into();
    assert_refused(&alice.open_callback(&callback).await, "access_denied");
    for flow in [first, second] {
        assert_eq!(alice.flow_result(ODD, &flow.id).await.0, "awaiting");
    }
}

/// Starts a flow that discovery prevents, and checks the hint in the log and for editors.
async fn assert_discovery_explained(app: &TestApp, connector: ConnectorPath, hint: &str) {
    start_log();
    let refused = app.browser("alice").await.try_start(connector, json!({})).await;
    assert_eq!(refused.code(), "provider_misconfigured", "{hint}");
    let id = refused.header("x-correlation-id");
    let shown = last_failure(app, connector).await;
    let lines = failures_of(id);
    let line = lines.last().unwrap_or_else(|| panic!("no line for {id}: {hint}"));
    for facts in [line, &shown] {
        let found = (&facts["operation"], &facts["code"], &facts["correlation_id"], &facts["endpoint_host"]);
        assert_eq!(found, (&json!("discovery"), &json!("bad_metadata"), &json!(id), &json!("127.0.0.1")), "{facts}");
        assert!(facts["hint"].as_str().is_some_and(|text| text.contains(hint)), "{hint}: {facts}");
    }
}

#[tokio::test]
async fn r70_an_endpoint_in_metadata_that_cannot_be_used_is_explained() {
    let app = TestApp::new().await;
    let token = app.provider.url("/token");
    for (number, (written, hint)) in [
        (token.replace("http://", "HTTP://"), format!("configure the endpoints instead, this one as {token}")),
        (token.replace("/token", "/a/../token"), format!("configure the endpoints instead, this one as {token}")),
        ("http://as.example/token".to_owned(), "must start with https://; configure the endpoints instead".to_owned()),
        ("https://as.example:8443/token".to_owned(), "allow its host and port".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let connector = ConnectorPath::of(["first", "second", "third", "fourth"][number]);
        app.create(connector, &Draft::issuer(app.provider.base_url(), &app.provider.url("/api"))).await;
        app.provider.faults().always(Endpoint::Metadata, Fault::with("token_endpoint", json!(written)));
        assert_discovery_explained(&app, connector, &hint).await;
    }
}

#[tokio::test]
async fn r11_an_issuer_that_cannot_be_used_works_with_entered_endpoints() {
    let mut app = TestApp::new().await;
    let plain = MockProvider::builder().announce_iss(false).start().await.unwrap();
    app.allow(plain.port()).await;
    let mut alice = app.browser("alice").await;
    let by_issuer = ConnectorPath::of("by-issuer");
    app.create(by_issuer, &Draft::issuer(plain.base_url(), &plain.url("/api"))).await;
    let hint = "the metadata lacks authorization_response_iss_parameter_supported; configure the endpoints instead";
    assert_discovery_explained(&app, by_issuer, hint).await;
    let slash = ConnectorPath::of("slash");
    app.create(slash, &Draft::issuer(&format!("{}/", app.provider.base_url()), &app.provider.url("/api"))).await;
    assert_discovery_explained(&app, slash, "remove the slash from the issuer").await;
    app.create(ConnectorPath::of("other-slash"), &Draft::issuer(plain.base_url(), &plain.url("/api"))).await;
    plain.faults().always(Endpoint::Metadata, Fault::with("issuer", json!(format!("{}/", plain.base_url()))));
    assert_discovery_explained(&app, ConnectorPath::of("other-slash"), "add the slash to the issuer").await;
    plain.faults().clear(Endpoint::Metadata);

    app.create_with_endpoints(ODD, &Draft::with_endpoints(plain.base_url()), &plain).await;
    let flow = alice.start(ODD).await;
    let callback = plain.approve(&flow.authorization_url, "alice").await.unwrap();
    alice.open_callback(callback.as_str()).await;
    assert_eq!(alice.status_name(ODD).await, "connected");
}

#[tokio::test]
async fn r70_a_url_in_another_spelling_is_refused_with_the_accepted_one() {
    let app = TestApp::new().await;
    let draft = Draft::with_endpoints("https://as.example").config("tokenUrl", "https://AS.example:443/a/../token");
    let response = app.browser("carol").await.post(&ODD.public(""), draft.body).await;
    assert_eq!(response.outcome(), (400, "invalid_request".to_owned()));
    assert!(response.text().contains("https://as.example/token"), "{}", response.text());
}

#[tokio::test]
async fn r28_tokens_with_json_escapes_are_decoded_wherever_they_are_used() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let escaped = Fault::Several(vec![
        Fault::without("id_token"),
        Fault::written("access_token", r#""ab\/cd\u0041""#),
        Fault::written("refresh_token", r#""\u0072t\/1\u002B""#),
    ]);
    app.provider.faults().once(Endpoint::Token, escaped);
    app.provider.faults().always(Endpoint::Api, Fault::Instead(ScriptedResponse::json(200, &json!({}))));
    app.connect(&mut alice, DRIVE, "alice").await;
    assert_eq!(alice.execute(DRIVE, "/me").await.status, 200);
    let ledger = app.provider.ledger();
    assert_eq!(ledger.at(Endpoint::Userinfo)[0].bearer_token(), Some("ab/cdA"));
    assert_eq!(app.last_access_token(), "ab/cdA");
    let mut agent = app.anonymous_browser();
    let body = json!({ "user": "u_alice", "destination": app.provider.base_url() });
    let request = agent.request(Method::POST, &DRIVE.internal("/_access_token")).bearer_auth(AGENT_KEY).json(&body);
    assert_eq!(agent.send(request).await.json()["access_token"], "ab/cdA");

    // A name can have escapes as well.
    let refreshed = r#"{"\u0061ccess_token":"\u006e\u0065w\/2","token_type":"Be\u0061rer","expires_in":300}"#;
    let refreshed = ScriptedResponse::new(200).header("content-type", "application/json").body(refreshed);
    app.provider.faults().once(Endpoint::Token, Fault::Instead(refreshed));
    app.advance(Duration::from_mins(61));
    assert_eq!(alice.execute(DRIVE, "/me").await.status, 200);
    assert_eq!(app.last_access_token(), "new/2");
    alice.disconnect(DRIVE).await;
    app.host.drain().await;
    let ledger = app.provider.ledger();
    assert_eq!(ledger.refreshes()[0].param("refresh_token"), Some("rt/1+"));
    let revoked: Vec<_> = ledger.revocations().iter().filter_map(|call| call.param("token")).collect();
    assert_eq!(revoked, ["rt/1+", "new/2"]);
}

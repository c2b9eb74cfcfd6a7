//! Authorization responses that arrive at the callback of another connector or come from another provider (RFC 9207).

use grantry_system_tests::paths::{ConnectorPath, Draft};
use grantry_system_tests::test_app::{DRIVE, TestApp};
use grantry_testkit::provider::{Client, Endpoint, Fault, MockProvider, RedirectMatching};
use serde_json::Value;
use url::Url;

use crate::{assert_failed, callback_calls};

const FIRST: ConnectorPath = ConnectorPath::of("first");
const SECOND: ConnectorPath = ConnectorPath::of("second");

fn redirect_uri(connector: &Value) -> String {
    connector["redirect_uri"].as_str().unwrap().to_owned()
}

/// The callback URL with another address and the same parameters.
fn at_address(callback: &str, address: &str) -> String {
    let query = Url::parse(callback).unwrap().query().unwrap().to_owned();
    format!("{address}?{query}")
}

#[tokio::test]
async fn r08_callbacks_of_two_connectors_cannot_be_swapped() {
    let app = TestApp::new().await;
    let draft = Draft::with_endpoints(app.provider.base_url());
    let (first, second) = (app.create(FIRST, &draft).await, app.create(SECOND, &draft).await);
    let (first, second) = (redirect_uri(&first), redirect_uri(&second));
    assert_ne!(first, second);
    let client = Client::new("demo", "demo-secret").redirect_uri(first.clone()).redirect_uri(second.clone());
    let shared = app.deployment.shared_callback();
    app.provider.register(client.redirect_uri(shared.clone()));

    let mut alice = app.browser("alice").await;
    let cases = [(FIRST, second.clone()), (SECOND, first.clone()), (FIRST, shared), (DRIVE, first.clone())];
    for (connector, wrong) in cases {
        let (flow, callback) = app.consent(&mut alice, connector, "alice").await;
        alice.open_callback(&at_address(&callback, &wrong)).await;
        assert_failed(&mut alice, connector, &flow, "callback_mismatch").await;
        assert_eq!(callback_calls(&app.provider.ledger()), 0, "{connector:?} at {wrong}");
    }
    for (connector, right) in [(FIRST, first), (SECOND, second)] {
        let (_, callback) = app.consent(&mut alice, connector, "alice").await;
        assert!(callback.starts_with(&right), "{callback}");
        alice.open_callback(&callback).await;
        assert_eq!(alice.status_name(connector).await, "connected");
    }
}

/// A mix-up attack (RFC 9700 §4.4): the attacker's connector redirects the user to the honest provider with the honest client,
/// the shared callback and the state of the flow. The honest code must not reach the attacker's token endpoint.
#[tokio::test]
async fn r08_r09_r10_a_malicious_connector_never_gets_an_honest_code() {
    let mut app = TestApp::new().await;
    let attacker = MockProvider::builder().start().await.unwrap();
    app.allow(attacker.port()).await;
    let shared = app.deployment.shared_callback();
    let honest = app.provider.base_url().to_owned();

    // With entered endpoints, the connector has a separate callback, even if it states an issuer.
    let with_issuer = Draft::with_endpoints(attacker.base_url()).config("issuer", honest.clone());
    for (connector, draft) in [(FIRST, Draft::with_endpoints(attacker.base_url())), (SECOND, with_issuer)] {
        let response = app.browser("carol").await.post(&connector.public(""), draft.body).await;
        assert_eq!(response.status, 200, "{}", response.text());
        let uri = redirect_uri(&response.json());
        assert_ne!(uri, shared);
        attacker.register(Client::new("demo", "demo-secret").redirect_uri(uri));
        let mut alice = app.browser("alice").await;
        let flow = alice.start(connector).await;
        let forged = honest_request(&flow.authorization_url, &honest, &shared);
        let callback = app.provider.approve(&forged, "alice").await.unwrap();
        assert!(callback.as_str().starts_with(&shared));
        alice.open_callback(callback.as_str()).await;
        assert_failed(&mut alice, connector, &flow, "callback_mismatch").await;
    }

    // With an issuer, the callback is shared, and `iss` is compared.
    let connector = ConnectorPath::of("lookalike");
    app.create(connector, &Draft::issuer(attacker.base_url(), &attacker.url("/api"))).await;
    attacker.register(Client::new("demo", "demo-secret").redirect_uri(shared.clone()));
    let mut alice = app.browser("alice").await;
    let flow = alice.start(connector).await;
    let forged = honest_request(&flow.authorization_url, &honest, &shared);
    let callback = app.provider.approve(&forged, "alice").await.unwrap();
    alice.open_callback(callback.as_str()).await;
    assert_failed(&mut alice, connector, &flow, "issuer_mismatch").await;

    assert!(attacker.ledger().exchanges().is_empty(), "the code was not sent to the attacker");
    assert!(app.provider.ledger().exchanges().is_empty());
}

/// The redirect URIs that an attacker can derive from those of the two connectors.
fn redirect_uris(shared: &str, honest: &str, attackers: &str) -> Vec<(&'static str, String)> {
    let id = attackers.rsplit('/').next().unwrap();
    let in_space = |uri: &str| uri.replacen("/api/", "/s/marketing/api/", 1);
    vec![
        ("shared", shared.to_owned()),
        ("honest", honest.to_owned()),
        ("attacker's", attackers.to_owned()),
        ("attacker's in a space", in_space(attackers)),
        ("below shared", format!("{shared}/{id}")),
        ("below honest", format!("{honest}/{id}")),
        ("continues shared", format!("{shared}_result/{id}")),
        ("beside shared", format!("{shared}/../_oauth_context/{id}")),
        ("beside shared, encoded", format!("{shared}/%2e%2e/_oauth_context/{id}")),
        ("beside honest", format!("{honest}/../{id}")),
        ("query of shared", format!("{shared}?next=/{id}")),
        ("query of honest", format!("{honest}?next=/{id}")),
    ]
}

/// The client of the honest provider, with the redirect URIs of its connectors. Patterns are those that an operator could
/// derive from them.
fn client_with(matching: RedirectMatching, redirect_uris: &[&str]) -> Client {
    let pattern = match matching {
        RedirectMatching::Exact | RedirectMatching::SubPath | RedirectMatching::Prefix => "",
        RedirectMatching::Wildcard => "*",
    };
    let client = Client::new("demo", "demo-secret").redirect_matching(matching);
    redirect_uris.iter().fold(client, |client, uri| client.redirect_uri(format!("{uri}{pattern}")))
}

/// Which of [`redirect_uris`] the honest provider accepts. None of them is a callback of the attacker.
fn accepted_by(matching: RedirectMatching) -> &'static [&'static str] {
    const EXACT: &[&str] = &["shared", "honest"];
    const SUB_PATH: &[&str] = &["shared", "honest", "below shared", "below honest", "query of shared", "query of honest"];
    const PREFIX: &[&str] =
        &["shared", "honest", "below shared", "below honest", "continues shared", "query of shared", "query of honest"];
    match matching {
        RedirectMatching::Exact => EXACT,
        RedirectMatching::SubPath => SUB_PATH,
        RedirectMatching::Prefix | RedirectMatching::Wildcard => PREFIX,
    }
}

/// The attacker's connector sends the user to the honest provider with the state of the flow. However the honest provider
/// compares redirect URIs, no request reaches the attacker's token endpoint.
#[tokio::test]
async fn r08_r09_no_way_of_comparing_redirect_uris_leads_a_code_to_another_connector() {
    for matching in RedirectMatching::ALL {
        let mut app = TestApp::new().await;
        let attacker = MockProvider::builder().start().await.unwrap();
        app.allow(attacker.port()).await;
        let provider = app.provider.base_url().to_owned();
        let shared = app.deployment.shared_callback();
        let honest = redirect_uri(&app.create(FIRST, &Draft::with_endpoints(&provider)).await);
        let attackers = redirect_uri(&app.create(SECOND, &Draft::with_endpoints(attacker.base_url())).await);
        app.provider.register(client_with(matching, &[&shared, &honest]));
        attacker.register(Client::new("demo", "demo-secret").redirect_uri(attackers.clone()));
        let mut alice = app.browser("alice").await;

        let mut accepted = Vec::new();
        for (name, uri) in redirect_uris(&shared, &honest, &attackers) {
            let flow = alice.start(SECOND).await;
            let forged = honest_request(&flow.authorization_url, &provider, &uri);
            if let Ok(callback) = app.provider.approve(&forged, "alice").await {
                accepted.push(name);
                alice.open_callback(callback.as_str()).await;
            }
            assert_eq!(callback_calls(&attacker.ledger()), 0, "{matching:?}: {name}");
            assert_eq!(callback_calls(&app.provider.ledger()), 0, "{matching:?}: {name}");
        }
        assert_eq!(accepted, accepted_by(matching), "{matching:?}");

        // The honest connectors still work, with their redirect URIs only.
        for connector in [DRIVE, FIRST] {
            app.connect(&mut alice, connector, "alice").await;
            assert_eq!(alice.status_name(connector).await, "connected", "{matching:?}");
        }
        let ledger = app.provider.ledger();
        let redeemed: Vec<_> = ledger.exchanges().iter().map(|call| call.param("redirect_uri").unwrap()).collect();
        assert_eq!(redeemed, [&shared, &honest], "{matching:?}");
        assert_eq!(callback_calls(&attacker.ledger()), 0, "{matching:?}");
    }
}

/// The callback ids of an honest and a malicious connector are swapped, on the way there (redirect URI) and on the way back.
#[tokio::test]
async fn r08_swapped_callback_ids_reach_no_token_endpoint() {
    for matching in RedirectMatching::ALL {
        let mut app = TestApp::new().await;
        let attacker = MockProvider::builder().start().await.unwrap();
        app.allow(attacker.port()).await;
        let provider = app.provider.base_url().to_owned();
        let honest = redirect_uri(&app.create(FIRST, &Draft::with_endpoints(&provider)).await);
        let attackers = redirect_uri(&app.create(SECOND, &Draft::with_endpoints(attacker.base_url())).await);
        app.provider.register(client_with(matching, &[&honest]));
        attacker.register(client_with(matching, &[&attackers]));
        let mut alice = app.browser("alice").await;

        for (connector, server, own, other) in
            [(FIRST, &app.provider, &honest, &attackers), (SECOND, &attacker, &attackers, &honest)]
        {
            let flow = alice.start(connector).await;
            let forged = honest_request(&flow.authorization_url, server.base_url(), other);
            let stuck = server.approve(&forged, "alice").await;
            assert!(stuck.is_err(), "{matching:?}: the URI of another connector is not registered");
            let callback = server.approve(&flow.authorization_url, "alice").await.unwrap();
            assert!(callback.as_str().starts_with(own.as_str()));
            alice.open_callback(&at_address(callback.as_str(), other)).await;
            assert_failed(&mut alice, connector, &flow, "callback_mismatch").await;
        }
        assert_eq!(callback_calls(&attacker.ledger()), 0, "{matching:?}");
        assert_eq!(callback_calls(&app.provider.ledger()), 0, "{matching:?}");
    }
}

/// A mix-up with the shared callback: the attacker's issuer sends the user to the honest provider. `iss` names the honest one.
#[tokio::test]
async fn r10_no_way_of_comparing_redirect_uris_leads_a_code_to_another_issuer() {
    for matching in RedirectMatching::ALL {
        let mut app = TestApp::new().await;
        let attacker = MockProvider::builder().start().await.unwrap();
        app.allow(attacker.port()).await;
        let provider = app.provider.base_url().to_owned();
        let shared = app.deployment.shared_callback();
        app.create(FIRST, &Draft::issuer(attacker.base_url(), &attacker.url("/api"))).await;
        app.provider.register(client_with(matching, &[&shared]));
        attacker.register(Client::new("demo", "demo-secret").redirect_uri(shared.clone()));
        let mut alice = app.browser("alice").await;

        let flow = alice.start(FIRST).await;
        let forged = honest_request(&flow.authorization_url, &provider, &shared);
        let callback = app.provider.approve(&forged, "alice").await.unwrap();
        alice.open_callback(callback.as_str()).await;
        assert_failed(&mut alice, FIRST, &flow, "issuer_mismatch").await;
        assert_eq!(callback_calls(&attacker.ledger()), 0, "{matching:?}");
        assert_eq!(callback_calls(&app.provider.ledger()), 0, "{matching:?}");
        app.connect(&mut alice, DRIVE, "alice").await;
        assert_eq!(alice.status_name(DRIVE).await, "connected", "{matching:?}");
    }
}

/// The attacker's issuer sends the user to the provider of a built-in type, which sends no `iss`, and puts the `iss` of the
/// attacker into the redirect URI.
#[tokio::test]
async fn r09_r10_an_issuer_in_the_redirect_uri_leads_no_code_to_that_issuer() {
    for matching in RedirectMatching::ALL {
        let mut app = TestApp::new().await;
        let attacker = MockProvider::builder().start().await.unwrap();
        let honest = MockProvider::builder().announce_iss(false).start().await.unwrap();
        app.allow(attacker.port()).await;
        let registered = app.deployment.profile_callback();
        let shared = app.deployment.shared_callback();
        app.create(FIRST, &Draft::issuer(attacker.base_url(), &attacker.url("/api"))).await;
        honest.register(client_with(matching, &[&registered]));
        attacker.register(Client::new("demo", "demo-secret").redirect_uri(shared.clone()));
        let mut alice = app.browser("alice").await;
        let mut accepted = 0;
        for callback in [&registered, &shared] {
            let flow = alice.start(FIRST).await;
            let issuer: String = url::form_urlencoded::byte_serialize(attacker.base_url().as_bytes()).collect();
            let redirect_uri = format!("{callback}?iss={issuer}");
            let forged = honest_request(&flow.authorization_url, honest.base_url(), &redirect_uri);
            if let Ok(callback) = honest.approve(&forged, "alice").await {
                accepted += 1;
                alice.open_callback(callback.as_str()).await;
                assert_failed(&mut alice, FIRST, &flow, "callback_mismatch").await;
            }
        }
        assert_eq!(accepted, usize::from(matching != RedirectMatching::Exact), "{matching:?}");
        assert_eq!(callback_calls(&attacker.ledger()), 0, "{matching:?}");
    }
}

/// The authorization request of a flow, addressed to the honest provider instead.
fn honest_request(authorization_url: &str, honest: &str, redirect_uri: &str) -> String {
    let mut url = Url::parse(&format!("{honest}/authorize")).unwrap();
    let request = Url::parse(authorization_url).unwrap();
    let others = request.query_pairs().into_owned().filter(|(name, _)| name != "redirect_uri");
    url.query_pairs_mut().extend_pairs(others).append_pair("redirect_uri", redirect_uri);
    url.into()
}

#[tokio::test]
async fn r10_lesson_04_a_wrong_or_missing_issuer_is_refused_first() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let issuer = app.provider.base_url().to_owned();
    let wrong = [
        Fault::no_iss(),
        Fault::iss("https://evil.example"),
        Fault::iss(&format!("{issuer}/")),
        Fault::iss(&issuer.to_uppercase()),
        Fault::iss(&issuer.replace("127.0.0.1", "localhost")),
    ];
    for fault in wrong {
        for denied in [false, true] {
            let flow = alice.start(DRIVE).await;
            app.provider.faults().once(Endpoint::Consent, fault.clone());
            let callback = if denied {
                app.provider.deny(&flow.authorization_url, "alice").await.unwrap()
            } else {
                app.provider.approve(&flow.authorization_url, "alice").await.unwrap()
            };
            alice.open_callback(callback.as_str()).await;
            assert_failed(&mut alice, DRIVE, &flow, "issuer_mismatch").await;
        }
    }
    assert_eq!(callback_calls(&app.provider.ledger()), 0);
    app.host.connections.deliver_events().await.unwrap();
    assert!(app.host.sink.events().iter().any(|event| event.kind.as_str() == "issuer_mismatch"));
}

#[tokio::test]
async fn r09_r10_a_shared_callback_requires_a_provider_that_sends_iss() {
    let mut app = TestApp::new().await;
    let without_iss = MockProvider::builder().announce_iss(false).start().await.unwrap();
    app.allow(without_iss.port()).await;
    let connector = ConnectorPath::of("without-iss");
    app.create(connector, &Draft::issuer(without_iss.base_url(), &without_iss.url("/api"))).await;
    let refused = app.browser("alice").await.try_start(connector, serde_json::json!({})).await;
    assert_eq!(refused.outcome(), (502, "provider_misconfigured".to_owned()));
    assert!(without_iss.ledger().authorization_requests().is_empty());
}

#[tokio::test]
async fn r11_metadata_of_another_issuer_is_refused() {
    let app = TestApp::new().await;
    let connector = ConnectorPath::of("wrong-issuer");
    let issuer = app.provider.base_url().to_owned();
    for other in [format!("{issuer}/"), issuer.replace("127.0.0.1", "localhost"), "https://evil.example".to_owned()] {
        let fault = Fault::with("issuer", other.clone().into());
        // Each node caches metadata.
        let host = app.deployment.host().await.unwrap();
        let mut carol = app.browser("carol").await.at(host.address);
        let draft = Draft::issuer(&issuer, &app.provider.url("/api"));
        carol.post(&connector.public(""), draft.body).await;
        app.provider.faults().always(Endpoint::Metadata, fault);
        let refused = carol.try_start(connector, serde_json::json!({})).await;
        assert_eq!(refused.outcome(), (502, "provider_misconfigured".to_owned()), "{other}");
        app.provider.faults().clear(Endpoint::Metadata);
    }
}

#[tokio::test]
async fn r11_r63_a_forbidden_authorization_endpoint_is_refused() {
    let app = TestApp::new().await;
    let connector = ConnectorPath::of("forbidden-endpoint");
    let issuer = app.provider.base_url().to_owned();
    let endpoints = [
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "vbscript:x",
        "intent://x",
        "ftp://example.com/a",
        "http://example.com/authorize",
        "https://127.0.0.1/authorize",
        "https://user:x@example.com/authorize",
        "https://example.com/authorize?state=fixed",
        "https://example.com/authorize#x",
        "//example.com/authorize",
        "HTTPS://example.com/authorize",
        "",
    ];
    app.create(connector, &Draft::issuer(&issuer, &app.provider.url("/api"))).await;
    for endpoint in endpoints {
        let host = app.deployment.host().await.unwrap();
        let mut alice = app.browser("alice").await.at(host.address);
        app.provider.faults().always(Endpoint::Metadata, Fault::with("authorization_endpoint", endpoint.into()));
        let refused = alice.try_start(connector, serde_json::json!({})).await;
        assert_eq!(refused.outcome(), (502, "provider_misconfigured".to_owned()), "{endpoint:?}: {}", refused.text());
        assert_eq!(alice.status_name(connector).await, "not_connected", "{endpoint:?}: there is no pending flow");
        host.stop().await;
    }
}
